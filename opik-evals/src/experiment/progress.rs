//! How far a run is.

use std::time::Duration;

/// How far a run is; given to the callback of [`Experiment::on_progress`](super::Experiment::on_progress).
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// Trials that are finished, also those of an earlier run on the same file.
    pub done: usize,
    /// All trials: items times repetitions.
    pub total: usize,
    /// Finished trials that failed.
    pub failed: usize,
    /// Finished trials whose output came from the cache.
    pub cached: usize,
    /// What this run has cost so far, in US dollars. Outputs from the cache cost nothing.
    pub cost: f64,
    /// Since this run began.
    pub elapsed: Duration,
    /// An estimate of the time left, from the pace so far; absent before the first trial.
    pub left: Option<Duration>,
}
