//! Datasets and their versions.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::dataset_items::{
    DatasetItem, DeleteItems, ItemBatchUpdate, ItemChanges, ItemQuery, ItemUpdate, PutItems,
};
use super::{
    Audit, CatalogError, Condition, FieldKind, Fields, Found, Listing, Numbered, Order,
    ProjectChoice, check_id, check_length, check_text, check_word,
};
use crate::{EntityId, Json, ProjectId, Timestamp};

/// A dataset.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Dataset {
    /// Identifier.
    pub id: EntityId,
    /// Name.
    pub name: String,
    /// Project that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// `dataset` or `evaluation_suite`.
    pub r#type: String,
    /// `private` or `public`.
    pub visibility: String,
    /// Labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Who made it, and when.
    #[serde(flatten)]
    pub audit: Audit,
    /// Items of the newest version; on reading only, as everything below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_items_count: Option<u64>,
    /// Experiments on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub experiment_count: Option<u64>,
    /// Optimizations on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optimization_count: Option<u64>,
    /// When its newest experiment was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_created_experiment_at: Option<Timestamp>,
    /// The newest version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latest_version: Option<VersionSummary>,
}

impl Dataset {
    /// The fields that datasets are filtered and sorted by, see [`Condition::parse_list`].
    pub const FIELDS: Fields = &[
        ("id", "id", FieldKind::Exact),
        ("name", "name", FieldKind::Text),
        ("description", "description", FieldKind::Text),
        ("tags", "tags", FieldKind::List),
        ("type", "type", FieldKind::Word),
        ("visibility", "visibility", FieldKind::Word),
        ("project_id", "project_id", FieldKind::Exact),
        ("created_at", "created_at", FieldKind::Moment),
        ("created_by", "created_by", FieldKind::Text),
        ("last_updated_at", "last_updated_at", FieldKind::Moment),
        ("last_updated_by", "last_updated_by", FieldKind::Text),
        (
            "dataset_items_count",
            "dataset_items_count",
            FieldKind::Number,
        ),
        ("experiment_count", "experiment_count", FieldKind::Number),
    ];
}

/// A version in a few words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct VersionSummary {
    /// Identifier.
    pub id: EntityId,
    /// Its short name, by which items are read.
    pub version_hash: String,
    /// `v1`, `v2`, …
    pub version_name: String,
    /// What changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_description: Option<String>,
    /// Labels.
    #[serde(default)]
    pub tags: Vec<String>,
}

/// A version of a dataset: its items at one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DatasetVersion {
    /// Identifier.
    pub id: EntityId,
    /// The dataset.
    pub dataset_id: EntityId,
    /// Its short name, by which items are read.
    pub version_hash: String,
    /// Labels; the newest version has `latest` when it is read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Whether it is the newest; on reading.
    #[serde(default)]
    pub is_latest: bool,
    /// `v1`, `v2`, …
    pub version_name: String,
    /// How many items it has.
    #[serde(default)]
    pub items_total: u64,
    /// Items that the one before lacks.
    #[serde(default)]
    pub items_added: u64,
    /// Items that differ from the one before.
    #[serde(default)]
    pub items_modified: u64,
    /// Items that only the one before has.
    #[serde(default)]
    pub items_deleted: u64,
    /// What changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_description: Option<String>,
    /// What its author notes about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
    /// How its items are judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluators: Option<Json>,
    /// How often its items run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_policy: Option<Json>,
    /// Who made it, and when.
    #[serde(flatten)]
    pub audit: Audit,
}

/// The short name of the version of a dataset with this identifier: twelve hexadecimal digits.
#[must_use]
pub fn hash_of(version: EntityId) -> String {
    let id = version.to_string();
    id.get(id.len().saturating_sub(12)..)
        .unwrap_or_default()
        .to_owned()
}

impl DatasetVersion {
    /// The version with this number, counted from 1, without items yet. Evaluators and execution
    /// policy are those of the version before.
    #[must_use]
    pub fn new(dataset: EntityId, number: u64, before: Option<&Self>, at: Timestamp) -> Self {
        let id = EntityId::generate_at(at);
        Self {
            id,
            dataset_id: dataset,
            version_hash: hash_of(id),
            tags: Vec::new(),
            is_latest: false,
            version_name: format!("v{number}"),
            items_total: before.map_or(0, |before| before.items_total),
            items_added: 0,
            items_modified: 0,
            items_deleted: 0,
            change_description: None,
            metadata: None,
            evaluators: before.and_then(|before| before.evaluators.clone()),
            execution_policy: before.and_then(|before| before.execution_policy.clone()),
            audit: Audit::new(at),
        }
    }

    /// As it reads when it is the newest, or is not.
    #[must_use]
    pub fn seen(mut self, is_latest: bool) -> Self {
        self.is_latest = is_latest;
        if is_latest {
            self.tags.insert(0, "latest".to_owned());
        }
        self
    }

    /// Itself in a few words.
    #[must_use]
    pub fn summary(&self) -> VersionSummary {
        VersionSummary {
            id: self.id,
            version_hash: self.version_hash.clone(),
            version_name: self.version_name.clone(),
            change_description: self.change_description.clone(),
            tags: self.tags.clone(),
        }
    }
}

/// A request for a new dataset.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct NewDataset {
    /// Identifier; made where absent.
    pub id: Option<EntityId>,
    /// Name.
    pub name: String,
    /// Project, which must exist.
    pub project_id: Option<ProjectId>,
    /// Project, made where it does not exist.
    pub project_name: Option<String>,
    /// `dataset` (default) or `evaluation_suite`.
    pub r#type: Option<String>,
    /// `private` (default) or `public`.
    pub visibility: Option<String>,
    /// Labels.
    pub tags: Option<Vec<String>>,
    /// What it is for, in 255 characters at most.
    pub description: Option<String>,
}

impl NewDataset {
    /// A dataset with a name.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// The same in a project.
    #[must_use]
    pub fn in_project(mut self, name: Option<&str>) -> Self {
        self.project_name = name.map(str::to_owned);
        self
    }

    /// Its project.
    #[must_use]
    pub fn project(&self) -> ProjectChoice {
        ProjectChoice::new(self.project_id, self.project_name.as_deref())
    }

    /// The record that it asks for.
    ///
    /// # Errors
    /// [`CatalogError`] when a field does not hold what it must.
    pub fn into_record(
        self,
        project: Option<ProjectId>,
        at: Timestamp,
    ) -> Result<Dataset, CatalogError> {
        check_text(&self.name, "name")?;
        check_length(self.description.as_deref(), "description", 255)?;
        check_word(self.r#type.as_deref(), "type", TYPES)?;
        check_word(self.visibility.as_deref(), "visibility", VISIBILITIES)?;
        let id = self.id.unwrap_or_else(|| EntityId::generate_at(at));
        check_id(id, "dataset")?;
        Ok(Dataset {
            id,
            name: self.name,
            project_id: project,
            r#type: self.r#type.unwrap_or_else(|| "dataset".to_owned()),
            visibility: self.visibility.unwrap_or_else(|| "private".to_owned()),
            tags: self.tags.unwrap_or_default(),
            description: self.description.filter(|text| !text.trim().is_empty()),
            audit: Audit::new(at),
            dataset_items_count: None,
            experiment_count: None,
            optimization_count: None,
            last_created_experiment_at: None,
            latest_version: None,
        })
    }
}

const TYPES: &[&str] = &["dataset", "evaluation_suite"];
const VISIBILITIES: &[&str] = &["private", "public"];

/// Changes to a dataset; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct DatasetUpdate {
    /// Name.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// `private` or `public`.
    pub visibility: Option<String>,
    /// Labels.
    pub tags: Option<Vec<String>>,
}

impl DatasetUpdate {
    /// Makes the changes.
    ///
    /// # Errors
    /// [`CatalogError`] when a field does not hold what it must.
    pub fn apply(self, to: &mut Dataset, at: Timestamp) -> Result<(), CatalogError> {
        check_word(self.visibility.as_deref(), "visibility", VISIBILITIES)?;
        check_length(self.description.as_deref(), "description", 255)?;
        if let Some(name) = self.name {
            check_text(&name, "name")?;
            to.name = name;
        }
        to.description = self.description.or_else(|| to.description.take());
        to.visibility = self.visibility.unwrap_or_else(|| to.visibility.clone());
        to.tags = self.tags.unwrap_or_else(|| std::mem::take(&mut to.tags));
        to.audit.touch(at);
        Ok(())
    }
}

/// Changes to a version.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct VersionUpdate {
    /// What changed.
    pub change_description: Option<String>,
    /// Labels to add; another version loses those that it has.
    pub tags_to_add: Option<Vec<String>>,
    /// Labels to take away.
    pub tags_to_remove: Option<Vec<String>>,
}

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
