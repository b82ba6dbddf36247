//! Requests for new experiments and for changes to them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::labels::{TagChanges, check_tags};
use super::{
    Audit, CatalogError, Experiment, NamedValue, ProjectChoice, PromptLink, check_id, check_text,
    check_word,
};
use crate::{EntityId, Json, ProjectId, Timestamp};

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
        check_tags(self.tags.as_deref().unwrap_or_default(), "tags")?;
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
        let tags = TagChanges {
            tags: self.tags.as_deref(),
            merge: merge_tags,
            add: self.tags_to_add.as_deref(),
            remove: self.tags_to_remove.as_deref(),
        };
        tags.check()?;
        if let Some(name) = &self.name {
            check_text(name, "name")?;
            to.name.clone_from(name);
        }
        if let Some(metadata) = &self.metadata {
            to.metadata = Some(metadata.clone());
        }
        tags.apply(&mut to.tags);
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
