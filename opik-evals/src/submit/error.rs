//! Why a run did not arrive.

use opik_core::ExportError;
use opik_core::rest::RestError;

use crate::experiment::RunFileError;

/// Why a run did not arrive, or not all of it. The local result is as it was; the same submission
/// again sends what is missing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The server cannot be reached, or refuses a step.
    #[error("cannot {step}")]
    Server {
        /// What was being done.
        step: &'static str,
        /// What the server said.
        #[source]
        source: RestError,
    },
    /// Traces, spans or scores could not be sent.
    #[error("cannot send the trials")]
    Export(#[from] ExportError),
    /// The server refused records for good.
    #[error("the server refused {count} records, the first one because {reason}")]
    Rejected {
        /// How many.
        count: usize,
        /// Why the first one was refused.
        reason: String,
    },
    /// An item has no data, which Opik does not take.
    #[error("the item `{0}` has no data, which Opik does not take")]
    EmptyItem(String),
    /// The file of the run.
    #[error(transparent)]
    File(#[from] RunFileError),
}

impl SubmitError {
    /// Whether the same submission may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Server { source, .. } => source.is_retryable(),
            Self::Export(error) => error.is_retryable(),
            Self::Rejected { .. } | Self::EmptyItem(_) | Self::File(_) => false,
        }
    }
}

/// Says what was being done when a call failed.
pub(super) fn step(step: &'static str) -> impl Fn(RestError) -> SubmitError {
    move |source| SubmitError::Server { step, source }
}
