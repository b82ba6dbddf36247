//! The experiment that the recorded conversation is about: three items, one of which makes a
//! metric fail.

use std::time::Duration;

use opik_core::rest::{OpikClient, OpikClientBuilder, RetryPolicy};
use opik_evals::dataset::Item;
use opik_evals::experiment::{Experiment, FnTask};
use opik_evals::heuristics::Equals;
use opik_evals::{Case, Metric, MetricError, MetricErrorKind, Score};
use opik_testkit::StubServer;
use serde_json::{Value, json};

pub(crate) const PROJECT: &str = "vyasa";
pub(crate) const DATASET: &str = "vyasa-tone";

struct LabelMatch;

impl Metric for LabelMatch {
    fn name(&self) -> &str {
        "label_match"
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        let (output, expected) = (case.text("output")?, case.text("expected")?);
        if output == "boom" {
            return Err(MetricError::new(MetricErrorKind::Input, "metric exploded"));
        }
        let value = if output == expected { 1.0 } else { 0.0 };
        Ok(Score::new(self.name(), value).because(format!("{output} vs {expected}")))
    }
}

pub(crate) fn experiment() -> Experiment {
    let rows = [
        ("A revolutionary idea", "sensational", "b1"),
        ("plain", "neutral", "b2"),
        ("crash", "neutral", "b3"),
    ];
    let items = rows.map(|(text, expected, block)| {
        let data = json!({ "text": text, "expected": expected, "block_id": block });
        Item::from_value(json!({ "id": block, "data": data })).unwrap()
    });
    let task = FnTask::new(|call| async move {
        Ok(match call.text("text")? {
            "crash" => "boom",
            text if text.contains("revolutionary") => "sensational",
            _ => "neutral",
        }
        .into())
    });
    Experiment::new("exp1", items)
        .dataset_name(DATASET)
        .task(task)
        .metric(LabelMatch)
        .metric(Equals::new())
        .map("reference", "expected")
        .metadata("model", "m1")
        .metadata("temperature", 0.1)
        .tag("ci")
}

pub(crate) fn builder(stub: &StubServer) -> OpikClientBuilder {
    let wait = Duration::from_millis(2);
    OpikClient::builder(stub.base_url())
        .project_name(PROJECT)
        .retry(RetryPolicy::default().waits(wait, wait))
        .proxies(false)
}

pub(crate) fn client(stub: &StubServer) -> OpikClient {
    builder(stub).build().unwrap()
}

/// The values of a list in the bodies of all requests to a path.
pub(crate) fn sent(requests: &[Value], path: &str, list: &str) -> Vec<Value> {
    let bodies = requests
        .iter()
        .filter(|request| request["path"].as_str().unwrap().ends_with(path));
    let lists = bodies.filter_map(|request| request["body"][list].as_array());
    lists.flatten().cloned().collect()
}

/// The body of the one request to a path.
pub(crate) fn body(requests: &[Value], method: &str, path: &str) -> Value {
    let mut found = requests.iter().filter(|request| {
        request["method"] == method && request["path"].as_str().unwrap().ends_with(path)
    });
    let body = found.next().unwrap_or_else(|| panic!("{method} {path}"))["body"].clone();
    assert!(found.next().is_none(), "{method} {path} was sent twice");
    body
}
