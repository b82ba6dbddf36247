//! What Vyasa posts while it works: one event a request, with nothing that joins them.
//!
//! Its body is `{"project", "run_type", "metadata"}`. A job becomes a trace and what happens in it
//! becomes spans, by these rules:
//!
//! | `run_type` | becomes |
//! |---|---|
//! | `node_start` | a span that is open; what the event says is its input |
//! | `node_end` | the end of the node's open span; the work's results are its output |
//! | `llm_call` | a span of type `llm` that ends with the event, within the open span of its node |
//! | `validation` | a span of type `guardrail`, with the result as its output |
//! | `span` | a span that ends with the event and is named by its `span_name` |
//! | anything else | a span of that name |
//!
//! - **Reported twice**: Vyasa tells of a node from two places. A start within [`TWICE`] of one
//!   that is open, or of an end without an error, is the same run; so is an end within [`TWICE`]
//!   of an end. Later ones are a new run.
//! - **Times**: `timestamp` in the metadata, else the moment of arrival. `duration_ms` leads back
//!   from the end to the beginning where the beginning was not told.
//! - **Errors**: an `error`, or `success` that is false, is the span's error.
//! - An event without a job is a trace of its own.
//!
//! The caller keeps the records; see [`VyasaPost`] for the order of calls.

use opik_core::{ErrorInfo, Json, Span, SpanId, SpanType, Timestamp, Trace, TraceId};
use serde_json::{Map, Value};

use crate::attributes::text;
use crate::foreign::trace_id;
use crate::vyasa::{CALL, micros, moment, new_span};

/// How far apart two reports of one thing may be, in microseconds.
const TWICE: i64 = 2_000_000;
/// Members of the metadata that are the work itself.
const RESULTS: [&str; 3] = ["extracted_json", "conflicts", "manuscript_blocks"];

/// One event.
///
/// ```
/// use opik_core::Timestamp;
/// use opik_formats::{VyasaPost, VyasaStep};
///
/// let body = serde_json::json!({
///     "project": "vyasa",
///     "run_type": "node_start",
///     "metadata": {"job_id": "j1", "node_name": "critic", "timestamp": "2026-01-01T00:00:00+00:00"}
/// });
/// let post = VyasaPost::read(body, Timestamp::now())?;
/// // The moment at which the job began is kept under this key; its trace follows from it.
/// let anchor = post.start();
/// assert_eq!(post.job_key().as_deref(), Some("vyasa:vyasa:j1"));
/// let trace = post.trace(post.trace_id(anchor), None);
/// match post.step(trace.id, &[]) {
///     VyasaStep::New(span) => assert_eq!(span.name.as_deref(), Some("critic")),
///     step => panic!("a start makes a span, not {step:?}"),
/// }
/// # Ok::<(), &'static str>(())
/// ```
#[derive(Debug, Clone)]
pub struct VyasaPost {
    project: Option<String>,
    kind: String,
    job: Option<String>,
    node: Option<String>,
    start: Timestamp,
    end: Timestamp,
    metadata: Map<String, Value>,
}

/// What an event does to the spans of its job.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum VyasaStep {
    /// This span is new.
    New(Box<Span>),
    /// The span with this identifier goes on or ends; see [`VyasaPost::apply`].
    Change(SpanId),
}

impl VyasaPost {
    /// Reads the body of a request that arrived at a moment.
    ///
    /// # Errors
    /// What is missing.
    pub fn read(body: Value, arrived: Timestamp) -> Result<Self, &'static str> {
        let Value::Object(mut body) = body else {
            return Err("the body must be an object");
        };
        let kind = body
            .get("run_type")
            .and_then(text)
            .ok_or("run_type must be a text")?;
        let metadata = match body.remove("metadata") {
            Some(Value::Object(metadata)) => metadata,
            Some(Value::Null) | None => Map::new(),
            Some(_) => return Err("metadata must be an object"),
        };
        let member = |name: &str| metadata.get(name).and_then(text);
        let told = metadata.get("timestamp").and_then(moment);
        let end = told.unwrap_or(arrived);
        let start = match kind.as_str() {
            "node_start" => end,
            _ => end.plus_micros(-micros(metadata.get("duration_ms"))),
        };
        Ok(Self {
            project: body.get("project").and_then(text),
            job: member("job_id"),
            node: member("node_name").or_else(|| member("node")),
            kind,
            start,
            end,
            metadata,
        })
    }

    /// The project, as Vyasa names it.
    #[must_use]
    pub fn project(&self) -> Option<&str> {
        self.project.as_deref()
    }

    /// When what the event tells of began.
    #[must_use]
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// Under which the beginning of the job is kept; `None` for an event without a job.
    #[must_use]
    pub fn job_key(&self) -> Option<String> {
        let job = self.job.as_deref()?;
        Some(format!(
            "vyasa:{}:{job}",
            self.project.as_deref().unwrap_or_default()
        ))
    }

    /// The trace of a job that began at `anchor`.
    #[must_use]
    pub fn trace_id(&self, anchor: Timestamp) -> TraceId {
        match self.job_key() {
            Some(key) => trace_id(&key, anchor),
            None => TraceId::generate_at(anchor),
        }
    }

    /// The job's trace with this event in it, made of what it was before.
    #[must_use]
    pub fn trace(&self, id: TraceId, before: Option<Trace>) -> Trace {
        let mut trace = before.unwrap_or_else(|| {
            let mut new = Trace::new(id, self.start);
            new.name = Some(match &self.job {
                Some(_) => "vyasa job".to_owned(),
                None => self.name(),
            });
            new.tags = vec!["vyasa".to_owned()];
            let known = ["job_id", "project_id"].iter().filter_map(|key| {
                let value = self.metadata.get(*key).filter(|value| !value.is_null())?;
                Some(((*key).to_owned(), value.clone()))
            });
            let metadata = known.collect::<Map<_, _>>();
            if !metadata.is_empty() {
                new.metadata = Some(Json::from_value(&Value::Object(metadata)));
            }
            new
        });
        trace.project_name.clone_from(&self.project);
        // When a node began is better known from its start than from its duration.
        let is_end = self.kind == "node_end" && trace.end_time.is_some();
        trace.start_time = trace
            .start_time
            .min(if is_end { self.end } else { self.start });
        trace.end_time = trace.end_time.max(Some(self.end));
        if self.kind == "node_end"
            && let Some(error) = self.error()
        {
            trace.error_info = Some(error);
        }
        trace
    }

    /// What the event does to the spans of its trace, of which the newest are given, in any order
    /// and without content.
    #[must_use]
    pub fn step(&self, trace: TraceId, known: &[Span]) -> VyasaStep {
        let same = match self.kind.as_str() {
            "node_start" => self.same_start(known),
            "node_end" => self.same_end(known),
            _ => None,
        };
        match same {
            Some(id) => VyasaStep::Change(id),
            None => VyasaStep::New(Box::new(self.span(trace, known))),
        }
    }

    /// The last run of this event's node.
    fn last_run<'s>(&self, known: &'s [Span]) -> Option<&'s Span> {
        let node = self.node.as_deref()?;
        known
            .iter()
            .filter(|span| is_node(span) && span.name.as_deref() == Some(node))
            .max_by_key(|span| (span.start_time, span.id))
    }

    fn same_start(&self, known: &[Span]) -> Option<SpanId> {
        let last = self.last_run(known)?;
        let since = |moment: Timestamp| self.end.micros_since(moment).abs() <= TWICE;
        let is_same = match last.end_time {
            None => since(last.start_time),
            Some(end) => {
                let is_latest = known
                    .iter()
                    .filter(|span| is_node(span))
                    .all(|span| span.start_time <= last.start_time);
                last.error_info.is_none() && is_latest && since(end)
            }
        };
        is_same.then_some(last.id)
    }

    fn same_end(&self, known: &[Span]) -> Option<SpanId> {
        let last = self.last_run(known)?;
        let is_same = match last.end_time {
            None => true,
            Some(end) => self.end.micros_since(end).abs() <= TWICE,
        };
        is_same.then_some(last.id)
    }

    /// The span within which the event happened: the open run of its node.
    fn parent(&self, known: &[Span]) -> Option<SpanId> {
        let last = self.last_run(known)?;
        last.end_time.is_none().then_some(last.id)
    }

    fn name(&self) -> String {
        let member = |name: &str| self.metadata.get(name).and_then(text);
        match self.kind.as_str() {
            "node_start" | "node_end" => self.node.clone(),
            "validation" => member("validation_kind").map(|kind| format!("validation {kind}")),
            "span" => member("span_name"),
            _ => None,
        }
        .unwrap_or_else(|| self.kind.clone())
    }

    fn span(&self, trace: TraceId, known: &[Span]) -> Span {
        let kind = if self.kind == "llm_call" {
            CALL
        } else {
            self.kind.as_str()
        };
        let id = SpanId::generate_at(self.start);
        let event = Map::from_iter([("metadata".to_owned(), Value::Object(self.metadata.clone()))]);
        let node = self.node.as_deref();
        let mut span = new_span(id, trace, (self.start, self.end), kind, node, event);
        span.project_name.clone_from(&self.project);
        span.name = Some(self.name());
        span.error_info = self.error();
        match self.kind.as_str() {
            "node_start" => span.end_time = None,
            "node_end" => {}
            "validation" => span.r#type = Some(SpanType::Guardrail),
            _ => span.parent_span_id = self.parent(known),
        }
        if self.kind == "validation" {
            span.parent_span_id = self.parent(known);
        }
        self.content(&mut span);
        span
    }

    /// Lets a span that was there go on, or end, with this event.
    pub fn apply(&self, span: &mut Span) {
        if self.kind == "node_end" {
            span.end_time = span.end_time.max(Some(self.end));
            span.error_info = self.error().or_else(|| span.error_info.take());
        }
        span.project_name.clone_from(&self.project);
        self.content(span);
    }

    /// Puts what the event says where it belongs: what was told at the start is input, the work's
    /// results are output, and everything is in the metadata as well, but for the results.
    fn content(&self, span: &mut Span) {
        let mut told = self.metadata.clone();
        for known in [
            "job_id",
            "node_name",
            "timestamp",
            "validation_kind",
            "span_name",
        ] {
            told.remove(known);
        }
        let mut results = Map::new();
        for name in RESULTS {
            if let Some(value) = told.remove(name) {
                results.insert(name.to_owned(), value);
            }
        }
        let json = |map: Map<String, Value>| Json::from_value(&Value::Object(map));
        match self.kind.as_str() {
            "node_start" if !told.is_empty() && span.input.is_none() => {
                span.input = Some(json(told.clone()));
            }
            "validation" => results.extend(told.clone()),
            "node_end" => {
                if let Some(counts) = told.get("counts") {
                    results.insert("counts".to_owned(), counts.clone());
                }
            }
            _ => {}
        }
        if !results.is_empty() {
            span.output = Some(json(results));
        }
        let before = span.metadata.take().and_then(|json| json.to_value().ok());
        let mut all = match before {
            Some(Value::Object(before)) => before,
            _ => Map::new(),
        };
        for name in RESULTS {
            all.remove(name);
        }
        all.extend(told);
        let kinds = all
            .entry("run_type")
            .or_insert_with(|| Value::from(self.kind.as_str()));
        if is_start_or_end(kinds) {
            *kinds = Value::from("node");
        }
        span.metadata = Some(json(all));
        if is_start_or_end(&Value::from(self.kind.as_str())) && !is_node(span) {
            span.tags.push(NODE.to_owned());
        }
    }

    fn error(&self) -> Option<ErrorInfo> {
        let member = |name: &str| self.metadata.get(name).filter(|value| !value.is_null());
        let said = ["error", "error_message"]
            .into_iter()
            .find_map(member)
            .map(|value| text(value).unwrap_or_else(|| value.to_string()));
        let failed =
            self.kind != "validation" && member("success").and_then(Value::as_bool) == Some(false);
        let kind = ["error_type", "error_code"]
            .into_iter()
            .find_map(|name| text(member(name)?))
            .unwrap_or_else(|| "NodeError".to_owned());
        match said.filter(|said| !said.is_empty()) {
            Some(said) => Some(ErrorInfo::new(kind, said)),
            None => failed.then(|| ErrorInfo::of_type(&kind)),
        }
    }
}

/// The tag of spans that are runs of a node: lists have it without content.
const NODE: &str = "node";

fn is_node(span: &Span) -> bool {
    span.tags.iter().any(|tag| tag == NODE)
}

fn is_start_or_end(kind: &Value) -> bool {
    matches!(kind.as_str(), Some("node_start" | "node_end"))
}

#[cfg(test)]
mod tests;
