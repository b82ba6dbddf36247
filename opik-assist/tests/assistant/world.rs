//! A trace, a store of sessions, a scripted model, and what comes of a question.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use opik_assist::assistant::{
    AssistantBuilder, Outcome, TurnEvent, TurnEventKind, TurnHandle, WholeMessage,
};
use opik_assist::{Ask, Assistant};
use opik_core::{
    Batch, ErrorInfo, Event, Exporter as _, Json, Message, Part, Role, SessionKey, SpanId,
    SpanType, TraceId,
};
use opik_testkit::{MemorySessions, MemoryStore, ScriptedModel, records};

/// Everything that a question needs.
pub(crate) struct World {
    pub(crate) traces: MemoryStore,
    pub(crate) sessions: MemorySessions,
}

impl World {
    /// A trace of three spans, one of which failed.
    pub(crate) async fn new() -> Self {
        let traces = MemoryStore::new();
        let mut trace = records::trace(1);
        trace.thread_id = Some("thread 1".to_owned());
        trace.input = Some(records::content(r#"{"question": "why is the sky blue?"}"#));
        let mut agent = records::span(1, 1);
        agent.name = Some("agent".to_owned());
        agent.end_time = Some(agent.start_time.plus_micros(400_000));
        let mut call = records::llm_span(1, 2, (1_200, 80), 0.012);
        call.name = Some("plan".to_owned());
        call.parent_span_id = Some(agent.id);
        call.end_time = Some(call.start_time.plus_micros(250_000));
        call.input = Some(records::content(
            r#"{"messages": [{"role": "user", "content": "hi"}]}"#,
        ));
        call.output = Some(records::content(r#"{"answer": "call the tool"}"#));
        let mut tool = records::span(1, 3);
        tool.name = Some("lookup".to_owned());
        tool.r#type = Some(SpanType::Tool);
        tool.parent_span_id = Some(agent.id);
        tool.error_info = Some(ErrorInfo::new("ValueError", "no such city"));
        let batch = Batch::new(vec![trace], vec![agent, call, tool]);
        traces.export(&batch).await.unwrap();
        Self {
            traces,
            sessions: MemorySessions::new(),
        }
    }

    pub(crate) fn builder(&self) -> AssistantBuilder {
        Assistant::builder(Arc::new(self.sessions.clone())).source(Arc::new(self.traces.clone()))
    }

    pub(crate) fn with(&self, model: &ScriptedModel) -> Assistant {
        self.builder().model(Arc::new(model.clone())).build()
    }
}

pub(crate) fn key() -> SessionKey {
    SessionKey::new("trace-analyzer", "ada", "session 1")
}

pub(crate) fn trace() -> TraceId {
    records::trace_id(1)
}

pub(crate) fn span(number: u32) -> SpanId {
    records::span_id(1, number)
}

pub(crate) fn ask(question: &str) -> Ask {
    Ask::new(key(), trace(), question)
}

/// Arguments of a tool.
pub(crate) fn arguments(value: &serde_json::Value) -> Json {
    Json::from_value(value)
}

/// All events of a turn, with a limit of time that no test should reach.
pub(crate) async fn all(turn: &TurnHandle) -> Vec<Arc<TurnEvent>> {
    let events = turn.events(0).collect();
    tokio::time::timeout(Duration::from_secs(600), events)
        .await
        .expect("the turn ends")
}

pub(crate) fn outcome(events: &[Arc<TurnEvent>]) -> Outcome {
    match events.last().map(|event| &event.kind) {
        Some(TurnEventKind::Done(outcome)) => outcome.clone(),
        other => panic!("the last event is {other:?}"),
    }
}

pub(crate) fn messages(events: &[Arc<TurnEvent>]) -> Vec<WholeMessage> {
    let messages = events.iter().filter_map(|event| match &event.kind {
        TurnEventKind::Message(message) => Some(message.clone()),
        _ => None,
    });
    messages.collect()
}

/// The words that were told one by one.
pub(crate) fn streamed(events: &[Arc<TurnEvent>]) -> String {
    let texts = events.iter().filter_map(|event| match &event.kind {
        TurnEventKind::Text { text } => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

/// A line per event, without what differs from run to run.
pub(crate) fn lines(events: &[Arc<TurnEvent>]) -> String {
    let mut lines = String::new();
    for event in events {
        let line = match &event.kind {
            TurnEventKind::Started(started) => format!("started, {} spans", started.spans),
            TurnEventKind::Text { text } => format!("text {text:?}"),
            TurnEventKind::Message(message) => format!(
                "message {:?}{}{}",
                message.text,
                if message.is_final { ", final" } else { "" },
                if message.is_cut { ", cut" } else { "" }
            ),
            TurnEventKind::ToolStarted { id, name, .. } => format!("tool {name} {id}"),
            TurnEventKind::ToolFinished { id, is_error, .. } => {
                format!("finished {id}{}", if *is_error { ", failed" } else { "" })
            }
            TurnEventKind::Usage { round, usage, .. } => {
                format!("usage {round}: {:?}", usage.total_tokens())
            }
            TurnEventKind::Failed(failed) => {
                format!("failed {:?}: {}", failed.kind, failed.message)
            }
            TurnEventKind::Done(outcome) => {
                format!(
                    "done {:?} {:?} {:?}",
                    outcome.end, outcome.failure, outcome.limit
                )
            }
            other => format!("{other:?}"),
        };
        lines.push_str(&line);
        lines.push_str(if event.ends_batch { "\n" } else { " +\n" });
    }
    lines
}

/// Fails unless every provider would take these messages: each call of an assistant is answered,
/// once, before anything else is said, and a user speaks first.
pub(crate) fn assert_valid(messages: &[Message]) {
    let mut open: Vec<String> = Vec::new();
    for message in messages {
        for part in &message.parts {
            match part {
                Part::ToolResult(result) => {
                    assert_eq!(message.role, Role::Tool);
                    let at = open.iter().position(|id| *id == result.id);
                    open.remove(at.expect("an answer has a call before it"));
                }
                Part::ToolCall(call) => {
                    assert_eq!(message.role, Role::Assistant);
                    assert!(!open.contains(&call.id), "ids of calls are distinct");
                    assert!(call.arguments.to_value().unwrap().is_object());
                    open.push(call.id.clone());
                }
                Part::Text(text) => {
                    assert!(open.is_empty() || message.role == Role::Assistant);
                    assert!(!text.is_empty());
                }
                _ => {}
            }
        }
        assert!(!message.parts.is_empty());
        assert!(message.role == Role::Assistant || message.role == Role::Tool || open.is_empty());
    }
    assert!(open.is_empty(), "calls without an answer: {open:?}");
    let said = messages.iter().find(|message| message.role != Role::System);
    assert!(said.is_none_or(|message| message.role == Role::User));
}

/// Fails unless every call in a log has its answer in the same turn, and every question an answer or
/// an outcome.
pub(crate) fn assert_complete(events: &[Event]) {
    let mut turns: Vec<&str> = events.iter().map(|event| &*event.invocation_id).collect();
    turns.sort_unstable();
    turns.dedup();
    for turn in turns {
        let of_turn: Vec<&Event> = events
            .iter()
            .filter(|event| event.invocation_id == turn)
            .collect();
        let messages: Vec<Message> = of_turn
            .iter()
            .filter_map(|event| event.message.clone())
            .collect();
        assert_valid(&messages);
        let asked = messages.iter().any(|message| message.role == Role::User);
        let last = messages.last().map(|message| message.role);
        let has_outcome = of_turn.iter().any(|event| event.error_code.is_some());
        assert!(
            !asked || last == Some(Role::Assistant) || has_outcome,
            "{turn} has no outcome"
        );
    }
}
