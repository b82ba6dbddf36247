//! Damaged and random requests: whatever comes, the answer is no error of the server, and the
//! server goes on.
//!
//! cargo-fuzz needs a nightly compiler, so these are properties with a fixed number of cases;
//! `PROPTEST_CASES` asks for more.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use reqwest::Method;

use crate::running::TestServer;

/// What clients send, to be damaged.
const SEEDS: [(&str, &str); 8] = [
    (
        "/traces/batch",
        r#"{"traces":[{"id":"019ae100-0000-7000-8000-000000000001","project_name":"p","start_time":"2026-11-20T10:25:15.351281Z","input":{"a":NaN},"tags":["x"]}]}"#,
    ),
    (
        "/spans/batch",
        r#"{"spans":[{"id":"019ae100-0000-7000-8000-000000000002","trace_id":"019ae100-0000-7000-8000-000000000001","start_time":"2026-11-20T10:25:15Z","usage":{"total_tokens":1e3},"type":"llm"}]}"#,
    ),
    (
        "/traces/search",
        r#"{"project_name":"p","limit":2,"filters":[{"field":"metadata","operator":"=","key":"a[0].b","value":"2"},{"field":"duration","operator":">=","value":"1"}]}"#,
    ),
    (
        "/traces/threads/search",
        r#"{"project_name":"p","filters":[{"field":"feedback_scores","key":"s","operator":"is_empty"}],"last_retrieved_thread_model_id":"x"}"#,
    ),
    (
        "/otel/v1/traces",
        r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"n","startTimeUnixNano":"1795170315000000000","attributes":[{"key":"gen_ai.usage.input_tokens","value":{"intValue":"9"}}]}]}]}]}"#,
    ),
    (
        "/datasets/items/stream",
        r#"{"dataset_name":"d","steam_limit":5,"filters":"[{\"field\":\"data\",\"key\":\"k\",\"operator\":\"contains\",\"value\":\"v\"}]"}"#,
    ),
    (
        "/projects/019ae100-0000-7000-8000-000000000003/metrics",
        r#"{"metric_type":"COST","interval":"HOURLY","interval_start":"1970-01-01T00:00:00Z","interval_end":"2262-01-01T00:00:00Z"}"#,
    ),
    (
        "/experiments/stream",
        r#"{"name":"e","limit":1,"last_retrieved_id":"019ae100-0000-7000-8000-000000000003"}"#,
    ),
];

/// A request: where to, whether protobuf or gzip, and the body.
#[derive(Debug, Clone)]
struct Damaged {
    path: &'static str,
    protobuf: bool,
    gzip: bool,
    body: Vec<u8>,
}

fn damaged() -> impl Strategy<Value = Damaged> {
    let seed = prop::sample::select(SEEDS.to_vec());
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let end = any::<prop::sample::Index>();
    let random = prop::collection::vec(any::<u8>(), 0..200);
    (
        seed,
        edits,
        end,
        random,
        0..6_u8,
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|((path, text), edits, end, random, kind, gzip, protobuf)| {
            let mut body = text.as_bytes().to_vec();
            match kind {
                0 => body = random,
                1 => body.truncate(end.index(text.len())),
                2 => body = [body, random].concat(),
                _ => {}
            }
            for (at, byte) in edits {
                if !body.is_empty() {
                    let at = at.index(body.len());
                    body[at] = byte;
                }
            }
            let protobuf = protobuf && path.starts_with("/otel");
            Damaged {
                path,
                protobuf,
                gzip,
                body,
            }
        })
}

fn zipped(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_bodies_are_no_error_of_the_server() {
    let server = TestServer::start().await;
    let handle = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        let mut runner = TestRunner::new(Config {
            failure_persistence: None,
            ..Config::default()
        });
        let result = runner.run(&damaged(), |it| {
            let body = if it.gzip {
                zipped(&it.body)
            } else {
                it.body.clone()
            };
            let mime = if it.protobuf {
                "application/x-protobuf"
            } else {
                "application/json"
            };
            let mut request = server
                .request(Method::POST, it.path)
                .header("content-type", mime)
                .body(body);
            if it.gzip {
                request = request.header("content-encoding", "gzip");
            }
            let status = handle.block_on(async { request.send().await.unwrap().status() });
            prop_assert!(!status.is_server_error(), "{status}");
            Ok(())
        });
        result.unwrap();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn any_filters_and_orders_are_no_error_of_the_server() {
    let server = TestServer::start().await;
    server
        .post("/projects", &serde_json::json!({"name": "p"}))
        .await;
    let handle = tokio::runtime::Handle::current();
    let field = "(name|tags|metadata|duration|usage.total_tokens|custom|guardrails|feedback_scores|id|type|nothing)";
    let operator = "(=|!=|>|>=|contains|not_contains|starts_with|is_empty|in|like)";
    let filter = (field, operator, any::<String>(), any::<String>());
    let path = prop::sample::select(vec![
        "/traces",
        "/spans",
        "/traces/threads",
        "/traces/stats",
    ]);
    tokio::task::block_in_place(|| {
        let mut runner = TestRunner::new(Config {
            failure_persistence: None,
            ..Config::default()
        });
        let result = runner.run(&(filter, path), |((field, operator, key, value), path)| {
            let filters = serde_json::json!([{"field": field, "operator": operator, "key": key, "value": value}]);
            let sorting = serde_json::json!([{"field": field, "direction": value}]);
            let request = server.request(Method::GET, path).query(&[
                ("project_name", "p"),
                ("filters", &filters.to_string()),
                ("sorting", &sorting.to_string()),
                ("search", &key),
            ]);
            let status = handle.block_on(async { request.send().await.unwrap().status() });
            prop_assert!(status == 200 || status == 400, "{status}");
            Ok(())
        });
        result.unwrap();
    });
}

/// A form with a file and the dataset that it is for.
fn form(dataset: &str, format: &str, file: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in [("dataset_id", dataset), ("format", format)] {
        let part =
            format!("--edge\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n");
        out.extend_from_slice(part.as_bytes());
    }
    out.extend_from_slice(
        b"--edge\r\ncontent-disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n",
    );
    out.extend_from_slice(file);
    out.extend_from_slice(b"\r\n--edge--\r\n");
    out
}

/// Values of JSON that come back as they were written.
fn values() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<String>().prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(3, 16, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::from),
            prop::collection::btree_map("[a-z é\"\\\\]{1,6}", inner, 0..4)
                .prop_map(|map| map.into_iter().collect()),
        ]
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_lines_come_back_and_broken_ones_are_refused() {
    let server = TestServer::start().await;
    let rows = prop::collection::vec(
        prop::collection::btree_map("[a-zA-Z_][a-zA-Z0-9_]{0,8}", values(), 1..4),
        1..6,
    );
    let junk = prop::collection::vec(any::<u8>(), 0..120);
    let handle = tokio::runtime::Handle::current();
    let upload = async |dataset: &str, format: &str, file: &[u8]| {
        let request = server
            .request(Method::POST, "/datasets/items/from-json")
            .header("content-type", "multipart/form-data; boundary=edge")
            .body(form(dataset, format, file));
        request.send().await.unwrap().status()
    };
    let new_dataset = async |name: &str| {
        let body = serde_json::json!({"name": name});
        server.post("/datasets", &body).await;
        let body = serde_json::json!({"dataset_name": name});
        let found = server.post("/datasets/retrieve", &body).await.1;
        found["id"].as_str().unwrap().to_owned()
    };
    let number = std::cell::Cell::new(0);
    tokio::task::block_in_place(|| {
        let mut runner = TestRunner::new(Config {
            failure_persistence: None,
            cases: 64,
            ..Config::default()
        });
        let result = runner.run(&(rows, junk, any::<bool>()), |(rows, junk, lines)| {
            number.set(number.get() + 1);
            let name = format!("d{}", number.get());
            let dataset = handle.block_on(new_dataset(&name));
            let rows: Vec<serde_json::Value> = rows
                .into_iter()
                .map(|row| row.into_iter().collect())
                .collect();
            let mut file = String::new();
            for row in &rows {
                file.push_str(&row.to_string());
                file.push('\n');
            }
            let status = handle.block_on(upload(&dataset, "jsonl", file.as_bytes()));
            prop_assert_eq!(status.as_u16(), 202);
            let body = serde_json::json!({"dataset_name": name});
            let items = handle.block_on(server.stream("/datasets/items/stream", &body));
            let sorted = |rows: Vec<String>| {
                let mut rows = rows;
                rows.sort();
                rows
            };
            let found = sorted(items.iter().map(|item| item["data"].to_string()).collect());
            let wanted = sorted(rows.iter().map(ToString::to_string).collect());
            prop_assert_eq!(found, wanted);
            // The same with anything behind it.
            let broken = [file.as_bytes(), &junk].concat();
            let format = if lines { "jsonl" } else { "json" };
            let status = handle.block_on(upload(&dataset, format, &broken));
            prop_assert!(status == 202 || status == 400, "{status}");
            Ok(())
        });
        result.unwrap();
    });
}
