//! Prompts of an Opik server.

use async_trait::async_trait;
use opik_core::rest::{OpikClient, PromptSelector};

use super::source::{FetchedPrompt, PromptSource, PromptSourceError};

/// A tag is the name of an environment that points to a version, as set with
/// [`OpikClient::set_prompt_environments`].
#[async_trait]
impl PromptSource for OpikClient {
    async fn fetch(
        &self,
        name: &str,
        tag: &str,
    ) -> Result<Option<FetchedPrompt>, PromptSourceError> {
        let wanted = if tag.is_empty() {
            PromptSelector::Latest
        } else {
            PromptSelector::Environment(tag.to_owned())
        };
        let found = self.find_prompt(name, &wanted).await;
        let found = found.map_err(PromptSourceError::of)?;
        Ok(found.map(|version| {
            let mut prompt = FetchedPrompt::new(version.template);
            prompt.version = version.version_number;
            prompt.commit = version.commit;
            prompt
        }))
    }
}
