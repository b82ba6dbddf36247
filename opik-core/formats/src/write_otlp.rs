//! Writing OTLP, for collectors and other backends.

use std::io::{self, Write};

use opik_core::{Json, Span, Timestamp, Trace};
use serde_json::{Map, Value, json};

/// Writes a trace's spans as one line of OTLP JSON (one `ExportTraceServiceRequest`).
///
/// Attributes follow the conventions that [`Reader`](crate::Reader) reads: `gen_ai.*` for model,
/// provider and tokens, `input.value` and `output.value` for content, metadata under its own
/// names, `opik.id` for the identifier. Span identifiers are the last eight bytes of the UUID. A
/// running span has an end of zero. Scores, comments and the trace's own input are not part of
/// OTLP; use [`write_opik_jsonl`](crate::write_opik_jsonl) for a copy without loss.
///
/// ```
/// use opik_core::{Span, SpanId, Timestamp, Trace, TraceId};
/// use opik_formats::write_otlp_json;
///
/// let now = Timestamp::now();
/// let trace = Trace::new(TraceId::generate(), now);
/// let span = Span::new(SpanId::generate(), trace.id, now);
/// let mut file = Vec::new();
/// write_otlp_json(&mut file, &trace, &[span])?;
/// assert!(file.starts_with(b"{\"resourceSpans\":["));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// When `out` cannot be written to.
pub fn write_otlp_json(mut out: impl Write, trace: &Trace, spans: &[Span]) -> io::Result<()> {
    let members = metadata(trace.metadata.as_ref());
    let service = members.get("service.name").cloned();
    let service = service.unwrap_or_else(|| Value::from("opik"));
    let mut resource = vec![pair("service.name", &service)];
    if let Some(environment) = &trace.environment {
        let environment = Value::from(environment.as_str());
        resource.push(pair("deployment.environment.name", &environment));
    }
    let request = json!({"resourceSpans": [{
        "resource": {"attributes": resource},
        "scopeSpans": [{
            "scope": {"name": "opik"},
            "spans": spans.iter().map(|it| span(it, trace)).collect::<Vec<_>>(),
        }],
    }]});
    serde_json::to_writer(&mut out, &request)?;
    out.write_all(b"\n")
}

fn span(span: &Span, trace: &Trace) -> Value {
    let mut members = metadata(span.metadata.as_ref());
    let kind = match members.remove("kind").as_ref().and_then(Value::as_str) {
        Some("server") => 2,
        Some("client") => 3,
        Some("producer") => 4,
        Some("consumer") => 5,
        _ => 1,
    };
    let mut attributes: Vec<Value> = members.iter().map(|(name, it)| pair(name, it)).collect();
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            attributes.push(pair(name, &value));
        }
    };
    let text = |it: &Option<String>| it.as_deref().map(Value::from);
    let content = |it: &Option<Json>| it.as_ref().map(content);
    add("opik.id", Some(Value::from(span.id.to_string())));
    add(
        "openinference.span.kind",
        Some(Value::from(span.kind().as_str())),
    );
    add("gen_ai.request.model", text(&span.model));
    add("gen_ai.provider.name", text(&span.provider));
    for (name, count) in [
        ("gen_ai.usage.input_tokens", span.usage.prompt_tokens()),
        ("gen_ai.usage.output_tokens", span.usage.completion_tokens()),
        ("gen_ai.usage.total_tokens", span.usage.get("total_tokens")),
    ] {
        add(name, count.map(Value::from));
    }
    add(
        "gen_ai.usage.cost",
        span.total_estimated_cost.map(Value::from),
    );
    add("input.value", content(&span.input));
    add("output.value", content(&span.output));
    add("session.id", text(&trace.thread_id));
    if !span.tags.is_empty() {
        add("tag.tags", Some(Value::from(span.tags.clone())));
    }
    let mut record = json!({
        "traceId": hex(trace.id.as_bytes()),
        "spanId": span_hex(span.id.as_bytes()),
        "name": span.name.as_deref().unwrap_or_default(),
        "kind": kind,
        "startTimeUnixNano": nanos(span.start_time),
        "endTimeUnixNano": span.end_time.map_or_else(|| "0".to_owned(), nanos),
        "attributes": attributes,
        "status": {},
    });
    let mut set = |name: &str, value: Value| {
        if let Some(members) = record.as_object_mut() {
            members.insert(name.to_owned(), value);
        }
    };
    if let Some(parent) = &span.parent_span_id {
        set("parentSpanId", Value::from(span_hex(parent.as_bytes())));
    }
    if let Some(error) = &span.error_info {
        let message = error.message.as_deref().unwrap_or_default();
        set("status", json!({"code": 2, "message": message}));
        let facts = [
            ("exception.type", error.exception_type.as_str()),
            ("exception.message", message),
            ("exception.stacktrace", error.traceback.as_str()),
        ];
        let attributes = facts.map(|(name, it)| pair(name, &Value::from(it)));
        let time = nanos(span.end_time.unwrap_or(span.start_time));
        let event = json!({"name": "exception", "timeUnixNano": time, "attributes": attributes});
        set("events", json!([event]));
    }
    record
}

/// A text as it is, other content as its JSON.
fn content(json: &Json) -> Value {
    let text = json.decode::<String>();
    Value::from(text.unwrap_or_else(|_| json.as_str().to_owned()))
}

/// The members of an object; another kind of value is one member.
fn metadata(json: Option<&Json>) -> Map<String, Value> {
    match json.and_then(|json| json.to_value().ok()) {
        Some(Value::Object(members)) => members,
        None | Some(Value::Null) => Map::new(),
        Some(other) => Map::from_iter([("metadata".to_owned(), other)]),
    }
}

fn pair(name: &str, value: &Value) -> Value {
    json!({"key": name, "value": any_value(value)})
}

/// Plain JSON as an `AnyValue`. Recursion ends where the parser's limit on nesting does.
fn any_value(value: &Value) -> Value {
    match value {
        Value::Null => json!({}),
        Value::Bool(flag) => json!({"boolValue": flag}),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => json!({"intValue": whole.to_string()}),
            None => json!({"doubleValue": number}),
        },
        Value::String(text) => json!({"stringValue": text}),
        Value::Array(items) => {
            let values: Vec<Value> = items.iter().map(any_value).collect();
            json!({"arrayValue": {"values": values}})
        }
        Value::Object(members) => {
            let values: Vec<Value> = members.iter().map(|(name, it)| pair(name, it)).collect();
            json!({"kvlistValue": {"values": values}})
        }
    }
}

fn nanos(at: Timestamp) -> String {
    let micros = u64::try_from(at.as_micros()).unwrap_or(0);
    micros.saturating_mul(1_000).to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The random half of a UUID.
fn span_hex(bytes: &[u8; 16]) -> String {
    let (_, random) = bytes.split_at(8);
    hex(random)
}
