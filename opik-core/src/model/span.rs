//! Spans.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Comment, ErrorInfo, Extra, FeedbackScore, RecordSource, Usage, decode, wire_word};
use crate::json::JsonError;
use crate::{Json, ProjectId, SpanId, Timestamp, TraceId};

wire_word! {
    /// Kind of a span.
    SpanType {
        /// Any step.
        General = "general",
        /// A tool call.
        Tool = "tool",
        /// A model call.
        Llm = "llm",
        /// A guardrail.
        Guardrail = "guardrail",
    }
}

/// A step of a trace: a model call, a tool call, a guardrail or anything else.
///
/// ```
/// use opik_core::{Span, SpanId, SpanType, Timestamp, TraceId, Usage};
///
/// let mut call = Span::new(SpanId::generate(), TraceId::generate(), Timestamp::now());
/// call.r#type = Some(SpanType::Llm);
/// call.model = Some("gpt-4.1-mini".to_owned());
/// call.usage = Usage::of_tokens(1_200, 80);
/// call.end_time = Some(Timestamp::now());
/// assert!(call.parent_span_id.is_none());
/// ```
///
/// On output `null` and empty fields are left out, as Opik's clients do.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Span {
    /// Identifier; version 7 on the real backend.
    pub id: SpanId,
    /// Name of the project (written).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_name: Option<String>,
    /// Identifier of the project (read).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// The trace that it belongs to.
    pub trace_id: TraceId,
    /// The span that it is a part of; absent at the top of the trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_span_id: Option<SpanId>,
    /// What the program calls this step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Kind of step; absent means `general`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#type: Option<SpanType>,
    /// When it began.
    pub start_time: Timestamp,
    /// When it ended; absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_time: Option<Timestamp>,
    /// What went in: an object, a list of objects or a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Json>,
    /// What came out: an object, a list of objects or a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Json>,
    /// Anything else: an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
    /// The model that was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Who serves the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Labels.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "super::lenient::null_default"
    )]
    pub tags: Vec<String>,
    /// Token counts of the call.
    #[serde(
        default,
        skip_serializing_if = "Usage::is_empty",
        deserialize_with = "super::lenient::null_default"
    )]
    pub usage: Usage,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_info: Option<ErrorInfo>,
    /// When the server first had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
    /// When this version of the record was made; the highest wins, whatever arrives last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated_at: Option<Timestamp>,
    /// Who wrote it first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Who wrote it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_updated_by: Option<String>,
    /// Scores (read).
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "super::lenient::null_default"
    )]
    pub feedback_scores: Vec<FeedbackScore>,
    /// Remarks (read).
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "super::lenient::null_default"
    )]
    pub comments: Vec<Comment>,
    /// Cost in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_estimated_cost: Option<f64>,
    /// Which price table made the cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_estimated_cost_version: Option<String>,
    /// Duration in milliseconds (read).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// Time to the first token in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft: Option<f64>,
    /// What produced it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<RecordSource>,
    /// Where it ran, for example `production`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// Fields of a newer protocol.
    #[serde(flatten)]
    pub extra: Extra,
}

impl Span {
    /// Reads a span from JSON.
    ///
    /// ```
    /// use opik_core::Span;
    ///
    /// let error = Span::from_json(r#"{"tags": "my secret prompt"}"#).unwrap_err();
    /// assert_eq!(error.field(), Some("tags"));
    /// assert!(!error.to_string().contains("secret"));
    /// ```
    ///
    /// # Errors
    /// [`JsonError`] with the field and the place of the problem, and without the text, which the
    /// message of `serde_json` would quote.
    pub fn from_json(text: &str) -> Result<Self, JsonError> {
        decode::from_json(text, decode::SPAN)
    }

    /// A span of which only this is known.
    #[must_use]
    pub fn new(id: SpanId, trace_id: TraceId, start_time: Timestamp) -> Self {
        Self {
            id,
            project_name: None,
            project_id: None,
            trace_id,
            parent_span_id: None,
            name: None,
            r#type: None,
            start_time,
            end_time: None,
            input: None,
            output: None,
            metadata: None,
            model: None,
            provider: None,
            tags: Vec::new(),
            usage: Usage::default(),
            error_info: None,
            created_at: None,
            last_updated_at: None,
            created_by: None,
            last_updated_by: None,
            feedback_scores: Vec::new(),
            comments: Vec::new(),
            total_estimated_cost: None,
            total_estimated_cost_version: None,
            duration: None,
            ttft: None,
            source: None,
            environment: None,
            extra: Extra::new(),
        }
    }
}

impl Span {
    /// Kind of step, `general` where none is given.
    #[must_use]
    pub fn kind(&self) -> &SpanType {
        self.r#type.as_ref().unwrap_or(&SpanType::General)
    }
}

impl fmt::Debug for Span {
    /// Identifiers, times and sizes, not what was said: names and labels may quote it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Span")
            .field("id", &self.id)
            .field("trace_id", &self.trace_id)
            .field("parent_span_id", &self.parent_span_id)
            .field("type", &self.r#type)
            .field("start_time", &self.start_time)
            .field("end_time", &self.end_time)
            .field("last_updated_at", &self.last_updated_at)
            .field("input", &self.input)
            .field("output", &self.output)
            .field("metadata", &self.metadata)
            .field("model", &self.model)
            .field("provider", &self.provider)
            .field("error_info", &self.error_info)
            .field("usage", &self.usage)
            .finish_non_exhaustive()
    }
}
