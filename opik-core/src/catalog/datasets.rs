//! Datasets and their versions.

use serde::{Deserialize, Serialize};

use super::{Audit, FieldKind, Fields};
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
    /// The fields that datasets are filtered and sorted by, see
    /// [`Condition::parse_list`](super::Condition::parse_list).
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
