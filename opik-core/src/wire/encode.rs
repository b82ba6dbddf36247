//! Traces, spans and scores as they are written.
//!
//! Rows are complete and carry `last_updated_at`, which is what makes sending them twice or out of
//! order harmless. Fields that only the server fills are left out, `null` and empty ones too.

use std::borrow::Cow;

use serde::Serialize;

use crate::model::{Extra, RecordSource, ScoreTarget};
use crate::{
    ErrorInfo, Json, ProjectId, ScoreRecord, Span, SpanId, SpanType, Timestamp, Trace, TraceId,
    Usage,
};

#[derive(Serialize)]
struct WireError<'a> {
    exception_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    traceback: &'a str,
}

/// Type and traceback must not be empty on the wire.
fn error_row(error: &ErrorInfo) -> WireError<'_> {
    let exception_type = match error.exception_type.trim() {
        "" => "Exception",
        _ => &error.exception_type,
    };
    let message = error.message.as_deref();
    let traceback = [Some(error.traceback.as_str()), message]
        .into_iter()
        .flatten()
        .find(|text| !text.trim().is_empty())
        .unwrap_or(exception_type);
    WireError {
        exception_type,
        message,
        traceback,
    }
}

fn is_empty<T>(list: &[T]) -> bool {
    list.is_empty()
}

#[derive(Serialize)]
struct TraceRow<'a> {
    id: TraceId,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    start_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Cow<'a, Json>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Cow<'a, Json>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Cow<'a, Json>>,
    #[serde(skip_serializing_if = "is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    error_info: Option<WireError<'a>>,
    last_updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttft: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_id: Option<&'a str>,
    source: &'a RecordSource,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'a str>,
    #[serde(flatten)]
    extra: &'a Extra,
}

/// Writes the JSON of a trace; `now` stands in for a missing `last_updated_at`.
pub(crate) fn trace(
    out: &mut Vec<u8>,
    trace: &Trace,
    project_name: Option<&str>,
    now: Timestamp,
) -> serde_json::Result<()> {
    let row = TraceRow {
        id: trace.id,
        project_name,
        name: trace.name.as_deref(),
        start_time: trace.start_time,
        end_time: trace.end_time,
        input: super::shape::content("input", trace.input.as_ref()),
        output: super::shape::content("output", trace.output.as_ref()),
        metadata: super::shape::metadata(trace.metadata.as_ref()),
        tags: &trace.tags,
        error_info: trace.error_info.as_ref().map(error_row),
        last_updated_at: trace.last_updated_at.unwrap_or(now),
        ttft: trace.ttft.filter(|ttft| ttft.is_finite()),
        thread_id: trace.thread_id.as_deref(),
        source: trace.source.as_ref().unwrap_or(&RecordSource::Sdk),
        environment: trace.environment.as_deref(),
        extra: &trace.extra,
    };
    serde_json::to_writer(out, &row)
}

#[derive(Serialize)]
struct SpanRow<'a> {
    id: SpanId,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_name: Option<&'a str>,
    trace_id: TraceId,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_span_id: Option<SpanId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    r#type: &'a SpanType,
    start_time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_time: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Cow<'a, Json>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Cow<'a, Json>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Cow<'a, Json>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    #[serde(skip_serializing_if = "is_empty")]
    tags: &'a [String],
    #[serde(skip_serializing_if = "Usage::is_empty")]
    usage: &'a Usage,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_info: Option<WireError<'a>>,
    last_updated_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_estimated_cost: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total_estimated_cost_version: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttft: Option<f64>,
    source: &'a RecordSource,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'a str>,
    #[serde(flatten)]
    extra: &'a Extra,
}

/// Writes the JSON of a span; `now` stands in for a missing `last_updated_at`.
pub(crate) fn span(
    out: &mut Vec<u8>,
    span: &Span,
    project_name: Option<&str>,
    now: Timestamp,
) -> serde_json::Result<()> {
    let row = SpanRow {
        id: span.id,
        project_name,
        trace_id: span.trace_id,
        parent_span_id: span.parent_span_id,
        name: span.name.as_deref(),
        r#type: span.kind(),
        start_time: span.start_time,
        end_time: span.end_time,
        input: super::shape::content("input", span.input.as_ref()),
        output: super::shape::content("output", span.output.as_ref()),
        metadata: super::shape::metadata(span.metadata.as_ref()),
        model: span.model.as_deref(),
        provider: span.provider.as_deref(),
        tags: &span.tags,
        usage: &span.usage,
        error_info: span.error_info.as_ref().map(error_row),
        last_updated_at: span.last_updated_at.unwrap_or(now),
        total_estimated_cost: span.total_estimated_cost,
        total_estimated_cost_version: span.total_estimated_cost_version.as_deref(),
        ttft: span.ttft.filter(|ttft| ttft.is_finite()),
        source: span.source.as_ref().unwrap_or(&RecordSource::Sdk),
        environment: span.environment.as_deref(),
        extra: &span.extra,
    };
    serde_json::to_writer(out, &row)
}

#[derive(Serialize)]
struct ScoreRow<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_id: Option<ProjectId>,
    name: &'a str,
    value: f64,
    source: &'a crate::model::ScoreSource,
    #[serde(skip_serializing_if = "Option::is_none")]
    category_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_queue_id: Option<&'a str>,
}

/// Writes the JSON of a score.
pub(crate) fn score(
    out: &mut Vec<u8>,
    record: &ScoreRecord,
    project_name: Option<&str>,
) -> serde_json::Result<()> {
    let (id, thread_id) = match &record.target {
        ScoreTarget::Trace(id) => (Some(id.to_string()), None),
        ScoreTarget::Span(id) => (Some(id.to_string()), None),
        ScoreTarget::Thread(id) => (None, Some(id.as_str())),
    };
    let score = &record.score;
    let row = ScoreRow {
        id,
        thread_id,
        project_name,
        project_id: record.project_id,
        name: &score.name,
        value: score.value,
        source: &score.source,
        category_name: score.category_name.as_deref(),
        reason: score.reason.as_deref(),
        author: record.author.as_deref(),
        source_queue_id: score.source_queue_id.as_deref(),
    };
    serde_json::to_writer(out, &row)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>) -> String {
        let mut row = Vec::new();
        write(&mut row).unwrap();
        String::from_utf8(row).unwrap()
    }

    #[test]
    fn a_small_span_is_sent_with_what_opik_requires_and_no_more() {
        let at = Timestamp::from_micros(1_795_170_315_351_281);
        let mut small = Span::new(SpanId::from_parts(at, 4), TraceId::from_parts(at, 8), at);
        small.created_by = Some("server".to_owned());
        small.duration = Some(3.0);
        small.error_info = Some(ErrorInfo {
            exception_type: String::new(),
            message: Some("no file".to_owned()),
            traceback: String::new(),
        });
        let (id, trace) = (small.id, small.trace_id);
        assert_eq!(
            text(|out| span(out, &small, None, at)),
            format!(r#"{{"id":"{id}","trace_id":"{trace}","type":"general","#)
                + r#""start_time":"2026-11-20T10:25:15.351281Z","#
                + r#""error_info":{"exception_type":"Exception","message":"no file","traceback":"no file"},"#
                + r#""last_updated_at":"2026-11-20T10:25:15.351281Z","source":"sdk"}"#
        );
    }

    #[test]
    fn content_and_fields_of_a_newer_protocol_travel_to_the_letter() {
        let mut full = Trace::new(TraceId::generate(), Timestamp::EPOCH);
        full.input = Some(Json::parse(r#"{"b": 1.0e2,  "a": 12345678901234567890123}"#).unwrap());
        full.extra.insert("of_tomorrow".to_owned(), 1.into());
        let row = text(|out| trace(out, &full, Some("p"), Timestamp::EPOCH));
        assert!(row.contains(r#""input":{"b": 1.0e2,  "a": 12345678901234567890123}"#));
        assert!(row.contains(r#""of_tomorrow":1"#) && row.contains(r#""project_name":"p""#));
    }
}
