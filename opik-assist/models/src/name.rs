//! Names of models.

use std::fmt;
use std::str::FromStr;

use crate::SetupError;

/// Longest part of an unknown name that an error repeats.
const SHOWN: usize = 80;

/// Whose model it is, which decides where a request goes and how it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Provider {
    /// `openai/`: OpenAI, or whatever server its base URL names.
    OpenAi,
    /// `anthropic/`: Anthropic's Messages API.
    Anthropic,
    /// `gemini/` or `google/`: Google's Gemini API.
    Gemini,
    /// `ollama/`: a local Ollama.
    Ollama,
    /// `vllm/`: a vLLM server.
    Vllm,
    /// `opik/`: Opik's proxy, which passes the request on with the keys that it holds.
    Opik,
}

impl Provider {
    /// The prefix of names of this provider, without the slash.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
            Self::Vllm => "vllm",
            Self::Opik => "opik",
        }
    }

    fn of_prefix(prefix: &str) -> Option<Self> {
        match prefix.to_ascii_lowercase().as_str() {
            "openai" => Some(Self::OpenAi),
            "anthropic" => Some(Self::Anthropic),
            "gemini" | "google" => Some(Self::Gemini),
            "ollama" => Some(Self::Ollama),
            "vllm" => Some(Self::Vllm),
            "opik" => Some(Self::Opik),
            _ => None,
        }
    }

    /// Of names that are known well enough to stand alone.
    fn of_bare(name: &str) -> Option<Self> {
        let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
        if begins(&["gpt-", "chatgpt-"]) || is_o_series(name) {
            Some(Self::OpenAi)
        } else if begins(&["claude-"]) {
            Some(Self::Anthropic)
        } else if begins(&["gemini-", "gemma-"]) {
            Some(Self::Gemini)
        } else {
            None
        }
    }
}

/// `o1`, `o3-mini`, `o4-mini-2025-04-16`, …
pub(crate) fn is_o_series(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next() == Some('o')
        && characters.next().is_some_and(|c| c.is_ascii_digit())
        && characters.next().is_none_or(|c| c == '-')
}

/// The name of a model: whose it is, and what it is called there.
///
/// ```
/// use opik_models::{ModelName, Provider};
///
/// let name: ModelName = "openai/gpt-4.1".parse()?;
/// assert_eq!((name.provider(), name.model()), (Provider::OpenAi, "gpt-4.1"));
/// // Well-known names stand alone, and only the first slash separates.
/// assert_eq!("claude-sonnet-4-5".parse::<ModelName>()?.provider(), Provider::Anthropic);
/// assert_eq!("ollama/hf.co/x/y:q4".parse::<ModelName>()?.model(), "hf.co/x/y:q4");
/// assert!("mystery".parse::<ModelName>().is_err());
/// # Ok::<(), opik_models::SetupError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelName {
    provider: Provider,
    model: String,
}

impl ModelName {
    /// A name in two parts.
    #[must_use]
    pub fn new(provider: Provider, model: impl Into<String>) -> Self {
        Self {
            provider,
            model: model.into(),
        }
    }

    /// Whose model it is.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// What the provider calls it.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.model
    }
}

impl FromStr for ModelName {
    type Err = SetupError;

    fn from_str(text: &str) -> Result<Self, SetupError> {
        let text = text.trim();
        let named = match text.split_once('/') {
            Some((prefix, model)) => Provider::of_prefix(prefix).map(|of| (of, model)),
            None => Provider::of_bare(text).map(|of| (of, text)),
        };
        match named {
            Some((provider, model)) if is_usable(model) => Ok(Self::new(provider, model)),
            _ => Err(SetupError::UnknownModel(shown(text))),
        }
    }
}

impl fmt::Display for ModelName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider.prefix(), self.model)
    }
}

fn is_usable(model: &str) -> bool {
    !model.is_empty() && !model.chars().any(|c| c.is_whitespace() || c.is_control())
}

/// A name that somebody typed, fit for a message.
fn shown(text: &str) -> String {
    let characters = text.chars().filter(|c| !c.is_control());
    characters.take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_every_form() {
        for (text, provider, model) in [
            ("openai/gpt-4.1", Provider::OpenAi, "gpt-4.1"),
            ("OpenAI/gpt-4.1", Provider::OpenAi, "gpt-4.1"),
            (" gpt-5-mini ", Provider::OpenAi, "gpt-5-mini"),
            ("o3", Provider::OpenAi, "o3"),
            ("o4-mini", Provider::OpenAi, "o4-mini"),
            ("anthropic/claude-x", Provider::Anthropic, "claude-x"),
            ("claude-x", Provider::Anthropic, "claude-x"),
            ("google/gemini-2.5-pro", Provider::Gemini, "gemini-2.5-pro"),
            ("gemini-2.5-pro", Provider::Gemini, "gemini-2.5-pro"),
            ("ollama/llama3.2:1b", Provider::Ollama, "llama3.2:1b"),
            ("vllm/org/model", Provider::Vllm, "org/model"),
            ("openai/custom-llm/x", Provider::OpenAi, "custom-llm/x"),
            ("opik/anthropic/c", Provider::Opik, "anthropic/c"),
        ] {
            let name: ModelName = text.parse().unwrap();
            assert_eq!((name.provider(), name.model()), (provider, model), "{text}");
            assert_eq!(name.to_string().parse::<ModelName>().unwrap(), name);
        }
    }

    #[test]
    fn other_names_are_refused_and_what_to_write_is_said() {
        for text in [
            "",
            "/",
            "openai/",
            "llama3",
            "orca-mini",
            "custom-llm/x",
            "o3x",
            "openai/a b",
            "x\u{1b}[31m",
        ] {
            let error = text.parse::<ModelName>().unwrap_err().to_string();
            assert!(error.contains("openai/..."), "{error}");
            assert!(!error.contains('\u{1b}'), "{error}");
        }
    }
}
