//! Where models are and how they are paid: settings, also from variables.
//!
//! This is the only module that reads the environment.

use std::fmt;

use opik_core::Secret;

/// Addresses and keys of providers. Nothing is set by default; [`from_env`](Self::from_env) reads
/// variables:
///
/// | variable | what |
/// |---|---|
/// | `OPENAI_API_KEY`, `OPENAI_BASE_URL` | `openai/`; with another base URL the key is optional |
/// | `ANTHROPIC_API_KEY`, `ANTHROPIC_BASE_URL` | `anthropic/` |
/// | `GEMINI_API_KEY` or `GOOGLE_API_KEY`, `GEMINI_BASE_URL` | `gemini/` |
/// | `OLLAMA_HOST` | `ollama/`; `127.0.0.1:11434` where it is not set |
/// | `VLLM_BASE_URL`, `VLLM_API_KEY` | `vllm/` |
/// | `AGENT_OPIK_URL` | `opik/`: Opik's proxy |
///
/// Empty values count as not set.
///
/// ```
/// use opik_models::ModelSettings;
///
/// let settings = ModelSettings::from_env(|name| (name == "OPENAI_API_KEY").then(|| "k3y".to_owned()));
/// assert_eq!(format!("{settings:?}"), "ModelSettings { set: [\"OPENAI_API_KEY\"] }");
/// ```
#[derive(Clone, Default)]
pub struct ModelSettings {
    pub(crate) openai_key: Option<Secret>,
    pub(crate) openai_url: Option<String>,
    pub(crate) anthropic_key: Option<Secret>,
    pub(crate) anthropic_url: Option<String>,
    pub(crate) gemini_key: Option<Secret>,
    pub(crate) gemini_url: Option<String>,
    pub(crate) ollama_host: Option<String>,
    pub(crate) vllm_url: Option<String>,
    pub(crate) vllm_key: Option<Secret>,
    pub(crate) opik_url: Option<String>,
    pub(crate) whole: bool,
}

impl ModelSettings {
    /// Settings from variables, through a function that looks one up.
    #[must_use]
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Self {
        let value = |name: &str| {
            let value = variable(name)?;
            Some(value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let key = |name: &str| value(name).map(Secret::from);
        Self {
            openai_key: key("OPENAI_API_KEY"),
            openai_url: value("OPENAI_BASE_URL"),
            anthropic_key: key("ANTHROPIC_API_KEY"),
            anthropic_url: value("ANTHROPIC_BASE_URL"),
            gemini_key: key("GEMINI_API_KEY").or_else(|| key("GOOGLE_API_KEY")),
            gemini_url: value("GEMINI_BASE_URL"),
            ollama_host: value("OLLAMA_HOST"),
            vllm_url: value("VLLM_BASE_URL"),
            vllm_key: key("VLLM_API_KEY"),
            opik_url: value("AGENT_OPIK_URL"),
            whole: false,
        }
    }

    /// Settings from the variables of this process.
    #[must_use]
    pub fn from_process_env() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is the module that reads it"
        )]
        Self::from_env(|name| std::env::var(name).ok())
    }

    /// The key of OpenAI, or of the server that takes its place.
    #[must_use]
    pub fn openai_key(mut self, key: Secret) -> Self {
        self.openai_key = Some(key).filter(|key| !key.is_empty());
        self
    }

    /// The server behind `openai/`: what comes before `/chat/completions`.
    #[must_use]
    pub fn openai_base_url(mut self, url: impl Into<String>) -> Self {
        self.openai_url = Some(url.into());
        self
    }

    /// The key of Anthropic.
    #[must_use]
    pub fn anthropic_key(mut self, key: Secret) -> Self {
        self.anthropic_key = Some(key).filter(|key| !key.is_empty());
        self
    }

    /// The server behind `anthropic/`: what comes before `/v1/messages`.
    #[must_use]
    pub fn anthropic_base_url(mut self, url: impl Into<String>) -> Self {
        self.anthropic_url = Some(url.into());
        self
    }

    /// The key of Google.
    #[must_use]
    pub fn gemini_key(mut self, key: Secret) -> Self {
        self.gemini_key = Some(key).filter(|key| !key.is_empty());
        self
    }

    /// The server behind `gemini/`: what comes before `/v1beta/models`.
    #[must_use]
    pub fn gemini_base_url(mut self, url: impl Into<String>) -> Self {
        self.gemini_url = Some(url.into());
        self
    }

    /// Where Ollama listens, as in `OLLAMA_HOST`: a host, a port, both, or a URL.
    #[must_use]
    pub fn ollama_host(mut self, host: impl Into<String>) -> Self {
        self.ollama_host = Some(host.into());
        self
    }

    /// The server behind `vllm/` and its key, if it wants one.
    #[must_use]
    pub fn vllm(mut self, base_url: impl Into<String>, key: Option<Secret>) -> Self {
        self.vllm_url = Some(base_url.into());
        self.vllm_key = key.filter(|key| !key.is_empty());
        self
    }

    /// The Opik server whose proxy is behind `opik/`.
    #[must_use]
    pub fn opik_url(mut self, url: impl Into<String>) -> Self {
        self.opik_url = Some(url.into());
        self
    }

    /// Asks every model for its whole reply at once instead of a stream.
    #[must_use]
    pub fn whole_replies(mut self, on: bool) -> Self {
        self.whole = on;
        self
    }

    /// The base URL of Ollama's OpenAI-compatible API.
    pub(crate) fn ollama_url(&self) -> String {
        let host = self.ollama_host.as_deref().unwrap_or_default().trim();
        let (scheme, rest) = host.split_once("://").unwrap_or(("", host));
        let (place, path) = rest.split_once('/').unwrap_or((rest, ""));
        let after_v6 = place.rsplit_once(']').map_or(place, |(_, after)| after);
        let (name, port) = match after_v6.rsplit_once(':') {
            Some((_, port)) => (place.strip_suffix(port).unwrap_or(place), port),
            None => (place, ""),
        };
        let name = match name.trim_end_matches(':') {
            // What a server binds to is no address to connect to.
            "" | "0.0.0.0" => "127.0.0.1",
            "[::]" => "[::1]",
            name => name,
        };
        let port = match (scheme, port) {
            ("http" | "https", "") => String::new(),
            (_, "") => ":11434".to_owned(),
            (_, port) => format!(":{port}"),
        };
        let scheme = if scheme.is_empty() { "http" } else { scheme };
        let path = path.trim_matches('/');
        let path = if path.is_empty() {
            String::new()
        } else {
            format!("/{path}")
        };
        format!("{scheme}://{name}{port}{path}/v1")
    }
}

impl fmt::Debug for ModelSettings {
    /// Which are set, without what they are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let set = [
            ("OPENAI_API_KEY", self.openai_key.is_some()),
            ("OPENAI_BASE_URL", self.openai_url.is_some()),
            ("ANTHROPIC_API_KEY", self.anthropic_key.is_some()),
            ("ANTHROPIC_BASE_URL", self.anthropic_url.is_some()),
            ("GEMINI_API_KEY", self.gemini_key.is_some()),
            ("GEMINI_BASE_URL", self.gemini_url.is_some()),
            ("OLLAMA_HOST", self.ollama_host.is_some()),
            ("VLLM_BASE_URL", self.vllm_url.is_some()),
            ("VLLM_API_KEY", self.vllm_key.is_some()),
            ("AGENT_OPIK_URL", self.opik_url.is_some()),
        ];
        let set: Vec<&str> = set
            .into_iter()
            .filter(|(_, set)| *set)
            .map(|(name, _)| name)
            .collect();
        f.debug_struct("ModelSettings").field("set", &set).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ollama_is_found_in_every_spelling_of_its_host() {
        for (host, url) in [
            ("", "http://127.0.0.1:11434/v1"),
            ("0.0.0.0", "http://127.0.0.1:11434/v1"),
            ("0.0.0.0:9", "http://127.0.0.1:9/v1"),
            (":9", "http://127.0.0.1:9/v1"),
            ("box", "http://box:11434/v1"),
            ("box:9", "http://box:9/v1"),
            ("[::]:9", "http://[::1]:9/v1"),
            ("[::1]", "http://[::1]:11434/v1"),
            ("http://box:9/", "http://box:9/v1"),
            ("https://box/ollama", "https://box/ollama/v1"),
        ] {
            let settings = ModelSettings::default().ollama_host(host);
            assert_eq!(settings.ollama_url(), url, "{host}");
        }
    }

    #[test]
    fn variables_are_read_and_empty_ones_are_not_set() {
        let settings = ModelSettings::from_env(|name| match name {
            "GOOGLE_API_KEY" => Some(" hunter22 ".to_owned()),
            "GEMINI_API_KEY" | "OPENAI_API_KEY" => Some("  ".to_owned()),
            _ => None,
        });
        assert_eq!(settings.gemini_key, Some(Secret::new("hunter22")));
        assert_eq!(settings.openai_key, None);
        assert_eq!(
            format!("{settings:?}"),
            "ModelSettings { set: [\"GEMINI_API_KEY\"] }"
        );
    }
}
