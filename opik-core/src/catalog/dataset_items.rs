//! Items of datasets.

use serde::{Deserialize, Serialize};

use super::labels::TagChanges;
use super::{
    Audit, CatalogError, Condition, FieldKind, Fields, Numbered, ProjectChoice, check_count,
    check_id, check_word,
};
use crate::{EntityId, Json, ProjectId, Timestamp};

/// An item of a dataset.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DatasetItem {
    /// Identifier, the same in every version.
    pub id: EntityId,
    /// The same.
    pub dataset_item_id: EntityId,
    /// The trace that it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<EntityId>,
    /// The span that it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span_id: Option<EntityId>,
    /// What made it: `sdk`, `manual`, `trace` or `span`.
    pub source: String,
    /// The content.
    pub data: Json,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// How it is judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluators: Option<Json>,
    /// How often it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_policy: Option<Json>,
    /// The dataset.
    pub dataset_id: EntityId,
    /// Who made it, and when.
    #[serde(flatten)]
    pub audit: Audit,
}

impl DatasetItem {
    /// The fields that items are filtered by, see [`Condition::parse_list`].
    pub const FIELDS: Fields = &[
        ("id", "id", FieldKind::Exact),
        ("data", "data", FieldKind::Map),
        ("full_data", "data", FieldKind::Whole),
        ("source", "source", FieldKind::Text),
        ("trace_id", "trace_id", FieldKind::Exact),
        ("span_id", "span_id", FieldKind::Exact),
        ("description", "description", FieldKind::Text),
        ("tags", "tags", FieldKind::List),
        ("created_at", "created_at", FieldKind::Moment),
        ("created_by", "created_by", FieldKind::Text),
        ("last_updated_at", "last_updated_at", FieldKind::Moment),
        ("last_updated_by", "last_updated_by", FieldKind::Text),
    ];
}

/// An item that is written.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct NewItem {
    /// Identifier; made where absent. An item with the same one is replaced.
    #[serde(default)]
    pub id: Option<EntityId>,
    /// The trace that it was made from.
    #[serde(default)]
    pub trace_id: Option<EntityId>,
    /// The span that it was made from.
    #[serde(default)]
    pub span_id: Option<EntityId>,
    /// What made it: `sdk` (where absent), `manual`, `trace` or `span`.
    #[serde(default)]
    pub source: Option<String>,
    /// The content, an object with something in it.
    #[serde(default)]
    pub data: Option<Json>,
    /// What it is about.
    #[serde(default)]
    pub description: Option<String>,
    /// Labels.
    #[serde(default)]
    pub tags: Option<Vec<String>>,
    /// How it is judged.
    #[serde(default)]
    pub evaluators: Option<Json>,
    /// How often it runs.
    #[serde(default)]
    pub execution_policy: Option<Json>,
}

impl NewItem {
    /// An item with content.
    #[must_use]
    pub fn new(data: Json) -> Self {
        Self {
            id: None,
            trace_id: None,
            span_id: None,
            source: None,
            data: Some(data),
            description: None,
            tags: None,
            evaluators: None,
            execution_policy: None,
        }
    }

    /// The same with an identifier.
    #[must_use]
    pub fn with_id(mut self, id: EntityId) -> Self {
        self.id = Some(id);
        self
    }

    /// Checks it.
    ///
    /// # Errors
    /// [`CatalogError`] when a field does not hold what it must.
    pub fn check(&self) -> Result<(), CatalogError> {
        if let Some(id) = self.id {
            check_id(id, "dataset_item")?;
        }
        check_word(self.source.as_deref(), "source", SOURCES)?;
        match &self.data {
            Some(data) if is_object_with_members(data) => Ok(()),
            _ => Err(CatalogError::unprocessable(
                "items data must be an object that is not empty",
            )),
        }
    }

    /// The record that replaces `old`, if there is one. The item has been checked.
    #[must_use]
    pub fn into_record(
        self,
        dataset: EntityId,
        old: Option<&DatasetItem>,
        at: Timestamp,
    ) -> DatasetItem {
        let id = self.id.unwrap_or_else(|| EntityId::generate_at(at));
        DatasetItem {
            id,
            dataset_item_id: id,
            trace_id: self.trace_id,
            span_id: self.span_id,
            source: self.source.unwrap_or_else(|| "sdk".to_owned()),
            data: self.data.unwrap_or_else(Json::null),
            description: self.description.filter(|text| !text.is_empty()),
            tags: self.tags.unwrap_or_default(),
            evaluators: self.evaluators,
            execution_policy: self.execution_policy,
            dataset_id: dataset,
            audit: old.map_or_else(|| Audit::new(at), |old| Audit::after(&old.audit, at)),
        }
    }
}

const SOURCES: &[&str] = &["manual", "trace", "span", "sdk"];

fn is_object_with_members(data: &Json) -> bool {
    let inside = data.as_str().trim().strip_prefix('{').map(str::trim_start);
    inside.is_some_and(|inside| inside.starts_with('"'))
}

/// A request to write items.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct PutItems {
    /// The dataset by identifier, which goes first.
    pub dataset_id: Option<EntityId>,
    /// The dataset by name; made where it does not exist.
    pub dataset_name: Option<String>,
    /// The dataset's project.
    pub project_id: Option<ProjectId>,
    /// The dataset's project.
    pub project_name: Option<String>,
    /// Writes of one group make one version.
    pub batch_group_id: Option<EntityId>,
    /// The dataset that `copy_from_version_id` belongs to.
    pub copy_from_dataset_id: Option<EntityId>,
    /// A version whose items take the place of those of the dataset's newest version, before the
    /// items of this request are written.
    pub copy_from_version_id: Option<EntityId>,
    /// The items, 1 to 1,000.
    pub items: Vec<NewItem>,
}

impl PutItems {
    /// Items for a dataset.
    #[must_use]
    pub fn into_dataset(id: EntityId, items: Vec<NewItem>) -> Self {
        Self {
            dataset_id: Some(id),
            items,
            ..Self::default()
        }
    }

    /// The same as part of a group.
    #[must_use]
    pub fn in_group(mut self, group: EntityId) -> Self {
        self.batch_group_id = Some(group);
        self
    }

    /// The dataset's project.
    #[must_use]
    pub fn project(&self) -> ProjectChoice {
        ProjectChoice::new(self.project_id, self.project_name.as_deref())
    }

    /// Checks the request.
    ///
    /// # Errors
    /// [`CatalogError`] when a field does not hold what it must.
    pub fn check(&self) -> Result<(), CatalogError> {
        check_count(self.items.len(), "items")?;
        let named = self
            .dataset_name
            .as_deref()
            .is_some_and(|name| !name.trim().is_empty());
        if self.dataset_id.is_none() && !named {
            return Err(CatalogError::unprocessable(
                "The request body must provide either a dataset_name or a dataset_id",
            ));
        }
        self.items.iter().try_for_each(NewItem::check)
    }
}

/// A request to delete items: those with these identifiers, or those of a dataset that match.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct DeleteItems {
    /// Identifiers, 1,000 at most.
    pub ids: Vec<EntityId>,
    /// The dataset to look in.
    pub dataset: Option<EntityId>,
    /// Conditions on [`DatasetItem::FIELDS`]; none means every item of the dataset.
    pub conditions: Vec<Condition>,
    /// Deletions of one group make one version.
    pub group: Option<EntityId>,
}

/// Changes to an item; what is absent stays.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ItemUpdate {
    /// The content.
    pub data: Option<Json>,
    /// What it is about.
    pub description: Option<String>,
    /// Labels.
    pub tags: Option<Vec<String>>,
    /// Labels to add.
    pub tags_to_add: Option<Vec<String>>,
    /// Labels to take away.
    pub tags_to_remove: Option<Vec<String>>,
    /// How it is judged.
    pub evaluators: Option<Json>,
    /// How often it runs.
    pub execution_policy: Option<Json>,
    /// Take the execution policy away.
    pub clear_execution_policy: Option<bool>,
}

impl ItemUpdate {
    /// Makes the changes.
    ///
    /// # Errors
    /// [`CatalogError`] when the content is not an object with something in it, or when there are
    /// more or longer labels than [`check_tags`](super::check_tags) lets through.
    pub fn apply(
        &self,
        to: &mut DatasetItem,
        merge_tags: bool,
        at: Timestamp,
    ) -> Result<(), CatalogError> {
        let tags = TagChanges {
            tags: self.tags.as_deref(),
            merge: merge_tags,
            add: self.tags_to_add.as_deref(),
            remove: self.tags_to_remove.as_deref(),
        };
        tags.check()?;
        if let Some(data) = &self.data {
            if !is_object_with_members(data) {
                return Err(CatalogError::unprocessable(
                    "data must be an object that is not empty",
                ));
            }
            to.data = data.clone();
        }
        if let Some(text) = &self.description {
            to.description = Some(text.clone());
        }
        tags.apply(&mut to.tags);
        if let Some(evaluators) = &self.evaluators {
            to.evaluators = Some(evaluators.clone());
        }
        if self.clear_execution_policy == Some(true) {
            to.execution_policy = None;
        }
        if let Some(policy) = &self.execution_policy {
            to.execution_policy = Some(policy.clone());
        }
        to.audit.touch(at);
        Ok(())
    }
}

/// The same changes to several items.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ItemBatchUpdate {
    /// Which: by identifier.
    pub ids: Vec<EntityId>,
    /// Or the items of this dataset that match.
    pub dataset: Option<EntityId>,
    /// Conditions on [`DatasetItem::FIELDS`].
    pub conditions: Vec<Condition>,
    /// The changes.
    pub update: ItemUpdate,
    /// Add the labels to those that are there.
    pub merge_tags: bool,
}

/// A change to one item in [`ItemChanges`]; what is absent stays.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct ItemEdit {
    /// The item.
    pub id: EntityId,
    /// The content.
    #[serde(default)]
    pub data: Option<Json>,
    /// What it is about.
    #[serde(default)]
    pub description: Option<String>,
    /// Labels.
    #[serde(default)]
    pub tags: Option<Vec<String>>,
    /// How it is judged.
    #[serde(default)]
    pub evaluators: Option<Json>,
    /// How often it runs.
    #[serde(default)]
    pub execution_policy: Option<Json>,
    /// Take the execution policy away.
    #[serde(default)]
    pub clear_execution_policy: Option<bool>,
}

impl ItemEdit {
    /// The same as an update.
    #[must_use]
    pub fn into_update(self) -> ItemUpdate {
        ItemUpdate {
            data: self.data,
            description: self.description,
            tags: self.tags,
            evaluators: self.evaluators,
            execution_policy: self.execution_policy,
            clear_execution_policy: self.clear_execution_policy,
            ..ItemUpdate::default()
        }
    }
}

/// A new version as changes to an old one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ItemChanges {
    /// The version that was looked at; must be the newest.
    pub base_version: Option<String>,
    /// Items to add.
    pub added_items: Option<Vec<NewItem>>,
    /// Items to change.
    pub edited_items: Option<Vec<ItemEdit>>,
    /// Items to delete.
    pub deleted_ids: Option<Vec<EntityId>>,
    /// What changed.
    pub change_description: Option<String>,
    /// Labels of the new version.
    pub tags: Option<Vec<String>>,
    /// What its author notes about the new version.
    pub metadata: Option<Json>,
    /// How its items are judged.
    pub evaluators: Option<Json>,
    /// How often its items run.
    pub execution_policy: Option<Json>,
    /// Take the execution policy away.
    pub clear_execution_policy: Option<bool>,
    /// The dataset that `copy_from_version_id` belongs to.
    pub copy_from_dataset_id: Option<EntityId>,
    /// A version whose items take the place of those of the newest version.
    pub copy_from_version_id: Option<EntityId>,
}

/// Which items are read.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ItemQuery {
    /// The dataset.
    pub dataset: EntityId,
    /// The version: hash, name, identifier, label; the newest where absent.
    pub version: Option<String>,
    /// Conditions on [`DatasetItem::FIELDS`].
    pub conditions: Vec<Condition>,
    /// Only items before this one: older ones, as the order is newest first.
    pub after: Option<EntityId>,
    /// Which page.
    pub page: Numbered,
}

impl ItemQuery {
    /// The first ten items of the newest version.
    #[must_use]
    pub fn of(dataset: EntityId) -> Self {
        Self {
            dataset,
            version: None,
            conditions: Vec::new(),
            after: None,
            page: Numbered::default(),
        }
    }
}
