//! Traces and spans whose every value is known.

use std::collections::BTreeMap;

use opik_core::model::{RecordSource, ScoreTarget};
use opik_core::{
    ErrorInfo, FeedbackScore, Json, ScoreRecord, Span, SpanId, SpanType, Timestamp, Trace, TraceId,
    Usage,
};

/// The moment at which the records begin: 2026-01-01T00:00:00Z.
pub const START: Timestamp = Timestamp::from_micros(1_767_225_600_000_000);

/// The project that the records are in.
pub const PROJECT: &str = "Testkit Project";

/// Some milliseconds after [`START`].
#[must_use]
pub fn at(millis: i64) -> Timestamp {
    START.plus_micros(millis.saturating_mul(1_000))
}

/// The identifier of the trace with this number: numbered by moment, a second apart.
#[must_use]
pub fn trace_id(number: u32) -> TraceId {
    TraceId::from_parts(at(i64::from(number) * 1_000), u64::from(number) << 2)
}

/// The identifier of a span of a trace, a millisecond apart.
#[must_use]
pub fn span_id(trace: u32, number: u32) -> SpanId {
    let moment = at(i64::from(trace) * 1_000 + i64::from(number));
    SpanId::from_parts(moment, (u64::from(trace) << 34) | (u64::from(number) << 2))
}

/// A finished trace of 500 ms without content.
#[must_use]
pub fn trace(number: u32) -> Trace {
    let mut trace = Trace::new(trace_id(number), at(i64::from(number) * 1_000));
    trace.project_name = Some(PROJECT.to_owned());
    trace.name = Some(format!("trace {number}"));
    trace.end_time = Some(trace.start_time.plus_micros(500_000));
    trace.last_updated_at = Some(trace.start_time.plus_micros(600_000));
    trace.source = Some(RecordSource::Sdk);
    trace
}

/// A finished `general` span of 1 ms without content, at the top of its trace.
#[must_use]
pub fn span(trace: u32, number: u32) -> Span {
    let start = at(i64::from(trace) * 1_000 + i64::from(number));
    let mut span = Span::new(span_id(trace, number), trace_id(trace), start);
    span.project_name = Some(PROJECT.to_owned());
    span.name = Some(format!("span {number}"));
    span.r#type = Some(SpanType::General);
    span.end_time = Some(start.plus_micros(1_000));
    span.last_updated_at = Some(start.plus_micros(600_000));
    span.source = Some(RecordSource::Sdk);
    span
}

/// A model call: [`span`] with a model, a provider, tokens and a cost.
#[must_use]
pub fn llm_span(trace: u32, number: u32, tokens: (i64, i64), cost: f64) -> Span {
    let mut call = span(trace, number);
    call.r#type = Some(SpanType::Llm);
    call.model = Some("gpt-4.1-mini".to_owned());
    call.provider = Some("openai".to_owned());
    call.usage = Usage::of_tokens(tokens.0, tokens.1);
    call.total_estimated_cost = Some(cost);
    call
}

/// A trace in which every field that a program writes has a value, content of every shape among
/// them: nested JSON, text of several scripts, numbers that a float would bend.
#[must_use]
pub fn full_trace(number: u32) -> Trace {
    let mut full = trace(number);
    full.input = Some(content(
        r#"{"question": "naïve 日本語 🦀 \"quoted\" \u0007", "n": 12345678901234567}"#,
    ));
    full.output = Some(content(r#"[{"b": 1, "a": [true, null, 0.1]}, {}]"#));
    full.metadata = Some(content(r#"{"z": {"deep": ["x"]}, "a": "first"}"#));
    full.tags = vec!["Alpha".to_owned(), "beta, gamma".to_owned()];
    full.error_info = Some(failure());
    full.thread_id = Some("thread 1".to_owned());
    full.ttft = Some(12.5);
    full.environment = Some("production".to_owned());
    full
}

/// A span in which every field that a program writes has a value; see [`full_trace`].
#[must_use]
pub fn full_span(trace: u32, number: u32) -> Span {
    let mut full = llm_span(trace, number, (3, 4), 0.25);
    full.parent_span_id = Some(span_id(trace, number + 1_000));
    full.input = Some(content(
        r#"{"messages": [{"role": "user", "content": "Grüße, 世界 🦀"}], "n": 12345678901234567}"#,
    ));
    full.output = Some(content(r#""a text, not an object""#));
    full.metadata = Some(content(
        r#"{"z": 1, "a": {"nested": "value", "list": [1, 2.5]}}"#,
    ));
    full.tags = vec!["Alpha".to_owned(), "beta, gamma".to_owned()];
    full.usage = Usage(BTreeMap::from([
        ("prompt_tokens".to_owned(), 3),
        ("completion_tokens".to_owned(), 4),
        ("total_tokens".to_owned(), 7),
        ("original_usage.details.cached".to_owned(), 2),
    ]));
    full.error_info = Some(failure());
    full.ttft = Some(12.5);
    full.environment = Some("production".to_owned());
    full
}

/// A score by a program, for a target in [`PROJECT`].
#[must_use]
pub fn score(target: ScoreTarget, name: &str, value: f64) -> ScoreRecord {
    let mut record = ScoreRecord::new(target, FeedbackScore::new(name, value));
    record.project_name = Some(PROJECT.to_owned());
    record
}

fn failure() -> ErrorInfo {
    let mut error = ErrorInfo::new("ValueError", "no such file");
    error.traceback = "line 1\nline 2".to_owned();
    error
}

/// A JSON text that is known to be one.
///
/// # Panics
/// When it is not.
#[must_use]
#[expect(clippy::panic, reason = "documented: a wrong literal stops the test")]
pub fn content(text: &str) -> Json {
    Json::parse(text).unwrap_or_else(|error| panic!("{error}"))
}
