//! Rows and patches of one record, in every order of arrival.

use opik_core::{SpanId, TraceId};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::running::TestServer;

const EARLY: &str = "2026-11-20T10:00:00.000001Z";
const LATE: &str = "2099-01-01T00:00:00Z";

fn row(id: TraceId, updated: &str, rest: &Value) -> Value {
    let mut row = json!({
        "id": id, "name": "t", "start_time": "2026-11-20T10:00:00Z", "last_updated_at": updated,
    });
    for (name, value) in rest.as_object().unwrap() {
        row[name] = value.clone();
    }
    row
}

async fn put(server: &TestServer, row: Value) {
    let (status, body) = server
        .post("/traces/batch", &json!({"traces": [row]}))
        .await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{body}");
}

async fn patch(server: &TestServer, id: TraceId, change: Value) {
    let (status, body) = server
        .send(Method::PATCH, &format!("/traces/{id}"), &change)
        .await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{body}");
}

async fn trace(server: &TestServer, id: TraceId) -> Value {
    let (status, body) = server.get(&format!("/traces/{id}")).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body
}

#[tokio::test]
async fn the_row_with_the_highest_version_stays_whatever_comes_last() {
    let server = TestServer::start().await;
    let id = TraceId::generate();
    put(
        &server,
        row(
            id,
            "2026-11-20T10:00:00.000002Z",
            &json!({"output": {"a": 1}}),
        ),
    )
    .await;
    put(&server, row(id, EARLY, &json!({"input": {"q": 1}}))).await;
    let it = trace(&server, id).await;
    assert_eq!((&it["output"], it.get("input")), (&json!({"a": 1}), None));
}

#[tokio::test]
async fn a_patch_before_its_row_loses_nothing() {
    let server = TestServer::start().await;
    let id = TraceId::generate();
    patch(
        &server,
        id,
        json!({"output": {"a": 1}, "tags_to_add": ["b"], "end_time": "2026-11-20T10:00:01Z"}),
    )
    .await;
    let partial = trace(&server, id).await;
    assert_eq!(partial["start_time"], "1970-01-01T00:00:00.000000Z");
    assert_eq!(
        (&partial["output"], &partial["tags"]),
        (&json!({"a": 1}), &json!(["b"]))
    );
    assert_eq!(partial.get("duration"), None);
    // Its row is older than the patch, and brings the rest.
    put(
        &server,
        row(
            id,
            EARLY,
            &json!({"input": {"q": 1}, "output": {"a": 0}, "tags": ["a"]}),
        ),
    )
    .await;
    let whole = trace(&server, id).await;
    assert_eq!(whole["name"], "t");
    assert_eq!(whole["input"], json!({"q": 1}));
    assert_eq!(whole["output"], json!({"a": 1}));
    assert_eq!(whole["tags"], json!(["a", "b"]));
    assert_eq!(whole["duration"], json!(1000.0));
}

#[tokio::test]
async fn a_newer_row_wins_over_an_older_patch_where_it_says_something() {
    let server = TestServer::start().await;
    let id = TraceId::generate();
    put(&server, row(id, EARLY, &json!({"input": {"q": 1}}))).await;
    patch(
        &server,
        id,
        json!({"output": {"a": "patched"}, "metadata": {"m": 1}}),
    )
    .await;
    put(
        &server,
        row(
            id,
            LATE,
            &json!({"input": {"q": 1}, "output": {"a": "end"}}),
        ),
    )
    .await;
    let it = trace(&server, id).await;
    assert_eq!(it["output"], json!({"a": "end"}));
    assert_eq!(it["metadata"], json!({"m": 1}));
    // A late start row changes nothing.
    put(&server, row(id, EARLY, &json!({"input": {"q": 2}}))).await;
    assert_eq!(trace(&server, id).await["input"], json!({"q": 1}));
    // A patch after a row of the future still applies.
    patch(&server, id, json!({"output": {"a": "last"}})).await;
    assert_eq!(trace(&server, id).await["output"], json!({"a": "last"}));
}

#[tokio::test]
async fn creating_twice_is_an_error_for_traces_and_none_for_spans() {
    let server = TestServer::start().await;
    let id = TraceId::generate();
    let single = row(id, EARLY, &json!({"project_name": "p"}));
    assert_eq!(server.post("/traces", &single).await.0, StatusCode::CREATED);
    assert_eq!(
        server.post("/traces", &single).await,
        (
            StatusCode::CONFLICT,
            json!({"errors": ["Trace already exists"]})
        )
    );
    let (status, body) = server.post("/traces", &row(id, EARLY, &json!({}))).await;
    assert_eq!(status, StatusCode::CONFLICT);
    assert!(
        body["errors"][0]
            .as_str()
            .unwrap()
            .starts_with("Project name"),
        "{body}"
    );

    let span =
        json!({"id": SpanId::generate(), "trace_id": id, "start_time": EARLY, "name": "first"});
    let mut again = span.clone();
    again["name"] = json!("second");
    for body in [&span, &again] {
        assert_eq!(server.post("/spans", body).await.0, StatusCode::CREATED);
    }
    let (_, found) = server
        .get(&format!("/spans/{}", span["id"].as_str().unwrap()))
        .await;
    assert_eq!(
        (&found["name"], &found["project_name"]),
        (&json!("first"), &json!("Default Project"))
    );
}

#[tokio::test]
async fn a_single_creation_completes_what_a_patch_began() {
    let server = TestServer::start().await;
    let id = TraceId::generate();
    patch(&server, id, json!({"name": "patched"})).await;
    let single = row(id, EARLY, &json!({"input": {"q": 1}}));
    assert_eq!(server.post("/traces", &single).await.0, StatusCode::CREATED);
    let it = trace(&server, id).await;
    assert_eq!(
        (&it["name"], &it["input"]),
        (&json!("patched"), &json!({"q": 1}))
    );
    assert_eq!(
        server.post("/traces", &single).await.0,
        StatusCode::CONFLICT
    );
}

#[tokio::test]
async fn a_patch_has_to_know_where_its_record_is() {
    let server = TestServer::start().await;
    let (trace, span, parent) = (TraceId::generate(), SpanId::generate(), SpanId::generate());
    let whole = json!({"spans": [{
        "id": span, "trace_id": trace, "parent_span_id": parent, "start_time": EARLY,
        "project_name": "p", "last_updated_at": EARLY, "usage": {"total_tokens": 3},
    }]});
    assert_eq!(
        server.post("/spans/batch", &whole).await.0,
        StatusCode::NO_CONTENT
    );
    let change = async |body: Value| {
        let (status, body) = server
            .send(Method::PATCH, &format!("/spans/{span}"), &body)
            .await;
        (
            status.as_u16(),
            body["errors"][0].as_str().unwrap_or_default().to_owned(),
        )
    };
    assert_eq!(
        change(json!({"name": "x"})).await,
        (422, "traceId must not be null".to_owned())
    );
    assert_eq!(change(json!({"trace_id": trace})).await.0, 409);
    let other_trace = json!({"trace_id": TraceId::generate(), "project_name": "p"});
    assert_eq!(
        change(other_trace).await,
        (409, "trace_id does not match the existing span".to_owned())
    );
    let no_parent = json!({"trace_id": trace, "project_name": "p"});
    assert_eq!(
        change(no_parent).await,
        (
            409,
            "parent_span_id does not match the existing span".to_owned()
        )
    );
    let right = json!({"trace_id": trace, "parent_span_id": parent, "project_name": "P", "output": {"a": 1}, "type": "llm"});
    assert_eq!(change(right).await.0, 204);
    let (_, found) = server.get(&format!("/spans/{span}")).await;
    assert_eq!(found["output"], json!({"a": 1}));
    assert_eq!(
        (&found["type"], &found["usage"]["total_tokens"]),
        (&json!("llm"), &json!(3))
    );

    // A patch of a span that never comes is a span.
    let lone = SpanId::generate();
    let (status, _) = server
        .send(
            Method::PATCH,
            &format!("/spans/{lone}"),
            &json!({"trace_id": trace, "name": "lone"}),
        )
        .await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(
        server.get(&format!("/spans/{lone}")).await.1["name"],
        "lone"
    );
}

#[tokio::test]
async fn batches_are_refused_whole_for_one_bad_record() {
    let server = TestServer::start().await;
    let good = row(TraceId::generate(), EARLY, &json!({}));
    let mut bad = good.clone();
    bad["id"] = json!("200d9ab6-c4b4-4b7a-abf4-5315e487d84d");
    let (status, body) = server
        .post("/traces/batch", &json!({"traces": [good.clone(), bad]}))
        .await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(
        body,
        json!({"errors": ["Trace id must be a version 7 UUID"]})
    );
    let id = good["id"].as_str().unwrap();
    assert_eq!(
        server.get(&format!("/traces/{id}")).await.0,
        StatusCode::NOT_FOUND
    );
    let none = server.post("/traces/batch", &json!({"traces": []})).await;
    assert_eq!(
        none.1,
        json!({"errors": ["traces size must be between 1 and 1000"]})
    );
    let blank = row(TraceId::generate(), EARLY, &json!({"project_name": " "}));
    let (status, _) = server
        .post("/traces/batch", &json!({"traces": [blank]}))
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}
