//! OpenTelemetry in, stored traces and spans out: one snapshot for each of the conventions, and the
//! same from protobuf.

use std::path::Path;

use reqwest::Method;
use serde_json::{Map, Value, json};

use crate::running::TestServer;

/// Fields that differ from run to run, or come from the machine.
const RUNS: [&str; 6] = [
    "project_id",
    "created_at",
    "created_by",
    "last_updated_at",
    "last_updated_by",
    "total_estimated_cost_version",
];

/// The bytes of messages of protobuf, as far as these requests need them.
mod protobuf {
    use serde_json::Value;

    fn varint(out: &mut Vec<u8>, mut number: u64) {
        while number >= 0x80 {
            out.push(u8::try_from(number & 0x7f).unwrap() | 0x80);
            number >>= 7;
        }
        out.push(u8::try_from(number).unwrap());
    }

    fn bytes(out: &mut Vec<u8>, field: u8, content: &[u8]) {
        out.push(field << 3 | 2);
        varint(out, u64::try_from(content.len()).unwrap());
        out.extend_from_slice(content);
    }

    fn number(out: &mut Vec<u8>, field: u8, value: u64) {
        out.push(field << 3);
        varint(out, value);
    }

    fn fixed(out: &mut Vec<u8>, field: u8, value: u64) {
        out.push(field << 3 | 1);
        out.extend_from_slice(&value.to_le_bytes());
    }

    fn hex(text: &Value) -> Vec<u8> {
        let digits = text.as_str().unwrap_or_default().as_bytes();
        let pairs = digits.chunks(2);
        pairs
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    fn list(value: &Value) -> impl Iterator<Item = &Value> {
        value.as_array().into_iter().flatten()
    }

    fn nanos(value: &Value) -> u64 {
        value.as_str().unwrap().parse().unwrap()
    }

    fn any(value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
        match kind.as_str() {
            "stringValue" => bytes(&mut out, 1, value.as_str().unwrap().as_bytes()),
            "boolValue" => number(&mut out, 2, u64::from(value.as_bool().unwrap())),
            "intValue" => {
                let whole: i64 = value.as_str().unwrap().parse().unwrap();
                number(&mut out, 3, whole.cast_unsigned());
            }
            "doubleValue" => fixed(&mut out, 4, value.as_f64().unwrap().to_bits()),
            "arrayValue" => {
                let mut values = Vec::new();
                for value in list(&value["values"]) {
                    bytes(&mut values, 1, &any(value));
                }
                bytes(&mut out, 5, &values);
            }
            other => assert_eq!(other, "a kind that this encoder knows"),
        }
        out
    }

    fn attributes(out: &mut Vec<u8>, field: u8, attributes: &Value) {
        for attribute in list(attributes) {
            let mut pair = Vec::new();
            bytes(&mut pair, 1, attribute["key"].as_str().unwrap().as_bytes());
            bytes(&mut pair, 2, &any(&attribute["value"]));
            bytes(out, field, &pair);
        }
    }

    fn span(span: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        bytes(&mut out, 1, &hex(&span["traceId"]));
        bytes(&mut out, 2, &hex(&span["spanId"]));
        if span["parentSpanId"].is_string() {
            bytes(&mut out, 4, &hex(&span["parentSpanId"]));
        }
        bytes(&mut out, 5, span["name"].as_str().unwrap().as_bytes());
        number(&mut out, 6, span["kind"].as_u64().unwrap());
        fixed(&mut out, 7, nanos(&span["startTimeUnixNano"]));
        fixed(&mut out, 8, nanos(&span["endTimeUnixNano"]));
        attributes(&mut out, 9, &span["attributes"]);
        for event in list(&span["events"]) {
            let mut happened = Vec::new();
            fixed(&mut happened, 1, nanos(&event["timeUnixNano"]));
            bytes(&mut happened, 2, event["name"].as_str().unwrap().as_bytes());
            attributes(&mut happened, 3, &event["attributes"]);
            bytes(&mut out, 11, &happened);
        }
        if let Some(code) = span["status"]["code"].as_u64() {
            let mut status = Vec::new();
            let message = span["status"]["message"].as_str().unwrap_or_default();
            bytes(&mut status, 2, message.as_bytes());
            number(&mut status, 3, code);
            bytes(&mut out, 15, &status);
        }
        out
    }

    /// An `ExportTraceServiceRequest`.
    pub(super) fn request(document: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        for group in list(&document["resourceSpans"]) {
            let mut resource = Vec::new();
            attributes(&mut resource, 1, &group["resource"]["attributes"]);
            let mut of_resource = Vec::new();
            bytes(&mut of_resource, 1, &resource);
            for scoped in list(&group["scopeSpans"]) {
                let mut scope = Vec::new();
                bytes(
                    &mut scope,
                    1,
                    scoped["scope"]["name"].as_str().unwrap().as_bytes(),
                );
                bytes(
                    &mut scope,
                    2,
                    scoped["scope"]["version"].as_str().unwrap().as_bytes(),
                );
                let mut of_scope = Vec::new();
                bytes(&mut of_scope, 1, &scope);
                for it in list(&scoped["spans"]) {
                    bytes(&mut of_scope, 2, &span(it));
                }
                bytes(&mut of_resource, 2, &of_scope);
            }
            bytes(&mut out, 1, &of_resource);
        }
        out
    }
}

/// Rows without what differs from run to run, with short names instead of identifiers.
fn settled(rows: Vec<Value>, names: &Map<String, Value>) -> Vec<Value> {
    let mut rows = rows;
    for row in &mut rows {
        let fields = row.as_object_mut().unwrap();
        for field in RUNS {
            fields.remove(field);
        }
        for field in ["id", "trace_id", "parent_span_id"] {
            if let Some(id) = fields.get_mut(field) {
                let name = names.get(id.as_str().unwrap()).cloned();
                *id = name.unwrap_or_else(|| json!("unknown"));
            }
        }
    }
    rows
}

/// What is stored after a request.
async fn stored(name: &str, as_protobuf: bool) -> Value {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/otlp/{name}.json"));
    let document: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let server = TestServer::start().await;
    let sent = server
        .request(Method::POST, "/otel/v1/traces")
        .header("projectName", "golden");
    let sent = if as_protobuf {
        let body = protobuf::request(&document);
        sent.header("content-type", "application/x-protobuf")
            .body(body)
    } else {
        sent.json(&document)
    };
    let answer = sent.send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.status());
    let every = json!({"project_name": "golden"});
    let traces = server.stream("/traces/search", &every).await;
    let mut spans = server.stream("/spans/search", &every).await;
    spans.sort_by_key(|span| span["start_time"].to_string());
    let mut names = Map::new();
    for (kind, rows) in [("trace", &traces), ("span", &spans)] {
        for row in rows {
            let name = format!("{kind} {}", row["name"].as_str().unwrap());
            names.insert(row["id"].as_str().unwrap().to_owned(), json!(name));
        }
    }
    json!({"traces": settled(traces, &names), "spans": settled(spans, &names)})
}

async fn is_golden(name: &str) {
    let found = stored(name, false).await;
    assert_eq!(
        stored(name, true).await,
        found,
        "protobuf differs from JSON"
    );
    insta::assert_json_snapshot!(name, found);
}

#[tokio::test]
async fn conventions_of_opentelemetry_for_generative_ai() {
    is_golden("genai").await;
}

#[tokio::test]
async fn conventions_of_openinference() {
    is_golden("openinference").await;
}

#[tokio::test]
async fn conventions_of_openllmetry() {
    is_golden("openllmetry").await;
}

#[tokio::test]
async fn names_of_opik_and_spans_without_anything() {
    is_golden("opik").await;
}
