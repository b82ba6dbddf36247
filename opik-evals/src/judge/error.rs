//! Why a judge gave no score.

use opik_core::ModelError;

use crate::MetricError;
use crate::experiment::ScoringError;

/// What kind of obstacle a judge met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum JudgeErrorKind {
    /// The case lacks what the judge reads.
    Case,
    /// The model refused or failed, also after further attempts.
    Model,
    /// The reply cannot be read, also after another question.
    Reply,
    /// The budget is spent; nothing was asked.
    Budget,
    /// The model did not answer in time.
    Timeout,
}

/// Why a judge gave no score. It quotes neither the case nor the reply.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JudgeError {
    /// The case lacks what the judge reads.
    #[error("the case cannot be judged")]
    Case(#[from] MetricError),
    /// The model refused or failed.
    #[error("the model of the judge failed")]
    Model(#[from] ModelError),
    /// The reply cannot be read.
    #[error("the reply of the judge cannot be read: {0}")]
    Reply(&'static str),
    /// The budget is spent.
    #[error("the budget of the judges is spent")]
    Budget,
    /// The model did not answer in time.
    #[error("the judge did not answer in time")]
    Timeout,
}

impl JudgeError {
    /// The kind of obstacle.
    #[must_use]
    pub fn kind(&self) -> JudgeErrorKind {
        match self {
            Self::Case(_) => JudgeErrorKind::Case,
            Self::Model(_) => JudgeErrorKind::Model,
            Self::Reply(_) => JudgeErrorKind::Reply,
            Self::Budget => JudgeErrorKind::Budget,
            Self::Timeout => JudgeErrorKind::Timeout,
        }
    }
}

impl From<JudgeError> for ScoringError {
    fn from(error: JudgeError) -> Self {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        Self::new(match source {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        })
    }
}
