//! Optimizations: searches for better prompts.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::new_experiments::made_up_name;
use super::{
    Audit, CatalogError, Condition, FieldKind, Fields, Listing, Numbered, ProjectChoice,
    TrialTotals, check_id, check_text, check_word,
};
use crate::{EntityId, Json, ProjectId, Timestamp};

/// A search for better prompts, as a series of experiments.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Optimization {
    /// Identifier.
    pub id: EntityId,
    /// Name.
    pub name: String,
    /// The dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_id: Option<EntityId>,
    /// The dataset's name.
    pub dataset_name: String,
    /// Project that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// The project's name, as it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_name: Option<String>,
    /// The score that it makes better.
    pub objective_name: String,
    /// `running`, `completed`, `cancelled`, `initialized` or `error`.
    pub status: String,
    /// What its maker noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
    /// How it was set up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub studio_config: Option<Json>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_info: Option<Json>,
    /// Who made it, and when.
    #[serde(flatten)]
    pub audit: Audit,
    /// How many experiments it has; on reading.
    #[serde(default)]
    pub num_trials: u64,
    /// What they say together; on reading.
    #[serde(flatten)]
    pub totals: TrialTotals,
}

impl Optimization {
    /// The fields that optimizations are filtered by, see [`Condition::parse_list`].
    pub const FIELDS: Fields = &[
        ("id", "id", FieldKind::Exact),
        ("name", "name", FieldKind::Text),
        ("dataset_id", "dataset_id", FieldKind::Exact),
        ("dataset_name", "dataset_name", FieldKind::Text),
        ("objective_name", "objective_name", FieldKind::Text),
        ("project_id", "project_id", FieldKind::Exact),
        ("status", "status", FieldKind::Word),
        ("metadata", "metadata", FieldKind::Map),
        ("created_at", "created_at", FieldKind::Moment),
        ("last_updated_at", "last_updated_at", FieldKind::Moment),
    ];
}

const OPTIMIZATION_STATES: &[&str] = &["running", "completed", "cancelled", "initialized", "error"];

/// A request for a new optimization.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct NewOptimization {
    /// Identifier; made where absent.
    pub id: Option<EntityId>,
    /// Name; made where absent.
    pub name: Option<String>,
    /// The dataset, made where it does not exist.
    pub dataset_name: String,
    /// Project, made where it does not exist.
    pub project_name: Option<String>,
    /// Project, which must exist.
    pub project_id: Option<ProjectId>,
    /// The score that it makes better.
    pub objective_name: String,
    /// How it is going.
    pub status: Option<String>,
    /// What its maker notes.
    pub metadata: Option<Json>,
    /// How it is set up.
    pub studio_config: Option<Json>,
    /// Why it failed.
    pub error_info: Option<Json>,
}

impl NewOptimization {
    /// Its project.
    #[must_use]
    pub fn project(&self) -> ProjectChoice {
        ProjectChoice::new(self.project_id, self.project_name.as_deref())
    }

    /// The record that it asks for, without what only the engine knows.
    ///
    /// # Errors
    /// [`CatalogError`] when a field does not hold what it must.
    pub fn into_record(self, at: Timestamp) -> Result<Optimization, CatalogError> {
        check_text(&self.dataset_name, "datasetName")?;
        check_text(&self.objective_name, "objectiveName")?;
        let Some(status) = self.status else {
            return Err(CatalogError::unprocessable("status must not be null"));
        };
        check_word(Some(&status), "status", OPTIMIZATION_STATES)?;
        let id = self.id.unwrap_or_else(|| EntityId::generate_at(at));
        check_id(id, "Optimization")?;
        let name = self.name.filter(|name| !name.trim().is_empty());
        Ok(Optimization {
            id,
            name: name.unwrap_or_else(|| made_up_name("optimization", id)),
            dataset_id: None,
            dataset_name: self.dataset_name,
            project_id: None,
            project_name: self.project_name,
            objective_name: self.objective_name,
            status,
            metadata: self.metadata,
            studio_config: self.studio_config,
            error_info: self.error_info,
            audit: Audit::new(at),
            num_trials: 0,
            totals: TrialTotals::default(),
        })
    }
}

/// Changes to an optimization; what is absent stays.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct OptimizationUpdate {
    /// Name.
    pub name: Option<String>,
    /// How it is going.
    pub status: Option<String>,
    /// What its maker notes.
    pub metadata: Option<Json>,
    /// Why it failed.
    pub error_info: Option<Json>,
}

impl OptimizationUpdate {
    /// Makes the changes.
    ///
    /// # Errors
    /// [`CatalogError`] when a field does not hold what it must.
    pub fn apply(self, to: &mut Optimization, at: Timestamp) -> Result<(), CatalogError> {
        check_word(self.status.as_deref(), "status", OPTIMIZATION_STATES)?;
        if let Some(name) = self.name.filter(|name| !name.trim().is_empty()) {
            to.name = name;
        }
        if let Some(status) = self.status {
            to.status = status;
        }
        to.metadata = self.metadata.or_else(|| to.metadata.take());
        to.error_info = self.error_info.or_else(|| to.error_info.take());
        to.audit.touch(at);
        Ok(())
    }
}

/// Which optimizations a list holds.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct OptimizationQuery {
    /// Which page.
    pub page: Numbered,
    /// Only those on this dataset.
    pub dataset: Option<EntityId>,
    /// Only those on datasets with this in their name.
    pub dataset_name: Option<String>,
    /// Only those of this project.
    pub project: Option<ProjectId>,
    /// Only those with this in their name, without regard to case.
    pub name: Option<String>,
    /// Conditions on [`Optimization::FIELDS`].
    pub conditions: Vec<Condition>,
}

/// Keeps optimizations.
#[async_trait]
pub trait OptimizationCatalog: Send + Sync + fmt::Debug {
    /// Makes an optimization, or all of an existing one anew where `replace` is set.
    ///
    /// # Errors
    /// [`CatalogError`]; a conflict when the identifier is taken.
    async fn create_optimization(
        &self,
        new: NewOptimization,
        replace: bool,
    ) -> Result<EntityId, CatalogError>;

    /// The optimization with this identifier.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn optimization(&self, id: EntityId) -> Result<Option<Optimization>, CatalogError>;

    /// A page of optimizations.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn optimizations(
        &self,
        query: &OptimizationQuery,
    ) -> Result<Listing<Optimization>, CatalogError>;

    /// Changes an optimization.
    ///
    /// # Errors
    /// [`CatalogError`]; not found.
    async fn update_optimization(
        &self,
        id: EntityId,
        update: OptimizationUpdate,
    ) -> Result<(), CatalogError>;

    /// Deletes optimizations; their experiments stay.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot write.
    async fn delete_optimizations(&self, ids: &[EntityId]) -> Result<usize, CatalogError>;
}
