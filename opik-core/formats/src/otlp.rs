//! OTLP traces as JSON: one request per document.
//!
//! Wider than the specification: `null` lists, unknown members, names of enums, numbers as texts
//! and texts as numbers, `snake_case` for the outermost lists. A span that cannot be used costs
//! only itself.

use opik_core::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::attributes::{Facts, Happening, Status, text, whole};
use crate::document::Head;
use crate::elements;
use crate::foreign::{Assembler, ForeignSpan};
use crate::sink::Sink;

#[derive(Deserialize)]
struct ResourceSpans<'d> {
    #[serde(default)]
    resource: Value,
    #[serde(
        borrow,
        default,
        rename = "scopeSpans",
        alias = "scope_spans",
        alias = "instrumentationLibrarySpans"
    )]
    scope_spans: Option<&'d RawValue>,
}

#[derive(Deserialize)]
struct ScopeSpans<'d> {
    #[serde(default)]
    scope: Value,
    #[serde(borrow, default)]
    spans: Option<&'d RawValue>,
}

pub(crate) fn read(head: &Head<'_>, assembler: &mut Assembler, sink: &mut Sink<'_>) {
    let Some(list) = head.resource_spans else {
        return sink.problem("", "an OTLP document has a member `resourceSpans`");
    };
    let mut spans = Vec::new();
    list_of(list, "resourceSpans", sink, |part, sink| {
        let group: ResourceSpans<'_> = match serde_json::from_str(part.get()) {
            Ok(group) => group,
            Err(error) => return sink.json_problem(part.get(), "resourceSpans", &error),
        };
        let resource = Resource::new(&group.resource);
        let Some(scopes) = group.scope_spans else {
            return;
        };
        list_of(scopes, "scopeSpans", sink, |part, sink| {
            let scope: ScopeSpans<'_> = match serde_json::from_str(part.get()) {
                Ok(scope) => scope,
                Err(error) => return sink.json_problem(part.get(), "scopeSpans", &error),
            };
            let name = scope.scope.get("name").filter(|it| text(it).is_some());
            let Some(list) = scope.spans else { return };
            list_of(list, "spans", sink, |part, sink| {
                let read = serde_json::from_str::<Value>(part.get());
                match read.map(|it| convert(&it, &resource, name, part.get())) {
                    Ok(Ok(span)) => spans.push(span),
                    Ok(Err(reason)) => sink.problem(part.get(), format!("span: {reason}")),
                    Err(error) => sink.json_problem(part.get(), "span", &error),
                }
            });
        });
    });
    assembler.assemble(spans, sink);
}

fn list_of<'d, 's>(
    list: &'d RawValue,
    what: &str,
    sink: &mut Sink<'s>,
    mut each: impl FnMut(&'d RawValue, &mut Sink<'s>),
) {
    let read = elements::for_each(list.get(), |part| each(part, sink));
    if let Err(error) = read {
        sink.json_problem(list.get(), what, &error);
    }
}

/// What a resource says, in the words of the metadata.
struct Resource {
    service: Option<Value>,
    host: Option<Value>,
    environment: Option<(String, Value)>,
    attributes: Map<String, Value>,
}

impl Resource {
    fn new(resource: &Value) -> Self {
        let attributes = key_values(resource.get("attributes"));
        let first = |names: &[&str]| names.iter().find_map(|name| attributes.get(*name)).cloned();
        let environment = ["deployment.environment.name", "deployment.environment"]
            .iter()
            .find_map(|name| Some(((*name).to_owned(), attributes.get(*name)?.clone())));
        Self {
            service: first(&["service.name"]),
            host: first(&[
                "host.name",
                "k8s.pod.name",
                "container.id",
                "service.instance.id",
            ]),
            environment,
            attributes,
        }
    }
}

fn convert<'d>(
    span: &Value,
    resource: &Resource,
    scope: Option<&Value>,
    part: &'d str,
) -> Result<ForeignSpan<'d>, &'static str> {
    let id = |name: &str| span.get(name).and_then(text).and_then(|it| identifier(&it));
    let trace = id("traceId").ok_or("it has no traceId")?;
    let own = id("spanId").ok_or("it has no spanId")?;
    let start = moment(span.get("startTimeUnixNano")).ok_or("it has no startTimeUnixNano")?;
    let mut foreign = ForeignSpan::new(&trace, &own, start, part);
    foreign.parent = id("parentSpanId");
    foreign.span.name = span.get("name").and_then(text);
    // Zero means that it was not set.
    foreign.span.end_time = moment(span.get("endTimeUnixNano")).filter(|it| it.as_micros() != 0);
    foreign.resource.clone_from(&resource.attributes);
    let mut attributes = key_values(span.get("attributes"));
    if let Some((name, value)) = &resource.environment {
        attributes
            .entry(name.as_str())
            .or_insert_with(|| value.clone());
    }
    let list = |name: &str| {
        span.get(name)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    Facts {
        attributes,
        events: list("events").map(happening).collect(),
        status: status(span.get("status")),
        service: resource.service.clone(),
        host: resource.host.clone(),
        kind: span.get("kind").and_then(kind),
        scope: scope.cloned(),
        links: list("links").cloned().collect(),
    }
    .apply(&mut foreign);
    Ok(foreign)
}

/// Hex in lower case; none when empty or all zeros, which mean "not set".
pub(crate) fn identifier(text: &str) -> Option<String> {
    if text.bytes().all(|byte| byte == b'0') {
        return None;
    }
    let hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some(if hex {
        text.to_ascii_lowercase()
    } else {
        text.to_owned()
    })
}

pub(crate) fn moment(nanos: Option<&Value>) -> Option<Timestamp> {
    let nanos = match nanos? {
        Value::String(text) => text.parse::<u64>().ok()?,
        // Some writers go through a double.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to be in range; the fraction of a nanosecond is nothing"
        )]
        Value::Number(number) => number.as_u64().or_else(|| {
            number
                .as_f64()
                .filter(|it| (0.0..1.8e19).contains(it))
                .map(|it| it as u64)
        })?,
        _ => return None,
    };
    let micros = i64::try_from(nanos / 1_000).ok()?;
    Some(Timestamp::from_micros(micros))
}

fn kind(value: &Value) -> Option<String> {
    let number = whole(value).and_then(|it| usize::try_from(it).ok());
    if let Some(number) = number {
        let names = ["", "internal", "server", "client", "producer", "consumer"];
        let name = names.get(number).copied().unwrap_or_default();
        return (!name.is_empty()).then(|| name.to_owned());
    }
    let name = value
        .as_str()?
        .strip_prefix("SPAN_KIND_")?
        .to_ascii_lowercase();
    (name != "unspecified").then_some(name)
}

fn status(value: Option<&Value>) -> Status {
    let member = |name: &str| value.and_then(|it| it.get(name));
    let Some(code) = member("code").and_then(text) else {
        return Status::Unset;
    };
    match code.as_str() {
        "1" | "STATUS_CODE_OK" => Status::Ok,
        "2" | "STATUS_CODE_ERROR" => Status::Error(member("message").and_then(text)),
        _ => Status::Unset,
    }
}

fn happening(event: &Value) -> Happening {
    let time = moment(event.get("timeUnixNano"));
    Happening {
        name: event.get("name").and_then(text).unwrap_or_default(),
        time: time.map_or(Value::Null, |time| Value::from(time.to_string())),
        attributes: key_values(event.get("attributes")),
    }
}

fn key_values(list: Option<&Value>) -> Map<String, Value> {
    let pairs = list.and_then(Value::as_array).into_iter().flatten();
    pairs
        .filter_map(|pair| {
            let name = pair.get("key").and_then(Value::as_str)?;
            Some((name.to_owned(), any_value(pair.get("value")?)))
        })
        .collect()
}

/// An `AnyValue` as plain JSON. Recursion ends where the parser's limit on nesting does.
fn any_value(value: &Value) -> Value {
    let Some(members) = value.as_object() else {
        return value.clone();
    };
    let Some((name, inner)) = members.iter().next() else {
        return Value::Null;
    };
    match name.as_str() {
        "intValue" => whole(inner).map_or_else(|| inner.clone(), Value::from),
        "arrayValue" => {
            let values = inner.get("values").and_then(Value::as_array);
            Value::Array(values.into_iter().flatten().map(any_value).collect())
        }
        "kvlistValue" => Value::Object(key_values(inner.get("values"))),
        // Texts, flags, doubles (also "NaN" as a text) and bytes in base64.
        _ => inner.clone(),
    }
}
