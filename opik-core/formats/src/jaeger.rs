//! Jaeger's JSON: `{"data": [trace]}`, a bare trace, or a trace in a member `trace`, beside which
//! a member `source` (a file, a data set) belongs to the trace's identity.

use opik_core::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::attributes::{Facts, Happening, Status, text, whole};
use crate::document::Head;
use crate::elements;
use crate::foreign::{Assembler, ForeignSpan, within};
use crate::sink::Sink;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JaegerTrace<'d> {
    #[serde(rename = "traceID")]
    trace_id: Option<String>,
    #[serde(borrow, default)]
    spans: Option<&'d RawValue>,
    #[serde(default)]
    processes: Value,
}

pub(crate) fn read(text: &str, head: &Head<'_>, assembler: &mut Assembler, sink: &mut Sink<'_>) {
    match (head.data, head.trace) {
        (Some(data), _) => {
            let read =
                elements::for_each(data.get(), |part| trace(part.get(), None, assembler, sink));
            if let Err(error) = read {
                sink.json_problem(data.get(), "data", &error);
            }
        }
        (None, Some(wrapped)) => trace(wrapped.get(), head.source().as_deref(), assembler, sink),
        (None, None) => trace(text, None, assembler, sink),
    }
}

fn trace(part: &str, source: Option<&str>, assembler: &mut Assembler, sink: &mut Sink<'_>) {
    let trace: JaegerTrace<'_> = match serde_json::from_str(part) {
        Ok(trace) => trace,
        Err(error) => return sink.json_problem(part, "trace", &error),
    };
    let mut spans = Vec::new();
    let list = trace.spans.map_or("null", RawValue::get);
    let read = elements::for_each(list, |part| {
        let read = serde_json::from_str::<Value>(part.get());
        match read.map(|it| convert(&it, &trace, part.get())) {
            Ok(Ok(span)) => spans.push(span),
            Ok(Err(reason)) => sink.problem(part.get(), format!("span: {reason}")),
            Err(error) => sink.json_problem(part.get(), "span", &error),
        }
    });
    if let Err(error) = read {
        sink.json_problem(part, "spans", &error);
    }
    if source.is_some() {
        for span in &mut spans {
            span.trace = within(source, &span.trace);
        }
    }
    assembler.assemble(spans, sink);
}

fn convert<'d>(
    span: &Value,
    trace: &JaegerTrace<'_>,
    part: &'d str,
) -> Result<ForeignSpan<'d>, &'static str> {
    let member = |name: &str| span.get(name).and_then(text);
    let trace_id = member("traceID")
        .or_else(|| trace.trace_id.clone())
        .ok_or("it has no traceID")?;
    let own = member("spanID").ok_or("it has no spanID")?;
    let start = span
        .get("startTime")
        .and_then(whole)
        .ok_or("it has no startTime")?;
    let start = Timestamp::from_micros(start);
    let mut foreign = ForeignSpan::new(&trace_id, &own, start, part);
    foreign.parent = parent(span, &trace_id).or_else(|| member("parentSpanID"));
    foreign.span.name = member("operationName");
    let duration = span.get("duration").and_then(whole);
    foreign.span.end_time = duration.map(|micros| start.plus_micros(micros));
    let inline = span.get("process").filter(|it| it.is_object());
    let process = inline.or_else(|| trace.processes.get(member("processID")?));
    let resource = process.map(|it| tags(it.get("tags"))).unwrap_or_default();
    let first = |names: &[&str]| names.iter().find_map(|name| resource.get(*name)).cloned();
    let mut facts = Facts {
        attributes: tags(span.get("tags")),
        service: process.and_then(|it| it.get("serviceName")).cloned(),
        host: first(&["hostname", "host.name", "k8s.pod.name", "ip"]),
        ..Facts::default()
    };
    facts.kind = facts.attributes.remove("span.kind").as_ref().and_then(text);
    facts.status = status(&mut facts.attributes);
    let logs = span.get("logs").and_then(Value::as_array);
    facts.events = logs.into_iter().flatten().map(happening).collect();
    facts.apply(&mut foreign);
    foreign.resource = resource;
    Ok(foreign)
}

/// The span that this one is a child of; where there is none, the one that it follows.
fn parent(span: &Value, trace: &str) -> Option<String> {
    let references = span.get("references")?.as_array()?;
    let of = |kind: &str| {
        references
            .iter()
            .filter(|it| it.get("refType").and_then(Value::as_str) == Some(kind))
            .filter(|it| {
                let other = it.get("traceID").and_then(Value::as_str);
                other.is_none_or(|other| other == trace)
            })
            .find_map(|it| text(it.get("spanID")?))
    };
    of("CHILD_OF").or_else(|| of("FOLLOWS_FROM"))
}

/// `[{"key", "value"}]` as an object.
fn tags(list: Option<&Value>) -> Map<String, Value> {
    let pairs = list.and_then(Value::as_array).into_iter().flatten();
    pairs
        .filter_map(|pair| {
            let name = pair.get("key")?.as_str()?;
            Some((name.to_owned(), pair.get("value")?.clone()))
        })
        .collect()
}

fn status(tags: &mut Map<String, Value>) -> Status {
    let message = tags.get("otel.status_description").and_then(text);
    let error = tags.get("error").and_then(text);
    match tags.get("otel.status_code").and_then(Value::as_str) {
        Some("OK") => Status::Ok,
        Some("ERROR") => Status::Error(message),
        _ if error.as_deref() == Some("true") => Status::Error(message),
        _ => Status::Unset,
    }
}

/// A log entry. Those of OpenTelemetry have the event's name in the field `event`, those of
/// OpenTracing call an exception `error` and spread it over fields.
fn happening(log: &Value) -> Happening {
    let mut fields = tags(log.get("fields"));
    let mut name = fields.remove("event").as_ref().and_then(text);
    if name.as_deref() == Some("error") {
        name = Some("exception".to_owned());
        for (old, new) in [
            ("error.kind", "exception.type"),
            ("message", "exception.message"),
            ("stack", "exception.stacktrace"),
        ] {
            if let Some(value) = fields.remove(old) {
                fields.entry(new).or_insert(value);
            }
        }
    }
    let micros = log.get("timestamp").and_then(whole);
    let time = micros.map(|it| Timestamp::from_micros(it).to_string());
    Happening {
        name: name.unwrap_or_else(|| "log".to_owned()),
        time: time.map_or(Value::Null, Value::from),
        attributes: fields,
    }
}
