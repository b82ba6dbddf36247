//! Evaluates a closure, and compares two versions of it.
//!
//! Run it with `cargo run -p opik-examples --example evaluate`; give a folder to keep the runs and a
//! report in it.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

use opik_evals::compare::{Change, CompareOptions, Comparison};
use opik_evals::dataset::Item;
use opik_evals::experiment::{Experiment, FnTask, TaskOutput};
use opik_evals::heuristics::{Equals, LevenshteinRatio};
use opik_evals::report::{Report, comparison_text};
use serde_json::json;

/// A classifier of tone that stands for a model. The second version knows one word more.
fn tone(text: &str, version: u32) -> &'static str {
    let words: &[&str] = match version {
        1 => &["revolutionary", "unprecedented"],
        _ => &["revolutionary", "unprecedented", "miraculous"],
    };
    if words.iter().any(|word| text.contains(word)) {
        "sensational"
    } else {
        "neutral"
    }
}

fn dataset() -> Result<Vec<Item>, &'static str> {
    let subjects = ["method", "result", "dataset", "engine"];
    let kinds = [
        ("a revolutionary", "sensational"),
        ("an ordinary", "neutral"),
        ("a miraculous", "sensational"),
        ("a tested", "neutral"),
    ];
    let texts = kinds.iter().flat_map(|(kind, expected)| {
        subjects
            .iter()
            .map(move |subject| (format!("{kind} {subject}"), *subject, *expected))
    });
    texts
        .map(|(text, subject, expected)| {
            Item::from_value(
                json!({ "text": text, "subject": subject, "expected_output": expected }),
            )
        })
        .collect()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from);
    let items = dataset()?;
    let mut runs = Vec::new();
    for version in [1, 2] {
        let task = FnTask::new(move |call| async move {
            let answer = tone(call.text("text")?, version);
            Ok(TaskOutput::new(answer).cost(0.0002))
        });
        let mut experiment = Experiment::new(format!("tone v{version}"), items.clone())
            .dataset_name("tone")
            .task(task)
            .task_version(version.to_string())
            .metric(Equals::new())
            .metric(LevenshteinRatio::new())
            .concurrency(8)
            .timeout(Duration::from_secs(5));
        if let Some(folder) = &folder {
            // Killed half way, the same program goes on from here.
            experiment = experiment.file(folder.join(format!("v{version}.jsonl")));
        }
        runs.push(experiment.run().await?);
    }
    let [before, after] = runs.as_slice() else {
        return Err("two versions were run".into());
    };
    let comparison = Comparison::of(before, after, &CompareOptions::default().slice("subject"));
    println!("{}", comparison_text(&comparison));
    if let Some(folder) = &folder {
        let report = Report::new(after)
            .comparison(&comparison)
            .earlier(before)
            .slice("subject");
        std::fs::write(folder.join("report.html"), report.html())?;
    }
    let better = comparison
        .cases
        .iter()
        .filter(|case| case.change == Change::Improved);
    // Four texts, by two metrics.
    if better.count() != 8 || after.mean("equals_metric") != Some(1.0) {
        return Err("the second version should be right about four texts more".into());
    }
    Ok(())
}
