//! OpenTelemetry over HTTP, as JSON and as protobuf.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::running::{TestServer, answer};

const TRACE: &str = "5b8efff798038103d269b633813fc60c";

#[expect(clippy::needless_pass_by_value, reason = "reads better at the call")]
fn attribute(key: &str, value: Value) -> Value {
    json!({"key": key, "value": value})
}

#[expect(clippy::needless_pass_by_value, reason = "reads better at the call")]
fn request(spans: Value) -> Value {
    json!({"resourceSpans": [{
        "resource": {"attributes": [attribute("service.name", json!({"stringValue": "shop"}))]},
        "scopeSpans": [{"scope": {"name": "lib"}, "spans": spans}],
    }]})
}

fn child() -> Value {
    json!({
        "traceId": TRACE, "spanId": "eee19b7ec3c1b174", "parentSpanId": "eee19b7ec3c1b173", "name": "chat gpt-4o-mini",
        "kind": 3, "startTimeUnixNano": "1795170315000000000", "endTimeUnixNano": "1795170316000000000",
        "attributes": [
            attribute("gen_ai.operation.name", json!({"stringValue": "chat"})),
            attribute("gen_ai.request.model", json!({"stringValue": "gpt-4o-mini"})),
            attribute("gen_ai.system", json!({"stringValue": "openai"})),
            attribute("gen_ai.usage.input_tokens", json!({"intValue": "1000"})),
            attribute("gen_ai.usage.output_tokens", json!({"intValue": "100"})),
        ],
        "status": {"code": 2, "message": "too late"},
    })
}

fn root() -> Value {
    json!({
        "traceId": TRACE, "spanId": "eee19b7ec3c1b173", "name": "checkout", "kind": 2,
        "startTimeUnixNano": "1795170314000000000", "endTimeUnixNano": "1795170317000000000", "attributes": [],
    })
}

async fn traces(server: &TestServer) -> Vec<Value> {
    server
        .stream("/traces/search", &json!({"project_name": "otel"}))
        .await
}

#[tokio::test]
async fn spans_of_one_trace_meet_although_they_come_in_several_requests() {
    let server = TestServer::start().await;
    // The root ends last, so it comes last.
    for span in [child(), root()] {
        let sent = server
            .request(Method::POST, "/otel/v1/traces")
            .header("projectName", "otel")
            .json(&request(json!([span])));
        assert_eq!(answer(sent).await, (StatusCode::OK, json!({})));
    }
    let found = traces(&server).await;
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0]["span_count"], 2);
    assert_eq!(found[0]["name"], "checkout");
    assert_eq!(found[0]["duration"], json!(3000.0));
    let spans = server
        .stream(
            "/spans/search",
            &json!({"project_name": "otel", "type": "llm"}),
        )
        .await;
    assert_eq!(spans.len(), 1);
    assert_eq!(
        (&spans[0]["model"], &spans[0]["usage"]["prompt_tokens"]),
        (&json!("gpt-4o-mini"), &json!(1000))
    );
    assert_eq!(spans[0]["total_estimated_cost"], json!(0.00021));
    assert!(spans[0]["error_info"].is_object(), "{}", spans[0]);
}

#[tokio::test]
async fn a_span_that_cannot_be_used_costs_only_itself() {
    let server = TestServer::start().await;
    let mut broken = child();
    broken["traceId"] = json!("");
    let sent = server
        .request(Method::POST, "/otel/v1/traces")
        .header("projectName", "otel")
        .json(&request(json!([root(), broken])));
    let (status, body) = answer(sent).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["partialSuccess"]["rejectedSpans"], "1");
    assert_eq!(traces(&server).await.len(), 1);
    let garbage = server
        .request(Method::POST, "/otel/v1/traces")
        .header("content-type", "application/x-protobuf")
        .body("no protobuf");
    assert_eq!(answer(garbage).await.0, StatusCode::BAD_REQUEST);
}

/// A field of a message: its number, and its bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut size = bytes.len();
    while size >= 0x80 {
        out.push(u8::try_from(size & 0x7f).unwrap() | 0x80);
        size >>= 7;
    }
    out.push(u8::try_from(size).unwrap());
    out.extend_from_slice(bytes);
    out
}

fn fixed(number: u8, value: u64) -> Vec<u8> {
    let mut out = vec![number << 3 | 1];
    out.extend_from_slice(&value.to_le_bytes());
    out
}

#[tokio::test]
async fn protobuf_says_the_same_as_json() {
    let server = TestServer::start().await;
    let text = |key: &str, value: &str| {
        let value = field(1, value.as_bytes());
        field(9, &[field(1, key.as_bytes()), field(2, &value)].concat())
    };
    let number = {
        // 1000 as a varint.
        let value = field(2, &[3 << 3, 0xe8, 0x07]);
        field(9, &[field(1, b"gen_ai.usage.input_tokens"), value].concat())
    };
    let span = [
        field(1, &[0x5b; 16]),
        field(2, &[0xee; 8]),
        field(5, b"chat"),
        vec![6 << 3, 3],
        fixed(7, 1_795_170_315_000_000_000),
        fixed(8, 1_795_170_316_000_000_000),
        text("gen_ai.operation.name", "chat"),
        text("gen_ai.request.model", "gpt-4o-mini"),
        number,
    ]
    .concat();
    let body = field(1, &field(2, &field(2, &span)));
    let sent = server
        .request(Method::POST, "/otel/v1/traces")
        .header("projectName", "otel")
        .header("content-type", "application/x-protobuf")
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(sent.status(), StatusCode::OK);
    assert_eq!(sent.headers()["content-type"], "application/x-protobuf");
    assert!(sent.bytes().await.unwrap().is_empty());
    let spans = server
        .stream("/spans/search", &json!({"project_name": "otel"}))
        .await;
    assert_eq!(spans.len(), 1);
    assert_eq!(
        (&spans[0]["name"], &spans[0]["type"]),
        (&json!("chat"), &json!("llm"))
    );
    assert_eq!(spans[0]["usage"]["prompt_tokens"], 1000);
    assert_eq!(spans[0]["duration"], json!(1000.0));
}

#[tokio::test]
async fn a_span_that_names_a_trace_and_a_span_of_opik_goes_below_them() {
    let server = TestServer::start().await;
    let (trace, parent) = (
        "019ae100-0000-7000-8000-000000000001",
        "019ae100-0000-7000-8000-000000000002",
    );
    let mut there = root();
    there["attributes"] = json!([
        attribute("opik.trace_id", json!({"stringValue": trace})),
        attribute("opik.parent_span_id", json!({"stringValue": parent})),
    ]);
    let sent = server
        .request(Method::POST, "/otel/v1/traces")
        .header("projectName", "otel")
        .json(&request(json!([there, child()])));
    assert_eq!(answer(sent).await, (StatusCode::OK, json!({})));
    assert_eq!(
        traces(&server).await,
        [] as [Value; 0],
        "no trace of its own"
    );
    let body = json!({"project_name": "otel", "trace_id": trace});
    let spans = server.stream("/spans/search", &body).await;
    let named = |name: &str| spans.iter().find(|span| span["name"] == name).unwrap();
    assert_eq!(spans.len(), 2);
    assert_eq!(named("checkout")["parent_span_id"], parent);
    assert_eq!(
        named("chat gpt-4o-mini")["parent_span_id"],
        named("checkout")["id"]
    );
}

#[tokio::test]
async fn attributes_that_are_named_as_opik_names_them_are_fields() {
    let server = TestServer::start().await;
    let mut span = root();
    span["attributes"] = json!([
        attribute("input", json!({"stringValue": "what is asked"})),
        attribute("output", json!({"stringValue": "{\"answer\": 42}"})),
        attribute("thread_id", json!({"stringValue": "a thread"})),
        attribute("opik.tags", json!({"stringValue": "fast, cheap"})),
        attribute("elsewhere", json!({"stringValue": "kept"})),
    ]);
    let sent = server
        .request(Method::POST, "/otel/v1/traces")
        .header("projectName", "otel")
        .json(&request(json!([span])));
    assert_eq!(answer(sent).await, (StatusCode::OK, json!({})));
    let found = traces(&server).await;
    assert_eq!(found[0]["thread_id"], "a thread");
    let spans = server
        .stream("/spans/search", &json!({"project_name": "otel"}))
        .await;
    assert_eq!(spans[0]["output"], json!({"answer": 42}));
    assert_eq!(
        (&spans[0]["tags"], &spans[0]["metadata"]["elsewhere"]),
        (&json!(["fast", "cheap"]), &json!("kept"))
    );
    let input = spans[0]["input"].to_string();
    assert!(input.contains("what is asked"), "{input}");
}
