//! What a run came to: figures of scores, failures, time and cost.
//!
//! Two conventions hold wherever figures are made:
//!
//! - **A mean is over scores.** Trials without a score are not in it; they are counted beside it.
//! - **A rate of passing is over trials.** A trial that failed, or that a metric could not score,
//!   did not pass.
//!
//! Repetitions of one item are not independent, so intervals are made from the means of items.

mod flaky;
mod slice;

use std::collections::BTreeMap;

use opik_core::Timestamp;
use serde::Serialize;

use crate::experiment::{Run, Stopped, TaskErrorKind, Trial};
use crate::statistics::{Summary, paired_bootstrap};
use crate::{Interval, wilson_at};

pub use flaky::Flakiness;
pub use slice::{Slice, SliceMetric};
pub(crate) use slice::{slice_items, slice_value};

/// Draws for intervals, and their seed: the same run has the same figures everywhere.
pub(crate) const RESAMPLES: usize = 10_000;
pub(crate) const SEED: u64 = 20_261_128;

/// The figures of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RunSummary {
    /// Name of the experiment.
    pub name: String,
    /// Identifier of the run.
    pub run: String,
    /// When it was begun.
    pub started_at: Timestamp,
    /// Name of the dataset.
    pub dataset: Option<String>,
    /// How many items it has.
    pub items: usize,
    /// How many trials were run.
    pub trials: usize,
    /// How many were not.
    pub not_run: usize,
    /// Why not.
    pub stopped: Option<Stopped>,
    /// How many trials failed.
    pub failed: usize,
    /// How many failed in which way.
    pub failures: BTreeMap<TaskErrorKind, usize>,
    /// How many outputs came from the cache.
    pub cached: usize,
    /// The figures of each metric, in order.
    pub metrics: Vec<MetricSummary>,
    /// How long the task took, in milliseconds, over trials that did not fail.
    pub duration_ms: Option<Summary>,
    /// What a trial cost, in US dollars, over trials where that is known.
    pub cost: Option<Summary>,
    /// What all of them cost.
    pub total_cost: Option<f64>,
    /// How many tokens a trial took, over trials where that is known.
    pub tokens: Option<Summary>,
    /// The figures of parts of the items, where a field was named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub slices: Vec<Slice>,
}

/// The figures of a metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MetricSummary {
    /// Its name.
    pub name: String,
    /// Whether low scores are good.
    pub lower_is_better: bool,
    /// Its scores; absent when it gave none.
    pub scores: Option<Summary>,
    /// The mean with its interval of confidence (95 %).
    pub mean: Option<Interval>,
    /// Trials that have an output and no score.
    pub unscored: usize,
    /// Who passed, where it is known what passing is.
    pub passed: Option<Passed>,
    /// How often repetitions agree, where items were run more than once.
    pub flakiness: Option<Flakiness>,
}

/// Who passed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Passed {
    /// The score that passes.
    pub pass_at: f64,
    /// Trials that passed.
    pub passed: usize,
    /// Trials that were run.
    pub of: usize,
    /// The rate with its interval of confidence (95 %; Wilson's, or with repetitions the bootstrap's
    /// over items).
    pub rate: Interval,
}

impl RunSummary {
    /// The figures of a run, and of its parts by these fields of the items.
    #[must_use]
    pub fn of(run: &Run, slices: &[String]) -> Self {
        let metrics = run
            .metrics()
            .map(|metric| MetricSummary::of(run, metric, 0.95));
        Self {
            metrics: metrics.collect(),
            slices: slice::slices(run, slices),
            ..Self::figures(run)
        }
    }

    /// All but what is about metrics.
    pub(crate) fn figures(run: &Run) -> Self {
        let info = run.info();
        let mut failures = BTreeMap::new();
        for error in run.trials().iter().filter_map(|trial| trial.error.as_ref()) {
            *failures.entry(error.kind).or_default() += 1;
        }
        let good = || run.trials().iter().filter(|trial| !trial.failed());
        let costs: Vec<f64> = run.trials().iter().filter_map(Trial::cost).collect();
        let tokens: Vec<f64> = good()
            .filter_map(|trial| Some(trial.tokens()? as f64))
            .collect();
        let times: Vec<f64> = good()
            .map(|trial| trial.duration_us as f64 / 1_000.0)
            .collect();
        Self {
            name: info.name.clone(),
            run: info.id.clone(),
            started_at: info.started_at,
            dataset: info.dataset.name.clone(),
            items: run.items().len(),
            trials: run.trials().len(),
            not_run: run.not_run(),
            stopped: run.stopped(),
            failed: run.failed(),
            failures,
            cached: run.trials().iter().filter(|trial| trial.cached).count(),
            metrics: Vec::new(),
            duration_ms: Summary::of(&times),
            cost: Summary::of(&costs),
            total_cost: run.cost(),
            tokens: Summary::of(&tokens),
            slices: Vec::new(),
        }
    }
}

impl MetricSummary {
    /// The figures of one metric, with intervals of this confidence.
    pub(crate) fn of(run: &Run, metric: &str, confidence: f64) -> Self {
        let unscored = run
            .trials()
            .iter()
            .filter(|trial| !trial.failed() && trial.score(metric).is_none());
        let pass_at = run.pass_at(metric);
        Self {
            name: metric.to_owned(),
            lower_is_better: run.lower_is_better(metric),
            scores: Summary::of(&run.scores(metric)),
            mean: mean(run, metric, confidence),
            unscored: unscored.count(),
            passed: pass_at.and_then(|at| Passed::of(run, metric, at, confidence)),
            flakiness: pass_at.and_then(|at| Flakiness::of(run, metric, at)),
        }
    }
}

/// The mean of the means of items, with its interval.
fn mean(run: &Run, metric: &str, confidence: f64) -> Option<Interval> {
    let by_item = item_means(run, metric);
    let means: Vec<f64> = by_item.into_iter().map(|(_, mean)| mean).collect();
    paired_bootstrap(&means, RESAMPLES, confidence, SEED)
}

/// The mean score of each item that has one, in order of the items.
pub(crate) fn item_means(run: &Run, metric: &str) -> Vec<(String, f64)> {
    let by_item = run.trials_by_item();
    let means = run.items().iter().filter_map(|item| {
        let id = item.id();
        let trials = by_item.get(id.as_ref())?;
        let scores: Vec<f64> = trials
            .iter()
            .filter_map(|trial| trial.score(metric))
            .collect();
        Some((id.into_owned(), Summary::of(&scores)?.mean))
    });
    means.collect()
}

impl Passed {
    pub(crate) fn of(run: &Run, metric: &str, pass_at: f64, confidence: f64) -> Option<Self> {
        let passed = |trial: &Trial| {
            let score = trial.score(metric);
            score.is_some_and(|score| run.passes(metric, score, pass_at))
        };
        let count = run.trials().iter().filter(|trial| passed(trial)).count();
        let of = run.trials().len();
        let rate = if run.info().repeats == 1 {
            wilson_at(
                u32::try_from(count).ok()?,
                u32::try_from(of).ok()?,
                confidence,
            )?
        } else {
            let by_item = run.trials_by_item();
            let rates: Vec<f64> = run
                .items()
                .iter()
                .filter_map(|item| by_item.get(item.id().as_ref()))
                .map(|trials| {
                    let passed = trials.iter().filter(|trial| passed(trial)).count();
                    passed as f64 / trials.len() as f64
                })
                .collect();
            paired_bootstrap(&rates, RESAMPLES, confidence, SEED)?
        };
        Some(Self {
            pass_at,
            passed: count,
            of,
            rate,
        })
    }
}
