//! Experiments.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::dataset_items::add_tags;
use super::experiment_items::{CompareQuery, ComparedItem, ExperimentItem, NewExperimentItem};
use super::{
    Audit, CatalogError, Condition, FieldKind, Fields, Listing, Numbered, Order, ProjectChoice,
    VersionSummary, check_id, check_text, check_word,
};
use crate::model::ExperimentRef;
use crate::{EntityId, Json, ProjectId, Timestamp, TraceId};

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
    /// The fields that experiments are filtered and sorted by, see [`Condition::parse_list`].
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

/// A request for a new experiment.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct NewExperiment {
    /// Identifier; made where absent.
    pub id: Option<EntityId>,
    /// The dataset, made where it does not exist.
    pub dataset_name: Option<String>,
    /// Project, made where it does not exist.
    pub project_name: Option<String>,
    /// Project, which must exist.
    pub project_id: Option<ProjectId>,
    /// Name; made where absent or blank.
    pub name: Option<String>,
    /// What its maker noted.
    pub metadata: Option<Json>,
    /// Labels.
    pub tags: Option<Vec<String>>,
    /// `regular` (default), `trial`, `mini-batch` or `mutation`.
    pub r#type: Option<String>,
    /// `dataset` (default) or `evaluation_suite`.
    pub evaluation_method: Option<String>,
    /// The optimization that it is a part of.
    pub optimization_id: Option<EntityId>,
    /// `running` (default), `completed`, `cancelled` or `failed`.
    pub status: Option<String>,
    /// Scores of the experiment as a whole.
    pub experiment_scores: Option<Vec<NamedValue>>,
    /// A prompt that it uses.
    pub prompt_version: Option<PromptLink>,
    /// The prompts that it uses.
    pub prompt_versions: Option<Vec<PromptLink>>,
    /// The version of the dataset; the newest where absent.
    pub dataset_version_id: Option<EntityId>,
}

const TYPES: &[&str] = &["regular", "trial", "mini-batch", "mutation"];
const METHODS: &[&str] = &["dataset", "evaluation_suite"];
const STATES: &[&str] = &["running", "completed", "cancelled", "failed"];

impl NewExperiment {
    /// An experiment on the dataset with this name.
    #[must_use]
    pub fn on(dataset_name: impl Into<String>) -> Self {
        Self {
            dataset_name: Some(dataset_name.into()),
            ..Self::default()
        }
    }

    /// The same with a name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Its project.
    #[must_use]
    pub fn project(&self) -> ProjectChoice {
        ProjectChoice::new(self.project_id, self.project_name.as_deref())
    }

    /// The record that it asks for, without what only the engine knows.
    ///
    /// # Errors
    /// [`CatalogError`] when a field does not hold what it must.
    pub fn into_record(self, at: Timestamp) -> Result<Experiment, CatalogError> {
        check_text(
            self.dataset_name.as_deref().unwrap_or_default(),
            "datasetName",
        )?;
        check_word(self.r#type.as_deref(), "type", TYPES)?;
        check_word(
            self.evaluation_method.as_deref(),
            "evaluation_method",
            METHODS,
        )?;
        check_word(self.status.as_deref(), "status", STATES)?;
        let id = self.id.unwrap_or_else(|| EntityId::generate_at(at));
        check_id(id, "Experiment")?;
        let name = self.name.filter(|name| !name.trim().is_empty());
        let one = self.prompt_version.map(|one| vec![one]);
        Ok(Experiment {
            id,
            name: name.unwrap_or_else(|| made_up_name("experiment", id)),
            dataset_id: None,
            dataset_name: self.dataset_name,
            project_id: None,
            project_name: None,
            metadata: self.metadata,
            tags: self.tags.unwrap_or_default(),
            r#type: self.r#type.unwrap_or_else(|| "regular".to_owned()),
            evaluation_method: self
                .evaluation_method
                .unwrap_or_else(|| "dataset".to_owned()),
            optimization_id: self.optimization_id,
            status: self.status.unwrap_or_else(|| "running".to_owned()),
            finished_at: None,
            experiment_scores: self.experiment_scores.unwrap_or_default(),
            prompt_version: None,
            prompt_versions: self.prompt_versions.or(one).unwrap_or_default(),
            dataset_version_id: self.dataset_version_id,
            dataset_version_summary: None,
            audit: Audit::new(at),
            trace_count: 0,
            dataset_item_count: 0,
            feedback_scores: Vec::new(),
            duration: None,
            total_estimated_cost: None,
            total_estimated_cost_avg: None,
            usage: BTreeMap::new(),
            pass_rate: None,
            passed_count: None,
            total_count: None,
            assertion_scores: Vec::new(),
        })
    }
}

/// A name for what came without: its kind and the end of its identifier.
pub(super) fn made_up_name(kind: &str, id: EntityId) -> String {
    let id = id.to_string();
    format!("{kind}-{}", id.get(28..).unwrap_or_default())
}

/// Changes to an experiment; what is absent stays.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ExperimentUpdate {
    /// Name.
    pub name: Option<String>,
    /// What its maker notes.
    pub metadata: Option<Json>,
    /// Labels.
    pub tags: Option<Vec<String>>,
    /// Labels to add.
    pub tags_to_add: Option<Vec<String>>,
    /// Labels to take away.
    pub tags_to_remove: Option<Vec<String>>,
    /// Its kind.
    pub r#type: Option<String>,
    /// How it is going.
    pub status: Option<String>,
    /// Scores of the experiment as a whole.
    pub experiment_scores: Option<Vec<NamedValue>>,
}

impl ExperimentUpdate {
    /// Makes the changes.
    ///
    /// # Errors
    /// [`CatalogError`] when a field does not hold what it must.
    pub fn apply(
        &self,
        to: &mut Experiment,
        merge_tags: bool,
        at: Timestamp,
    ) -> Result<(), CatalogError> {
        check_word(self.r#type.as_deref(), "type", TYPES)?;
        check_word(self.status.as_deref(), "status", STATES)?;
        if let Some(name) = &self.name {
            check_text(name, "name")?;
            to.name.clone_from(name);
        }
        if let Some(metadata) = &self.metadata {
            to.metadata = Some(metadata.clone());
        }
        if let Some(tags) = &self.tags {
            if !merge_tags {
                to.tags.clear();
            }
            add_tags(&mut to.tags, tags);
        }
        add_tags(&mut to.tags, self.tags_to_add.iter().flatten());
        let gone: Vec<_> = self.tags_to_remove.iter().flatten().collect();
        to.tags.retain(|tag| !gone.contains(&tag));
        if let Some(kind) = &self.r#type {
            to.r#type.clone_from(kind);
        }
        if let Some(status) = &self.status {
            to.status.clone_from(status);
        }
        if let Some(scores) = &self.experiment_scores {
            to.experiment_scores.clone_from(scores);
        }
        to.audit.touch(at);
        Ok(())
    }
}

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
