//! Where configurations of agents are kept.

use std::fmt;

use async_trait::async_trait;

use super::{
    Blueprint, BlueprintEnvironment, CatalogError, Listing, NewAgentConfig, Numbered, RemoveKeys,
};
use crate::{EntityId, ProjectId};

/// Which version of a project's configuration is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlueprintChoice {
    /// The one with this identifier, in any project.
    Id(EntityId),
    /// The newest of the project.
    Newest(ProjectId),
    /// The one with this name.
    Name(ProjectId, String),
    /// The one that an environment uses.
    Environment(ProjectId, String),
}

/// Keeps configurations of agents.
#[async_trait]
pub trait AgentConfigCatalog: Send + Sync + fmt::Debug {
    /// Makes the first version of a project's configuration, which the environment `prod` uses.
    ///
    /// # Errors
    /// [`CatalogError`]; a conflict when the project has one, invalid for a mask.
    async fn create_agent_config(&self, new: NewAgentConfig) -> Result<EntityId, CatalogError>;

    /// Makes one more version, or a mask. A version has nothing of those before it.
    ///
    /// # Errors
    /// [`CatalogError`]; not found when the project has no configuration.
    async fn add_blueprint(&self, new: NewAgentConfig) -> Result<EntityId, CatalogError>;

    /// A version, with a mask over it where one is given.
    ///
    /// # Errors
    /// [`CatalogError`]; not found when there is no such version or mask.
    async fn blueprint(
        &self,
        choice: &BlueprintChoice,
        mask: Option<EntityId>,
    ) -> Result<Blueprint, CatalogError>;

    /// A version or mask with only the values that were given with it.
    ///
    /// # Errors
    /// [`CatalogError`]; not found when there is none.
    async fn blueprint_changes(&self, id: EntityId) -> Result<Blueprint, CatalogError>;

    /// A page of the versions, newest first, each with the values that were given with it.
    ///
    /// # Errors
    /// [`CatalogError`]; not found when the project has no configuration.
    async fn blueprints(
        &self,
        project: ProjectId,
        page: Numbered,
    ) -> Result<Listing<Blueprint>, CatalogError>;

    /// Makes a version of the newest one and a mask.
    ///
    /// # Errors
    /// [`CatalogError`]; not found when there is no configuration or mask.
    async fn apply_mask(
        &self,
        project: ProjectId,
        mask: EntityId,
    ) -> Result<EntityId, CatalogError>;

    /// Takes keys out, with a new version; `None` when there is nothing to take out.
    ///
    /// # Errors
    /// [`CatalogError`]; not found when there is no such project, unprocessable when the keys are
    /// not what they must be.
    async fn remove_config_keys(&self, keys: RemoveKeys) -> Result<Option<EntityId>, CatalogError>;

    /// Says which versions environments use from now on.
    ///
    /// # Errors
    /// [`CatalogError`]; invalid when a name is there twice, else not found when the project has no
    /// configuration or not these versions.
    async fn set_blueprint_environments(
        &self,
        project: ProjectId,
        environments: Vec<BlueprintEnvironment>,
    ) -> Result<(), CatalogError>;

    /// Deletes an environment of a project's configuration.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot write.
    async fn delete_blueprint_environment(
        &self,
        project: ProjectId,
        name: &str,
    ) -> Result<(), CatalogError>;
}
