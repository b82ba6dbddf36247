//! Fields and events become fields of Opik.

use std::io;

use opik_core::SpanType;
use opik_observe::Policy;
use serde_json::json;
use tracing::field::Empty;
use tracing::{error, info, info_span, warn};

use super::{Recorded, record};

#[test]
fn the_layers_own_words_fill_the_fields_with_the_span_or_later() {
    let outcome = record(|| {
        let root = info_span!("turn");
        let span = info_span!(
            parent: &root,
            "call",
            opik.r#type = "llm",
            opik.model = "m",
            opik.provider = "p",
            opik.input = r#"[{"role": "user", "content": "hi"}]"#,
            opik.output = Empty,
            opik.tags = "red, blue,",
            opik.thread_id = "chat-7",
            opik.usage.prompt_tokens = 7,
            opik.usage.completion_tokens = Empty,
            opik.usage.audio_tokens = 3,
            opik.cost = 0.5,
            opik.metadata.attempt = 2,
            other = true,
        );
        span.record("opik.output", "good day");
        span.record("opik.usage.completion_tokens", 5);
    });
    let span = outcome.span("call");
    assert_eq!(span.r#type, Some(SpanType::Llm));
    assert_eq!(span.model.as_deref(), Some("m"));
    assert_eq!(span.provider.as_deref(), Some("p"));
    assert_eq!(
        span.input.as_ref().unwrap().to_value().unwrap(),
        json!([{"role": "user", "content": "hi"}])
    );
    assert_eq!(
        span.output.as_ref().unwrap().to_value().unwrap(),
        json!({"output": "good day"})
    );
    assert_eq!(span.tags, ["red", "blue"]);
    let usage = [
        ("audio_tokens", 3),
        ("completion_tokens", 5),
        ("prompt_tokens", 7),
        ("total_tokens", 12),
    ];
    assert!(
        span.usage
            .0
            .iter()
            .map(|(name, count)| (&**name, *count))
            .eq(usage)
    );
    assert_eq!(span.total_estimated_cost, Some(0.5));
    let metadata = outcome.metadata("call");
    assert_eq!(
        (&metadata["attempt"], &metadata["other"]),
        (&json!(2), &json!(true))
    );
    assert!(metadata.get("opik.model").is_none(), "{metadata}");
    assert_eq!(outcome.traces[0].thread_id.as_deref(), Some("chat-7"));
}

#[test]
fn a_span_becomes_a_model_call_when_its_model_is_told_later_and_keeps_a_kind_that_was_given() {
    let outcome = record(|| {
        let late = info_span!("late", gen_ai.response.model = Empty);
        late.record("gen_ai.response.model", "m");
        let tool = info_span!("tool", opik.r#type = "tool", opik.model = Empty);
        tool.record("opik.model", "m");
        info_span!("by tool name", gen_ai.tool.name = "search");
        info_span!("renamed", otel.name = "GET /chat");
    });
    assert_eq!(outcome.span("late").r#type, Some(SpanType::Llm));
    assert_eq!(outcome.span("tool").r#type, Some(SpanType::Tool));
    assert_eq!(outcome.span("by tool name").r#type, Some(SpanType::Tool));
    assert_eq!(outcome.span("GET /chat").r#type, Some(SpanType::General));
}

#[test]
fn an_error_event_is_the_error_of_its_span_and_other_events_are_nothing() {
    let outcome = record(|| {
        info_span!("failed").in_scope(|| {
            warn!("a try failed");
            let cause = io::Error::other("the disk is full");
            error!(error = &cause as &dyn std::error::Error, "cannot save");
            info!(result = "nothing");
        });
        info_span!("typed").in_scope(|| error!(exception.r#type = "Timeout", "too late"));
        info_span!("field", error = Empty).record("error", "by a field");
        info_span!("flag", error = true);
        info_span!("no flag", error = false);
        info_span!("status", otel.status_code = "ERROR");
        let elsewhere = info_span!("elsewhere");
        info_span!("warned").in_scope(|| {
            warn!(error = "only a warning");
            error!(parent: &elsewhere, "not here");
        });
        error!("outside of any span");
    });
    let error = |name| {
        let error = outcome.span(name).error_info.as_ref();
        error.map(|it| {
            (
                it.exception_type.as_str(),
                it.message.as_deref().unwrap_or(""),
            )
        })
    };
    assert_eq!(
        error("failed"),
        Some(("error", "cannot save: the disk is full"))
    );
    assert_eq!(outcome.span("failed").metadata, None);
    assert_eq!(error("typed"), Some(("Timeout", "too late")));
    assert_eq!(error("field"), Some(("error", "by a field")));
    assert_eq!(error("flag"), Some(("error", "")));
    assert_eq!(error("no flag"), None);
    assert_eq!(error("status"), Some(("error", "")));
    assert_eq!(error("elsewhere"), Some(("error", "not here")));
    assert_eq!(error("warned"), None);
}

#[test]
fn a_field_with_a_meaning_has_it_when_it_is_the_only_one() {
    let outcome = record(|| {
        info_span!("key", opik.metadata.attempt = 2);
        info_span!("count", opik.usage.audio_tokens = 3);
        info_span!("thread", session.id = "chat-8");
        info_span!("failed", error = "no dot in its name");
    });
    assert_eq!(outcome.metadata("key"), json!({"attempt": 2}));
    assert_eq!(outcome.span("count").usage.get("audio_tokens"), Some(3));
    assert_eq!(outcome.metadata("thread"), json!(null));
    let threads = outcome
        .traces
        .iter()
        .filter_map(|it| it.thread_id.as_deref());
    assert!(threads.eq(["chat-8"]));
    assert!(outcome.span("failed").error_info.is_some());
}

#[test]
fn a_conversation_without_a_trace_of_its_own_is_metadata() {
    let recorded = Recorded::new(Policy::full_content());
    tracing::subscriber::with_default(recorded.subscriber(), || {
        let trace = recorded.recorder.trace("of the recorder");
        let _inside = trace.enter();
        info_span!("span", session.id = "chat-9");
    });
    let outcome = recorded.finish();
    assert_eq!(outcome.metadata("span"), json!({"session.id": "chat-9"}));
}

/// What `#[instrument(err)]` writes.
#[test]
fn a_function_that_returns_an_error_fails_its_span() {
    #[tracing::instrument(err)]
    fn lookup(order: u32) -> Result<u32, io::Error> {
        Err(io::Error::other(format!("no order {order}")))
    }
    let outcome = record(|| assert!(lookup(7).is_err()));
    let error = outcome.span("lookup").error_info.as_ref().unwrap();
    assert_eq!(error.message.as_deref(), Some("no order 7"));
    assert_eq!(outcome.metadata("lookup"), json!({"order": 7}));
}

#[test]
fn no_text_of_a_field_or_event_passes_the_default_policy() {
    let secret = "what-the-user-wrote";
    let recorded = Recorded::new(Policy::default().allow_metadata(["attempt"]));
    tracing::subscriber::with_default(recorded.subscriber(), || {
        let span = info_span!(
            "call",
            opik.name = secret,
            opik.input = secret,
            opik.output = secret,
            openinference.span.kind = secret,
            opik.error = secret,
            opik.error.r#type = secret,
            opik.metadata.note = secret,
            prompt = secret,
            user = ?Some(secret),
            opik.model = "m",
            attempt = 2,
            late = Empty,
        );
        span.record("late", secret);
        span.in_scope(|| error!(error = secret, exception.r#type = secret, "{secret}"));
    });
    let outcome = recorded.finish();
    let text = format!(
        "{}{}",
        serde_json::to_string(&outcome.spans).unwrap(),
        serde_json::to_string(&outcome.traces).unwrap()
    );
    assert!(!text.contains("user-wrote"), "{text}");
    let span = &outcome.spans[0];
    assert_eq!(span.model.as_deref(), Some("m"));
    assert_eq!(span.error_info.as_ref().unwrap().exception_type, "error");
    assert_eq!(
        span.metadata.as_ref().unwrap().to_value().unwrap()["attempt"],
        2
    );
}
