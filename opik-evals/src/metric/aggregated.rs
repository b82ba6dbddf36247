//! One score from the scores of several metrics.

use std::fmt;

use super::function::finite;
use super::{Case, Metric, MetricError, Score};

type Combine = dyn Fn(&[Score]) -> Result<f64, MetricError> + Send + Sync;

/// A metric that combines the scores of others. When one of them cannot score a case, neither can
/// this one.
///
/// ```
/// use opik_evals::heuristics::{Contains, Equals};
/// use opik_evals::metric::Aggregated;
/// use opik_evals::{Case, Metric};
///
/// let both = Aggregated::mean(
///     "match",
///     vec![Box::new(Equals::new()), Box::new(Contains::new())],
/// )?;
/// let case = Case::new("It is Paris").with_reference("Paris");
/// assert_eq!(both.score(&case)?.value(), 0.5);
/// # Ok::<(), opik_evals::MetricError>(())
/// ```
pub struct Aggregated {
    name: String,
    metrics: Vec<Box<dyn Metric>>,
    combine: Box<Combine>,
}

impl Aggregated {
    /// Combines the scores, which come in the order of the metrics.
    ///
    /// # Errors
    ///
    /// [`Parameter`](super::MetricErrorKind::Parameter) without a metric.
    pub fn new(
        name: impl Into<String>,
        metrics: Vec<Box<dyn Metric>>,
        combine: impl Fn(&[Score]) -> Result<f64, MetricError> + Send + Sync + 'static,
    ) -> Result<Self, MetricError> {
        if metrics.is_empty() {
            return Err(MetricError::parameter("there are no metrics to combine"));
        }
        Ok(Self {
            name: name.into(),
            metrics,
            combine: Box::new(combine),
        })
    }

    /// The mean of the scores.
    ///
    /// # Errors
    ///
    /// [`Parameter`](super::MetricErrorKind::Parameter) without a metric.
    pub fn mean(
        name: impl Into<String>,
        metrics: Vec<Box<dyn Metric>>,
    ) -> Result<Self, MetricError> {
        Self::new(name, metrics, |scores| {
            let (sum, count) = scores
                .iter()
                .fold((0.0, 0.0), |(sum, n), score| (sum + score.value(), n + 1.0));
            Ok(sum / count)
        })
    }
}

impl Metric for Aggregated {
    fn name(&self) -> &str {
        &self.name
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        let scores = self
            .metrics
            .iter()
            .map(|metric| metric.score(case))
            .collect::<Result<Vec<_>, _>>()?;
        finite(Score::new(self.name.as_str(), (self.combine)(&scores)?))
    }
}

impl fmt::Debug for Aggregated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.metrics.iter().map(|metric| metric.name()).collect();
        f.debug_struct("Aggregated")
            .field("name", &self.name)
            .field("metrics", &names)
            .finish_non_exhaustive()
    }
}
