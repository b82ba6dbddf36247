//! From a name to a model.

use std::sync::Arc;

use opik_core::{ChatModel, Secret};

use crate::{
    AnthropicModel, Caller, GeminiModel, HttpClient, ModelName, ModelSettings, OpenAiModel,
    OpikProxy, Provider, SetupError,
};

/// The models that the settings give access to, by name.
///
/// Cloning and making a model are cheap: all share one [`HttpClient`].
#[derive(Debug, Clone)]
pub struct Models {
    settings: Arc<ModelSettings>,
    http: HttpClient,
    opik: Option<OpikProxy>,
}

impl Models {
    /// Models over a client with default limits.
    ///
    /// # Errors
    /// [`SetupError`] when connections cannot be made or the address of Opik is none.
    pub fn new(settings: ModelSettings) -> Result<Self, SetupError> {
        Self::over(HttpClient::builder().build()?, settings)
    }

    /// Models over a client of the caller's.
    ///
    /// # Errors
    /// [`SetupError::Address`] when the address of Opik is none.
    pub fn over(http: HttpClient, settings: ModelSettings) -> Result<Self, SetupError> {
        let opik = settings.opik_url.as_deref();
        let opik = opik.map(|url| OpikProxy::new(&http, url)).transpose()?;
        Ok(Self {
            settings: Arc::new(settings),
            http,
            opik,
        })
    }

    /// Opik's proxy, where its address is set: the way to a model for each user.
    #[must_use]
    pub fn opik(&self) -> Option<&OpikProxy> {
        self.opik.as_ref()
    }

    /// The model of that name; see [`ModelName`]. `opik/...` is asked as nobody in particular.
    ///
    /// # Errors
    /// [`SetupError::UnknownModel`], [`SetupError::Missing`] with what to set, and what the
    /// constructors of models say.
    pub fn model(&self, name: &str) -> Result<Arc<dyn ChatModel>, SetupError> {
        let name: ModelName = name.parse()?;
        let settings = &*self.settings;
        let missing = |missing| SetupError::Missing {
            model: name.to_string(),
            provider: name.provider(),
            missing,
        };
        let whole = settings.whole;
        match name.provider() {
            Provider::OpenAi => {
                let key = settings.openai_key.as_ref();
                if key.is_none() && settings.openai_url.is_none() {
                    return Err(missing(
                        "a key: set OPENAI_API_KEY, or OPENAI_BASE_URL for a server that wants none",
                    ));
                }
                let url = settings
                    .openai_url
                    .as_deref()
                    .unwrap_or(OpenAiModel::BASE_URL);
                self.compatible(url, key, &name)
            }
            Provider::Ollama => self.compatible(&settings.ollama_url(), None, &name),
            Provider::Vllm => {
                let url = settings.vllm_url.as_deref();
                let url =
                    url.ok_or_else(|| missing("the address of its server: set VLLM_BASE_URL"))?;
                self.compatible(url, settings.vllm_key.as_ref(), &name)
            }
            Provider::Anthropic => {
                let key = settings.anthropic_key.as_ref();
                let key = key.ok_or_else(|| missing("a key: set ANTHROPIC_API_KEY"))?;
                let url = settings
                    .anthropic_url
                    .as_deref()
                    .unwrap_or(AnthropicModel::BASE_URL);
                let model = AnthropicModel::new(&self.http, url, name.model())?;
                Ok(Arc::new(model.with_key(key)?.whole(whole)))
            }
            Provider::Gemini => {
                let key = settings.gemini_key.as_ref();
                let key =
                    key.ok_or_else(|| missing("a key: set GEMINI_API_KEY or GOOGLE_API_KEY"))?;
                let url = settings
                    .gemini_url
                    .as_deref()
                    .unwrap_or(GeminiModel::BASE_URL);
                let model = GeminiModel::new(&self.http, url, name.model())?;
                Ok(Arc::new(model.with_key(key)?.whole(whole)))
            }
            Provider::Opik => {
                let opik = self.opik.as_ref();
                let opik =
                    opik.ok_or_else(|| missing("the address of Opik: set AGENT_OPIK_URL"))?;
                let model = opik.model(&name.to_string(), &Caller::default())?;
                Ok(Arc::new(model.whole(whole)))
            }
        }
    }

    fn compatible(
        &self,
        url: &str,
        key: Option<&Secret>,
        name: &ModelName,
    ) -> Result<Arc<dyn ChatModel>, SetupError> {
        let mut model = OpenAiModel::new(&self.http, url, name)?.whole(self.settings.whole);
        if let Some(key) = key {
            model = model.with_key(key)?;
        }
        Ok(Arc::new(model))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_becomes_a_model_once_what_it_needs_is_set() {
        let none = Models::new(ModelSettings::default()).unwrap();
        let http = none.http.clone();
        let all = ModelSettings::default()
            .openai_key(Secret::new("hunter22"))
            .anthropic_key(Secret::new("hunter22"))
            .gemini_key(Secret::new("hunter22"))
            .vllm("http://h:1/v1", Some(Secret::new("hunter22")))
            .opik_url("http://h:2");
        let all = Models::over(http.clone(), all).unwrap();
        for (name, full, missing) in [
            ("openai/gpt-4.1", "openai/gpt-4.1", "OPENAI_API_KEY"),
            ("gpt-4.1", "openai/gpt-4.1", "OPENAI_API_KEY"),
            ("claude-x", "anthropic/claude-x", "ANTHROPIC_API_KEY"),
            ("google/g", "gemini/g", "GEMINI_API_KEY"),
            ("vllm/org/m", "vllm/org/m", "VLLM_BASE_URL"),
            ("opik/gpt-4.1", "opik/gpt-4.1", "AGENT_OPIK_URL"),
        ] {
            let error = none.model(name).unwrap_err();
            assert!(error.to_string().contains(missing), "{error}");
            let model = all.model(name).unwrap();
            assert_eq!(model.name(), full);
            assert!(!format!("{model:?} {all:?}").contains("hunter22"));
        }
        assert!(none.model("ollama/llama3").is_ok());
        let own = ModelSettings::default().openai_base_url("http://h:1/v1");
        assert!(Models::over(http, own).unwrap().model("openai/x").is_ok());
    }

    #[test]
    fn a_key_that_no_header_can_carry_is_named_and_not_shown() {
        let settings = ModelSettings::default().openai_key(Secret::new("hunter22\n"));
        let error = Models::new(settings).unwrap().model("gpt-5").unwrap_err();
        assert_eq!(
            error.to_string(),
            "the API key has characters that cannot be sent in a header"
        );
    }
}
