//! Scores over runs.

use opik_core::Timestamp;
use serde::Serialize;

use crate::Interval;
use crate::experiment::Run;
use crate::summary::MetricSummary;

/// One run of a trend.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TrendPoint {
    /// Name of the experiment.
    pub name: String,
    /// Identifier of the run.
    pub run: String,
    /// When it was begun.
    pub started_at: Timestamp,
    /// The mean of each metric that gave scores, with its interval of confidence (95 %).
    pub means: Vec<(String, Interval)>,
}

impl TrendPoint {
    /// The point of a run.
    #[must_use]
    pub fn of(run: &Run) -> Self {
        let means = run.metrics().filter_map(|metric| {
            let summary = MetricSummary::of(run, metric, 0.95);
            Some((metric.to_owned(), summary.mean?))
        });
        Self {
            name: run.info().name.clone(),
            run: run.info().id.clone(),
            started_at: run.info().started_at,
            means: means.collect(),
        }
    }

    /// The mean of a metric.
    #[must_use]
    pub fn mean(&self, metric: &str) -> Option<Interval> {
        let found = self.means.iter().find(|(name, _)| name == metric);
        found.map(|(_, mean)| *mean)
    }
}
