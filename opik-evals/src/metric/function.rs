//! A metric from a closure.

use std::fmt;

use super::{Case, Metric, MetricError, MetricErrorKind, Score};

/// A metric from a name and a closure that gives a number.
///
/// ```
/// use opik_evals::metric::FnMetric;
/// use opik_evals::{Case, Metric};
///
/// let brief = FnMetric::new("brief", |case: &Case| {
///     Ok(if case.text("output")?.len() <= 20 { 1.0 } else { 0.0 })
/// });
/// assert_eq!(brief.score(&Case::new("Paris."))?.value(), 1.0);
/// assert!(brief.score(&Case::new(7)).is_err());
/// # Ok::<(), opik_evals::MetricError>(())
/// ```
///
/// A closure that gives no finite number is an error of kind
/// [`NotFinite`](MetricErrorKind::NotFinite). For a score with a reason implement [`Metric`].
pub struct FnMetric<F> {
    name: String,
    function: F,
}

impl<F> FnMetric<F>
where
    F: Fn(&Case) -> Result<f64, MetricError> + Send + Sync,
{
    /// A metric of that name.
    #[must_use]
    pub fn new(name: impl Into<String>, function: F) -> Self {
        Self {
            name: name.into(),
            function,
        }
    }
}

impl<F> Metric for FnMetric<F>
where
    F: Fn(&Case) -> Result<f64, MetricError> + Send + Sync,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        finite(Score::new(self.name.as_str(), (self.function)(case)?))
    }
}

/// The score, if its value is finite.
pub(super) fn finite(score: Score) -> Result<Score, MetricError> {
    if score.value().is_finite() {
        return Ok(score);
    }
    Err(MetricError::new(
        MetricErrorKind::NotFinite,
        "the metric gave no finite number",
    ))
}

impl<F> fmt::Debug for FnMetric<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnMetric")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
