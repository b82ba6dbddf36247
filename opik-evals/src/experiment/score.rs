//! What scores a trial: metrics, and whatever needs to wait for an answer, such as a judge.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use async_trait::async_trait;

use super::TaskOutput;
use crate::{Case, Metric, Score};

/// Scores a trial, perhaps slowly.
///
/// Every [`Metric`] is one through [`MetricScorer`]; implement this for what has to wait: a judge
/// that asks a model, or a look at the trace that a trial recorded.
#[async_trait]
pub trait Scorer: Send + Sync {
    /// The name under which scores are reported; never blank, and the only one of a run.
    fn name(&self) -> &str;

    /// What the scores depend on besides the case: the metric, its parameters, the model. Where a
    /// run has a cache and this is given, the same case is not scored twice. Without it every case
    /// is scored anew.
    fn identity(&self) -> Option<&str> {
        None
    }

    /// Whether low scores are good. The run notes it, so that comparisons, gates and reports know.
    fn lower_is_better(&self) -> bool {
        false
    }

    /// Scores one trial: the fields of the item and of the output as one case, and the output.
    ///
    /// # Errors
    /// [`ScoringError`]: the trial has no score of this name, and the run goes on.
    async fn score(&self, case: &Case, output: &TaskOutput) -> Result<Scored, ScoringError>;
}

/// A score, and what it cost.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Scored {
    /// The score.
    pub score: Score,
    /// What it cost, in US dollars.
    pub cost: f64,
}

impl From<Score> for Scored {
    fn from(score: Score) -> Self {
        Self { score, cost: 0.0 }
    }
}

impl Scored {
    /// With what it cost, in US dollars.
    #[must_use]
    pub fn cost(mut self, dollars: f64) -> Self {
        self.cost = dollars;
        self
    }
}

/// A trial that a scorer could not score.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct ScoringError {
    message: String,
}

impl ScoringError {
    /// An error with a message for people, which is kept in the results.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
        }
    }
}

/// A [`Metric`] as a scorer.
#[derive(Clone)]
pub struct MetricScorer {
    metric: Arc<dyn Metric>,
    identity: Option<String>,
}

impl MetricScorer {
    /// The metric, scored anew every time.
    #[must_use]
    pub fn new(metric: impl Metric + 'static) -> Self {
        Self {
            metric: Arc::new(metric),
            identity: None,
        }
    }

    /// With what tells it from every other metric, parameters and all; see [`Scorer::identity`].
    #[must_use]
    pub fn identified(mut self, identity: impl Into<String>) -> Self {
        self.identity = Some(identity.into());
        self
    }
}

#[async_trait]
impl Scorer for MetricScorer {
    fn name(&self) -> &str {
        self.metric.name()
    }

    fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    fn lower_is_better(&self) -> bool {
        self.metric.lower_is_better()
    }

    async fn score(&self, case: &Case, _: &TaskOutput) -> Result<Scored, ScoringError> {
        // A metric of one's own may break its promise not to panic; the run goes on.
        match catch_unwind(AssertUnwindSafe(|| self.metric.score(case))) {
            Ok(Ok(score)) => Ok(score.into()),
            Ok(Err(error)) => Err(ScoringError::new(error.to_string())),
            Err(_) => Err(ScoringError::new("the metric panicked")),
        }
    }
}

impl fmt::Debug for MetricScorer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricScorer")
            .field("name", &self.metric.name())
            .field("identity", &self.identity)
            .finish()
    }
}
