//! What Opik's page makes of our streams.
//!
//! The reader of the page (of February 2026) takes each read of the network by itself: it splits it
//! into lines, of a line it takes what stands between the first and the second `data:`, and it skips
//! what is no JSON. So it loses every event that a read cuts, and every event that says `data:`.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::stream;
use opik_core::chat::{ChatEvent, ChatModel, ChatRequest, ChatStream, FinishReason, ModelError};
use opik_sessions::MemorySessions;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::exchange::{Answer, exchange, request};
use crate::golden::{exchanges, variables};
use crate::world::World;

#[derive(Debug, Clone, PartialEq)]
enum Shown {
    Words {
        text: String,
        is_whole: bool,
    },
    /// Identifier, name, and whether it is ticked.
    Tools(Vec<(String, String, bool)>),
}

#[derive(Debug, Default, PartialEq)]
struct Page {
    shown: Vec<Shown>,
    /// The bubble that is written to.
    current: Option<usize>,
    error: Option<String>,
    /// Lines that should have been events.
    lost: Vec<String>,
}

impl Page {
    fn of<'a>(reads: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut page = Self::default();
        for read in reads {
            // Nothing of ours needs more than ASCII, so no read can cut a character.
            assert!(read.is_ascii());
            page.read(std::str::from_utf8(read).unwrap());
            if page.error.is_some() {
                break;
            }
        }
        page
    }

    fn read(&mut self, read: &str) {
        for line in read.split('\n').filter(|line| !line.trim().is_empty()) {
            let event = match line.strip_prefix("data:") {
                Some(rest) => rest.split("data:").next().unwrap(),
                None => line,
            };
            match serde_json::from_str::<Value>(event) {
                Ok(event) => self.apply(&event),
                // A comment says nothing that could be lost.
                Err(_) if line.starts_with(':') => {}
                Err(_) => self.lost.push(line.to_owned()),
            }
            if self.error.is_some() {
                return;
            }
        }
    }

    fn apply(&mut self, event: &Value) {
        if let Some(error) = event["error"].as_str().filter(|text| !text.is_empty()) {
            self.error = Some(error.to_owned());
            return;
        }
        match event["message_type"].as_str().unwrap_or("no event") {
            "response" => {
                let parts = event["content"]["parts"].as_array().unwrap();
                let text: String = parts
                    .iter()
                    .filter_map(|part| part["text"].as_str())
                    .collect();
                self.words(text, event["partial"] == json!(true));
            }
            "tool_call" => {
                let id = event["tool_call"]["id"].as_str().unwrap().to_owned();
                let name = event["tool_call"]["display_name"].as_str().unwrap();
                let tool = (id, name.to_owned(), false);
                match self.shown.last_mut() {
                    Some(Shown::Tools(tools)) => tools.push(tool),
                    _ => self.shown.push(Shown::Tools(vec![tool])),
                }
            }
            "tool_complete" => {
                let id = event["tool_response"]["id"].as_str().unwrap();
                for shown in &mut self.shown {
                    if let Shown::Tools(tools) = shown {
                        for tool in tools.iter_mut().filter(|tool| tool.0 == id) {
                            tool.2 = true;
                        }
                    }
                }
            }
            other => self.lost.push(other.to_owned()),
        }
    }

    fn words(&mut self, words: String, is_partial: bool) {
        if words.is_empty() {
            return;
        }
        let current = self.current.and_then(|at| self.shown.get_mut(at));
        match current {
            Some(Shown::Words { text, is_whole }) if !*is_whole => {
                if is_partial {
                    text.push_str(&words);
                } else {
                    *text = words;
                    *is_whole = true;
                }
            }
            _ => {
                self.current = Some(self.shown.len());
                self.shown.push(Shown::Words {
                    text: words,
                    is_whole: !is_partial,
                });
            }
        }
    }

    fn texts(&self) -> Vec<&str> {
        let words = self.shown.iter().filter_map(|shown| match shown {
            Shown::Words { text, .. } => Some(text.as_str()),
            Shown::Tools(_) => None,
        });
        words.collect()
    }
}

/// The events of a stream, each with the blank line that ends it.
fn events(body: &[u8]) -> Vec<&[u8]> {
    let mut events = Vec::new();
    let mut rest = body;
    while let Some(end) = rest.windows(2).position(|two| two == b"\n\n") {
        events.push(&rest[..end + 2]);
        rest = &rest[end + 2..];
    }
    assert!(rest.is_empty(), "the stream ends within an event");
    events
}

/// Says these pieces.
#[derive(Debug)]
struct Saying(Vec<String>);

#[async_trait]
impl ChatModel for Saying {
    fn name(&self) -> &str {
        "openai/gpt-4.1"
    }

    async fn stream(&self, _: &ChatRequest) -> Result<ChatStream, ModelError> {
        let texts = self.0.clone().into_iter().map(ChatEvent::Text);
        let events = texts.chain([ChatEvent::Finish(FinishReason::Stop)]);
        Ok(Box::pin(stream::iter(events.map(Ok).collect::<Vec<_>>())))
    }
}

async fn ask(world: &World, message: &str) -> Answer {
    let body = json!({"message": message, "streaming": true}).to_string();
    let path = "/trace-analyzer/session/0198ec6e-2222-7000-8000-000000000700";
    let cookie = ("Cookie", "sessionToken=fe");
    exchange(world.address(), &request("POST", path, &[cookie], &body)).await
}

async fn told(pieces: &[String]) -> Answer {
    let model = Arc::new(Saying(pieces.to_vec()));
    let world = World::with(&[], Some(model), Arc::new(MemorySessions::new())).await;
    ask(&world, "hello").await
}

#[tokio::test]
async fn no_event_of_a_recorded_exchange_is_lost() {
    let mut read = 0;
    for group in ["inmem", "internal", "prefix"] {
        let world = World::new(&variables(group)).await;
        let of_group = exchanges()
            .into_iter()
            .filter(|exchange| exchange.group == group && exchange.scenario != "l-disconnect");
        for recorded in of_group {
            let seen = exchange(world.address(), recorded.request.as_bytes()).await;
            let is_stream = seen
                .header("content-type")
                .is_some_and(|kind| kind.starts_with("text/event-stream"));
            if !is_stream {
                continue;
            }
            read += 1;
            let by_chunk = Page::of(seen.chunks.iter().map(Vec::as_slice));
            assert_eq!(by_chunk.lost, [""; 0], "{}", recorded.scenario);
            let body = seen.chunks.concat();
            assert_eq!(Page::of(events(&body)), by_chunk, "{}", recorded.scenario);
            // Every call is ticked, and every answer is whole.
            for shown in &by_chunk.shown {
                match shown {
                    Shown::Words { is_whole, .. } => assert!(is_whole, "{}", recorded.scenario),
                    Shown::Tools(tools) => assert!(tools.iter().all(|tool| tool.2)),
                }
            }
        }
    }
    assert!(read > 20, "{read} streams");
}

#[tokio::test]
async fn odd_texts_are_shown_whole() {
    let odd: Vec<Vec<String>> = [
        vec!["data:"],
        vec!["da", "ta:", " {\"error\": \"no\"}\n\n"],
        vec!["metadata: data: data:data:"],
        vec!["a\r\nb\r\n\r\ndata: c\rd"],
        vec!["nul \0 and \u{1b}[31m and \u{7f}"],
        vec![
            "\u{1f600}",
            "\u{1f469}\u{200d}\u{1f680} \u{2028}\u{2029}\u{feff}",
        ],
        vec!["\\u0061 \\\" \\n dat\\u0061:"],
        vec!["event: error\nid: 7\nretry: 1\n: comment\n\n"],
    ]
    .into_iter()
    .map(|pieces| pieces.into_iter().map(str::to_owned).collect())
    .collect();
    let many = (0..5_000).map(|number| format!("{number} data: \u{e9}\n"));
    // An answer has at most 200,000 bytes.
    let large = "0123456789 data: \u{1f600}\r\n".repeat(8_000);
    for pieces in odd.into_iter().chain([many.collect(), vec![large]]) {
        let whole = pieces.concat();
        let answer = told(&pieces).await;
        let page = Page::of(answer.chunks.iter().map(Vec::as_slice));
        let begin: String = whole.chars().take(40).collect();
        assert_eq!((page.lost.len(), &page.error), (0, &None), "{begin:?}");
        // Not by assert_eq: a megabyte helps nobody.
        let lengths: Vec<usize> = page.texts().iter().map(|text| text.len()).collect();
        assert!(
            page.texts() == [whole.as_str()],
            "{begin:?} has {} bytes, shown are {lengths:?}",
            whole.len()
        );
        // What is said on the way is the same as what is said at the end.
        let body = answer.chunks.concat();
        let mut partial = events(&body);
        partial.retain(|event| !event.windows(16).any(|part| part == b"\"partial\": false"));
        assert!(Page::of(partial).texts() == [whole.as_str()], "{begin:?}");
    }
}

#[tokio::test]
async fn a_megabyte_in_one_piece_is_shown_whole_and_what_is_cut_is_cut_for_all() {
    let line = "0123456789 data: \u{1f600}\r\n";
    let megabyte = line.repeat(44_000);
    assert!(megabyte.len() > 1_000_000);
    let answer = told(std::slice::from_ref(&megabyte)).await;
    let page = Page::of(answer.chunks.iter().map(Vec::as_slice));
    assert_eq!((page.lost.len(), &page.error), (0, &None));
    assert!(page.texts() == [megabyte.as_str()]);
    // Without the event at the end, which is larger than any read of a browser, the pieces are all.
    let body = answer.chunks.concat();
    let (_, pieces) = events(&body)
        .split_last()
        .map(|(last, rest)| (*last, rest.to_vec()))
        .unwrap();
    assert!(Page::of(pieces).texts() == [megabyte.as_str()]);
    let large = line.repeat(100_000);
    let answer = told(std::slice::from_ref(&large)).await;
    let page = Page::of(answer.chunks.iter().map(Vec::as_slice));
    let texts = page.texts();
    let same = std::iter::zip(texts[0].bytes(), large.bytes()).take_while(|(a, b)| a == b);
    assert!(same.count() > 1_999_000);
    assert!(texts[0].len() < 2_001_000, "{}", texts[0].len());
    // Whoever reads the history later sees the same.
    let body = answer.chunks.concat();
    assert!(Page::of(events(&body)).texts() == texts);
}

/// Events that the page's reader sees whole when reads end at these places.
fn whole_events<'a>(body: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut begin = 0;
    let mut whole = Vec::new();
    for event in events(body) {
        let end = begin + event.len();
        let is_cut = cuts.iter().any(|&cut| {
            // A line without `data:` is read as well, so a read may end right after it.
            let in_word = cut > begin && cut < begin + 5;
            let in_json = cut > begin + 6 && cut < end - 2;
            in_word || in_json
        });
        if !is_cut {
            whole.push(event);
        }
        begin = end;
    }
    whole
}

fn reads<'a>(body: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut reads = Vec::new();
    let mut begin = 0;
    for &cut in cuts {
        reads.push(&body[begin..cut]);
        begin = cut;
    }
    reads.push(&body[begin..]);
    reads
}

/// Compares what is read with what the events that are not cut say.
fn check(body: &[u8], cuts: &[usize]) -> Result<(), TestCaseError> {
    let page = Page::of(reads(body, cuts));
    let wanted = Page::of(whole_events(body, cuts));
    prop_assert_eq!(&page.shown, &wanted.shown);
    prop_assert_eq!(&page.error, &wanted.error);
    Ok(())
}

#[tokio::test]
async fn reads_that_end_anywhere_lose_only_the_events_they_cut() {
    let world = World::new(&[]).await;
    let mut bodies = Vec::new();
    for scenario in ["plain", "tool", "parallel", "data", "unicode", "long"] {
        let message = format!("[[{scenario}]]");
        bodies.push(ask(&world, &message).await.chunks.concat());
    }
    for body in &bodies {
        let cuts: Vec<usize> = (1_400..body.len()).step_by(1_400).collect();
        check(body, &cuts).unwrap();
        // Each byte as a read of its own shows nothing, and nothing wrong.
        let cuts: Vec<usize> = (1..body.len()).collect();
        assert_eq!(Page::of(reads(body, &cuts)).shown, []);
    }
    let places = proptest::collection::vec(any::<prop::sample::Index>(), 0..12);
    let which = 0..bodies.len();
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let property = |(which, places): (usize, Vec<prop::sample::Index>)| {
        let body: &[u8] = &bodies[which];
        let mut cuts: Vec<usize> = places.iter().map(|at| at.index(body.len())).collect();
        cuts.sort_unstable();
        check(body, &cuts)
    };
    runner.run(&(which, places), property).unwrap();
}
