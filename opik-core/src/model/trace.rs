//! Traces.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Comment, ErrorInfo, Extra, FeedbackScore, Usage, decode, wire_word};
use crate::json::JsonError;
use crate::{Json, ProjectId, SpanId, Timestamp, TraceId};

wire_word! {
    /// What produced a trace or span.
    RecordSource {
        /// A program, through an SDK.
        Sdk = "sdk",
        /// An experiment.
        Experiment = "experiment",
        /// The prompt playground.
        Playground = "playground",
        /// An optimisation run.
        Optimization = "optimization",
        /// An online evaluator.
        Evaluator = "evaluator",
    }
}

wire_word! {
    /// Who may see a record.
    VisibilityMode {
        /// Shown.
        Default = "default",
        /// Not listed.
        Hidden = "hidden",
        /// Members only (projects, datasets).
        Private = "private",
        /// Everyone (projects, datasets).
        Public = "public",
    }
}

/// A trace: one request, job or conversation turn, with its spans elsewhere.
///
/// ```
/// use opik_core::{Json, Timestamp, Trace, TraceId};
///
/// let mut trace = Trace::new(TraceId::generate(), Timestamp::now());
/// trace.name = Some("answer a question".to_owned());
/// trace.input = Some(Json::parse(r#"{"question": "why?"}"#)?);
/// # Ok::<(), opik_core::json::JsonError>(())
/// ```
///
/// On output `null` and empty fields are left out, as Opik's clients do.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Trace {
    /// Identifier; version 7 on the real backend.
    pub id: TraceId,
    /// Name of the project (written).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_name: Option<String>,
    /// Identifier of the project (read).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// What the program calls this kind of trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
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
    /// Labels.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "super::lenient::null_default"
    )]
    pub tags: Vec<String>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_info: Option<ErrorInfo>,
    /// Token counts summed over the spans (read).
    #[serde(
        default,
        skip_serializing_if = "Usage::is_empty",
        deserialize_with = "super::lenient::null_default"
    )]
    pub usage: Usage,
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
    /// Scores of the trace (read).
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "super::lenient::null_default"
    )]
    pub feedback_scores: Vec<FeedbackScore>,
    /// Scores of its spans, averaged by name (read).
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "super::lenient::null_default"
    )]
    pub span_feedback_scores: Vec<FeedbackScore>,
    /// Remarks (read).
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "super::lenient::null_default"
    )]
    pub comments: Vec<Comment>,
    /// Outcomes of guardrails (read).
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "super::lenient::null_default"
    )]
    pub guardrails_validations: Vec<GuardrailValidation>,
    /// Cost of the spans in US dollars (read).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_estimated_cost: Option<f64>,
    /// How many spans it has (read).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_count: Option<u64>,
    /// Duration in milliseconds (read).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// Time to the first token in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft: Option<f64>,
    /// The thread that it is a turn of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread_id: Option<String>,
    /// Who may see it (read).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub visibility_mode: Option<VisibilityMode>,
    /// How many spans are model calls (read).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub llm_span_count: Option<u64>,
    /// Whether a span is a tool call (read).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_tool_spans: Option<bool>,
    /// Providers of the model calls (read).
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "super::lenient::null_default"
    )]
    pub providers: Vec<String>,
    /// The experiment that it belongs to (read).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment: Option<ExperimentRef>,
    /// The annotation queues that it is in (read).
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "super::lenient::null_default"
    )]
    pub annotation_queues: Vec<AnnotationQueueRef>,
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

impl Trace {
    /// Reads a trace from JSON.
    ///
    /// # Errors
    /// [`JsonError`] with the field and the place of the problem, and without the text, which the
    /// message of `serde_json` would quote.
    pub fn from_json(text: &str) -> Result<Self, JsonError> {
        decode::from_json(text, decode::TRACE)
    }

    /// A trace of which only this is known.
    #[must_use]
    pub fn new(id: TraceId, start_time: Timestamp) -> Self {
        Self {
            id,
            project_name: None,
            project_id: None,
            name: None,
            start_time,
            end_time: None,
            input: None,
            output: None,
            metadata: None,
            tags: Vec::new(),
            error_info: None,
            usage: Usage::default(),
            created_at: None,
            last_updated_at: None,
            created_by: None,
            last_updated_by: None,
            feedback_scores: Vec::new(),
            span_feedback_scores: Vec::new(),
            comments: Vec::new(),
            guardrails_validations: Vec::new(),
            total_estimated_cost: None,
            span_count: None,
            duration: None,
            ttft: None,
            thread_id: None,
            visibility_mode: None,
            llm_span_count: None,
            has_tool_spans: None,
            providers: Vec::new(),
            experiment: None,
            annotation_queues: Vec::new(),
            source: None,
            environment: None,
            extra: Extra::new(),
        }
    }
}

impl fmt::Debug for Trace {
    /// Identifiers, times and sizes, not what was said: names and labels may quote it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trace")
            .field("id", &self.id)
            .field("project_id", &self.project_id)
            .field("start_time", &self.start_time)
            .field("end_time", &self.end_time)
            .field("last_updated_at", &self.last_updated_at)
            .field("input", &self.input)
            .field("output", &self.output)
            .field("metadata", &self.metadata)
            .field("error_info", &self.error_info)
            .field("usage", &self.usage)
            .field("span_count", &self.span_count)
            .finish_non_exhaustive()
    }
}

/// The experiment of a trace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ExperimentRef {
    /// Identifier.
    pub id: String,
    /// Name.
    pub name: String,
    /// Its dataset.
    pub dataset_id: String,
    /// The dataset's item.
    pub dataset_item_id: String,
}

/// An annotation queue of a trace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AnnotationQueueRef {
    /// Identifier.
    pub id: String,
    /// Name.
    pub name: String,
}

/// Outcome of the guardrails of one span.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GuardrailValidation {
    /// The span.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<SpanId>,
    /// Each check.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "super::lenient::null_default"
    )]
    pub checks: Vec<GuardrailCheck>,
}

/// One check of a guardrail.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GuardrailCheck {
    /// What was checked, for example `PII`.
    pub name: String,
    /// `passed` or `failed`.
    pub result: String,
}
