//! Files that clients took out of contents, in lists and searches.

use opik_core::{SpanId, TraceId};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::running::TestServer;

const NAME: &str = "input-attachment-1-1795170315351-sdk.txt";
const AT: &str = "2026-11-20T10:00:00Z";

async fn upload(server: &TestServer, kind: &str, id: &str) {
    let path = format!(
        "/attachment/upload?file_name={NAME}&mime_type=text/plain&entity_type={kind}&entity_id={id}&project_name=p"
    );
    let sent = server.request(Method::PUT, &path).body("hello").send();
    assert!(sent.await.unwrap().status().is_success());
}

/// The input of the only record of a list.
async fn listed(server: &TestServer, path: &str, options: &str) -> Value {
    let (status, page) = server.get(&format!("{path}?project_name=p{options}")).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    assert_eq!(page["total"], 1, "{page}");
    page["content"][0]["input"].clone()
}

/// The input of the only record of a search.
async fn found(server: &TestServer, path: &str, options: Value) -> Value {
    let mut body = json!({"project_name": "p"});
    for (name, value) in options.as_object().unwrap() {
        body[name] = value.clone();
    }
    let records = server.stream(&format!("{path}/search"), &body).await;
    assert_eq!(records.len(), 1);
    records[0]["input"].clone()
}

#[tokio::test]
async fn lists_and_searches_put_files_back_unless_they_are_told_not_to() {
    let server = TestServer::start().await;
    let (trace, span) = (TraceId::generate(), SpanId::generate());
    upload(&server, "trace", &trace.to_string()).await;
    upload(&server, "span", &span.to_string()).await;
    let reference = json!({"a": format!("[{NAME}]"), "b": "as it is"});
    let whole = json!({"a": "data:text/plain;base64,aGVsbG8=", "b": "as it is"});
    for (path, row) in [
        (
            "traces",
            json!({"id": trace, "project_name": "p", "start_time": AT, "input": reference}),
        ),
        (
            "spans",
            json!({"id": span, "trace_id": trace, "project_name": "p", "start_time": AT, "input": reference}),
        ),
    ] {
        let (status, body) = server
            .post(&format!("/{path}/batch"), &json!({path: [row]}))
            .await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{body}");
    }
    for path in ["/traces", "/spans"] {
        for (options, wanted) in [
            ("", &whole),
            ("&truncate=false&strip_attachments=false", &whole),
            ("&strip_attachments=true", &reference),
            ("&truncate=true", &reference),
        ] {
            assert_eq!(
                &listed(&server, path, options).await,
                wanted,
                "{path} {options}"
            );
        }
        for (options, wanted) in [
            (json!({}), &whole),
            (
                json!({"truncate": false, "strip_attachments": null}),
                &whole,
            ),
            (
                json!({"truncate": false, "strip_attachments": true}),
                &reference,
            ),
            (json!({"truncate": true}), &reference),
        ] {
            let said = options.to_string();
            assert_eq!(
                &found(&server, path, options).await,
                wanted,
                "{path} {said}"
            );
        }
        let without = found(&server, path, json!({"exclude": ["input"]})).await;
        assert_eq!(without, Value::Null, "{path}");
    }
}
