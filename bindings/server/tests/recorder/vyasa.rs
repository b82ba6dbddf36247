//! Vyasa unmodified: the requests that its code makes, as its HTTP library sends them, and what
//! becomes of them.

use opik_core::Secret;
use opik_server::ServerConfig;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::running::{TestServer, answer};

async fn server() -> TestServer {
    TestServer::with(ServerConfig::default().vyasa(true)).await
}

/// A request as Vyasa makes it: `requests`, with an empty `Authorization` where it has no key.
fn post(server: &TestServer, path: &str, body: &str) -> RequestBuilder {
    server
        .client
        .post(server.url(path))
        .header("user-agent", "python-requests/2.34.2")
        .header("content-type", "application/json")
        .header("authorization", "")
        .body(body.to_owned())
}

/// An event as Vyasa's emitter writes it.
fn event(kind: &str, second: u32, more: &str) -> String {
    format!(
        r#"{{"project": "vyasa", "run_type": "{kind}", "metadata": {{"job_id": "job-7", "project_id": "p1", "timestamp": "2026-03-01T10:00:{second:02}.250000+00:00"{more}}}}}"#
    )
}

async fn sent(server: &TestServer, body: &str) -> Value {
    let (status, body) = answer(post(server, "/api/traces", body)).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    body
}

#[tokio::test]
async fn a_job_becomes_one_trace_with_its_nodes_calls_and_validations() {
    let server = server().await;
    let start = r#", "node_name": "cartographer", "rigor_level": "conservative""#;
    let first = sent(&server, &event("node_start", 0, start)).await;
    // Vyasa tells of a node from two places.
    assert_eq!(sent(&server, &event("node_start", 0, start)).await, first);
    let call = r#", "node_name": "cartographer", "expert_name": "Worker", "model_id": "gpt-4o-mini", "duration_ms": 2000, "prompt_hash": "133bae97", "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}"#;
    sent(&server, &event("llm_call", 3, call)).await;
    let end = r#", "node_name": "cartographer", "counts": {"claims_count": 2}, "prompt_metadata": {}, "duration_ms": 5000.5, "success": true, "extracted_json": {"triples": [{"s": "a"}, {"s": "b"}]}"#;
    assert_eq!(
        sent(&server, &event("node_end", 5, end)).await["span_id"],
        first["span_id"]
    );
    let check =
        r#", "validation_kind": "citation_integrity", "passed": false, "findings_count": 3"#;
    sent(&server, &event("validation", 6, check)).await;
    let failed = r#", "node_name": "critic", "success": false, "error": "deadlock""#;
    sent(
        &server,
        &event("node_start", 6, r#", "node_name": "critic""#),
    )
    .await;
    sent(&server, &event("node_end", 9, failed)).await;

    let id = first["trace_id"].as_str().unwrap();
    let (_, trace) = server.get(&format!("/traces/{id}")).await;
    assert_eq!(trace["name"], "vyasa job");
    assert_eq!(
        trace["metadata"],
        json!({"job_id": "job-7", "project_id": "p1"})
    );
    assert_eq!(
        (&trace["start_time"], &trace["end_time"]),
        (
            &json!("2026-03-01T10:00:00.250000Z"),
            &json!("2026-03-01T10:00:09.250000Z")
        )
    );
    assert_eq!(
        (&trace["span_count"], &trace["llm_span_count"]),
        (&json!(4), &json!(1))
    );
    assert_eq!(trace["usage"]["total_tokens"], 120);
    assert_eq!(trace["error_info"]["message"], "deadlock");
    assert!(
        trace["total_estimated_cost"].as_f64().unwrap() > 0.0,
        "the model has a price"
    );

    let body = json!({"project_name": "vyasa", "trace_id": id, "limit": 100});
    let mut spans = server.stream("/spans/search", &body).await;
    spans.sort_by_key(|span| span["start_time"].as_str().unwrap().to_owned());
    let named = |name: &str| spans.iter().find(|span| span["name"] == name).unwrap();
    let node = named("cartographer");
    assert_eq!(node["end_time"], "2026-03-01T10:00:05.250000Z");
    assert_eq!(node["input"]["rigor_level"], "conservative");
    assert_eq!(
        node["output"]["extracted_json"]["triples"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let call = named("llm_call");
    assert_eq!(
        (&call["type"], &call["model"]),
        (&json!("llm"), &json!("gpt-4o-mini"))
    );
    assert_eq!(call["parent_span_id"], node["id"]);
    assert_eq!(call["duration"], 2_000.0);
    let check = named("validation citation_integrity");
    assert_eq!(
        (&check["type"], &check["output"]["passed"]),
        (&json!("guardrail"), &json!(false))
    );
    assert_eq!(named("critic")["error_info"]["message"], "deadlock");
}

#[tokio::test]
async fn jobs_that_report_at_once_are_kept_apart() {
    let server = server().await;
    let all = (0..12).map(|number| {
        let body = event("node_start", number, r#", "node_name": "n""#)
            .replace("job-7", &format!("job-{}", number % 3));
        let request = post(&server, "/api/traces", &body);
        async move { answer(request).await }
    });
    for (status, body) in futures_util::future::join_all(all).await {
        assert_eq!(status, StatusCode::OK, "{body}");
    }
    let (_, list) = server.get("/traces?project_name=vyasa").await;
    assert_eq!(list["total"], 3, "{list}");
}

/// The request that the real script made, byte for byte.
#[tokio::test]
async fn records_of_an_evaluation_become_a_dataset_once() {
    let server = server().await;
    let recorded = include_str!("../fixtures/vyasa/evals_request.json");
    let recorded: Value = serde_json::from_str(recorded).unwrap();
    let send = || {
        let mut request = server
            .client
            .post(server.url(recorded["path"].as_str().unwrap()));
        for (name, value) in recorded["headers"].as_object().unwrap() {
            request = request.header(name, value.as_str().unwrap());
        }
        answer(request.body(recorded["body"].as_str().unwrap().to_owned()))
    };
    let (status, body) = send().await;
    assert_eq!(
        (status, &body["records"], &body["added"]),
        (StatusCode::OK, &json!(2), &json!(2))
    );
    assert_eq!(body["dataset_name"], "vyasa-tone");
    assert_eq!(send().await.1["added"], 0, "sent again, nothing is new");

    let id = body["dataset_id"].as_str().unwrap();
    let (_, items) = server
        .get(&format!("/datasets/{id}/items?page=1&size=10"))
        .await;
    assert_eq!(items["total"], 2);
    let data: Vec<&Value> = items["content"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["data"])
        .collect();
    assert!(
        data.contains(&&json!({"label": "é", "text": "x"})),
        "{data:?}"
    );
    let found = json!({"dataset_name": "vyasa-tone", "project_name": "vyasa"});
    assert_eq!(
        server.post("/datasets/retrieve", &found).await.0,
        StatusCode::OK
    );
}

/// Vyasa sends a whole dataset in one request, however large.
#[tokio::test]
async fn a_large_evaluation_is_one_version_of_its_dataset() {
    let server = server().await;
    let records: Vec<Value> = (0..2_500)
        .map(|number| json!({"table_id": format!("t{number}"), "column": null, "issue": null, "values": []}))
        .collect();
    let body = json!({"project": "vyasa", "records": records}).to_string();
    let (status, body) = answer(post(&server, "/api/evals", &body)).await;
    assert_eq!(
        (status, &body["dataset_name"]),
        (StatusCode::OK, &json!("vyasa-precision"))
    );
    let id = body["dataset_id"].as_str().unwrap();
    let (_, items) = server
        .get(&format!("/datasets/{id}/items?page=1&size=1"))
        .await;
    assert_eq!(items["total"], 2_500);
    let (_, versions) = server
        .get(&format!("/datasets/{id}/versions?page=1&size=10"))
        .await;
    assert_eq!(versions["total"], 1, "{versions}");
    // An evaluation of nothing is no error.
    let none = post(
        &server,
        "/api/evals",
        r#"{"project": "vyasa", "records": []}"#,
    );
    assert_eq!(answer(none).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_prompt_is_found_by_name_and_tag() {
    let server = server().await;
    let ask = |path: &str| {
        let request = server.client.get(server.url(path));
        answer(request.header("content-type", "application/json"))
    };
    let (status, _) = ask("/api/prompts/vyasa-cartographer?tag=production").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    for text in ["first {{a}}", "second {{a}}"] {
        let new = json!({"name": "vyasa-cartographer", "version": {"template": text, "type": "mustache"}});
        assert_eq!(
            server.post("/prompts/versions", &new).await.0,
            StatusCode::OK
        );
    }
    // Nobody has labelled anything yet: the newest one is meant.
    let (status, body) = ask("/api/prompts/vyasa-cartographer?tag=production").await;
    assert_eq!(
        (status, &body["template"]),
        (StatusCode::OK, &json!("second {{a}}"))
    );

    let (_, prompts) = server.get("/prompts?name=vyasa-cartographer").await;
    let id = prompts["content"][0]["id"].as_str().unwrap();
    let (_, versions) = server
        .get(&format!("/prompts/{id}/versions?page=1&size=10"))
        .await;
    let first = &versions["content"][1];
    assert_eq!(first["template"], "first {{a}}");
    let label = json!({"ids": [first["id"]], "update": {"tags": ["production"]}});
    assert_eq!(
        server
            .send(Method::PATCH, "/prompts/versions", &label)
            .await
            .0,
        StatusCode::NO_CONTENT
    );
    let (_, body) = ask("/api/prompts/vyasa-cartographer?tag=production").await;
    assert_eq!(body["template"], "first {{a}}");
    let (_, body) = ask("/api/prompts/vyasa-cartographer").await;
    assert_eq!(body["template"], "second {{a}}");
    let (status, _) = ask("/api/prompts/vyasa-cartographer?tag=staging").await;
    assert_eq!(
        status,
        StatusCode::NOT_FOUND,
        "labels are in use, and none is this"
    );
    let commit = first["commit"].as_str().unwrap();
    let (_, body) = ask(&format!("/api/prompts/vyasa-cartographer?tag={commit}")).await;
    assert_eq!(body["template"], "first {{a}}");
}

#[tokio::test]
async fn the_endpoints_are_there_only_when_they_are_switched_on() {
    let off = TestServer::start().await;
    for (method, path) in [
        (Method::POST, "/api/traces"),
        (Method::POST, "/api/evals"),
        (Method::GET, "/api/prompts/x"),
    ] {
        let request = off.client.request(method, off.url(path)).body("{}");
        assert_eq!(answer(request).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    let config = ServerConfig::default()
        .vyasa(true)
        .url_prefix("/opik")
        .api_key(Secret::new("k1"));
    let keyed = TestServer::with(config).await;
    let body = event(
        "span",
        0,
        r#", "span_name": "section_persist", "ingestion_id": null, "success": true"#,
    );
    for path in ["/api/traces", "/opik/api/traces"] {
        let without = answer(post(&keyed, path, &body)).await;
        assert_eq!(without.0, StatusCode::UNAUTHORIZED);
        let with = keyed.client.post(keyed.url(path)).body(body.clone());
        let (status, body) = answer(with.header("authorization", "Bearer k1")).await;
        assert_eq!(status, StatusCode::OK, "{body}");
    }
    let wrong = keyed
        .client
        .post(keyed.url("/api/traces"))
        .header("authorization", "Bearer k1");
    let (status, _) = answer(wrong.body(r#"{"run_type": 7, "metadata": []}"#)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}
