//! What arrives is what the official SDK sends.

use std::collections::{BTreeMap, BTreeSet};

use opik_core::{Timestamp, TraceId};
use opik_evals::submit::Submission;
use opik_testkit::StubServer;
use serde_json::{Map, Value, json};

use crate::scene::{body, client, experiment, sent};

/// What the SDK sent for the same experiment.
fn recorded() -> Vec<Value> {
    let text = include_str!("../fixtures/evaluate_flow.jsonl");
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A value without what differs by nature: identifiers, moments and durations. Absent and null are
/// the same. What a metric says beside its score is not ours to send.
fn plain(value: &Value) -> Value {
    match value {
        Value::String(text) if text.parse::<TraceId>().is_ok() => json!("<id>"),
        Value::String(text) if text.parse::<Timestamp>().is_ok() => json!("<time>"),
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, value)| {
                let beside = name.as_str() == "metadata" && value.get("model").is_none();
                !value.is_null() && !beside
            });
            let fields = kept.map(|(name, value)| {
                let value = match name.as_str() {
                    "task_execution_time" | "scoring_time" => json!("<seconds>"),
                    // The class and the stack are those of Python.
                    "exception_type" | "traceback" => json!("<python>"),
                    "_opik_resume" => serde_json::from_str(value.as_str().unwrap()).unwrap(),
                    _ => plain(value),
                };
                (name.clone(), value)
            });
            Value::Object(fields.collect())
        }
        other => other.clone(),
    }
}

/// The last version of each record, by item and name.
fn by_name(rows: &[Value]) -> BTreeMap<(String, String), Value> {
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for row in rows {
        let input = &row["input"];
        let candidates = [
            &input["text"],
            &input["item"]["text"],
            &input["test_case_"]["dataset_item_content"]["text"],
        ];
        if let Some(text) = candidates.iter().find_map(|text| text.as_str()) {
            let trace = row["trace_id"].as_str().or(row["id"].as_str()).unwrap();
            texts.insert(trace.to_owned(), text.to_owned());
        }
    }
    let rows = rows.iter().map(|row| {
        let trace = row["trace_id"].as_str().or(row["id"].as_str()).unwrap();
        (
            (
                texts[trace].clone(),
                row["name"].as_str().unwrap().to_owned(),
            ),
            plain(row),
        )
    });
    rows.collect()
}

/// What Python's signature takes apart, together again: the metrics of this crate take one case.
fn joined(mut span: Value) -> Value {
    if let Some(rest) = span["input"]
        .as_object_mut()
        .and_then(|input| input.remove("k"))
    {
        let rest: Map<String, Value> = serde_json::from_value(rest).unwrap();
        span["input"].as_object_mut().unwrap().extend(rest);
    }
    span
}

#[tokio::test]
async fn what_arrives_is_what_the_official_sdk_sends() {
    let Some(stub) = StubServer::start("what_arrives_is_what_the_official_sdk_sends").unwrap()
    else {
        return;
    };
    let run = experiment().run().await.unwrap();
    let submission = Submission::new(client(&stub))
        .description("tone records")
        .score("acc", 2.0 / 3.0);
    let report = submission.run(&run).await.unwrap();
    assert_eq!((report.trials, report.new_items, report.earlier), (3, 3, 0));
    let (ours, theirs) = (stub.requests().unwrap(), recorded());

    for (method, path) in [
        ("POST", "/datasets"),
        ("POST", "/experiments"),
        ("POST", "/experiments/finish"),
    ] {
        let mut ours = body(&ours, method, path);
        // Ours carries its identifier, so that it may be sent twice.
        if path == "/datasets" {
            assert!(ours.as_object_mut().unwrap().remove("id").is_some());
        }
        assert_eq!(plain(&ours), plain(&body(&theirs, method, path)), "{path}");
    }
    let change = |requests: &[Value]| {
        let change = requests
            .iter()
            .find(|request| request["method"] == "PATCH")
            .unwrap();
        (
            plain(&json!(
                change["path"].as_str().unwrap().rsplit_once('/').unwrap().0
            )),
            change["body"].clone(),
        )
    };
    assert_eq!(change(&ours), change(&theirs));

    let set = |requests: &[Value], path: &str, list: &str| -> BTreeSet<String> {
        sent(requests, path, list)
            .iter()
            .map(|row| plain(row).to_string())
            .collect()
    };
    for (path, list, count) in [
        ("/datasets/items", "items", 3),
        ("/traces/batch", "traces", 3),
        ("/traces/feedback-scores", "scores", 5),
    ] {
        assert_eq!(set(&ours, path, list), set(&theirs, path, list), "{path}");
        assert_eq!(sent(&ours, path, list).len(), count);
    }
    let links = |requests: &[Value]| -> Vec<Value> {
        sent(requests, "/experiments/items", "experiment_items")
            .iter()
            .map(plain)
            .collect()
    };
    assert_eq!(links(&ours), links(&theirs));

    let mut our_spans = by_name(&sent(&ours, "/spans/batch", "spans"));
    let their_spans = by_name(&sent(&theirs, "/spans/batch", "spans"));
    for (key, span) in their_spans {
        let found = our_spans
            .remove(&key)
            .unwrap_or_else(|| panic!("no span {key:?}"));
        assert_eq!(found, joined(span), "{key:?}");
    }
    // The SDK does not trace its own metrics; we trace all of them alike.
    let more: Vec<&str> = our_spans.keys().map(|(_, name)| name.as_str()).collect();
    assert_eq!(more, ["equals_metric"; 3]);
}

#[tokio::test]
async fn everything_that_belongs_together_names_each_other() {
    let Some(stub) =
        StubServer::start("everything_that_belongs_together_names_each_other").unwrap()
    else {
        return;
    };
    let run = experiment().repeats(2).run().await.unwrap();
    let report = Submission::new(client(&stub)).run(&run).await.unwrap();
    let requests = stub.requests().unwrap();
    let ids = |rows: &[Value], field: &str| -> Vec<String> {
        rows.iter()
            .filter_map(|row| Some(row[field].as_str()?.to_owned()))
            .collect()
    };
    let set = |list: Vec<String>| -> BTreeSet<String> { list.into_iter().collect() };
    let items = sent(&requests, "/datasets/items", "items");
    let traces = sent(&requests, "/traces/batch", "traces");
    let spans = sent(&requests, "/spans/batch", "spans");
    let scores = sent(&requests, "/traces/feedback-scores", "scores");
    let links = sent(&requests, "/experiments/items", "experiment_items");
    assert_eq!(
        (items.len(), traces.len(), spans.len(), links.len()),
        (3, 6, 36, 6)
    );
    let trace_ids = set(ids(&traces, "id"));
    assert_eq!(trace_ids.len(), 6);
    assert_eq!(set(ids(&spans, "trace_id")), trace_ids);
    assert_eq!(set(ids(&scores, "id")), trace_ids);
    assert_eq!(set(ids(&links, "trace_id")), trace_ids);
    assert_eq!(set(ids(&links, "dataset_item_id")), set(ids(&items, "id")));
    assert_eq!(
        set(ids(&links, "experiment_id")),
        set(vec![report.experiment_id])
    );
    let all: Vec<String> = [&items, &traces, &spans, &links]
        .into_iter()
        .flat_map(|rows| ids(rows, "id"))
        .collect();
    assert_eq!(
        set(all.clone()).len(),
        all.len(),
        "an identifier was used twice"
    );
    for span in &spans {
        if let Some(parent) = span["parent_span_id"].as_str() {
            let parent = spans.iter().find(|span| span["id"] == parent).unwrap();
            assert_eq!(parent["name"], "metrics_calculation");
            assert_eq!(parent["trace_id"], span["trace_id"]);
        }
    }
    let trials: Vec<u64> = spans
        .iter()
        .filter_map(|span| span["input"]["trial_id"].as_u64())
        .collect();
    assert_eq!(trials.iter().filter(|trial| **trial == 1).count(), 3);
}
