//! From what the caller gave to what may leave: the only place that reads raw records.
//!
//! Out come rows of `opik-core` that hold what the branch's [`Policy`] lets through and nothing
//! else. Whatever follows (batches, exporters, errors, logs) never sees a raw record.

use opik_core::model::{RecordSource, ScoreTarget};
use opik_core::{
    ErrorInfo, FeedbackScore, Json, ScoreRecord, Span, SpanType, Timestamp, Trace, Usage,
};
use serde_json::{Map, Value};

use crate::policy::Policy;
use crate::prompt_hash;
use crate::raw::{Kind, Payload, RawView, Tag};

const PROMPT_HASH: &str = "prompt_hash";
/// Set to `true` on a span whose future was dropped before it was done.
pub(crate) const CANCELLED: &str = "cancelled";

/// A redacted record.
pub(crate) enum Row {
    Trace(Box<Trace>),
    Span(Box<Span>),
    Score(Box<ScoreRecord>),
}

/// What all records of one recorder have in common.
#[derive(Debug, Clone, Default)]
pub(crate) struct Common {
    pub(crate) project: Option<String>,
    pub(crate) environment: Option<String>,
}

/// Turns a raw record into a row; `None` when the bytes make no sense.
pub(crate) fn redact(view: &RawView<'_>, policy: &Policy, common: &Common) -> Option<Row> {
    match view.kind() {
        Kind::Trace => Some(Row::Trace(Box::new(trace(view, policy, common)))),
        Kind::Span => Some(Row::Span(Box::new(span(view, policy, common)))),
        Kind::Score => score(view, policy, common).map(|score| Row::Score(Box::new(score))),
    }
}

/// Rows of one record: that of its end is always the newer one.
fn version(view: &RawView<'_>) -> Timestamp {
    let start = view.start();
    view.end()
        .map_or(start, |end| end.max(start.plus_micros(1)))
}

fn trace(view: &RawView<'_>, policy: &Policy, common: &Common) -> Trace {
    let fields = Fields::read(view, policy);
    let (name, declared) = view.name();
    let mut trace = Trace::new(view.trace_id(), view.start());
    trace.project_name.clone_from(&common.project);
    trace.environment.clone_from(&common.environment);
    trace.name = Some(policy.name("trace", name, declared).into_owned());
    trace.end_time = view.end();
    trace.last_updated_at = Some(version(view));
    trace.source = Some(RecordSource::Sdk);
    trace.input = fields.input;
    trace.output = fields.output;
    trace.metadata = object(fields.metadata);
    trace.tags = fields.tags;
    trace.error_info = fields.error;
    trace.thread_id = fields.thread_id;
    trace.ttft = fields.ttft;
    trace
}

fn span(view: &RawView<'_>, policy: &Policy, common: &Common) -> Span {
    let fields = Fields::read(view, policy);
    let (name, declared) = view.name();
    let kind = fields.span_type.unwrap_or(SpanType::General);
    let mut span = Span::new(view.span_id(), view.trace_id(), view.start());
    span.project_name.clone_from(&common.project);
    span.environment.clone_from(&common.environment);
    span.parent_span_id = view.parent();
    span.name = Some(policy.name(kind.as_str(), name, declared).into_owned());
    span.r#type = Some(kind);
    span.end_time = view.end();
    span.last_updated_at = Some(version(view));
    span.source = Some(RecordSource::Sdk);
    span.input = fields.input;
    span.output = fields.output;
    span.metadata = object(fields.metadata);
    span.model = fields.model;
    span.provider = fields.provider;
    span.tags = fields.tags;
    span.usage = fields.usage;
    span.error_info = fields.error;
    span.total_estimated_cost = fields.cost;
    span.ttft = fields.ttft;
    span
}

fn score(view: &RawView<'_>, policy: &Policy, common: &Common) -> Option<ScoreRecord> {
    let mut target = match view.parent() {
        Some(span) => ScoreTarget::Span(span),
        None => ScoreTarget::Trace(view.trace_id()),
    };
    let mut score = FeedbackScore::new(view.name().0, f64::NAN);
    score.last_updated_at = Some(view.start());
    for field in view.fields() {
        match (field.tag, field.payload) {
            (Tag::ScoreValue, Payload::Float(value)) => score.value = value,
            (Tag::ScoreCategory, payload) => {
                score.category_name = payload.as_text().map(str::to_owned);
            }
            (Tag::ScoreReason, payload) if policy.passes_content() => {
                score.reason = payload.as_text().map(str::to_owned);
            }
            (Tag::ThreadId, payload) => {
                target = ScoreTarget::Thread(payload.as_text()?.to_owned());
            }
            _ => {}
        }
    }
    let mut record = ScoreRecord::new(target, score);
    record.project_name.clone_from(&common.project);
    record.score.value.is_finite().then_some(record)
}

/// The fields of a trace or span after redaction.
#[derive(Default)]
struct Fields {
    span_type: Option<SpanType>,
    input: Option<Json>,
    output: Option<Json>,
    metadata: Map<String, Value>,
    tags: Vec<String>,
    model: Option<String>,
    provider: Option<String>,
    usage: Usage,
    cost: Option<f64>,
    error: Option<ErrorInfo>,
    thread_id: Option<String>,
    ttft: Option<f64>,
}

impl Fields {
    fn read(view: &RawView<'_>, policy: &Policy) -> Self {
        let mut fields = Self::default();
        let mut error_type = None;
        let mut error_text = None;
        let mut hash = None;
        for field in view.fields() {
            let own = |payload: &Payload<'_>| payload.as_text().map(str::to_owned);
            match field.tag {
                Tag::SpanType => {
                    fields.span_type = field.payload.as_text().map(SpanType::from);
                }
                Tag::Input => {
                    if policy.adds_prompt_hash() {
                        hash = Some(input_hash(&field.payload));
                    }
                    if policy.passes_content() {
                        fields.input = content("input", &field.payload);
                    }
                }
                Tag::Output => {
                    if policy.passes_content() {
                        fields.output = content("output", &field.payload);
                    }
                }
                Tag::Metadata => {
                    let own = field.key == CANCELLED && matches!(field.payload, Payload::Bool(_));
                    if own || policy.passes_metadata(field.key) {
                        fields
                            .metadata
                            .insert(field.key.to_owned(), value(&field.payload));
                    }
                }
                Tag::Label => fields.tags.extend(own(&field.payload)),
                Tag::Model => fields.model = own(&field.payload),
                Tag::Provider => fields.provider = own(&field.payload),
                Tag::Usage => {
                    if let Payload::Int(count) = field.payload {
                        fields.usage.0.insert(field.key.to_owned(), count);
                    }
                }
                Tag::Cost => fields.cost = float(&field.payload),
                Tag::ErrorType => {
                    let declared = matches!(field.payload, Payload::Declared(_));
                    error_type = field
                        .payload
                        .as_text()
                        .filter(|name| policy.passes_name(name, declared))
                        .or(Some("error"));
                }
                Tag::ErrorText => error_text = own(&field.payload),
                Tag::ThreadId => fields.thread_id = own(&field.payload),
                Tag::FirstToken => fields.ttft = float(&field.payload),
                Tag::ScoreValue | Tag::ScoreReason | Tag::ScoreCategory => {}
            }
        }
        if let Some(hash) = hash {
            fields.metadata.insert(PROMPT_HASH.to_owned(), hash.into());
        }
        fields.error = error_type.map(|kind| match error_text {
            Some(text) if policy.passes_content() => ErrorInfo::new(kind, text),
            _ => ErrorInfo::of_type(kind),
        });
        fields
    }
}

fn object(metadata: Map<String, Value>) -> Option<Json> {
    (!metadata.is_empty()).then(|| Json::from_value(&Value::Object(metadata)))
}

fn float(payload: &Payload<'_>) -> Option<f64> {
    match payload {
        Payload::Float(number) if number.is_finite() => Some(*number),
        _ => None,
    }
}

fn value(payload: &Payload<'_>) -> Value {
    match payload {
        Payload::Text(text) | Payload::Declared(text) => Value::from(*text),
        Payload::Cut(text) => Value::from(text.as_ref()),
        Payload::Json(text) => serde_json::from_str(text).unwrap_or_default(),
        Payload::Int(number) => Value::from(*number),
        Payload::Float(number) => Value::from(*number),
        Payload::Bool(truth) => Value::from(*truth),
    }
}

fn input_hash(payload: &Payload<'_>) -> String {
    match payload {
        Payload::Json(text) => prompt_hash::v2(text),
        other => prompt_hash::v2(&value(other).to_string()),
    }
}

/// Content as Opik's readers want it: an object or a list of objects as it is, anything else
/// as the only field of an object.
fn content(field: &str, payload: &Payload<'_>) -> Option<Json> {
    let wrapped = |value: Value| Some(Json::from_value(&serde_json::json!({ field: value })));
    match payload {
        Payload::Json(text) if is_structured(text) => Json::parse(text)
            .ok()
            // Readable by nobody as JSON, for example nested too deeply: kept as a text.
            .or_else(|| wrapped(Value::from(*text))),
        Payload::Json(text) => Json::parse(&format!("{{\"{field}\":{text}}}"))
            .ok()
            .or_else(|| wrapped(Value::from(*text))),
        Payload::Cut(text) => Some(Json::from_value(&serde_json::json!({
            field: format!("{text}…"),
            "truncated": true,
        }))),
        other => wrapped(value(other)),
    }
}

fn is_structured(text: &str) -> bool {
    let text = text.trim_start();
    text.starts_with('{')
        || (text.starts_with('[')
            && serde_json::from_str::<Vec<Map<String, Value>>>(text)
                .is_ok_and(|list| !list.is_empty()))
}
