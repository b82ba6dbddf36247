//! Traces and spans as clients write them.

use std::fmt;

use axum::http::StatusCode;
use opik_core::model::{RecordSource, SpanType};
use opik_core::{
    ErrorInfo, Json, ProjectId, Span, SpanId, Timestamp, Trace, TraceId, Usage, prices,
};
use opik_store::records::{FieldsPatch, SpanPatch, TracePatch};
use serde::Deserialize;
use serde::de::{Deserializer, Visitor};

use super::checks;
use super::row_list::Row;
use crate::http::ApiError;

/// Longest name of an environment, in characters.
const LONGEST_ENVIRONMENT: usize = 150;

/// A trace as it is created.
#[derive(Debug, Deserialize)]
pub(super) struct TraceRow {
    id: Option<IdText>,
    project_name: Option<String>,
    name: Option<String>,
    start_time: Option<Timestamp>,
    end_time: Option<Timestamp>,
    input: Option<Json>,
    output: Option<Json>,
    metadata: Option<Json>,
    tags: Option<Vec<String>>,
    error_info: Option<ErrorInfo>,
    last_updated_at: Option<Timestamp>,
    ttft: Option<f64>,
    thread_id: Option<String>,
    source: Option<RecordSource>,
    environment: Option<String>,
}

/// A span as it is created.
#[derive(Debug, Deserialize)]
pub(super) struct SpanRow {
    id: Option<IdText>,
    project_name: Option<String>,
    trace_id: Option<IdText>,
    parent_span_id: Option<IdText>,
    name: Option<String>,
    r#type: Option<SpanType>,
    start_time: Option<Timestamp>,
    end_time: Option<Timestamp>,
    input: Option<Json>,
    output: Option<Json>,
    metadata: Option<Json>,
    model: Option<String>,
    provider: Option<String>,
    tags: Option<Vec<String>>,
    usage: Option<Usage>,
    error_info: Option<ErrorInfo>,
    last_updated_at: Option<Timestamp>,
    total_estimated_cost: Option<f64>,
    total_estimated_cost_version: Option<String>,
    ttft: Option<f64>,
    source: Option<RecordSource>,
    environment: Option<String>,
}

/// An identifier, parsed where it is read.
#[derive(Debug, Clone, Copy)]
struct IdText(Option<TraceId>);

impl IdText {
    /// The identifier, which has to be a UUID of version 7; `kind` is what it identifies.
    fn v7(self, kind: &str) -> Result<[u8; 16], ApiError> {
        checks::v7(kind, self.0)
    }
}

impl<'de> Deserialize<'de> for IdText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = IdText;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E>(self, text: &str) -> Result<IdText, E> {
                Ok(IdText(text.parse().ok()))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

fn unknown_word(field: &str) -> ApiError {
    ApiError::message(StatusCode::BAD_REQUEST, "Unable to process JSON")
        .details(format!("{field} has an unknown value"))
}

fn tags(tags: Option<Vec<String>>) -> Vec<String> {
    let mut tags = tags.unwrap_or_default();
    tags.sort();
    tags.dedup();
    tags
}

fn content(json: Option<Json>) -> Option<Json> {
    json.filter(|json| json.as_str() != "null")
}

fn check_environment(environment: Option<&str>) -> Result<(), ApiError> {
    if environment.is_some_and(|name| name.chars().count() > LONGEST_ENVIRONMENT) {
        return Err(ApiError::invalid(format!(
            "environment size must be between 0 and {LONGEST_ENVIRONMENT}"
        )));
    }
    Ok(())
}

fn check_error(error: Option<&ErrorInfo>) -> Result<(), ApiError> {
    let Some(error) = error else { return Ok(()) };
    for (field, text) in [
        ("errorInfo.exceptionType", &error.exception_type),
        ("errorInfo.traceback", &error.traceback),
    ] {
        if text.trim().is_empty() {
            return Err(ApiError::invalid(format!("{field} must not be blank")));
        }
    }
    Ok(())
}

fn check_source(source: Option<&RecordSource>) -> Result<(), ApiError> {
    match source {
        Some(RecordSource::Other(_)) => Err(unknown_word("source")),
        _ => Ok(()),
    }
}

impl Row for TraceRow {
    type Record = Trace;

    fn into_record(self) -> Result<Trace, ApiError> {
        let id = match self.id {
            Some(id) => TraceId::from_bytes(id.v7("Trace")?),
            None => TraceId::generate(),
        };
        checks::absent_or_not_blank("projectName", self.project_name.as_deref())?;
        check_environment(self.environment.as_deref())?;
        check_error(self.error_info.as_ref())?;
        check_source(self.source.as_ref())?;
        let mut trace = Trace::new(id, checks::not_null("startTime", self.start_time)?);
        trace.project_name = self.project_name;
        trace.name = self.name;
        trace.end_time = self.end_time;
        trace.input = content(self.input);
        trace.output = content(self.output);
        trace.metadata = content(self.metadata);
        trace.tags = tags(self.tags);
        trace.error_info = self.error_info;
        trace.last_updated_at = self.last_updated_at;
        trace.ttft = self.ttft;
        trace.thread_id = self.thread_id.filter(|id| !id.is_empty());
        trace.source = self.source;
        trace.environment = self.environment.filter(|name| !name.is_empty());
        Ok(trace)
    }
}

impl Row for SpanRow {
    type Record = Span;

    /// The span, after the checks that Opik makes, with its cost where it can be told.
    fn into_record(self) -> Result<Span, ApiError> {
        let id = match self.id {
            Some(id) => SpanId::from_bytes(id.v7("Span")?),
            None => SpanId::generate(),
        };
        let trace_id = checks::not_null("traceId", self.trace_id)?;
        let trace_id = TraceId::from_bytes(trace_id.v7("Span trace")?);
        let parent = self
            .parent_span_id
            .map(|id| id.v7("Span parent span").map(SpanId::from_bytes))
            .transpose()?;
        checks::absent_or_not_blank("projectName", self.project_name.as_deref())?;
        check_environment(self.environment.as_deref())?;
        check_error(self.error_info.as_ref())?;
        check_source(self.source.as_ref())?;
        if let Some(SpanType::Other(_)) = &self.r#type {
            return Err(unknown_word("type"));
        }
        if self.total_estimated_cost.is_some_and(|cost| cost < 0.0) {
            return Err(ApiError::invalid(
                "totalEstimatedCost must be greater than or equal to 0",
            ));
        }
        let mut span = Span::new(
            id,
            trace_id,
            checks::not_null("startTime", self.start_time)?,
        );
        span.project_name = self.project_name;
        span.parent_span_id = parent;
        span.name = self.name;
        span.r#type = self.r#type;
        span.end_time = self.end_time;
        span.input = content(self.input);
        span.output = content(self.output);
        span.metadata = content(self.metadata);
        span.model = self.model.filter(|model| !model.is_empty());
        span.provider = self.provider.filter(|provider| !provider.is_empty());
        span.tags = tags(self.tags);
        span.usage = self.usage.unwrap_or_default();
        span.error_info = self.error_info;
        span.last_updated_at = self.last_updated_at;
        span.total_estimated_cost = self.total_estimated_cost;
        span.total_estimated_cost_version = self.total_estimated_cost_version;
        span.ttft = self.ttft;
        span.source = self.source;
        span.environment = self.environment.filter(|name| !name.is_empty());
        prices::estimate(&mut span);
        Ok(span)
    }
}

/// Fields of a trace or a span to change; the fields that only spans have are ignored for traces.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Update {
    project_name: Option<String>,
    project_id: Option<ProjectId>,
    name: Option<String>,
    end_time: Option<Timestamp>,
    input: Option<Json>,
    output: Option<Json>,
    metadata: Option<Json>,
    tags: Option<Vec<String>>,
    tags_to_add: Option<Vec<String>>,
    tags_to_remove: Option<Vec<String>>,
    error_info: Option<ErrorInfo>,
    ttft: Option<f64>,
    source: Option<RecordSource>,
    environment: Option<String>,
    thread_id: Option<String>,
    trace_id: Option<String>,
    parent_span_id: Option<String>,
    r#type: Option<SpanType>,
    model: Option<String>,
    provider: Option<String>,
    usage: Option<Usage>,
    total_estimated_cost: Option<f64>,
}

impl Update {
    /// Adds tags instead of replacing them.
    pub(super) fn merge_tags(&mut self) {
        if let Some(tags) = self.tags.take() {
            self.tags_to_add.get_or_insert_default().extend(tags);
        }
    }

    /// Whether a span may cost something else afterwards.
    pub(super) fn touches_cost(&self) -> bool {
        self.total_estimated_cost.is_none()
            && (self.usage.is_some() || self.model.is_some() || self.provider.is_some())
    }

    fn fields(self) -> Result<FieldsPatch, ApiError> {
        checks::absent_or_not_blank("projectName", self.project_name.as_deref())?;
        check_environment(self.environment.as_deref())?;
        check_error(self.error_info.as_ref())?;
        check_source(self.source.as_ref())?;
        let mut fields = FieldsPatch::default();
        fields.project_name = self.project_name;
        fields.project_id = self.project_id;
        fields.name = self.name;
        fields.end_time = self.end_time;
        fields.input = content(self.input);
        fields.output = content(self.output);
        fields.metadata = content(self.metadata);
        fields.tags = self.tags.map(|list| tags(Some(list)));
        fields.tags_to_add = tags(self.tags_to_add);
        fields.tags_to_remove = tags(self.tags_to_remove);
        fields.error_info = self.error_info;
        fields.ttft = self.ttft;
        fields.source = self.source;
        fields.environment = self.environment;
        Ok(fields)
    }

    pub(super) fn into_trace_patch(mut self) -> Result<TracePatch, ApiError> {
        let mut patch = TracePatch::default();
        patch.thread_id = self.thread_id.take().filter(|id| !id.is_empty());
        patch.fields = self.fields()?;
        Ok(patch)
    }

    pub(super) fn into_span_patch(mut self) -> Result<SpanPatch, ApiError> {
        let trace_id = checks::not_null("traceId", self.trace_id.take())?;
        let trace_id = TraceId::from_bytes(checks::id_v7("Span trace", &trace_id)?);
        let mut patch = SpanPatch::new(trace_id);
        patch.parent_span_id = self
            .parent_span_id
            .take()
            .map(|id| checks::id_v7("Span parent span", &id).map(SpanId::from_bytes))
            .transpose()?;
        if let Some(SpanType::Other(_)) = &self.r#type {
            return Err(unknown_word("type"));
        }
        patch.r#type = self.r#type.take();
        patch.model = self.model.take();
        patch.provider = self.provider.take();
        patch.usage = self.usage.take();
        patch.total_estimated_cost = self.total_estimated_cost.take();
        patch.fields = self.fields()?;
        Ok(patch)
    }

    /// As a change to a span that is there, whatever the update says about where it is.
    pub(super) fn into_patch_of(mut self, span: &Span) -> Result<SpanPatch, ApiError> {
        self.trace_id = Some(span.trace_id.to_string());
        self.parent_span_id = span.parent_span_id.map(|id| id.to_string());
        self.project_id = span.project_id;
        self.project_name = None;
        self.into_span_patch()
    }

    /// As a change to a trace that is there.
    pub(super) fn into_patch_of_trace(mut self, trace: &Trace) -> Result<TracePatch, ApiError> {
        self.project_id = trace.project_id;
        self.project_name = None;
        self.into_trace_patch()
    }
}
