//! Prompts that a program works with.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::cache::Key;
use super::source::FetchedPrompt;

/// Where the text of a prompt comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// From the registry, not long ago.
    Cached,
    /// From the registry, longer ago than its time to live.
    Stale,
    /// From the program.
    Default,
}

impl Origin {
    /// `cached`, `stale` or `default`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::Stale => "stale",
            Self::Default => "default",
        }
    }
}

/// A prompt, and what there is to say about it in a trace: see
/// [`LlmCall::prompt_text`](crate::workflow::LlmCall::prompt_text).
#[derive(Clone)]
pub struct PromptText {
    pub(super) key: Arc<Key>,
    pub(super) text: Text,
    pub(super) origin: Origin,
}

#[derive(Clone)]
pub(super) enum Text {
    Fetched(Arc<FetchedPrompt>),
    Default(Cow<'static, str>),
}

impl PromptText {
    /// The text.
    #[must_use]
    pub fn text(&self) -> &str {
        match &self.text {
            Text::Fetched(prompt) => &prompt.text,
            Text::Default(text) => text,
        }
    }

    /// The name that was asked for.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.key.name
    }

    /// The tag that was asked for; empty for the newest version.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.key.tag
    }

    /// The number of the version, for example `v3`; `None` for a default.
    #[must_use]
    pub fn version(&self) -> Option<&str> {
        self.fetched()?.version.as_deref()
    }

    /// The short name of the version; `None` for a default.
    #[must_use]
    pub fn commit(&self) -> Option<&str> {
        self.fetched()?.commit.as_deref()
    }

    /// Where the text comes from.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    fn fetched(&self) -> Option<&FetchedPrompt> {
        match &self.text {
            Text::Fetched(prompt) => Some(prompt),
            Text::Default(_) => None,
        }
    }
}

impl fmt::Debug for PromptText {
    /// The text is content and stays out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PromptText")
            .field("name", &self.name())
            .field("tag", &self.tag())
            .field("bytes", &self.text().len())
            .field("version", &self.version())
            .field("commit", &self.commit())
            .field("origin", &self.origin)
            .finish()
    }
}
