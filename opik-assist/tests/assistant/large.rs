//! A trace of 100,000 spans, asked within 2,000 tokens.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use opik_assist::assistant::TurnEnd;
use opik_assist::context::tokens;
use opik_core::chat::{ChatStream, FinishReason};
use opik_core::{
    Batch, ChatEvent, ChatModel, ChatRequest, ErrorInfo, Exporter as _, Json, ModelError, Span,
    SpanId, SpanType,
};
use opik_testkit::{MemorySessions, MemoryStore, records};
use serde_json::json;

use crate::world::{World, all, ask, key, messages, outcome};

/// Tokens that the model may be given.
const BUDGET: usize = 2_000;
/// Steps of the agent, of ten spans each.
const STEPS: u32 = 10_000;
/// The step that goes wrong.
const WRONG: u32 = 6_283;

fn id(number: u32) -> SpanId {
    records::span_id(1, number)
}

fn span(number: u32, parent: Option<u32>, name: &str, kind: SpanType, micros: (i64, i64)) -> Span {
    let mut span = records::span(1, number);
    let begin = records::at(1_000);
    span.name = Some(name.to_owned());
    span.r#type = Some(kind);
    span.parent_span_id = parent.map(id);
    span.start_time = begin.plus_micros(micros.0);
    span.end_time = Some(begin.plus_micros(micros.1));
    span.last_updated_at = span.end_time;
    span
}

/// An agent that asks its model 10,000 times what to look up. Once the model asks for a price that
/// is not there, and the whole run fails of it in the end.
fn run() -> Vec<Span> {
    let failure = || Some(ErrorInfo::new("KeyError", "no price for item 6283-x"));
    let end = i64::from(STEPS) * 10_000;
    let mut root = span(1, None, "run", SpanType::General, (0, end));
    root.error_info = failure();
    let mut spans = vec![root];
    for step in 0..STEPS {
        let (first, begin) = (2 + step * 10, i64::from(step) * 10_000);
        let wanted = if step == WRONG { "x" } else { "a" };
        let item = json!({ "item": format!("{step}-{wanted}") });
        spans.push(span(
            first,
            Some(1),
            "step",
            SpanType::General,
            (begin, begin + 10_000),
        ));
        let mut plan = records::llm_span(1, first + 1, (400, 20), 0.001);
        let times = span(
            first + 1,
            Some(first),
            "plan",
            SpanType::Llm,
            (begin, begin + 4_000),
        );
        (plan.name, plan.parent_span_id) = (times.name, times.parent_span_id);
        (plan.start_time, plan.end_time) = (times.start_time, times.end_time);
        plan.input = Some(Json::from_value(&json!({ "question": "What is missing?" })));
        let call = json!({ "name": "lookup", "arguments": item });
        plan.output = Some(Json::from_value(&json!({ "tool_calls": [call] })));
        spans.push(plan);
        let at = begin + 4_000;
        let mut lookup = span(
            first + 2,
            Some(first),
            "lookup",
            SpanType::Tool,
            (at, at + 500),
        );
        lookup.input = Some(Json::from_value(&item));
        if step == WRONG {
            lookup.error_info = failure();
        } else {
            lookup.output = Some(Json::from_value(&json!({ "price": step })));
        }
        spans.push(lookup);
        for number in 3..10 {
            let at = begin + 4_000 + i64::from(number) * 500;
            let kind = SpanType::General;
            spans.push(span(
                first + number,
                Some(first),
                "note",
                kind,
                (at, at + 400),
            ));
        }
    }
    spans
}

/// A model that reads: it says what the evidence has about the culprit.
#[derive(Debug, Default)]
struct Reader(Mutex<Vec<ChatRequest>>);

#[async_trait]
impl ChatModel for Reader {
    fn name(&self) -> &str {
        "scripted/reader"
    }

    async fn stream(&self, request: &ChatRequest) -> Result<ChatStream, ModelError> {
        self.0.lock().unwrap().push(request.clone());
        let told = request.messages[0].words();
        let line = told.lines().find(|line| {
            let mut words = line.split(' ');
            words.next().is_some_and(|word| word.starts_with('F'))
                && words.next() == Some("culprit")
        });
        let answer = match line {
            Some(line) => {
                let finding = line.split(' ').next().unwrap();
                let label = line.split(' ').find(|word| {
                    let digits = word
                        .strip_prefix('s')
                        .unwrap_or_default()
                        .trim_end_matches(':');
                    !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
                });
                let label = label.unwrap().trim_end_matches(':');
                format!("The failing look-up was asked for here: [{label}, {finding}].")
            }
            None => "I cannot tell.".to_owned(),
        };
        let events = [
            ChatEvent::Text(answer),
            ChatEvent::Finish(FinishReason::Stop),
        ];
        Ok(Box::pin(futures_util::stream::iter(events.map(Ok))))
    }
}

/// The lines between the two marks.
fn recorded(instructions: &str) -> &str {
    let (_, after) = instructions
        .split_once(" begin of recorded data ---\n")
        .unwrap();
    after.rsplit_once("\n--- ").unwrap().0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trace_of_100_000_spans_is_asked_within_2_000_tokens_and_its_culprit_found() {
    let store = MemoryStore::new();
    let mut row = records::trace(1);
    row.error_info = Some(ErrorInfo::new("KeyError", "no price for item 6283-x"));
    let spans = run();
    assert_eq!(spans.len(), 100_001);
    store.export(&Batch::new(vec![row], spans)).await.unwrap();
    let model = Arc::new(Reader::default());
    let world = World {
        traces: store,
        sessions: MemorySessions::new(),
    };
    let assistant = world
        .builder()
        .model(Arc::clone(&model) as _)
        .context_tokens(BUDGET)
        .build();
    let turn = assistant.ask(ask("What caused the error?")).await.unwrap();
    let events = all(&turn).await;
    let said = messages(&events).pop().unwrap();
    let culprit = id(2 + WRONG * 10 + 1);
    assert_eq!(said.spans, [culprit], "{}", said.text);
    assert_eq!(said.findings.len(), 1);
    let outcome = outcome(&events);
    assert_eq!((outcome.end, outcome.unverified), (TurnEnd::Answered, 0));

    let requests = model.0.lock().unwrap().clone();
    assert_eq!(requests.len(), 1);
    let instructions = requests[0].messages[0].words();
    let data = recorded(&instructions);
    let size = tokens::estimate(data);
    assert!(size <= BUDGET, "{size} tokens");
    // The budget is used, and the rules around it are short.
    assert!(size > BUDGET * 3 / 4, "{size} tokens");
    assert!(tokens::estimate(&instructions) < BUDGET + 700);
    assert_eq!(requests[0].messages[1].words(), "What caused the error?");
    assert!(
        data.contains("100,001 spans") && data.contains("no price for item 6283-x"),
        "{data}"
    );
    let history = assistant.history(&key()).await.unwrap().unwrap();
    assert_eq!(history.len(), 2);
}
