//! Rate limits, sizes, and a store that does not keep up.

use std::time::{Duration, Instant};

use opik_core::{SpanId, TraceId};
use opik_server::{RateLimits, Server, ServerConfig};
use opik_store::{Store, StoreOptions};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::running::{TestServer, answer};

fn traces(count: usize) -> Value {
    let rows: Vec<Value> = (0..count)
        .map(|_| json!({"id": TraceId::generate(), "name": "t", "start_time": "2026-11-20T10:00:00Z"}))
        .collect();
    json!({"traces": rows})
}

async fn limited(limits: &[(&str, u64)]) -> TestServer {
    let mut all = RateLimits::default();
    for (name, most) in limits {
        all = all.limit(name, *most).unwrap();
    }
    TestServer::with(ServerConfig::default().rate_limits(all)).await
}

#[tokio::test]
async fn a_batch_counts_its_items_and_says_what_is_left() {
    let server = limited(&[("user", 100), ("workspace", 25)]).await;
    let send = |count: usize| {
        server
            .request(Method::POST, "/traces/batch")
            .json(&traces(count))
            .send()
    };
    let answer = send(10).await.unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let headers = answer.headers();
    for (name, value) in [
        ("Opik-User-Limit", "100"),
        ("Opik-User-Remaining-Limit", "90"),
        ("Opik-Workspace-Limit", "25"),
        ("Opik-Workspace-Remaining-Limit", "15"),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
    let left: u64 = headers["Opik-Workspace-Remaining-Limit-TTL-Millis"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=60_000).contains(&left), "{left}");

    // More than is left: nothing of it is written, and a smaller one still passes.
    let refused = send(16).await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let reset: u64 = refused.headers()["RateLimit-Reset"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=60).contains(&reset), "{reset}");
    assert_eq!(refused.headers()["Opik-Workspace-Remaining-Limit"], "15");
    assert_eq!(refused.json::<Value>().await.unwrap()["code"], 429);
    assert_eq!(server.store.stats().unwrap().traces, 10);
    assert_eq!(send(15).await.unwrap().status(), StatusCode::NO_CONTENT);
    // Nothing is left: refused before the body is read.
    assert_eq!(
        send(1).await.unwrap().status(),
        StatusCode::TOO_MANY_REQUESTS
    );
}

#[tokio::test]
async fn single_writes_and_reads_have_limits_of_their_own() {
    let server = limited(&[
        ("single-tracing-ops", 1),
        ("get-traces", 2),
        ("get-span-id", 0),
    ])
    .await;
    let one = || {
        let row = json!({"name": "t", "start_time": "2026-11-20T10:00:00Z"});
        server.request(Method::POST, "/traces").json(&row).send()
    };
    let first = one().await.unwrap();
    assert_eq!(first.status(), StatusCode::CREATED);
    assert_eq!(
        first.headers()["opik-single-tracing-ops-remaining-limit"],
        "0"
    );
    assert_eq!(one().await.unwrap().status(), StatusCode::TOO_MANY_REQUESTS);
    let list = || {
        server
            .request(Method::GET, "/traces?project_name=Default%20Project")
            .send()
    };
    assert_eq!(
        list().await.unwrap().headers()["opik-get-traces-remaining-limit"],
        "1"
    );
    assert_eq!(list().await.unwrap().status(), StatusCode::OK);
    assert_eq!(
        list().await.unwrap().status(),
        StatusCode::TOO_MANY_REQUESTS
    );
    let span = server.get(&format!("/spans/{}", SpanId::generate())).await;
    assert_eq!(span.0, StatusCode::TOO_MANY_REQUESTS);
    // What is not limited has no such headers.
    let projects = server
        .request(Method::GET, "/projects")
        .send()
        .await
        .unwrap();
    assert!(
        projects
            .headers()
            .keys()
            .all(|name| !name.as_str().starts_with("opik-"))
    );
}

#[tokio::test]
async fn without_limits_nothing_is_counted() {
    let server = TestServer::start().await;
    let answer = server
        .request(Method::POST, "/traces/batch")
        .json(&traces(5))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert!(
        answer
            .headers()
            .keys()
            .all(|name| !name.as_str().starts_with("opik-"))
    );
}

#[tokio::test]
async fn batches_have_from_one_to_a_thousand_items_everywhere() {
    let server = TestServer::start().await;
    let id = TraceId::generate();
    let item = |path: &str| match path {
        "/traces/batch" => json!({"id": id, "name": "t", "start_time": "2026-11-20T10:00:00Z"}),
        "/spans/batch" => {
            json!({"id": id, "trace_id": id, "name": "t", "start_time": "2026-11-20T10:00:00Z"})
        }
        "/datasets/items" => json!({"source": "sdk", "data": {"a": 1}}),
        "/experiments/items" => {
            json!({"id": id, "experiment_id": id, "dataset_item_id": id, "trace_id": id})
        }
        "/traces/threads/feedback-scores" => {
            json!({"thread_id": "t", "name": "s", "value": 1, "source": "sdk"})
        }
        _ => json!({"id": id, "name": "s", "value": 1, "source": "sdk"}),
    };
    for (method, path, field) in [
        (Method::POST, "/traces/batch", "traces"),
        (Method::POST, "/spans/batch", "spans"),
        (Method::PUT, "/traces/feedback-scores", "scores"),
        (Method::PUT, "/spans/feedback-scores", "scores"),
        (Method::PUT, "/traces/threads/feedback-scores", "scores"),
        (Method::PUT, "/datasets/items", "items"),
        (Method::POST, "/experiments/items", "experiment_items"),
        (Method::POST, "/traces/delete", "ids"),
    ] {
        for count in [0, 1_001] {
            let items: Vec<Value> = (0..count)
                .map(|_| {
                    if field == "ids" {
                        json!(id)
                    } else {
                        item(path)
                    }
                })
                .collect();
            let body = json!({field: items, "dataset_name": "d"});
            let (status, body) = server.send(method.clone(), path, &body).await;
            assert_eq!(
                status,
                StatusCode::UNPROCESSABLE_ENTITY,
                "{path} with {count}: {body}"
            );
            assert!(body["errors"][0].is_string(), "{body}");
        }
    }
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused_however_they_come() {
    use std::io::Write as _;
    let server = TestServer::with(
        ServerConfig::default()
            .max_body(100_000)
            .max_attachment(100_000),
    )
    .await;
    let large = json!({"traces": [{"id": TraceId::generate(), "start_time": "2026-11-20T10:00:00Z", "input": {"a": "x".repeat(200_000)}}]}).to_string();
    let plain = server
        .request(Method::POST, "/traces/batch")
        .body(large.clone());
    assert_eq!(answer(plain).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    // Its length is not told before.
    let parts: Vec<Result<String, std::io::Error>> = large
        .as_bytes()
        .chunks(10_000)
        .map(|part| Ok(String::from_utf8(part.to_vec()).unwrap()))
        .collect();
    let chunked = reqwest::Body::wrap_stream(futures_util::stream::iter(parts));
    let chunked = server.request(Method::POST, "/traces/batch").body(chunked);
    assert_eq!(answer(chunked).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    packed.write_all(large.as_bytes()).unwrap();
    let packed = packed.finish().unwrap();
    assert!(packed.len() < 2_000);
    let packed = server
        .request(Method::POST, "/traces/batch")
        .header("content-encoding", "gzip")
        .body(packed);
    assert_eq!(answer(packed).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(server.store.stats().unwrap().traces, 0);
}

/// Another process holds the file, so that nothing can be written. Clients are told to come back,
/// none waits for ever, what waits is bounded, and what was acknowledged afterwards is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_cannot_be_written_tells_clients_to_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let options = StoreOptions::new().busy_timeout(Duration::from_millis(300));
    let store = Store::open(&path, options).unwrap();
    let config = ServerConfig::default()
        .port(0)
        .patience(Duration::from_secs(3))
        .body_memory(4 << 20);
    let server = Server::bind(config, store.clone()).await.unwrap();
    let url = format!("http://{}/api/v1/private/traces/batch", server.local_addr());
    let client = reqwest::Client::builder()
        .timeout(Duration::from_secs(60))
        .build()
        .unwrap();

    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begin = Instant::now();
    let waiting = (0..300).map(|_| {
        let mut body = traces(20);
        body["traces"][0]["input"] = json!({"text": "y".repeat(50_000)});
        let request = client.post(&url).json(&body);
        async move { request.send().await.unwrap() }
    });
    for refused in futures_util::future::join_all(waiting).await {
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(refused.headers().contains_key("ratelimit-reset"));
    }
    assert!(
        begin.elapsed() < Duration::from_secs(55),
        "nobody waits for ever"
    );
    // Reading goes on.
    let ready = format!("http://{}/is-alive/ready", server.local_addr());
    assert_eq!(
        client.get(&ready).send().await.unwrap().status(),
        StatusCode::OK
    );

    other.execute_batch("ROLLBACK").unwrap();
    let again = client.post(&url).json(&traces(20)).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NO_CONTENT);
    assert!(store.stats().unwrap().traces >= 20);
    assert!(server.shutdown(Duration::from_secs(10)).await.is_clean());
}

#[tokio::test]
async fn retention_forgets_what_is_old_when_the_server_starts() {
    let store = Store::open_in_memory().unwrap();
    let first = Server::bind(ServerConfig::default().port(0), store.clone())
        .await
        .unwrap();
    let url = |at: &opik_server::Running, path: &str| {
        format!("http://{}/api/v1/private{path}", at.local_addr())
    };
    let client = reqwest::Client::new();
    let new = json!({"traces": [{"name": "new", "start_time": opik_core::Timestamp::now()}]});
    for body in [traces(3), new] {
        let sent = client
            .post(url(&first, "/traces/batch"))
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(sent.status(), StatusCode::NO_CONTENT);
    }
    assert!(first.shutdown(Duration::from_secs(5)).await.is_clean());
    let aged = opik_core::Timestamp::now().micros_since("2026-11-20T10:00:00Z".parse().unwrap());
    let days = u64::try_from(aged / 86_400_000_000).unwrap_or(0);
    assert!(days >= 1, "the traces are in the past");
    let second = Server::bind(
        ServerConfig::default().port(0).retention_days(days),
        store.clone(),
    )
    .await
    .unwrap();
    let begin = Instant::now();
    while store.stats().unwrap().traces != 1 {
        assert!(
            begin.elapsed() < Duration::from_secs(20),
            "nothing is forgotten"
        );
        tokio::task::yield_now().await;
    }
    assert!(second.shutdown(Duration::from_secs(5)).await.is_clean());
}
