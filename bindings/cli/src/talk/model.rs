//! Which language model answers.

use std::sync::Arc;

use opik_core::ChatModel;
use opik_models::{ModelSettings, Models};

use crate::exit::{Code, Failure};

/// Options of the commands that ask a model.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ModelArgs {
    /// The language model that answers, for example openai/gpt-4.1 or ollama/llama3.2; keys and
    /// addresses are read from the provider's own variables [default: none, answers are computed]
    #[arg(
        long,
        value_name = "MODEL",
        env = "OPIK_ASSIST_MODEL",
        hide_env_values = true
    )]
    pub(crate) model: Option<String>,

    /// Tokens of evidence that the model is given with a question; it may read more with its tools
    #[arg(
        long,
        value_name = "TOKENS",
        env = "OPIK_ASSIST_CONTEXT_TOKENS",
        default_value_t = 8_000,
        value_parser = clap::value_parser!(u32).range(500..),
        hide_env_values = true
    )]
    pub(crate) context_tokens: u32,
}

impl ModelArgs {
    /// The model; `None` when none is named.
    pub(crate) fn find(&self) -> Result<Option<Arc<dyn ChatModel>>, Failure> {
        let name = self.model.as_deref().map(str::trim);
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        let model = Models::new(ModelSettings::from_process_env())
            .and_then(|models| models.model(name))
            .map_err(|error| {
                Failure::new(Code::Usage, "the language model cannot be used")
                    .hint("without --model and OPIK_ASSIST_MODEL the answer is computed")
                    .cause(error)
            })?;
        Ok(Some(model))
    }
}
