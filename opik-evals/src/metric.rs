//! What a metric is: a named, pure function from a [`Case`] to a [`Score`].
//!
//! A metric promises that its name is not blank, that the same case always gets the same score,
//! that a score is a finite number, that it never panics whatever the text, and that its errors
//! quote nothing of the case. [`conformance`] checks all five.
//!
//! A metric that cannot score a case says so with a [`MetricError`]; it does not invent a number.
//! Whoever runs metrics counts such a case as not scored.
//!
//! [`score_all`] scores many cases over all cores.

mod aggregated;
mod ahead;
mod case;
pub mod conformance;
mod error;
mod function;
mod many;
mod parameters;

pub use aggregated::Aggregated;
pub use case::Case;
pub(crate) use case::value_texts;
pub use error::{MetricError, MetricErrorKind};
pub use function::FnMetric;
pub use many::score_all;
pub(crate) use parameters::Parameters;

use std::borrow::Cow;

/// A named, pure function from a case to a score.
///
/// ```
/// use opik_evals::heuristics::Equals;
/// use opik_evals::{Case, Metric};
///
/// let score = Equals::new().score(&Case::new("Paris").with_reference("paris"))?;
/// assert_eq!((score.name(), score.value()), ("equals_metric", 1.0));
/// # Ok::<(), opik_evals::MetricError>(())
/// ```
pub trait Metric: Send + Sync {
    /// The name under which scores are reported; never blank.
    fn name(&self) -> &str;

    /// Scores one case.
    ///
    /// # Errors
    ///
    /// When the case lacks what the metric reads, or holds what it cannot score.
    fn score(&self, case: &Case) -> Result<Score, MetricError>;

    /// Whether low scores are good. Runs note it, so that comparisons, gates and reports know.
    fn lower_is_better(&self) -> bool {
        false
    }

    /// The same metric under another name, for two settings of one metric in one run.
    fn named(self, name: impl Into<String>) -> Named<Self>
    where
        Self: Sized,
    {
        Named {
            name: name.into(),
            metric: self,
        }
    }
}

impl<M: Metric + ?Sized> Metric for Box<M> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn lower_is_better(&self) -> bool {
        (**self).lower_is_better()
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        (**self).score(case)
    }
}

/// A metric under another name; made by [`Metric::named`].
#[derive(Debug, Clone)]
pub struct Named<M> {
    name: String,
    metric: M,
}

impl<M: Metric> Metric for Named<M> {
    fn name(&self) -> &str {
        &self.name
    }

    fn lower_is_better(&self) -> bool {
        self.metric.lower_is_better()
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        let mut score = self.metric.score(case)?;
        score.name = Cow::Owned(self.name.clone());
        Ok(score)
    }
}

/// The number that a metric gives a case, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    name: Cow<'static, str>,
    value: f64,
    reason: Option<String>,
}

impl Score {
    /// A score without a reason. Whoever makes it sees to it that the value is finite.
    #[must_use]
    pub fn new(name: impl Into<String>, value: f64) -> Self {
        Self {
            name: Cow::Owned(name.into()),
            value,
            reason: None,
        }
    }

    /// Like [`new`](Self::new), for a name that is part of the program: it is not copied, which for a
    /// cheap metric is a good part of the time.
    #[must_use]
    pub const fn fixed(name: &'static str, value: f64) -> Self {
        Self {
            name: Cow::Borrowed(name),
            value,
            reason: None,
        }
    }

    /// With the reason, for people to read.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = Some(reason.into());
        self
    }

    /// The name of the metric.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The number. Its range is the metric's; most lie between 0 and 1, where 1 is best.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.value
    }

    /// Why, if the metric says so.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }
}
