//! Where experiments are kept, and what they are asked by.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;

use super::experiment_items::{CompareQuery, ComparedItem, ExperimentItem, NewExperimentItem};
use super::{
    CatalogError, Condition, Experiment, ExperimentUpdate, Listing, NewExperiment, Numbered, Order,
    ProjectChoice,
};
use crate::model::ExperimentRef;
use crate::{EntityId, ProjectId, TraceId};

/// Which experiments a list holds.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ExperimentQuery {
    /// Which page.
    pub page: Numbered,
    /// Only those on this dataset.
    pub dataset: Option<EntityId>,
    /// Only those of this optimization.
    pub optimization: Option<EntityId>,
    /// Only those that use a version of this prompt.
    pub prompt: Option<EntityId>,
    /// Only those of this project.
    pub project: Option<ProjectId>,
    /// Only those of the project with this name; none where it does not exist.
    pub project_name: Option<String>,
    /// Only those with this in their name, without regard to case.
    pub name: Option<String>,
    /// Only these kinds; all where empty.
    pub types: Vec<String>,
    /// Only these.
    pub ids: Option<Vec<EntityId>>,
    /// Only those before this one, which is where a stream goes on.
    pub after: Option<EntityId>,
    /// Conditions on [`Experiment::FIELDS`].
    pub conditions: Vec<Condition>,
    /// Order; newest first where absent.
    pub order: Option<Order>,
}

/// Keeps experiments and joins them with their traces.
#[async_trait]
pub trait ExperimentCatalog: Send + Sync + fmt::Debug {
    /// Makes an experiment, and its dataset where that does not exist, and says its identifier.
    ///
    /// # Errors
    /// [`CatalogError`]; a conflict when the identifier is taken, or when a prompt or the version
    /// of the dataset does not exist.
    async fn create_experiment(&self, new: NewExperiment) -> Result<EntityId, CatalogError>;

    /// The experiment with what its traces say.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn experiment(&self, id: EntityId) -> Result<Option<Experiment>, CatalogError>;

    /// A page of experiments with what their traces say.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn experiments(
        &self,
        query: &ExperimentQuery,
    ) -> Result<Listing<Experiment>, CatalogError>;

    /// Changes experiments. Those that do not exist are passed over; says how many there were.
    ///
    /// # Errors
    /// [`CatalogError`] when the changes make no sense.
    async fn update_experiments(
        &self,
        ids: &[EntityId],
        update: ExperimentUpdate,
        merge_tags: bool,
    ) -> Result<usize, CatalogError>;

    /// Notes that experiments have finished.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot write.
    async fn finish_experiments(&self, ids: &[EntityId]) -> Result<(), CatalogError>;

    /// Deletes experiments with their items; the traces stay.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot write.
    async fn delete_experiments(&self, ids: &[EntityId]) -> Result<usize, CatalogError>;

    /// Adds and replaces items of experiments.
    ///
    /// # Errors
    /// [`CatalogError`]; a conflict when an experiment does not exist.
    async fn put_experiment_items(&self, items: Vec<NewExperimentItem>)
    -> Result<(), CatalogError>;

    /// Deletes items of experiments.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot write.
    async fn delete_experiment_items(&self, ids: &[EntityId]) -> Result<usize, CatalogError>;

    /// One item with what its trace says.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn experiment_item(&self, id: EntityId) -> Result<Option<ExperimentItem>, CatalogError>;

    /// The items of the experiments with this in their name (all of them equal to it, where there
    /// is one), newest first, with what their traces say.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn experiment_items(
        &self,
        experiment_name: &str,
        project: &ProjectChoice,
        after: Option<EntityId>,
        limit: usize,
    ) -> Result<Vec<ExperimentItem>, CatalogError>;

    /// Items of a dataset side by side with what experiments made of them.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn compare(&self, query: &CompareQuery) -> Result<Listing<ComparedItem>, CatalogError>;

    /// The names of the scores that traces of these experiments have; of all where empty.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn experiment_score_names(&self, ids: &[EntityId]) -> Result<Vec<String>, CatalogError>;

    /// The experiments that these traces belong to.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn experiments_of(
        &self,
        traces: &[TraceId],
    ) -> Result<BTreeMap<TraceId, ExperimentRef>, CatalogError>;
}
