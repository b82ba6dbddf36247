//! Flat span lists: `{"trace_id", "spans": [{"id", "parent", "name", "service", "host",
//! "start_us", "end_us", "kind", "error"}]}`, times in microseconds. A member `source` (a file, a
//! data set) belongs to the trace's identity.

use opik_core::{ErrorInfo, Json, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::elements;
use crate::foreign::{Assembler, ForeignSpan, within};
use crate::sink::Sink;

#[derive(Deserialize)]
struct Document<'d> {
    source: Option<String>,
    trace_id: String,
    #[serde(borrow)]
    spans: &'d RawValue,
}

#[derive(Deserialize)]
struct FlatSpan {
    id: String,
    parent: Option<String>,
    name: Option<String>,
    service: Option<String>,
    host: Option<String>,
    start_us: i64,
    end_us: Option<i64>,
    kind: Option<String>,
    #[serde(default)]
    error: Value,
}

pub(crate) fn read(text: &str, assembler: &mut Assembler, sink: &mut Sink<'_>) {
    let document: Document<'_> = match serde_json::from_str(text) {
        Ok(document) => document,
        Err(error) => return sink.json_problem(text, "span list", &error),
    };
    let trace = within(document.source.as_deref(), &document.trace_id);
    let mut spans = Vec::new();
    let read = elements::for_each(document.spans.get(), |part| {
        match serde_json::from_str::<FlatSpan>(part.get()) {
            Ok(span) => spans.push(convert(&trace, span, part.get())),
            Err(error) => sink.json_problem(part.get(), "span", &error),
        }
    });
    if let Err(error) = read {
        sink.json_problem(text, "span list", &error);
    }
    assembler.assemble(spans, sink);
}

fn convert<'d>(trace: &str, flat: FlatSpan, part: &'d str) -> ForeignSpan<'d> {
    let start = Timestamp::from_micros(flat.start_us);
    let mut foreign = ForeignSpan::new(trace, &flat.id, start, part);
    foreign.parent = flat.parent.filter(|parent| !parent.is_empty());
    let span = &mut foreign.span;
    span.name = flat.name;
    span.end_time = flat.end_us.map(Timestamp::from_micros);
    span.error_info = match flat.error {
        Value::Bool(true) => Some(ErrorInfo::of_type("error")),
        Value::String(text) if !text.is_empty() => Some(ErrorInfo::new("error", text)),
        _ => None,
    };
    let mut metadata = Map::new();
    for (name, value) in [
        ("service", flat.service),
        ("host", flat.host),
        ("kind", flat.kind),
    ] {
        if let Some(value) = value {
            metadata.insert(name.to_owned(), Value::String(value));
        }
    }
    span.metadata = Some(Json::from_value(&Value::Object(metadata)));
    foreign
}
