//! Lists, searches, scores, threads, comments and files.

use opik_core::{SpanId, TraceId};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::running::{TestServer, answer};

const AT: &str = "2026-11-20T10:00:00Z";

/// Writes traces with a span each and gives their identifiers, oldest first.
async fn write(server: &TestServer, count: usize) -> Vec<TraceId> {
    let ids: Vec<TraceId> = (0..count).map(|_| TraceId::generate()).collect();
    let traces: Vec<Value> = ids
        .iter()
        .enumerate()
        .map(|(n, id)| {
            json!({
                "id": id, "project_name": "p", "name": format!("t{n}"),
                "start_time": format!("2026-11-20T10:00:00.{n:06}Z"),
                "end_time": format!("2026-11-20T10:00:01.{n:06}Z"), "input": {"n": n}, "output": {"m": n},
                "tags": [if n % 2 == 0 { "even" } else { "odd" }], "thread_id": format!("chat {}", n % 3),
                "metadata": {"n": n},
            })
        })
        .collect();
    let spans: Vec<Value> = ids
        .iter()
        .map(|id| {
            json!({
                "id": SpanId::generate(), "trace_id": id, "project_name": "p", "start_time": AT,
                "type": "llm", "provider": "openai", "model": "gpt-4o-mini", "name": "call",
                "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100},
            })
        })
        .collect();
    let (status, body) = server
        .post("/traces/batch", &json!({"traces": traces}))
        .await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{body}");
    let (status, body) = server.post("/spans/batch", &json!({"spans": spans})).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{body}");
    ids
}

fn ids(records: &[Value]) -> Vec<String> {
    let id = |record: &Value| record["id"].as_str().unwrap().to_owned();
    records.iter().map(id).collect()
}

#[tokio::test]
async fn a_search_goes_on_below_the_last_identifier_and_never_ends_early() {
    let server = TestServer::start().await;
    let mut written: Vec<String> = write(&server, 250)
        .await
        .iter()
        .map(ToString::to_string)
        .collect();
    written.sort();
    written.reverse();
    for path in ["/traces/search", "/spans/search"] {
        let mut all = Vec::new();
        let mut last = Value::Null;
        loop {
            let body = json!({"project_name": "P", "last_retrieved_id": last, "limit": 120, "filters": null});
            let lines = server.stream(path, &body).await;
            all.extend(ids(&lines));
            if lines.len() < 120 {
                break;
            }
            last = lines.last().unwrap()["id"].clone();
        }
        assert_eq!(all.len(), 250, "{path}");
        let mut sorted = all.clone();
        sorted.sort();
        sorted.reverse();
        assert_eq!(all, sorted);
        if path == "/traces/search" {
            assert_eq!(all, written);
        }
    }
}

#[tokio::test]
async fn lists_have_pages_totals_orders_and_filters() {
    let server = TestServer::start().await;
    write(&server, 25).await;
    let (status, page) = server.get("/traces?project_name=p&page=3&size=10").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(
        (&page["page"], &page["size"], &page["total"]),
        (&json!(3), &json!(5), &json!(25))
    );
    assert!(
        page["sortableBy"]
            .as_array()
            .unwrap()
            .contains(&json!("start_time"))
    );
    let first = &page["content"][0];
    assert_eq!(first["metadata"]["providers"], json!(["openai"]));
    assert_eq!(first["usage"]["total_tokens"], 1100);
    assert_eq!(first["total_estimated_cost"], json!(0.00021));
    assert_eq!(first.get("project_name"), None);
    let (_, past) = server.get("/traces?project_name=p&page=9&size=10").await;
    assert_eq!((&past["content"], &past["total"]), (&json!([]), &json!(25)));

    let get = async |query: &[(&str, &str)]| {
        answer(server.request(Method::GET, "/traces").query(&query)).await
    };
    let odd = r#"[{"field":"tags","operator":"=","key":"","value":"odd"}]"#;
    let order = r#"[{"field":"name","direction":"ASC"}]"#;
    let (_, page) = get(&[
        ("project_name", "p"),
        ("filters", odd),
        ("sorting", order),
        ("size", "2"),
    ])
    .await;
    assert_eq!(
        (&page["total"], &page["content"][0]["name"]),
        (&json!(12), &json!("t1"))
    );
    let (_, page) = get(&[
        ("project_name", "p"),
        ("exclude", r#"["input","output"]"#),
        ("size", "1"),
    ])
    .await;
    assert_eq!(page["content"][0].get("input"), None);
    for (name, value, text) in [
        ("filters", "[{", "Invalid filters query parameter '[{'"),
        ("sorting", "[{", "Invalid sorting query parameter '[{'"),
        (
            "page",
            "0",
            "query param page must be greater than or equal to 1",
        ),
    ] {
        let (status, body) = get(&[("project_name", "p"), (name, value)]).await;
        assert_eq!(
            (status, body),
            (StatusCode::BAD_REQUEST, json!({"errors": [text]}))
        );
    }
    let refused = r#"[{"field":"metadata","operator":">=","key":"n","value":"2"}]"#;
    let (status, body) = get(&[("project_name", "p"), ("filters", refused)]).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(
        body["errors"][0],
        "Invalid operator '>=' for field 'metadata' of type 'dictionary'"
    );
    assert_eq!(get(&[]).await.0, StatusCode::BAD_REQUEST);
    let (status, body) = get(&[("project_name", "typo")]).await;
    assert_eq!(
        (status, &body["message"]),
        (
            StatusCode::NOT_FOUND,
            &json!("Project name: typo not found")
        )
    );

    let (_, stats) = server.get("/traces/stats?project_name=p").await;
    let stat = |name: &str| {
        let stats = stats["stats"].as_array().unwrap();
        stats.iter().find(|stat| stat["name"] == name).unwrap()["value"].clone()
    };
    assert_eq!(stat("trace_count"), json!(25));
    assert_eq!(
        stat("duration"),
        json!({"p50": 1000.0, "p90": 1000.0, "p99": 1000.0})
    );
    assert_eq!(stat("usage.total_tokens"), json!(1100.0));
    assert_eq!(
        server.get("/traces/exists?project_name=p").await.1,
        json!({"exists": true})
    );
}

#[tokio::test]
async fn scores_come_before_their_traces_and_leave_by_name() {
    let server = TestServer::start().await;
    let id = TraceId::generate();
    let score = json!({"scores": [
        {"id": id, "name": "acc", "value": 1, "source": "sdk", "project_name": "p", "category_name": null},
        {"id": id, "name": "suite", "value": 0, "source": "sdk", "category_name": "suite_assertion"},
    ]});
    let (status, _) = server
        .send(Method::PUT, "/traces/feedback-scores", &score)
        .await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let row = json!({"traces": [{"id": id, "project_name": "p", "start_time": AT}]});
    server.post("/traces/batch", &row).await;
    let path = format!("/traces/{id}");
    let (_, trace) = server.get(&path).await;
    let scores = trace["feedback_scores"].as_array().unwrap();
    assert_eq!(scores.len(), 1, "{trace}");
    assert_eq!(
        (
            &scores[0]["value"],
            &scores[0]["value_by_author"]["admin"]["value"]
        ),
        (&json!(1.0), &json!(1.0))
    );
    let (_, names) = server.get("/traces/feedback-scores/names").await;
    assert_eq!(names, json!({"scores": [{"name": "acc"}]}));
    let (status, _) = server
        .post(
            &format!("{path}/feedback-scores/delete"),
            &json!({"name": "acc"}),
        )
        .await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(server.get(&path).await.1.get("feedback_scores"), None);
    let huge = json!({"scores": [{"id": id, "name": "acc", "value": 1e12, "source": "sdk"}]});
    let (status, _) = server
        .send(Method::PUT, "/traces/feedback-scores", &huge)
        .await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn threads_add_up_close_open_and_go() {
    let server = TestServer::start().await;
    write(&server, 9).await;
    let find = async |name: &str| {
        server
            .post(
                "/traces/threads/retrieve",
                &json!({"project_name": "p", "thread_id": name}),
            )
            .await
    };
    let (status, thread) = find("chat 1").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(thread["number_of_messages"], 6);
    assert_eq!(
        (&thread["first_message"], &thread["last_message"]),
        (&json!({"n": 1}), &json!({"m": 7}))
    );
    assert_eq!(thread["usage"]["total_tokens"], 3300);
    assert_eq!(thread["status"], "active");
    assert_eq!(find("none").await.0, StatusCode::NOT_FOUND);

    let put =
        async |path: &str, body: Value| server.send(Method::PUT, path, &body).await.0.as_u16();
    assert_eq!(
        put(
            "/traces/threads/close",
            json!({"project_name": "p", "thread_ids": ["chat 1"]})
        )
        .await,
        204
    );
    assert_eq!(find("chat 1").await.1["status"], "inactive");
    assert_eq!(
        put(
            "/traces/threads/close",
            json!({"project_name": "p", "thread_id": "none"})
        )
        .await,
        404
    );
    assert_eq!(
        put(
            "/traces/threads/open",
            json!({"project_name": "p", "thread_id": "chat 1"})
        )
        .await,
        204
    );
    assert_eq!(find("chat 1").await.1["status"], "active");

    let score = json!({"scores": [{"thread_id": "chat 1", "name": "tone", "value": 0.5, "source": "sdk", "project_name": "p"}]});
    assert_eq!(put("/traces/threads/feedback-scores", score).await, 204);
    let model = thread["thread_model_id"].as_str().unwrap();
    let (status, _) = server
        .post(
            &format!("/traces/threads/{model}/comments"),
            &json!({"text": "hm"}),
        )
        .await;
    assert_eq!(status, StatusCode::CREATED);
    let tags = json!({"tags": ["b", "a"]});
    assert_eq!(
        server
            .send(Method::PATCH, &format!("/traces/threads/{model}"), &tags)
            .await
            .0,
        204
    );
    let (_, thread) = find("chat 1").await;
    assert_eq!(thread["feedback_scores"][0]["value"], json!(0.5));
    assert_eq!(
        (&thread["comments"][0]["text"], &thread["tags"]),
        (&json!("hm"), &json!(["a", "b"]))
    );

    let filter =
        json!([{"field": "feedback_scores", "operator": ">", "key": "tone", "value": "0.4"}]);
    let found = server
        .stream("/traces/threads/search", &json!({"project_name": "p", "filters": filter, "last_retrieved_thread_model_id": null}))
        .await;
    assert_eq!(ids(&found), ["chat 1"]);
    // The official client goes on with the name of a thread.
    let all = server
        .stream(
            "/traces/threads/search",
            &json!({"project_name": "p", "limit": 2}),
        )
        .await;
    let rest = server
        .stream(
            "/traces/threads/search",
            &json!({"project_name": "p", "last_retrieved_thread_model_id": all[1]["id"]}),
        )
        .await;
    assert_eq!(rest.len(), 1);
    let (_, page) = server.get("/traces/threads?project_name=p&size=2").await;
    assert_eq!((&page["total"], &page["size"]), (&json!(3), &json!(2)));

    let gone = json!({"project_name": "p", "thread_ids": ["chat 1"]});
    assert_eq!(
        server.post("/traces/threads/delete", &gone).await.0,
        StatusCode::NO_CONTENT
    );
    assert_eq!(find("chat 1").await.0, StatusCode::NOT_FOUND);
    assert_eq!(server.get("/traces?project_name=p").await.1["total"], 6);
}

#[tokio::test]
async fn comments_guardrails_and_files_hang_on_records_and_go_with_them() {
    let server = TestServer::start().await;
    let id = write(&server, 1).await[0];
    let path = format!("/traces/{id}");
    let (status, _) = server
        .post(&format!("{path}/comments"), &json!({"text": "look"}))
        .await;
    assert_eq!(status, StatusCode::CREATED);
    let guardrail = json!({"guardrails": [{
        "entity_id": id, "secondary_id": SpanId::generate(), "project_name": "p", "name": "PII",
        "result": "failed", "config": {}, "details": {"items": []},
    }]});
    assert_eq!(
        server.post("/guardrails", &guardrail).await.0,
        StatusCode::NO_CONTENT
    );
    let (_, trace) = server.get(&path).await;
    assert_eq!(trace["comments"][0]["text"], "look");
    assert_eq!(
        trace["guardrails_validations"][0]["checks"],
        json!([{"name": "PII", "result": "failed"}])
    );
    let comment = trace["comments"][0]["id"].as_str().unwrap();
    let (status, _) = server
        .send(
            Method::PATCH,
            &format!("/traces/comments/{comment}"),
            &json!({"text": "seen"}),
        )
        .await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    assert_eq!(
        server.get(&format!("{path}/comments/{comment}")).await.1["text"],
        "seen"
    );

    // Base64 of the URL below which files are, in the alphabet for URLs and without padding.
    let base = server.url("/api/");
    let encoded = encode(base.as_bytes())
        .replace('+', "-")
        .replace('/', "_")
        .trim_end_matches('=')
        .to_owned();
    let start = json!({
        "file_name": "ä b.txt", "num_of_file_parts": 1, "mime_type": "text/plain", "project_name": "p",
        "entity_type": "trace", "entity_id": id, "path": encoded,
    });
    let (status, upload) = server.post("/attachment/upload-start", &start).await;
    assert_eq!(
        (status, &upload["upload_id"]),
        (StatusCode::OK, &json!("BEMinIO"))
    );
    let url = upload["pre_sign_urls"][0].as_str().unwrap();
    let sent = server.client.put(url).body("content").send().await.unwrap();
    assert!(sent.status().is_success());
    let project = trace["project_id"].as_str().unwrap();
    let list = format!(
        "/attachment/list?project_id={project}&entity_type=trace&entity_id={id}&path={encoded}"
    );
    let (_, files) = server.get(&list).await;
    assert_eq!(
        (&files["total"], &files["content"][0]["file_size"]),
        (&json!(1), &json!(7))
    );
    let link = files["content"][0]["link"].as_str().unwrap();
    let file = server.client.get(link).send().await.unwrap();
    assert_eq!(file.headers()["content-type"], "text/plain");
    assert_eq!(file.text().await.unwrap(), "content");
    assert_eq!(
        server
            .get("/attachment/list?project_id=x&entity_type=trace&entity_id=x&path=")
            .await
            .0,
        404
    );

    assert_eq!(
        server.post("/traces/delete", &json!({"ids": [id]})).await.0,
        StatusCode::NO_CONTENT
    );
    assert_eq!(server.get(&path).await.0, StatusCode::NOT_FOUND);
    assert_eq!(server.get(&list).await.1["total"], 0);
}

#[tokio::test]
async fn files_that_clients_took_out_of_contents_come_back() {
    let server = TestServer::start().await;
    let id = TraceId::generate();
    let name = "input-attachment-1-1795170315351-sdk.txt";
    let url = format!(
        "/attachment/upload?file_name={name}&mime_type=text/plain&entity_type=trace&entity_id={id}&project_name=p"
    );
    let sent = server
        .request(Method::PUT, &url)
        .body("hello")
        .send()
        .await
        .unwrap();
    assert!(sent.status().is_success());
    // Newer clients take out the whole data URI, older ones what stands after its comma.
    let older = format!("data:text/plain;base64,[{name}]");
    let row = json!({"traces": [{"id": id, "project_name": "p", "start_time": AT, "input": {"a": format!("see [{name}]"), "b": [1, older]}}]});
    server.post("/traces/batch", &row).await;
    let path = format!("/traces/{id}");
    assert_eq!(
        server.get(&path).await.1["input"],
        json!({"a": "see data:text/plain;base64,aGVsbG8=", "b": [1, "data:text/plain;base64,aGVsbG8="]})
    );
    let stripped = server
        .get(&format!("{path}?strip_attachments=true"))
        .await
        .1;
    assert_eq!(stripped["input"]["a"], format!("see [{name}]"));
}

#[tokio::test]
async fn odd_numbers_and_big_ones_come_back_as_they_were_spelt() {
    let server = TestServer::start().await;
    let id = TraceId::generate();
    let body = format!(
        r#"{{"traces": [{{"id": "{id}", "start_time": "2026-11-20T12:00:00.123456789+02:00", "project_name": null,
            "input": {{"z": 12345678901234567890123, "a": 1.10, "n": NaN}}, "unknown": {{}}, "tags": null}}]}}"#
    );
    let request = server
        .request(Method::POST, "/traces/batch")
        .header("content-type", "application/json;charset=utf-8")
        .body(body);
    assert_eq!(answer(request).await.0, StatusCode::NO_CONTENT);
    let text = server
        .request(Method::GET, &format!("/traces/{id}"))
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    assert!(
        text.contains(r#""input":{"z": 12345678901234567890123, "a": 1.10, "n": "NaN"}"#),
        "{text}"
    );
    assert!(
        text.contains(r#""start_time":"2026-11-20T10:00:00.123456Z""#),
        "{text}"
    );
}

fn encode(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[tokio::test]
async fn an_item_of_a_dataset_has_all_spans_of_a_large_trace() {
    const SPANS: usize = 2_100;
    let server = TestServer::start().await;
    let trace = write(&server, 1).await[0];
    let numbers: Vec<usize> = (1..SPANS).collect();
    for batch in numbers.chunks(1_000) {
        let span = |n: &usize| json!({"id": SpanId::generate(), "trace_id": trace, "project_name": "p", "start_time": AT, "name": format!("s{n}")});
        let spans: Vec<Value> = batch.iter().map(span).collect();
        let (status, body) = server.post("/spans/batch", &json!({"spans": spans})).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{body}");
    }
    let dataset = opik_core::EntityId::generate();
    let made = json!({"id": dataset, "name": "d"});
    assert_eq!(server.post("/datasets", &made).await.0, StatusCode::CREATED);
    let path = format!("/datasets/{dataset}/items");
    let asked = json!({"trace_ids": [trace], "enrichment_options": {"includeSpans": true}});
    let (status, body) = server.post(&format!("{path}/from-traces"), &asked).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{body}");
    let (status, page) = server.get(&path).await;
    assert_eq!(status, StatusCode::OK, "{page}");
    let spans = page["content"][0]["data"]["spans"].as_array().unwrap();
    assert_eq!(spans.len(), SPANS);
}
