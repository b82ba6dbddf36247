//! Experiments.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Audit, FieldKind, Fields, VersionSummary};
use crate::{EntityId, Json, ProjectId, Timestamp};

/// A name and a number: a mean of scores, or a score of an experiment as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NamedValue {
    /// What it is.
    pub name: String,
    /// How much.
    pub value: f64,
}

impl NamedValue {
    /// A number with a name.
    #[must_use]
    pub fn new(name: impl Into<String>, value: f64) -> Self {
        Self {
            name: name.into(),
            value,
        }
    }
}

/// How values spread, in their own unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Percentiles {
    /// Half of them are smaller.
    pub p50: f64,
    /// Nine of ten are smaller.
    pub p90: f64,
    /// Ninety-nine of a hundred are smaller.
    pub p99: f64,
}

impl Percentiles {
    /// A spread.
    #[must_use]
    pub const fn new(p50: f64, p90: f64, p99: f64) -> Self {
        Self { p50, p90, p99 }
    }
}

/// A version of a prompt that an experiment used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PromptLink {
    /// The version.
    pub id: EntityId,
    /// Its commit; on reading, as everything below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// `v1`, `v2`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_number: Option<String>,
    /// The prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_id: Option<EntityId>,
    /// The prompt's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_name: Option<String>,
}

/// An experiment: a task that ran over the items of a dataset, with its traces and scores.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Experiment {
    /// Identifier.
    pub id: EntityId,
    /// Name; several may have the same.
    pub name: String,
    /// The dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_id: Option<EntityId>,
    /// The dataset's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_name: Option<String>,
    /// Project that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// The project's name; on reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_name: Option<String>,
    /// What its maker noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
    /// Labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// `regular`, `trial`, `mini-batch` or `mutation`.
    pub r#type: String,
    /// `dataset` or `evaluation_suite`.
    pub evaluation_method: String,
    /// The optimization that it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optimization_id: Option<EntityId>,
    /// `running`, `completed`, `cancelled` or `failed`.
    pub status: String,
    /// When its maker said that it has finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Scores of the experiment as a whole.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub experiment_scores: Vec<NamedValue>,
    /// The first of the prompts that it used; on reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_version: Option<PromptLink>,
    /// The prompts that it used.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prompt_versions: Vec<PromptLink>,
    /// The version of the dataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_version_id: Option<EntityId>,
    /// The version of the dataset; on reading, as everything below.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset_version_summary: Option<VersionSummary>,
    /// Who made it, and when.
    #[serde(flatten)]
    pub audit: Audit,
    /// How many traces it has.
    #[serde(default)]
    pub trace_count: u64,
    /// How many items of the dataset it has looked at.
    #[serde(default)]
    pub dataset_item_count: u64,
    /// Means of the scores of its traces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub feedback_scores: Vec<NamedValue>,
    /// Durations of its traces, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<Percentiles>,
    /// What its traces cost, in dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_estimated_cost: Option<f64>,
    /// What a trace costs on average, in dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_estimated_cost_avg: Option<f64>,
    /// Tokens that a trace uses on average.
    #[serde(default)]
    pub usage: BTreeMap<String, f64>,
    /// Share of the items that passed their assertions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass_rate: Option<f64>,
    /// Items that passed their assertions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_count: Option<u64>,
    /// Items that have assertions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_count: Option<u64>,
    /// Share of the runs that each assertion holds for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assertion_scores: Vec<NamedValue>,
}

impl Experiment {
    /// The fields that experiments are filtered and sorted by, see
    /// [`Condition::parse_list`](super::Condition::parse_list).
    pub const FIELDS: Fields = &[
        ("id", "id", FieldKind::Exact),
        ("name", "name", FieldKind::Text),
        ("dataset_id", "dataset_id", FieldKind::Exact),
        ("dataset_name", "dataset_name", FieldKind::Text),
        ("project_id", "project_id", FieldKind::Exact),
        ("metadata", "metadata", FieldKind::Map),
        ("tags", "tags", FieldKind::List),
        ("type", "type", FieldKind::Word),
        ("status", "status", FieldKind::Word),
        ("evaluation_method", "evaluation_method", FieldKind::Word),
        ("prompt_ids", "prompt_ids", FieldKind::List),
        ("feedback_scores", "feedback_scores", FieldKind::Scores),
        ("experiment_scores", "experiment_scores", FieldKind::Scores),
        ("duration", "duration", FieldKind::Map),
        (
            "total_estimated_cost",
            "total_estimated_cost",
            FieldKind::Number,
        ),
        (
            "total_estimated_cost_avg",
            "total_estimated_cost_avg",
            FieldKind::Number,
        ),
        ("trace_count", "trace_count", FieldKind::Number),
        ("pass_rate", "pass_rate", FieldKind::Number),
        ("created_at", "created_at", FieldKind::Moment),
        ("created_by", "created_by", FieldKind::Text),
        ("last_updated_at", "last_updated_at", FieldKind::Moment),
        ("last_updated_by", "last_updated_by", FieldKind::Text),
    ];
}
