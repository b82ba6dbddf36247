//! What Opik keeps beside traces: datasets with versions and items, experiments, prompts with
//! versions, optimizations, annotation queues, environments, feedback definitions, dashboards,
//! configurations of agents.
//!
//! Records serialise as Opik's API answers them, requests deserialise as its clients send them;
//! `null` and absent are the same. A [`Catalog`] keeps them; it is seven traits, one per area, and
//! any engine can implement it:
//!
//! | trait | keeps |
//! |---|---|
//! | [`DatasetCatalog`] | datasets, their versions and items |
//! | [`ExperimentCatalog`] | experiments and their items, with what is joined from traces |
//! | [`PromptCatalog`] | prompts and their versions |
//! | [`OptimizationCatalog`] | optimizations |
//! | [`QueueCatalog`] | annotation queues |
//! | [`EntryCatalog`] | environments, feedback definitions, dashboards |
//! | [`AgentConfigCatalog`] | configurations of agents, in versions |
//!
//! # Contract
//!
//! - Every call is one transaction: all of it or nothing, and durable when it returns.
//! - Identifiers are UUIDs of version 7; another version is refused
//!   ([`CatalogErrorKind::Invalid`]), an absent one is made.
//! - Names of datasets, prompts, environments and feedback definitions are unique without regard
//!   to case: the first two within their project, the others everywhere.
//! - A look-up by name takes the project's own first, then any other's and says so
//!   ([`Found::elsewhere`]).
//! - Lists are newest first, by identifier.
//! - Deleting by identifier what does not exist succeeds.

mod agent_config_catalog;
mod agent_configs;
mod audit;
mod bulk;
mod columns;
mod dataset_catalog;
mod dataset_items;
mod datasets;
mod entries;
mod experiment_catalog;
mod experiment_items;
mod experiments;
mod filter;
mod groups;
mod labels;
mod listing;
mod new_agent_configs;
mod new_datasets;
mod new_experiments;
mod new_prompts;
mod optimizations;
mod prompt_catalog;
mod prompts;
mod queues;
mod scored;
mod template;
mod trials;

pub use agent_config_catalog::{AgentConfigCatalog, BlueprintChoice};
pub use agent_configs::{Blueprint, ConfigValue};
pub use audit::{Audit, USER};
pub use bulk::{BulkItem, BulkUpload, record_bulk};
pub use columns::{Column, columns_of};
pub use dataset_catalog::{DatasetCatalog, DatasetQuery};
pub use dataset_items::{
    DatasetItem, DeleteItems, ItemBatchUpdate, ItemChanges, ItemEdit, ItemQuery, ItemUpdate,
    NewItem, PutItems,
};
pub use datasets::{Dataset, DatasetVersion, VersionSummary, hash_of};
pub use entries::{
    Dashboard, DashboardUpdate, EntryCatalog, Environment, EnvironmentUpdate, FeedbackDefinition,
    NewDashboard, NewEnvironment, NewFeedbackDefinition,
};
pub use experiment_catalog::{ExperimentCatalog, ExperimentQuery};
pub use experiment_items::{
    AssertionOutcome, AssertionResult, AssertionStatus, CompareQuery, ComparedItem, ExperimentItem,
    NewExperimentItem, RunSummary,
};
pub use experiments::{Experiment, NamedValue, Percentiles, PromptLink};
pub use filter::{Condition, FieldKind, Fields, Order};
pub use groups::{ExperimentGroup, GroupBy, GroupTotals, group_experiments};
pub use labels::check_tags;
pub use listing::{Found, Listing, Numbered, ProjectChoice};
pub use new_agent_configs::{BlueprintEnvironment, NewAgentConfig, NewBlueprint, RemoveKeys};
pub use new_datasets::{DatasetUpdate, NewDataset, VersionUpdate};
pub use new_experiments::{ExperimentUpdate, NewExperiment};
pub use new_prompts::{NewPrompt, NewPromptVersion, NewVersionOf};
pub use optimizations::{
    NewOptimization, Optimization, OptimizationCatalog, OptimizationQuery, OptimizationUpdate,
};
pub use prompt_catalog::{
    PromptCatalog, PromptQuery, PromptUpdate, PromptVersionQuery, VersionChoice,
};
pub use prompts::{Prompt, PromptVersion, commit_of};
pub use queues::{AnnotationQueue, NewQueue, QueueCatalog, QueueQuery, QueueUpdate};
pub use scored::Scored;
pub use template::variables;
pub use trials::TrialTotals;

use crate::error::provider_error;

provider_error! {
    /// Why a [`Catalog`] did not do what it was asked.
    CatalogError,
    /// What kind of failure it was.
    CatalogErrorKind {
        /// What was asked for does not exist.
        NotFound,
        /// Something else has the name or identifier, or what was meant has changed meanwhile.
        Conflict,
        /// The request makes no sense: an identifier of the wrong version, a filter that cannot be.
        Invalid,
        /// A field is absent, blank, too long or too many.
        Unprocessable,
        /// The engine cannot be reached or is busy.
        Unavailable,
        /// What is stored is damaged.
        Corrupt,
        /// A defect of the engine.
        Internal,
    },
    retryable: Unavailable
}

impl CatalogError {
    /// What was asked for does not exist.
    #[must_use]
    pub fn not_found(context: impl Into<String>) -> Self {
        Self::new(CatalogErrorKind::NotFound, context)
    }

    /// Something else is in the way.
    #[must_use]
    pub fn conflict(context: impl Into<String>) -> Self {
        Self::new(CatalogErrorKind::Conflict, context)
    }

    /// The request makes no sense.
    #[must_use]
    pub fn invalid(context: impl Into<String>) -> Self {
        Self::new(CatalogErrorKind::Invalid, context)
    }

    /// A field does not hold what it must.
    #[must_use]
    pub fn unprocessable(context: impl Into<String>) -> Self {
        Self::new(CatalogErrorKind::Unprocessable, context)
    }
}

/// Most items of one request, as everywhere in Opik's API.
pub const MOST_ITEMS: usize = 1_000;

/// Everything that Opik keeps beside traces.
pub trait Catalog:
    DatasetCatalog
    + ExperimentCatalog
    + PromptCatalog
    + OptimizationCatalog
    + QueueCatalog
    + EntryCatalog
    + AgentConfigCatalog
{
}

impl<T> Catalog for T where
    T: DatasetCatalog
        + ExperimentCatalog
        + PromptCatalog
        + OptimizationCatalog
        + QueueCatalog
        + EntryCatalog
        + AgentConfigCatalog
{
}

/// Checks that an identifier is of version 7.
///
/// # Errors
/// [`CatalogErrorKind::Invalid`] with Opik's text, for example `dataset id must be a version 7
/// UUID`.
pub fn check_id(id: crate::EntityId, what: &str) -> Result<(), CatalogError> {
    if id.is_v7() {
        return Ok(());
    }
    Err(CatalogError::invalid(format!(
        "{what} id must be a version 7 UUID"
    )))
}

/// Checks that a text has something in it.
///
/// # Errors
/// [`CatalogErrorKind::Unprocessable`], for example `name must not be blank`.
pub fn check_text(text: &str, field: &str) -> Result<(), CatalogError> {
    if text.trim().is_empty() {
        return Err(CatalogError::unprocessable(format!(
            "{field} must not be blank"
        )));
    }
    Ok(())
}

/// Checks that a text has no more than so many characters.
///
/// # Errors
/// [`CatalogErrorKind::Unprocessable`].
pub fn check_length(text: Option<&str>, field: &str, most: usize) -> Result<(), CatalogError> {
    if text.is_some_and(|text| text.chars().count() > most) {
        return Err(CatalogError::unprocessable(format!(
            "{field} size must be between 0 and {most}"
        )));
    }
    Ok(())
}

/// Checks the number of items of a request.
///
/// # Errors
/// [`CatalogErrorKind::Unprocessable`] unless there are 1 to [`MOST_ITEMS`].
pub fn check_count(count: usize, field: &str) -> Result<(), CatalogError> {
    if (1..=MOST_ITEMS).contains(&count) {
        return Ok(());
    }
    Err(CatalogError::unprocessable(format!(
        "{field} size must be between 1 and {MOST_ITEMS}"
    )))
}

/// Checks that a word is one of those that a field knows.
///
/// # Errors
/// [`CatalogErrorKind::Invalid`].
pub fn check_word(word: Option<&str>, field: &str, known: &[&str]) -> Result<(), CatalogError> {
    match word {
        Some(word) if !known.contains(&word) => Err(CatalogError::invalid(format!(
            "Unable to process JSON. {field} must be one of {}",
            known.join(", ")
        ))),
        _ => Ok(()),
    }
}
