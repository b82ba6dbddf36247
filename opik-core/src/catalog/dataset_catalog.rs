//! Where datasets are kept, and what they are asked by.

use std::fmt;

use async_trait::async_trait;

use super::dataset_items::{
    DatasetItem, DeleteItems, ItemBatchUpdate, ItemChanges, ItemQuery, ItemUpdate, PutItems,
};
use super::{
    CatalogError, Condition, Dataset, DatasetUpdate, DatasetVersion, Found, Listing, NewDataset,
    Numbered, Order, ProjectChoice, VersionUpdate,
};
use crate::{EntityId, ProjectId};

/// Which datasets a list holds.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct DatasetQuery {
    /// Which page.
    pub page: Numbered,
    /// Only those of this project.
    pub project: Option<ProjectId>,
    /// Only those with this in their name, without regard to case.
    pub name: Option<String>,
    /// Only those that have experiments.
    pub with_experiments: bool,
    /// Only those that have optimizations.
    pub with_optimizations: bool,
    /// Conditions on [`Dataset::FIELDS`].
    pub conditions: Vec<Condition>,
    /// Order; newest first where absent.
    pub order: Option<Order>,
}

/// Keeps datasets.
///
/// A dataset has versions. Writing items with a `batch_group_id` makes a new version, which later
/// writes with the same group join while it is the newest; without a group the newest version is
/// changed. A version is read by its hash, its name, its identifier, one of its labels, or
/// `latest`.
#[async_trait]
pub trait DatasetCatalog: Send + Sync + fmt::Debug {
    /// Makes a dataset and says its identifier.
    ///
    /// # Errors
    /// [`CatalogError`]; a conflict when the name or identifier is taken.
    async fn create_dataset(&self, new: NewDataset) -> Result<EntityId, CatalogError>;

    /// The dataset with its counts.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn dataset(&self, id: EntityId) -> Result<Option<Dataset>, CatalogError>;

    /// The dataset with this name, in the project first.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn find_dataset(
        &self,
        name: &str,
        project: &ProjectChoice,
    ) -> Result<Option<Found<Dataset>>, CatalogError>;

    /// A page of datasets with their counts.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn datasets(&self, query: &DatasetQuery) -> Result<Listing<Dataset>, CatalogError>;

    /// Changes a dataset.
    ///
    /// # Errors
    /// [`CatalogError`]; not found, or a conflict when the new name is taken.
    async fn update_dataset(&self, id: EntityId, update: DatasetUpdate)
    -> Result<(), CatalogError>;

    /// Deletes datasets with their versions and items, and says how many there were. Experiments
    /// on them stay.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot write.
    async fn delete_datasets(&self, ids: &[EntityId]) -> Result<usize, CatalogError>;

    /// Adds and replaces items. A dataset that is named and does not exist is made.
    ///
    /// # Errors
    /// [`CatalogError`]; not found where a dataset or version is meant by its identifier.
    async fn put_items(&self, put: PutItems) -> Result<DatasetVersion, CatalogError>;

    /// Deletes items and says how many there were.
    ///
    /// # Errors
    /// [`CatalogError`]; not found where the dataset is meant by its identifier.
    async fn delete_items(&self, delete: DeleteItems) -> Result<usize, CatalogError>;

    /// A page of the items of a version, newest first.
    ///
    /// # Errors
    /// [`CatalogError`]; not found when the dataset or version does not exist.
    async fn items(&self, query: &ItemQuery) -> Result<Listing<DatasetItem>, CatalogError>;

    /// An item as it is in the newest version.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn item(&self, id: EntityId) -> Result<Option<DatasetItem>, CatalogError>;

    /// Changes an item in the newest version.
    ///
    /// # Errors
    /// [`CatalogError`]; not found.
    async fn update_item(&self, id: EntityId, update: ItemUpdate) -> Result<(), CatalogError>;

    /// Changes several items of the newest version in the same way, and says how many.
    ///
    /// # Errors
    /// [`CatalogError`].
    async fn update_items(&self, update: ItemBatchUpdate) -> Result<usize, CatalogError>;

    /// Makes a new version by adding, changing and deleting items.
    ///
    /// # Errors
    /// [`CatalogError`]; a conflict when the newest version is not the one that was changed,
    /// unless `override_conflict` is set.
    async fn change_items(
        &self,
        dataset: EntityId,
        changes: ItemChanges,
        override_conflict: bool,
    ) -> Result<DatasetVersion, CatalogError>;

    /// A page of a dataset's versions, newest first.
    ///
    /// # Errors
    /// [`CatalogError`]; not found when the dataset does not exist.
    async fn versions(
        &self,
        dataset: EntityId,
        page: Numbered,
    ) -> Result<Listing<DatasetVersion>, CatalogError>;

    /// One version: by hash, name, identifier, label or `latest`.
    ///
    /// # Errors
    /// [`CatalogError`] when the engine cannot tell.
    async fn version(
        &self,
        dataset: EntityId,
        reference: &str,
    ) -> Result<Option<DatasetVersion>, CatalogError>;

    /// Changes what a version is called.
    ///
    /// # Errors
    /// [`CatalogError`]; not found, or a conflict when another version has a label.
    async fn update_version(
        &self,
        dataset: EntityId,
        reference: &str,
        update: VersionUpdate,
    ) -> Result<DatasetVersion, CatalogError>;

    /// Makes a new version with the items of an old one. The newest version is left as it is.
    ///
    /// # Errors
    /// [`CatalogError`]; not found.
    async fn restore_version(
        &self,
        dataset: EntityId,
        reference: &str,
    ) -> Result<DatasetVersion, CatalogError>;
}
