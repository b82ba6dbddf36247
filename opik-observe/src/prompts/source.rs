//! Where prompts come from.

use std::error::Error;
use std::fmt;

use async_trait::async_trait;

/// A registry of prompts that can be asked for one.
#[async_trait]
pub trait PromptSource: fmt::Debug + Send + Sync {
    /// The version of the prompt that the tag points to, or the newest when the tag is empty;
    /// `None` when there is none.
    ///
    /// # Errors
    /// [`PromptSourceError`] when it cannot be told whether there is one.
    async fn fetch(
        &self,
        name: &str,
        tag: &str,
    ) -> Result<Option<FetchedPrompt>, PromptSourceError>;
}

/// Why a prompt could not be fetched.
#[derive(Debug, thiserror::Error)]
#[error("the prompt cannot be fetched")]
pub struct PromptSourceError {
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl PromptSourceError {
    /// A failure without a known cause.
    #[must_use]
    pub fn new() -> Self {
        Self { source: None }
    }

    /// A failure with its cause.
    #[must_use]
    pub fn of(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            source: Some(cause.into()),
        }
    }
}

impl Default for PromptSourceError {
    fn default() -> Self {
        Self::new()
    }
}

/// A prompt as its source has it.
#[derive(Clone, PartialEq, Eq)]
pub struct FetchedPrompt {
    pub(super) text: String,
    pub(super) version: Option<String>,
    pub(super) commit: Option<String>,
}

impl FetchedPrompt {
    /// A prompt of which only the text is known.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            version: None,
            commit: None,
        }
    }

    /// The number of its version, for example `v3`.
    #[must_use]
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// The short name of its version.
    #[must_use]
    pub fn commit(mut self, commit: impl Into<String>) -> Self {
        self.commit = Some(commit.into());
        self
    }
}

impl fmt::Debug for FetchedPrompt {
    /// The text is content and stays out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchedPrompt")
            .field("bytes", &self.text.len())
            .field("version", &self.version)
            .field("commit", &self.commit)
            .finish()
    }
}
