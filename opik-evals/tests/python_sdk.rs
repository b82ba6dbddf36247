//! The metrics give what those of the official Python SDK give.
//!
//! `fixtures/metrics.jsonl` holds inputs with the scores and errors of opik 2.2.122 (nltk 3.10.4,
//! rapidfuzz 3.14.6, rouge-score 0.1.2, scipy 1.17.1).
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use opik_evals::heuristics::{by_name, names};
use opik_evals::{Case, MetricError, MetricErrorKind, Score};
use serde_json::{Map, Value};

const TOLERANCE: f64 = 1e-9;

/// Metrics of the file that are not here, and why.
const SKIPPED: &[(&str, &str)] = &[(
    "Readability",
    "counts syllables with the CMU pronouncing dictionary, 3.6 MB that would go into every host",
)];

/// Rows whose error has another kind here, and why.
const OTHER_KIND: &[(&str, &str, &str)] = &[(
    "ROUGE",
    "rouge3",
    "an unknown kind of ROUGE is a wrong parameter, as everywhere else; the SDK blames the case",
)];

struct Row {
    metric: String,
    parameters: Value,
    case: Case,
    expected: Value,
}

fn rows() -> Vec<Row> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/metrics.jsonl");
    let text = std::fs::read_to_string(path).unwrap();
    let object = |value: &Value| -> Map<String, Value> { value.as_object().unwrap().clone() };
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .map(|row: Value| Row {
            metric: row["name"].as_str().unwrap().to_owned(),
            parameters: row["params"].clone(),
            case: Case::from(object(&row["input"])),
            expected: row,
        })
        .collect()
}

fn score(row: &Row) -> Result<Score, MetricError> {
    by_name(&row.metric, row.parameters.as_object().unwrap())?.score(&row.case)
}

fn kind(row: &Row) -> Option<MetricErrorKind> {
    let error = row.expected.get("error")?;
    let other = OTHER_KIND.iter().any(|(metric, parameters, reason)| {
        assert!(
            !reason.trim().is_empty(),
            "{metric} {parameters} has no reason"
        );
        *metric == row.metric && row.parameters["rouge_type"] == *parameters
    });
    Some(match error["type"].as_str().unwrap() {
        "MetricComputationError" if !other => MetricErrorKind::Input,
        "MetricComputationError" | "ValueError" | "error" => MetricErrorKind::Parameter,
        unknown => panic!("an error of type {unknown}"),
    })
}

#[test]
fn every_row_of_a_metric_agrees() {
    let mut checked: BTreeMap<String, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    let skipped: BTreeSet<_> = SKIPPED.iter().map(|(name, _)| *name).collect();
    for (i, row) in rows().iter().enumerate() {
        if skipped.contains(row.metric.as_str()) {
            continue;
        }
        *checked.entry(row.metric.clone()).or_default() += 1;
        let agrees = match (score(row), kind(row)) {
            (Ok(score), None) => {
                let expected = row.expected["score"].as_f64().unwrap();
                (score.value() - expected).abs() <= TOLERANCE
                    && row.expected["metric_name"] == score.name()
            }
            (Err(error), Some(expected)) => error.kind() == expected,
            _ => false,
        };
        if !agrees {
            wrong.push(format!(
                "line {}: {} {}: {:?}, expected {} {}",
                i + 1,
                row.metric,
                row.parameters,
                score(row),
                row.expected["score"],
                row.expected["error"],
            ));
        }
    }
    for (metric, count) in &checked {
        println!("{metric}: {count} rows");
    }
    println!("{} rows in all", checked.values().sum::<usize>());
    assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
    for name in names() {
        assert!(checked.contains_key(name), "{name} has no row");
    }
}

#[test]
fn what_is_skipped_is_not_there_and_has_a_reason() {
    let known: BTreeSet<_> = names().collect();
    let in_file: BTreeSet<_> = rows().into_iter().map(|row| row.metric).collect();
    for (name, reason) in SKIPPED {
        assert!(
            !known.contains(name),
            "{name} is there, so it is not skipped"
        );
        assert!(in_file.contains(*name), "{name} is not in the file");
        assert!(reason.len() > 3, "{name} is skipped without a reason");
    }
}
