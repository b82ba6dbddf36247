//! Where prompts are kept, and what they are asked by.

use std::fmt;

use async_trait::async_trait;
use serde::Deserialize;

use super::labels::as_set;
use super::{
    CatalogError, Condition, Listing, NewPrompt, NewVersionOf, Numbered, Order, ProjectChoice,
    Prompt, PromptVersion, check_length, check_text,
};
use crate::{EntityId, ProjectId, Timestamp};

/// Changes to a prompt; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PromptUpdate {
    /// Name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// Labels.
    pub tags: Option<Vec<String>>,
}

impl PromptUpdate {
    /// Makes the changes.
    ///
    /// # Errors
    /// [`CatalogError`] when a field does not hold what it must.
    pub fn apply(self, to: &mut Prompt, at: Timestamp) -> Result<(), CatalogError> {
        check_length(self.description.as_deref(), "description", 255)?;
        if let Some(name) = self.name {
            check_text(&name, "name")?;
            to.name = name;
        }
        to.description = self.description.or_else(|| to.description.take());
        let tags = self.tags.map(|tags| as_set(&tags));
        to.tags = tags.unwrap_or_else(|| std::mem::take(&mut to.tags));
        to.audit.touch(at);
        Ok(())
    }
}

/// Which prompts a list holds.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct PromptQuery {
    /// Which page.
    pub page: Numbered,
    /// Only those of this project, and those of none.
    pub project: Option<ProjectId>,
    /// Only those with this in their name, without regard to case.
    pub name: Option<String>,
    /// Conditions on [`Prompt::FIELDS`].
    pub conditions: Vec<Condition>,
    /// Order; newest first where absent.
    pub order: Option<Order>,
}

/// Which versions of a prompt a list holds.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct PromptVersionQuery {
    /// The prompt.
    pub prompt: EntityId,
    /// Which page.
    pub page: Numbered,
    /// Only those with this in their template or description, without regard to case.
    pub search: Option<String>,
    /// Conditions on [`PromptVersion::FIELDS`].
    pub conditions: Vec<Condition>,
    /// Order; newest first where absent.
    pub order: Option<Order>,
}

impl PromptVersionQuery {
    /// The first ten versions of a prompt.
    #[must_use]
    pub fn of(prompt: EntityId) -> Self {
        Self {
            prompt,
            page: Numbered::default(),
            search: None,
            conditions: Vec::new(),
            order: None,
        }
    }
}

/// Which version of a prompt is meant: all that is given must fit; the newest where nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VersionChoice {
    /// Its short name.
    pub commit: Option<String>,
    /// `v1`, `v2`, …
    pub number: Option<String>,
    /// An environment that uses it.
    pub environment: Option<String>,
}

impl VersionChoice {
    /// Whether a version fits.
    #[must_use]
    pub fn fits(&self, version: &PromptVersion) -> bool {
        let commit = self.commit.as_deref();
        let number = self.number.as_deref();
        let environment = self.environment.as_ref();
        commit.is_none_or(|commit| version.commit.eq_ignore_ascii_case(commit))
            && number.is_none_or(|number| version.version_number.as_deref() == Some(number))
            && environment.is_none_or(|name| version.environments.contains(name))
    }
}

/// Keeps prompts.
///
/// An environment points to one version of a prompt: giving it to another takes it away here.
#[async_trait]
pub trait PromptCatalog: Send + Sync + fmt::Debug {
    /// Makes a prompt and its first version, and says the prompt's identifier.
    ///
    /// # Errors
    /// [`CatalogError`]; a conflict when the name or identifier is taken.
    async fn create_prompt(&self, new: NewPrompt) -> Result<EntityId, CatalogError>;

    /// Makes a version, also one equal to the newest, and its prompt where that does not exist.
    ///
    /// # Errors
    /// [`CatalogError`]; a conflict when the identifier or the commit is taken.
    async fn create_prompt_version(&self, new: NewVersionOf)
    -> Result<PromptVersion, CatalogError>;

    /// The prompt with its newest version.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn prompt(&self, id: EntityId) -> Result<Option<Prompt>, CatalogError>;

    /// The prompt with this name, in the project first, with its newest version and the one that
    /// is meant.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn find_prompt(
        &self,
        name: &str,
        project: &ProjectChoice,
        version: &VersionChoice,
    ) -> Result<Option<super::Found<Prompt>>, CatalogError>;

    /// A page of prompts.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn prompts(&self, query: &PromptQuery) -> Result<Listing<Prompt>, CatalogError>;

    /// Changes a prompt.
    ///
    /// # Errors
    /// [`CatalogError`]; not found, or a conflict when the new name is taken.
    async fn update_prompt(&self, id: EntityId, update: PromptUpdate) -> Result<(), CatalogError>;

    /// Deletes prompts with their versions.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot write.
    async fn delete_prompts(&self, ids: &[EntityId]) -> Result<usize, CatalogError>;

    /// A page of the versions of a prompt.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn prompt_versions(
        &self,
        query: &PromptVersionQuery,
    ) -> Result<Listing<PromptVersion>, CatalogError>;

    /// Versions by identifier, in the order that was asked for; unknown ones are passed over.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn prompt_versions_by_id(
        &self,
        ids: &[EntityId],
    ) -> Result<Vec<PromptVersion>, CatalogError>;

    /// The prompts that have a version with one of these commits, each with that version as the
    /// one that was asked for.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn prompts_by_commit(&self, commits: &[String]) -> Result<Vec<Prompt>, CatalogError>;

    /// Replaces the labels of versions, or adds to them, see [`PromptVersion::tag`].
    ///
    /// # Errors
    /// [`CatalogError`] when there are more or longer labels than
    /// [`check_tags`](super::check_tags) lets through, or when the engine cannot write.
    async fn tag_prompt_versions(
        &self,
        ids: &[EntityId],
        tags: Option<Vec<String>>,
        merge: bool,
    ) -> Result<(), CatalogError>;

    /// Says which environments use a version from now on.
    ///
    /// # Errors
    /// [`CatalogError`]; not found when the version or an environment does not exist.
    async fn set_prompt_environments(
        &self,
        version: EntityId,
        environments: Vec<String>,
    ) -> Result<(), CatalogError>;

    /// Makes a new version with the content of an old one.
    ///
    /// # Errors
    /// [`CatalogError`]; not found.
    async fn restore_prompt_version(
        &self,
        prompt: EntityId,
        version: EntityId,
    ) -> Result<PromptVersion, CatalogError>;
}
