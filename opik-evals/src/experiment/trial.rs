//! One item, run once.

use std::fmt;

use opik_core::Timestamp;
use serde::{Deserialize, Serialize};

use super::{TaskError, TaskOutput};

/// One item, run once, with its scores.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Trial {
    /// Identifier of the item.
    #[serde(rename = "item")]
    pub item_id: String,
    /// Which repetition it is, from 0.
    pub repeat: u32,
    /// When the task began.
    pub started_at: Timestamp,
    /// How long the task took, in microseconds.
    pub duration_us: u64,
    /// How long the metrics took, in microseconds.
    #[serde(default)]
    pub scoring_us: u64,
    /// What the task answered; absent when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<TaskOutput>,
    /// Why it failed; absent when it did not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<TaskError>,
    /// What metrics gave, in the order of the metrics.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scores: Vec<TrialScore>,
    /// Metrics that could not score it, in the order of the metrics.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failed_scores: Vec<FailedScore>,
    /// What scoring cost, in US dollars.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub scoring_cost: f64,
    /// Whether the output came from the cache.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde wants"
)]
fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

impl Trial {
    /// The score of a metric, if it gave one.
    #[must_use]
    pub fn score(&self, metric: &str) -> Option<f64> {
        let found = self.scores.iter().find(|score| score.name == metric);
        found.map(|score| score.value)
    }

    /// Whether the task failed.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.error.is_some()
    }

    /// What the task and its metrics cost, in US dollars, where that is known.
    #[must_use]
    pub fn cost(&self) -> Option<f64> {
        let task = self.output.as_ref().and_then(|output| output.cost);
        match (task, self.scoring_cost) {
            (None, 0.0) => None,
            (task, scoring) => Some(task.unwrap_or(0.0) + scoring),
        }
    }

    /// How many tokens the task took, where that is known.
    #[must_use]
    pub fn tokens(&self) -> Option<u64> {
        self.output.as_ref().and_then(|output| output.tokens)
    }

    /// What it cost now: an output from the cache costs nothing.
    pub(super) fn spent(&self) -> f64 {
        let task = self.output.as_ref().and_then(|output| output.cost);
        let task = task.filter(|_| !self.cached).unwrap_or(0.0);
        task + self.scoring_cost
    }
}

impl fmt::Debug for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trial")
            .field("item_id", &self.item_id)
            .field("repeat", &self.repeat)
            .field("output", &self.output)
            .field("error", &self.error)
            .field("scores", &self.scores)
            .field("failed_scores", &self.failed_scores)
            .finish_non_exhaustive()
    }
}

/// A score of a trial.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TrialScore {
    /// Name of the metric.
    pub name: String,
    /// The value; finite.
    pub value: f64,
    /// Why, if the metric says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl fmt::Debug for TrialScore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.value)
    }
}

/// A metric that could not score a trial.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FailedScore {
    /// Name of the metric.
    pub name: String,
    /// Why.
    pub message: String,
}

impl fmt::Debug for FailedScore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: failed", self.name)
    }
}
