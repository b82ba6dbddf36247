//! The nineteen things that servers of language models do wrong, or differently, in every format that
//! they can occur in. Bodies and what has to come of them are the recorded replies; each is played over
//! a socket, in pieces and at once.

use std::num::NonZeroUsize;

use futures_util::StreamExt as _;
use opik_core::Secret;
use opik_core::chat::ModelErrorKind as Kind;
use opik_models::{AnthropicModel, Caller, GeminiModel, OpenAiModel, OpikProxy};

use crate::fake::{Act, Fake, answer, stream_head};
use crate::fixture::{self, Fixture};
use crate::hostile::{ask, question, refused};
use crate::in_time;
use crate::wire::{CLIENTS, Client, Wire, http};

/// Sizes of the pieces in which replies are sent, without the whole.
const PIECES: [usize; 2] = [7, 64];

/// The clients that read a format.
fn wires(format: &str) -> &'static [Wire] {
    match format {
        "openai" => &[Wire::OpenAi, Wire::Proxy],
        "anthropic" => &[Wire::Anthropic],
        "gemini" => &[Wire::Gemini],
        _ => &[],
    }
}

async fn play(fixture: &Fixture, size: Option<NonZeroUsize>) {
    for wire in wires(&fixture.format) {
        let mut acts = vec![stream_head()];
        let size = size.map_or(fixture.body.len(), NonZeroUsize::get);
        acts.extend(
            fixture
                .body
                .chunks(size)
                .map(|piece| Act::Send(piece.to_vec())),
        );
        acts.push(Act::End);
        let fake = Fake::always(acts).await;
        let model = Client(*wire, false).model(&http(), &fake.url);
        let events = in_time(ask(&*model)).await;
        assert_eq!(events, fixture.events, "{} {wire:?}", fixture.name);
    }
}

/// Plays the replies of a case. What it does not apply to is said, with the reason.
async fn replies(names: &[&str], not: &[(&str, &str)]) {
    let all = fixture::all();
    for format in ["openai", "anthropic", "gemini"] {
        let applies = names.iter().any(|name| name.starts_with(format));
        let excused = not
            .iter()
            .any(|(name, why)| *name == format && !why.is_empty());
        assert!(applies != excused, "{format} is covered or excused");
    }
    for name in names {
        let fixture = all
            .iter()
            .find(|fixture| fixture.name == *name)
            .expect(name);
        for size in PIECES {
            play(fixture, NonZeroUsize::new(size)).await;
        }
        play(fixture, None).await;
    }
}

/// A refusal keeps its kind in every format, streamed and whole.
async fn refuses(status: u16, kind_of_body: &str, body: &str, kind: Kind) {
    for client in CLIENTS {
        let fake = Fake::always(answer(status, kind_of_body, body)).await;
        let error = in_time(refused(&*client.model(&http(), &fake.url))).await;
        assert_eq!(error.kind(), kind, "{client:?}");
        assert!(
            error.to_string().contains(&format!("status {status}")),
            "{error}"
        );
        assert!(!error.to_string().contains("oops"), "{error}");
        let repeats = matches!(kind, Kind::RateLimited | Kind::Unavailable);
        assert_eq!(error.is_retryable(), repeats, "{client:?}");
    }
}

const WHOLE_CALLS: (&str, &str) = ("gemini", "calls come whole, and have no index");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_01_text_reasoning_usage_at_the_end_comments_and_crlf() {
    replies(&["openai/text", "anthropic/text", "gemini/text"], &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_02_bytes_are_split_anywhere_also_inside_a_character() {
    let names = ["openai/text", "anthropic/text", "gemini/text"];
    for fixture in fixture::all() {
        if names.contains(&fixture.name.as_str()) {
            assert!(!fixture.body.is_ascii(), "{}", fixture.name);
            for size in [1, 2, 3] {
                play(&fixture, NonZeroUsize::new(size)).await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_03_pieces_of_parallel_tool_calls_come_in_turns() {
    replies(&["openai/parallel", "anthropic/tools", "gemini/tools"], &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_04_pieces_of_tool_calls_have_no_index() {
    replies(&["openai/no_index", "anthropic/no_index"], &[WHOLE_CALLS]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_05_every_tool_call_has_index_0() {
    replies(
        &["openai/all_index_0", "anthropic/all_index_0"],
        &[WHOLE_CALLS],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_06_the_first_index_is_1() {
    replies(
        &["openai/from_index_1", "anthropic/from_index_1"],
        &[WHOLE_CALLS],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_07_identifier_and_name_are_repeated_as_empty_texts() {
    let names = [
        "openai/empty_repeated",
        "anthropic/empty_repeated",
        "gemini/empty_id",
    ];
    replies(&names, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_08_an_error_object_in_the_middle_of_the_stream() {
    replies(
        &["openai/error_object", "anthropic/error", "gemini/error"],
        &[],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_09_a_bare_code_and_message_in_the_middle_of_the_stream() {
    let names = [
        "openai/error_opik",
        "openai/error_bare",
        "anthropic/error_bare",
        "gemini/error_bare",
    ];
    replies(&names, &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_10_a_clean_end_without_a_reason_and_without_a_mark() {
    replies(&["openai/no_end", "anthropic/no_end", "gemini/no_end"], &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_11_an_end_without_a_mark_after_the_reason() {
    // Google's streams never have one.
    replies(&["openai/no_done", "anthropic/no_stop", "gemini/text"], &[]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_12_chunks_lack_identifier_index_and_kind() {
    replies(
        &["openai/bare_chunks", "anthropic/bare", "gemini/bare"],
        &[],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_13_status_401() {
    let body = r#"{"error":{"message":"oops","code":401}}"#;
    refuses(401, "application/json", body, Kind::Unauthorized).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_14_status_429() {
    let body = r#"{"error":{"message":"oops","code":429}}"#;
    refuses(429, "application/json", body, Kind::RateLimited).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_15_status_500_with_a_web_page() {
    refuses(
        500,
        "text/html",
        "<html><body>oops</body></html>",
        Kind::Unavailable,
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_16_status_503_without_a_body() {
    refuses(503, "text/plain", "", Kind::Unavailable).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_17_status_400_with_an_odd_body() {
    refuses(
        400,
        "application/json",
        r#"["oops", {"a": null}]"#,
        Kind::InvalidRequest,
    )
    .await;
    refuses(
        400,
        "application/json",
        "{\"error\": \u{0}",
        Kind::InvalidRequest,
    )
    .await;
}

/// The first words of a reply.
fn first_words(wire: Wire) -> Act {
    let frame = match wire {
        Wire::OpenAi | Wire::Proxy => r#"{"choices":[{"delta":{"content":"Yes"}}]}"#,
        Wire::Anthropic => {
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Yes"}}"#
        }
        Wire::Gemini => r#"{"candidates":[{"content":{"parts":[{"text":"Yes"}]}}]}"#,
    };
    Act::Send(format!("data: {frame}\n\n").into_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_18_a_dropped_stream_lets_go_of_the_server() {
    for wire in [Wire::OpenAi, Wire::Proxy, Wire::Anthropic, Wire::Gemini] {
        let fake = Fake::always(vec![stream_head(), first_words(wire), Act::Hang]).await;
        let let_go = fake.let_go();
        let model = Client(wire, false).model(&http(), &fake.url);
        let mut stream = in_time(model.stream(&question())).await.unwrap();
        let first = in_time(stream.next()).await.unwrap().unwrap();
        assert_eq!(fixture::line(&first), "text \"Yes\"", "{wire:?}");
        drop(stream);
        assert!(in_time(let_go).await, "{wire:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_19_headers_belong_to_the_request_and_not_to_the_client() {
    let fake = Fake::always(answer(500, "text/plain", "")).await;
    // One client, one server, two people in each format.
    let (http, url) = (http(), &fake.url);
    for who in ["ada", "eve"] {
        let key = Secret::new(who);
        let openai = OpenAiModel::new(&http, &format!("{url}/v1"), &"gpt-x".parse().unwrap());
        drop(in_time(ask(&openai.unwrap().with_key(&key).unwrap())).await);
        let caller = Caller::default().session_token(key.clone()).workspace(who);
        let proxy = OpikProxy::new(&http, url).unwrap();
        drop(in_time(ask(&proxy.model("openai/gpt-x", &caller).unwrap())).await);
        let anthropic = AnthropicModel::new(&http, url, "claude-x").unwrap();
        drop(in_time(ask(&anthropic.with_key(&key).unwrap())).await);
        let gemini = GeminiModel::new(&http, url, "gemini-x").unwrap();
        drop(in_time(ask(&gemini.with_key(&key).unwrap())).await);
    }
    let requests = fake.requests();
    let header = |place: usize, name: &str| requests[place].header(name).map(str::to_owned);
    for (person, who) in ["ada", "eve"].into_iter().enumerate() {
        let first = person * 4;
        assert_eq!(
            header(first, "authorization"),
            Some(format!("Bearer {who}"))
        );
        assert_eq!(
            header(first + 1, "cookie"),
            Some(format!("sessionToken={who}"))
        );
        assert_eq!(header(first + 1, "comet-workspace"), Some(who.to_owned()));
        assert_eq!(header(first + 2, "x-api-key"), Some(who.to_owned()));
        assert_eq!(header(first + 3, "x-goog-api-key"), Some(who.to_owned()));
    }
    assert_eq!(requests.len(), 8);
}
