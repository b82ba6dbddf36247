//! What was submitted, the official Python SDK reads back with equal scores.
//!
//! Needs a Python that has the package `opik`, named by `OPIK_SDK_PYTHON`; `.ci/run` sets one up.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use opik_evals::submit::Submission;
use opik_testkit::StubServer;
use serde_json::Value;

use crate::scene::{DATASET, PROJECT, client, experiment};

#[expect(
    clippy::disallowed_methods,
    reason = "the machine says where its Python is"
)]
fn python(test: &str) -> Option<String> {
    let named = std::env::var("OPIK_SDK_PYTHON").ok();
    if named.is_none() {
        // Past the test harness, which hides what passing tests print.
        let line =
            format!("SKIPPED {test}: OPIK_SDK_PYTHON names no Python with the package opik\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    named
}

#[tokio::test]
async fn the_official_sdk_reads_an_experiment_back_with_equal_scores() {
    let test = "the_official_sdk_reads_an_experiment_back_with_equal_scores";
    let Some(python) = python(test) else { return };
    let Some(stub) = StubServer::start(test).unwrap() else {
        return;
    };
    let run = experiment().run().await.unwrap();
    let submission = Submission::new(client(&stub)).score("acc", 2.0 / 3.0);
    submission.run(&run).await.unwrap();
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../opik-core/testkit/sdk/read_experiment.py");
    let output = Command::new(python)
        .arg(script)
        .args([PROJECT, "exp1"])
        .env("OPIK_URL_OVERRIDE", stub.base_url())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let read: Value = serde_json::from_slice(&output.stdout).unwrap();

    assert_eq!(read["experiments"], 1);
    assert_eq!(read["dataset"], DATASET);
    assert_eq!(read["metadata"]["model"], "m1");
    assert_eq!(read["scores"]["acc"], 2.0 / 3.0);
    assert_eq!(read["dataset_items"].as_array().unwrap().len(), 3);
    for metric in ["label_match", "equals_metric"] {
        let (ours, theirs) = (
            run.mean(metric).unwrap(),
            read["means"][metric].as_f64().unwrap(),
        );
        assert!(
            (ours - theirs).abs() < 1e-9,
            "{metric}: {ours} and {theirs}"
        );
    }
    let items = read["items"].as_array().unwrap();
    assert_eq!(items.len(), run.trials().len());
    for trial in run.trials() {
        let item = items
            .iter()
            .find(|item| item["data"]["block_id"] == trial.item_id.as_str())
            .unwrap();
        assert_eq!(
            item["output"],
            serde_json::to_value(&trial.output.as_ref().unwrap().fields).unwrap()
        );
        let scores: BTreeMap<&str, (f64, Option<&str>)> = item["scores"]
            .as_array()
            .unwrap()
            .iter()
            .map(|score| {
                (
                    score["name"].as_str().unwrap(),
                    (score["value"].as_f64().unwrap(), score["reason"].as_str()),
                )
            })
            .collect();
        let expected: BTreeMap<&str, (f64, Option<&str>)> = trial
            .scores
            .iter()
            .map(|score| (score.name.as_str(), (score.value, score.reason.as_deref())))
            .collect();
        assert_eq!(scores, expected);
    }
}
