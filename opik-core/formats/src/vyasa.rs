//! Vyasa's telemetry: one event a line, written when something is over.
//!
//! A job is a trace and gets its record at the end of the input. `node_execution` is a span;
//! `llm_call_completed` and the rest are spans within the next node of that name, since they are
//! written before it.
//!
//! - **Times**: the `timestamp` of a node is its start, that of everything else its end.
//!   `expert_fallback` repeats the duration of the call that it tells of, and takes no time itself.
//! - **Retries** are tagged `retry`: the second and further runs of a node, calls with an `attempt`
//!   above 1 or the `path` `fallback`, and `expert_fallback`.
//! - **Errors** are events with an `error` or `error_message`, `system_failure`, and whatever ends in
//!   `_failed`. Their type is the `error_type` or `error_code`.

use std::collections::{BTreeMap, VecDeque};

use opik_core::{ErrorInfo, Json, Span, SpanId, SpanType, Timestamp, Trace, TraceId};
use serde_json::{Map, Value};

use crate::attributes::{text, whole};
use crate::foreign::{span_id, trace_id};
use crate::record::with_member;
use crate::sink::Sink;

/// Spans that wait for their node; with more, the job's oldest go without one.
const MAX_WAITING: usize = 10_000;

const NODE: &str = "node_execution";
pub(crate) const CALL: &str = "llm_call_completed";
const FALLBACK: &str = "expert_fallback";
const FAILURE: &str = "system_failure";
const RETRY: &str = "retry";

/// The jobs of a file.
#[derive(Debug, Default)]
pub(crate) struct Jobs {
    by_name: BTreeMap<String, Job>,
}

#[derive(Debug)]
struct Job {
    trace: Trace,
    project: Option<String>,
    /// What the identifiers of the job's spans begin with.
    anchor: Timestamp,
    /// Spans without their node, by the node's name.
    waiting: VecDeque<(String, Span)>,
    /// How often each node ran.
    runs: BTreeMap<String, u64>,
}

impl Jobs {
    /// Takes one line.
    pub(crate) fn event(&mut self, line: &str, sink: &mut Sink<'_>) {
        let event = match serde_json::from_str::<Map<String, Value>>(line) {
            Ok(event) => event,
            Err(error) => return sink.json_problem(line, "event", &error),
        };
        let member = |name: &str| event.get(name).and_then(text);
        let (Some(kind), Some(name)) = (member("event_type"), member("job_id")) else {
            return sink.problem(line, "event: it has no event_type or no job_id");
        };
        let Some(told) = event.get("timestamp").and_then(moment) else {
            return sink.problem(
                line,
                "event: it has no timestamp that is a date or a number",
            );
        };
        let duration = micros(event.get("duration_ms"));
        let (start, end) = match kind.as_str() {
            NODE => (told, told.plus_micros(duration)),
            FALLBACK => (told, told),
            _ => (told.plus_micros(-duration), told),
        };
        let job = self
            .by_name
            .entry(name.clone())
            .or_insert_with(|| Job::new(&name, start));
        if job.project.is_none() {
            job.project = event.get("project_id").and_then(text);
        }
        job.event(&name, &kind, (start, end), event, line, sink);
    }

    /// Hands out what waited for the end.
    pub(crate) fn finish(&mut self, sink: &mut Sink<'_>) {
        for job in std::mem::take(&mut self.by_name).into_values() {
            for (_, span) in job.waiting {
                sink.span(span, "");
            }
            let mut trace = job.trace;
            if let Some(project) = job.project.map(Value::from) {
                let metadata = trace.metadata.take();
                trace.metadata = Some(with_member(metadata, "project_id", &project));
            }
            sink.trace(trace, "");
        }
    }
}

impl Job {
    fn new(name: &str, anchor: Timestamp) -> Self {
        let mut trace = Trace::new(trace_id(name, anchor), anchor);
        trace.name = Some("vyasa job".to_owned());
        let mut metadata = Map::new();
        for key in ["source_id", "job_id"] {
            metadata.insert(key.to_owned(), Value::from(name));
        }
        trace.metadata = Some(Json::from_value(&Value::Object(metadata)));
        Self {
            trace,
            project: None,
            anchor,
            waiting: VecDeque::new(),
            runs: BTreeMap::new(),
        }
    }

    fn event(
        &mut self,
        name: &str,
        kind: &str,
        (start, end): (Timestamp, Timestamp),
        event: Map<String, Value>,
        line: &str,
        sink: &mut Sink<'_>,
    ) {
        let node = event.get("node_name").and_then(text);
        // Equal lines are one event, written twice.
        let id = span_id(name, line, self.anchor);
        let trace = &mut self.trace;
        trace.start_time = trace.start_time.min(start);
        trace.end_time = trace.end_time.max(Some(end));
        let mut span = new_span(id, trace.id, (start, end), kind, node.as_deref(), event);
        if kind == FAILURE {
            trace.error_info.clone_from(&span.error_info);
        }
        let Some(node) = node else {
            sink.span(span, line);
            return;
        };
        if kind != NODE {
            self.waiting.push_back((node, span));
            if self.waiting.len() > MAX_WAITING
                && let Some((_, oldest)) = self.waiting.pop_front()
            {
                sink.span(oldest, line);
            }
            return;
        }
        let runs = self.runs.entry(node.clone()).or_default();
        *runs += 1;
        if *runs > 1 {
            let attempt = Value::from(*runs);
            let metadata = span.metadata.take();
            span.metadata = Some(with_member(metadata, "attempt", &attempt));
            span.tags.push(RETRY.to_owned());
        }
        let (inside, waiting) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|(of, _)| *of == node);
        self.waiting = waiting;
        for (_, mut part) in inside {
            part.parent_span_id = Some(span.id);
            sink.span(part, line);
        }
        sink.span(span, line);
    }
}

pub(crate) fn new_span(
    id: SpanId,
    trace: TraceId,
    (start, end): (Timestamp, Timestamp),
    kind: &str,
    node: Option<&str>,
    mut event: Map<String, Value>,
) -> Span {
    let mut span = Span::new(id, trace, start);
    span.end_time = Some(end);
    let mut metadata = match event.remove("metadata") {
        Some(Value::Object(metadata)) => metadata,
        Some(Value::Null) | None => Map::new(),
        Some(other) => Map::from_iter([("metadata".to_owned(), other)]),
    };
    span.name = Some(match (kind, node) {
        (NODE, Some(node)) => node.to_owned(),
        _ => kind.to_owned(),
    });
    let member = |name: &str| metadata.get(name).or_else(|| event.get(name));
    let said_in = |names: [&str; 2]| names.into_iter().find_map(|name| text(member(name)?));
    if kind == CALL {
        span.r#type = Some(SpanType::Llm);
    }
    let again = metadata.get("attempt").and_then(whole).unwrap_or(1) > 1
        || metadata.get("path").and_then(Value::as_str) == Some("fallback");
    if kind == FALLBACK || (kind == CALL && again) {
        span.tags.push(RETRY.to_owned());
    }
    span.model = said_in(["model_id", "model"]);
    span.provider = metadata.get("provider").and_then(text);
    tokens(&metadata, &mut span);
    let said = ["error", "error_message"]
        .into_iter()
        .filter_map(member)
        .find(|it| !it.is_null())
        .map(|it| text(it).unwrap_or_else(|| it.to_string()));
    let failed = kind == FAILURE || kind.ends_with("_failed");
    let error_type = said_in(["error_type", "error_code"]);
    span.error_info = match said {
        Some(said) => {
            // The kind of an event is no type of an error, unless the event is one.
            let error_type =
                error_type.unwrap_or_else(|| if failed { kind } else { "NodeError" }.to_owned());
            Some(ErrorInfo::new(error_type, said))
        }
        None => failed.then(|| ErrorInfo::of_type(error_type.as_deref().unwrap_or(kind))),
    };
    // What is not in a field of its own is metadata.
    for used in ["timestamp", "duration_ms", "job_id"] {
        event.remove(used);
    }
    for (name, value) in event {
        metadata.entry(name).or_insert(value);
    }
    span.metadata = Some(Json::from_value(&Value::Object(metadata)));
    span
}

/// Token counts, as one number or by name, in the metadata or in its members `tokens` and `usage`.
fn tokens(metadata: &Map<String, Value>, span: &mut Span) {
    let names = [
        ("prompt_tokens", "prompt_tokens"),
        ("completion_tokens", "completion_tokens"),
        ("total_tokens", "total_tokens"),
        ("prompt", "prompt_tokens"),
        ("completion", "completion_tokens"),
        ("total", "total_tokens"),
    ];
    let tokens = metadata.get("tokens");
    if let Some(total) = tokens.and_then(whole) {
        span.usage.0.insert("total_tokens".to_owned(), total);
    }
    let nested = tokens.and_then(Value::as_object);
    let usage = metadata.get("usage").and_then(Value::as_object);
    for (map, count) in [(Some(metadata), 3), (nested, names.len()), (usage, 3)] {
        for (from, to) in names.iter().take(count) {
            if let Some(value) = map.and_then(|map| map.get(*from)).and_then(whole) {
                span.usage.0.entry((*to).to_owned()).or_insert(value);
            }
        }
    }
}

/// A date, or a number: seconds, or milliseconds when it is too large for seconds.
pub(crate) fn moment(value: &Value) -> Option<Timestamp> {
    if let Some(text) = value.as_str() {
        return text.parse().ok();
    }
    let number = value
        .as_f64()
        .filter(|it| it.is_finite() && it.abs() < 1e14)?;
    let seconds = if number.abs() > 1e11 {
        number / 1e3
    } else {
        number
    };
    Some(Timestamp::from_micros(rounded(seconds * 1e6)))
}

pub(crate) fn micros(millis: Option<&Value>) -> i64 {
    let number = millis.and_then(Value::as_f64).unwrap_or(0.0);
    rounded(number.clamp(0.0, 1e12) * 1e3)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "callers limit the number to a part of the range"
)]
fn rounded(number: f64) -> i64 {
    number.round() as i64
}
