//! A metric of traces as a scorer of experiments.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use opik_core::TraceSource;
use opik_core::source::load_tree;

use super::TraceMetric;
use crate::Case;
use crate::experiment::{Scored, Scorer, ScoringError, TaskOutput};

/// Reads the trace that a trial recorded and scores it. A trial without a trace has no score.
pub struct TraceScorer {
    source: Arc<dyn TraceSource>,
    metric: Box<dyn TraceMetric>,
    identity: Option<String>,
}

impl TraceScorer {
    /// A metric over the traces of a source.
    #[must_use]
    pub fn new(source: Arc<dyn TraceSource>, metric: impl TraceMetric + 'static) -> Self {
        Self {
            source,
            metric: Box::new(metric),
            identity: None,
        }
    }

    /// With what tells the metric from every other one, parameters and all; see
    /// [`Scorer::identity`]. A score of a trace that changes later would then be kept.
    #[must_use]
    pub fn identified(mut self, identity: impl Into<String>) -> Self {
        self.identity = Some(identity.into());
        self
    }
}

#[async_trait]
impl Scorer for TraceScorer {
    fn name(&self) -> &str {
        self.metric.name()
    }

    fn identity(&self) -> Option<&str> {
        self.identity.as_deref()
    }

    fn lower_is_better(&self) -> bool {
        self.metric.lower_is_better()
    }

    async fn score(&self, _: &Case, output: &TaskOutput) -> Result<Scored, ScoringError> {
        let id = output
            .trace_id
            .ok_or_else(|| ScoringError::new("the trial recorded no trace"))?;
        let tree = load_tree(self.source.as_ref(), id)
            .await
            .map_err(|error| ScoringError::new(error.to_string()))?
            .ok_or_else(|| ScoringError::new(format!("there is no trace {id}")))?;
        let score = self.metric.score(&tree);
        Ok(score
            .map_err(|error| ScoringError::new(error.to_string()))?
            .into())
    }
}

impl fmt::Debug for TraceScorer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TraceScorer")
            .field("metric", &self.metric.name())
            .field("source", &self.source)
            .finish()
    }
}
