//! Why a model cannot be made.

use crate::Provider;

/// Why a client or a model cannot be made. Nothing was sent; keys are never part of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// An address is none; it is not repeated, since it may hold a password.
    #[error("the address for {what} {problem}")]
    Address {
        /// What the address is for.
        what: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A value has characters that a header cannot carry.
    #[error("the {0} has characters that cannot be sent in a header")]
    Header(&'static str),
    /// The system does not let us make connections.
    #[error("the HTTP client cannot be set up")]
    Http(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The name does not say whose model it is.
    #[error(
        "the model name `{0}` does not say whose model it is: write openai/..., anthropic/..., gemini/..., ollama/..., vllm/... or opik/..."
    )]
    UnknownModel(String),
    /// A model's provider needs something that is not set.
    #[error("the model {model} needs {missing}")]
    Missing {
        /// The model.
        model: String,
        /// Whose it is.
        provider: Provider,
        /// What is missing and how to set it.
        missing: &'static str,
    },
}
