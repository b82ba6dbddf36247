//! What official clients sent and were answered, sent again.
//!
//! Requests go out in the recorded order with the recorded bodies; identifiers and hashes that a
//! server makes are learned from answers and put into later requests. Answers must have the
//! recorded status and an equal body: moments aside, and with "empty" the same as "absent".
#![expect(clippy::indexing_slicing, reason = "tests")]

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::running::TestServer;

/// What a server makes up: recorded, and as it is here.
#[derive(Debug, Default)]
struct Learned(BTreeMap<String, String>);

impl Learned {
    fn learn(&mut self, recorded: &str, here: &str, place: &str) {
        let known = self
            .0
            .entry(recorded.to_owned())
            .or_insert_with(|| here.to_owned());
        assert_eq!(known, here, "{place}: {recorded} was something else before");
    }

    /// A recorded text as it is here.
    fn translate(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for (recorded, here) in &self.0 {
            text = text.replace(recorded, here);
        }
        text
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36 && text.bytes().filter(|byte| *byte == b'-').count() == 4
}

/// Whether a server makes this up.
fn is_made_up(key: &str, text: &str) -> bool {
    is_uuid(text) || matches!(key, "version_hash" | "commit")
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => false,
    }
}

/// Fields in which the recorded server is known to differ from Opik's contract, or says more than
/// it: a duration since 1970 of a trace whose create had not arrived, an option of a newer client.
const ASIDE: [&str; 3] = ["duration", "finished_at", "last_created_experiment_at"];

/// A field, the recorded server's word in it, and the one of Opik's specification.
const WORD: (&str, &str, &str) = ("version_type", "prompt", "prompt_version");

/// Fields of Opik's specification that the recorded server leaves out here and there.
const MORE: [&str; 3] = ["dataset_id", "project_id", "project_name"];

fn compare(learned: &mut Learned, place: &str, key: &str, recorded: &Value, here: &Value) {
    if key.ends_with("_at") || ASIDE.contains(&key) {
        return;
    }
    match (recorded, here) {
        (Value::Object(recorded), Value::Object(here)) => {
            compare_objects(learned, place, recorded, here);
        }
        (Value::Array(recorded), Value::Array(here)) => {
            assert_eq!(recorded.len(), here.len(), "{place}: length");
            for (n, (recorded, here)) in recorded.iter().zip(here).enumerate() {
                compare(learned, &format!("{place}[{n}]"), key, recorded, here);
            }
        }
        (Value::String(recorded), Value::String(here)) if is_made_up(key, recorded) => {
            learned.learn(recorded, here, place);
        }
        (Value::String(recorded), Value::String(here))
            if (key, recorded.as_str()) == (WORD.0, WORD.1) =>
        {
            assert_eq!(here, WORD.2, "{place}");
        }
        (Value::String(recorded), Value::String(here)) => {
            assert_eq!(&learned.translate(recorded), here, "{place}");
        }
        (Value::Number(recorded), Value::Number(here)) => {
            assert_eq!(recorded.as_f64(), here.as_f64(), "{place}");
        }
        (recorded, here) => assert_eq!(recorded, here, "{place}"),
    }
}

fn compare_objects(
    learned: &mut Learned,
    place: &str,
    recorded: &Map<String, Value>,
    here: &Map<String, Value>,
) {
    for key in recorded.keys().chain(here.keys()) {
        let null = Value::Null;
        let left = recorded.get(key).unwrap_or(&null);
        let right = here.get(key).unwrap_or(&null);
        let is_more = left.is_null() && MORE.contains(&key.as_str());
        if !(is_nothing(left) && is_nothing(right) || is_more) {
            compare(learned, &format!("{place}.{key}"), key, left, right);
        }
    }
}

fn recorded(name: &str) -> Vec<Value> {
    opik_testkit::fixtures::jsonl(&format!("opik-wire/{name}"))
}

async fn send(server: &TestServer, learned: &Learned, request: &Value) -> (StatusCode, Value) {
    let method: Method = request["method"].as_str().unwrap().parse().unwrap();
    let path = learned.translate(request["path"].as_str().unwrap());
    let mut query = Vec::new();
    for (name, value) in request["query"].as_object().unwrap() {
        query.push((name, learned.translate(value.as_str().unwrap())));
    }
    let url = reqwest::Url::parse_with_params(&server.url(&path), &query).unwrap();
    let mut sent = server.client.request(method, url);
    if !request["body"].is_null() {
        let body = learned.translate(&request["body"].to_string());
        sent = sent.header("content-type", "application/json").body(body);
    }
    let answer = sent.send().await.unwrap();
    let status = answer.status();
    let location = answer.headers().get("location").cloned();
    let is_stream = answer
        .headers()
        .get("content-type")
        .is_some_and(|kind| kind == "application/octet-stream");
    let text = answer.text().await.unwrap();
    let body = if is_stream {
        let lines: Vec<_> = text.split_terminator("\r\n").collect();
        json!({"_ndjson_lines": lines.len(), "_first": lines.first()})
    } else if let Some(location) = location {
        json!({"location": location.to_str().unwrap()})
    } else {
        serde_json::from_str(&text).unwrap_or(Value::Null)
    };
    (status, body)
}

/// Replays the requests of a capture for which `wanted` holds, and says how many there were.
async fn replay(
    server: &TestServer,
    learned: &mut Learned,
    name: &str,
    wanted: impl Fn(&str) -> bool,
) -> usize {
    let mut count = 0;
    for request in recorded(name) {
        let path = request["path"].as_str().unwrap();
        if !wanted(path) {
            continue;
        }
        count += 1;
        let place = format!("{name} #{} {} {path}", request["seq"], request["method"]);
        let (status, here) = send(server, learned, &request).await;
        let answer = &request["response"];
        assert_eq!(answer["status"], status.as_u16(), "{place}: {here}");
        if request["method"] == "GET" && path == "/api/v1/private/environments" {
            // The recorded server let an older environment have the same name.
            let newest = |body: &Value| body["content"][0].clone();
            compare(
                learned,
                &place,
                "",
                &newest(&answer["body"]),
                &newest(&here),
            );
            continue;
        }
        if let Some(recorded) = answer["headers"]["Location"].as_str() {
            let last = |text: &str| text.rsplit('/').next().unwrap().to_owned();
            let here = here["location"].as_str().unwrap();
            learned.learn(&last(recorded), &last(here), &place);
        } else if answer["body"].get("_ndjson_lines").is_some() {
            compare_streams(learned, &place, &answer["body"], &here);
        } else {
            compare(learned, &place, "", &answer["body"], &here);
        }
    }
    count
}

fn compare_streams(learned: &mut Learned, place: &str, recorded: &Value, here: &Value) {
    assert_eq!(recorded["_ndjson_lines"], here["_ndjson_lines"], "{place}");
    let parse = |body: &Value| -> Value {
        let line = body["_first"].as_str().unwrap_or("null");
        serde_json::from_str(line.trim_end()).unwrap()
    };
    compare(learned, place, "", &parse(recorded), &parse(here));
}

fn is_of_catalogue(path: &str) -> bool {
    [
        "datasets",
        "experiments",
        "prompts",
        "optimizations",
        "annotation-queues",
        "environments",
    ]
    .iter()
    .any(|area| path.starts_with(&format!("/api/v1/private/{area}")))
}

#[tokio::test]
async fn datasets_as_the_python_client_uses_them() {
    let server = TestServer::start().await;
    let mut learned = Learned::default();
    let count = replay(&server, &mut learned, "s07_datasets.jsonl", is_of_catalogue).await;
    assert_eq!(count, 26);
}

#[tokio::test]
async fn datasets_and_prompts_as_the_typescript_client_uses_them() {
    let server = TestServer::start().await;
    let mut learned = Learned::default();
    let count = replay(&server, &mut learned, "ts03_dataset.jsonl", is_of_catalogue).await;
    assert_eq!(count, 8);
}

#[tokio::test]
async fn optimizations_and_annotation_queues_as_the_python_client_uses_them() {
    let server = TestServer::start().await;
    let mut learned = Learned::default();
    let count = replay(&server, &mut learned, "s11_misc.jsonl", is_of_catalogue).await;
    assert_eq!(count, 12);
}

/// The capture begins with prompts that were there before.
#[tokio::test]
async fn prompts_and_environments_as_the_python_client_uses_them() {
    let server = TestServer::start().await;
    let project = "wire-demo";
    for (n, template) in ["Hello {{name}}", "Hello {{name}}!!"].iter().enumerate() {
        let (status, _) = server
            .post(
                "/prompts/versions",
                &json!({"name": "greet", "project_name": project,
                        "version": {"template": template, "metadata": {"v": n + 1}}}),
            )
            .await;
        assert_eq!(status, 200);
    }
    let chat = r#"[{"role": "system", "content": "You are {{x}}"}]"#;
    let (status, _) = server
        .post(
            "/prompts/versions",
            &json!({"name": "chat", "project_name": project, "template_structure": "chat",
                    "version": {"template": chat}}),
        )
        .await;
    assert_eq!(status, 200);
    let (status, _) = server
        .post(
            "/prompts",
            &json!({"name": "with-container", "project_name": project, "description": "d",
                    "tags": ["prod"], "template": "T {{a}}"}),
        )
        .await;
    assert_eq!(status, 201);
    let (_, projects) = server.get("/projects?name=wire-demo").await;
    let mut learned = Learned::default();
    let id = projects["content"][0]["id"].as_str().unwrap();
    learned.learn("01a1f87d-2c71-747e-9861-f53ea0600dec", id, "the project");

    let count = replay(&server, &mut learned, "s09_prompts.jsonl", is_of_catalogue).await;
    assert_eq!(count, 32);
}

/// Traces, spans and scores as well: experiments are joined with them.
fn is_of_experiments(path: &str) -> bool {
    let of_traces = ["traces", "spans"];
    let private = |area: &str| path.starts_with(&format!("/api/v1/private/{area}"));
    is_of_catalogue(path) || of_traces.iter().any(|area| private(area))
}

#[tokio::test]
async fn experiments_as_the_python_client_uses_them() {
    let server = TestServer::start().await;
    let mut learned = Learned::default();
    let count = replay(
        &server,
        &mut learned,
        "s08_experiments.jsonl",
        is_of_experiments,
    )
    .await;
    assert!(count > 30, "{count}");
}

#[tokio::test]
async fn bulk_uploads_as_the_python_client_makes_them() {
    let server = TestServer::start().await;
    let mut learned = Learned::default();
    let count = replay(&server, &mut learned, "s14_bulk.jsonl", is_of_experiments).await;
    assert!(count > 8, "{count}");
}

fn evaluate_flow() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/evaluate_flow.jsonl.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// What `evaluate()` of the Python client sends, in its order. The recorded server answered with
/// little more than a status, so what was stored is read at the end.
#[tokio::test]
async fn what_evaluate_sends_becomes_an_experiment() {
    let server = TestServer::start().await;
    let mut learned = Learned::default();
    let mut experiment = String::new();
    for request in evaluate_flow() {
        let path = request["path"].as_str().unwrap();
        if !path.starts_with("/api/v1/private") || path.ends_with("/projects/retrieve") {
            continue;
        }
        let mut sent = request.clone();
        sent["query"] = match request["query"].as_str() {
            Some("page=1&size=1") => json!({"page": "1", "size": "1"}),
            _ => json!({}),
        };
        let (status, here) = send(&server, &learned, &sent).await;
        let place = format!("#{} {} {path}", request["seq"], request["method"]);
        assert_eq!(request["status"], status.as_u16(), "{place}: {here}");
        if path.ends_with("/datasets/retrieve") && status == 200 {
            let id = here["id"].as_str().unwrap();
            learned.learn("0198a000-0000-7000-8000-000000000001", id, &place);
        }
        if path.ends_with("/versions") {
            let id = here["content"][0]["id"].as_str().unwrap();
            learned.learn("0198a000-0000-7000-8000-0000000000aa", id, &place);
        }
        if path.ends_with("/experiments") {
            experiment = here["location"]
                .as_str()
                .unwrap()
                .rsplit('/')
                .next()
                .unwrap()
                .to_owned();
        }
    }
    let (_, seen) = server.get(&format!("/experiments/{experiment}")).await;
    assert_eq!(seen["dataset_name"], "vyasa-tone");
    assert_eq!(
        (&seen["trace_count"], &seen["dataset_item_count"]),
        (&json!(3), &json!(3))
    );
    assert!(!is_nothing(&seen["feedback_scores"]) && !is_nothing(&seen["experiment_scores"]));
    assert_eq!(seen["dataset_version_summary"]["version_name"], "v1");
    let dataset = seen["dataset_id"].as_str().unwrap();
    let (_, rows) = server
        .get(&format!(
            "/datasets/{dataset}/items/experiments/items?experiment_ids=%5B%22{experiment}%22%5D"
        ))
        .await;
    assert_eq!(rows["total"], 3);
    for row in rows["content"].as_array().unwrap() {
        let run = &row["experiment_items"][0];
        assert!(
            run["output"].is_object() && run["input"].is_object(),
            "{run}"
        );
        let (_, trace) = server
            .get(&format!("/traces/{}", run["trace_id"].as_str().unwrap()))
            .await;
        assert_eq!(trace["experiment"]["id"], experiment.as_str());
        assert_eq!(trace["experiment"]["dataset_item_id"], row["id"]);
    }
}
