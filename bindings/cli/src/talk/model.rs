//! Which language model answers.

use std::sync::Arc;

use opik_core::ChatModel;

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
}

impl ModelArgs {
    /// The model; `None` when none is named.
    pub(crate) fn find(&self) -> Result<Option<Arc<dyn ChatModel>>, Failure> {
        let name = self.model.as_deref().map(str::trim);
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Ok(None);
        };
        Err(Failure::new(
            Code::Usage,
            format!("the language model {name} cannot be used: this build has none"),
        ))
    }
}
