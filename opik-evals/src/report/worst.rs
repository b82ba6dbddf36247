//! The cases that deserve a look.

use opik_core::TraceId;
use serde::Serialize;
use serde_json::Value;

use crate::dataset::Item;
use crate::experiment::{FailedScore, Run, Trial, TrialScore};

/// A trial, with all that was in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Case {
    /// Identifier of the item.
    pub item: String,
    /// Which repetition it is, from 0.
    pub repeat: u32,
    /// The data of the item.
    pub data: Value,
    /// What is expected.
    pub expected: Option<Value>,
    /// What the task answered.
    pub output: Option<Value>,
    /// Why it failed.
    pub error: Option<String>,
    /// Its scores.
    pub scores: Vec<TrialScore>,
    /// Metrics that could not score it.
    pub failed_scores: Vec<FailedScore>,
    /// The trace that it recorded.
    pub trace_id: Option<TraceId>,
    /// How long the task took, in milliseconds.
    pub duration_ms: f64,
    /// What it cost, in US dollars, where that is known.
    pub cost: Option<f64>,
}

/// The worst trials: failed ones, then by how far their scores lie from the best of the run.
pub(super) fn worst(run: &Run, most: usize) -> Vec<Case> {
    let ranges: Vec<(&str, f64, f64)> = run
        .metrics()
        .filter_map(|metric| {
            let scores = run.scores(metric);
            let low = scores.iter().copied().reduce(f64::min)?;
            let high = scores.iter().copied().reduce(f64::max)?;
            Some((metric, low, high))
        })
        .collect();
    let mut ranked: Vec<(f64, &Trial)> = run
        .trials()
        .iter()
        .map(|trial| (badness(run, trial, &ranges), trial))
        .filter(|(badness, _)| *badness > 0.0)
        .collect();
    ranked.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let items = run.items_by_id();
    let cases = ranked.into_iter().take(most).map(|(_, trial)| {
        let item = items.get(trial.item_id.as_str()).copied();
        case(item, trial)
    });
    cases.collect()
}

/// 2 and more for failures; else how much is missing to the best score of each metric, from 0 to 1,
/// in the mean. A score that a metric could not give counts as the worst.
fn badness(run: &Run, trial: &Trial, ranges: &[(&str, f64, f64)]) -> f64 {
    if trial.failed() {
        return 2.0;
    }
    let (mut sum, mut count) = (
        trial.failed_scores.len() as f64,
        trial.failed_scores.len() as f64,
    );
    for (metric, low, high) in ranges {
        let Some(score) = trial.score(metric) else {
            continue;
        };
        count += 1.0;
        // A metric from 0 to 1 is held against 1, also when the run never reached it.
        let (low, high) = if *low >= 0.0 && *high <= 1.0 {
            (0.0, 1.0)
        } else {
            (*low, *high)
        };
        if high > low {
            let good = (score - low) / (high - low);
            sum += if run.lower_is_better(metric) {
                good
            } else {
                1.0 - good
            };
        }
    }
    if count == 0.0 { 0.0 } else { sum / count }
}

fn case(item: Option<&Item>, trial: &Trial) -> Case {
    let output = trial
        .output
        .as_ref()
        .map(|output| match output.fields.get("output") {
            Some(only) if output.fields.len() == 1 => only.clone(),
            _ => Value::Object(output.fields.clone()),
        });
    let own = trial.output.as_ref().and_then(|output| output.trace_id);
    Case {
        item: trial.item_id.clone(),
        repeat: trial.repeat,
        data: item
            .map(|item| Value::Object(item.data().clone()))
            .unwrap_or_default(),
        expected: item.and_then(|item| item.expected().cloned()),
        output,
        error: trial.error.as_ref().map(|error| error.message.clone()),
        scores: trial.scores.clone(),
        failed_scores: trial.failed_scores.clone(),
        trace_id: own.or_else(|| item.and_then(crate::experiment::trace_of)),
        duration_ms: trial.duration_us as f64 / 1_000.0,
        cost: trial.cost(),
    }
}
