//! Why a case has no score.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// What kind of obstacle a metric met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricErrorKind {
    /// The case lacks what the metric reads, or holds something else (`MetricComputationError` in
    /// the Python SDK). Other cases may still be scored.
    Input,
    /// A parameter of the metric is missing or makes no sense (`ValueError` in the Python SDK).
    Parameter,
    /// The computation gave no finite number.
    NotFinite,
    /// The case needs more time or memory than the metric allows itself.
    TooLarge,
}

/// A case that a metric could not score. It never quotes the case.
#[derive(Debug)]
pub struct MetricError {
    kind: MetricErrorKind,
    message: Cow<'static, str>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl MetricError {
    /// An error with a message that says what is wrong and quotes nothing of the case.
    #[must_use]
    pub fn new(kind: MetricErrorKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    /// With the error that caused it, which must not quote the case either.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn input(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(MetricErrorKind::Input, message)
    }

    pub(crate) fn parameter(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(MetricErrorKind::Parameter, message)
    }

    /// The kind of obstacle.
    #[must_use]
    pub fn kind(&self) -> MetricErrorKind {
        self.kind
    }
}

impl fmt::Display for MetricError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for MetricError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
