//! The value that a record has in a field.

use std::borrow::Cow;

use super::Field;
use crate::model::{FeedbackScore, Span, Thread, Trace};
use crate::{Json, Timestamp, Usage};

/// A field's value, by the field's type.
#[derive(Debug)]
pub(super) enum Value<'r> {
    /// `String`, `StringExact` and `Enum`.
    Text(Option<Cow<'r, str>>),
    Number(Option<f64>),
    Moment(Option<Timestamp>),
    List(Vec<&'r str>),
    /// The text of it.
    Json(Option<&'r str>),
    Scores(&'r [FeedbackScore]),
    /// The type of the error, where there is one.
    Error(Option<&'r str>),
}

impl<'r> Value<'r> {
    fn text(text: Option<&'r str>) -> Self {
        Self::Text(text.map(Cow::Borrowed))
    }

    fn shown(shown: Option<impl std::fmt::Display>) -> Self {
        Self::Text(shown.map(|shown| Cow::Owned(shown.to_string())))
    }

    /// A count or sum, for which "absent" means zero: Opik leaves zero out when it answers.
    fn count(count: Option<f64>) -> Self {
        Self::Number(Some(count.unwrap_or(0.0)))
    }

    fn tokens(usage: &Usage, name: &str) -> Self {
        Self::count(usage.get(name).map(as_float))
    }
}

/// Exact up to 2^53, far above any count of tokens.
fn as_float(count: i64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "comparison of counts; those above 2^53 do not occur"
    )]
    let float = count as f64;
    float
}

fn as_count(count: Option<u64>) -> Option<f64> {
    count.map(|count| as_float(i64::try_from(count).unwrap_or(i64::MAX)))
}

/// Milliseconds: as stored, else from start to end; none while it runs or when the start is
/// unknown.
fn duration(stored: Option<f64>, start: Timestamp, end: Option<Timestamp>) -> Value<'static> {
    Value::Number(stored.or_else(|| {
        let micros = end
            .filter(|_| start != Timestamp::EPOCH)?
            .micros_since(start);
        Some(as_float(micros) / 1_000.0)
    }))
}

pub(super) fn of_trace(trace: &Trace, field: Field) -> Value<'_> {
    match field.name() {
        "id" => Value::shown(Some(trace.id)),
        "name" => Value::text(trace.name.as_deref()),
        "start_time" => Value::Moment(Some(trace.start_time)),
        "end_time" => Value::Moment(trace.end_time),
        "input" => Value::text(trace.input.as_ref().map(Json::as_str)),
        "output" => Value::text(trace.output.as_ref().map(Json::as_str)),
        "input_json" => Value::Json(trace.input.as_ref().map(Json::as_str)),
        "output_json" => Value::Json(trace.output.as_ref().map(Json::as_str)),
        "metadata" => Value::Json(trace.metadata.as_ref().map(Json::as_str)),
        "total_estimated_cost" => Value::count(trace.total_estimated_cost),
        "tags" => Value::List(trace.tags.iter().map(String::as_str).collect()),
        "usage.total_tokens" => Value::tokens(&trace.usage, "total_tokens"),
        "usage.prompt_tokens" => Value::tokens(&trace.usage, "prompt_tokens"),
        "usage.completion_tokens" => Value::tokens(&trace.usage, "completion_tokens"),
        "feedback_scores" => Value::Scores(&trace.feedback_scores),
        "span_feedback_scores" => Value::Scores(&trace.span_feedback_scores),
        "duration" => duration(trace.duration, trace.start_time, trace.end_time),
        "ttft" => Value::Number(trace.ttft),
        "error_info" => Value::Error(error_type(trace.error_info.as_ref())),
        "error_type" => Value::text(error_type(trace.error_info.as_ref())),
        "created_at" => Value::Moment(trace.created_at),
        "last_updated_at" => Value::Moment(trace.last_updated_at),
        "source" => Value::text(trace.source.as_ref().map(|source| source.as_str())),
        "environment" => Value::text(trace.environment.as_deref()),
        "llm_span_count" => Value::count(as_count(trace.llm_span_count)),
        "span_count" => Value::count(as_count(trace.span_count)),
        "thread_id" => Value::text(trace.thread_id.as_deref()),
        "guardrails" => Value::text(guardrails(trace)),
        "visibility_mode" => Value::text(Some(
            trace
                .visibility_mode
                .as_ref()
                .map_or("default", |mode| mode.as_str()),
        )),
        "annotation_queue_ids" => Value::List(
            trace
                .annotation_queues
                .iter()
                .map(|queue| queue.id.as_str())
                .collect(),
        ),
        "experiment_id" => Value::text(trace.experiment.as_ref().map(|it| it.id.as_str())),
        // A field of another entity: nothing is there.
        _ => Value::Text(None),
    }
}

pub(super) fn of_span(span: &Span, field: Field) -> Value<'_> {
    match field.name() {
        "id" => Value::shown(Some(span.id)),
        "name" => Value::text(span.name.as_deref()),
        "start_time" => Value::Moment(Some(span.start_time)),
        "end_time" => Value::Moment(span.end_time),
        "input" => Value::text(span.input.as_ref().map(Json::as_str)),
        "output" => Value::text(span.output.as_ref().map(Json::as_str)),
        "input_json" => Value::Json(span.input.as_ref().map(Json::as_str)),
        "output_json" => Value::Json(span.output.as_ref().map(Json::as_str)),
        "metadata" => Value::Json(span.metadata.as_ref().map(Json::as_str)),
        "total_estimated_cost" => Value::count(span.total_estimated_cost),
        "tags" => Value::List(span.tags.iter().map(String::as_str).collect()),
        "usage.total_tokens" => Value::tokens(&span.usage, "total_tokens"),
        "usage.prompt_tokens" => Value::tokens(&span.usage, "prompt_tokens"),
        "usage.completion_tokens" => Value::tokens(&span.usage, "completion_tokens"),
        "feedback_scores" => Value::Scores(&span.feedback_scores),
        "duration" => duration(span.duration, span.start_time, span.end_time),
        "ttft" => Value::Number(span.ttft),
        "error_info" => Value::Error(error_type(span.error_info.as_ref())),
        "error_type" => Value::text(error_type(span.error_info.as_ref())),
        "created_at" => Value::Moment(span.created_at),
        "last_updated_at" => Value::Moment(span.last_updated_at),
        "source" => Value::text(span.source.as_ref().map(|source| source.as_str())),
        "environment" => Value::text(span.environment.as_deref()),
        "model" => Value::text(span.model.as_deref()),
        "provider" => Value::text(span.provider.as_deref()),
        "type" => Value::text(Some(span.kind().as_str())),
        "trace_id" => Value::shown(Some(span.trace_id)),
        "parent_span_id" => Value::shown(span.parent_span_id),
        // A field of another entity: nothing is there.
        _ => Value::Text(None),
    }
}

/// The value of a field of traces or spans that is about content alone: input, output, metadata.
pub(super) fn of_content<'c>(
    [input, output, metadata]: [Option<&'c str>; 3],
    field: Field,
) -> Option<Value<'c>> {
    Some(match field.name() {
        "input" => Value::text(input),
        "output" => Value::text(output),
        "input_json" => Value::Json(input),
        "output_json" => Value::Json(output),
        "metadata" => Value::Json(metadata),
        _ => return None,
    })
}

pub(super) fn of_thread(thread: &Thread, field: Field) -> Value<'_> {
    match field.name() {
        "id" => Value::text(thread.id.as_deref()),
        "first_message" => Value::text(thread.first_message.as_ref().map(Json::as_str)),
        "last_message" => Value::text(thread.last_message.as_ref().map(Json::as_str)),
        "number_of_messages" => Value::count(as_count(thread.number_of_messages)),
        "duration" => match thread.start_time {
            Some(start) => duration(thread.duration, start, thread.end_time),
            None => Value::Number(thread.duration),
        },
        "created_at" => Value::Moment(thread.created_at),
        "last_updated_at" => Value::Moment(thread.last_updated_at),
        "start_time" => Value::Moment(thread.start_time),
        "end_time" => Value::Moment(thread.end_time),
        "feedback_scores" => Value::Scores(&thread.feedback_scores),
        "status" => Value::text(thread.status.as_ref().map(|status| status.as_str())),
        "tags" => Value::List(thread.tags.iter().map(String::as_str).collect()),
        "annotation_queue_ids" => Value::List(
            thread
                .annotation_queues
                .iter()
                .map(|queue| queue.id.as_str())
                .collect(),
        ),
        "source" => Value::text(thread.source.as_ref().map(|source| source.as_str())),
        "environment" => Value::text(thread.environment.as_deref()),
        // A field that threads do not have: nothing is there.
        _ => Value::Text(None),
    }
}

/// `failed` when any check failed, else `passed`; none without checks.
fn guardrails(trace: &Trace) -> Option<&'static str> {
    let mut checks = trace
        .guardrails_validations
        .iter()
        .flat_map(|validation| &validation.checks)
        .peekable();
    checks.peek()?;
    Some(if checks.any(|check| check.result == "failed") {
        "failed"
    } else {
        "passed"
    })
}

fn error_type(error: Option<&crate::ErrorInfo>) -> Option<&str> {
    error.map(|error| error.exception_type.as_str())
}
