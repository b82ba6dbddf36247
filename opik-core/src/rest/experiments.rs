//! Experiments and their items.

use serde::{Deserialize, Serialize};

use super::call::{Call, Expect};
use super::client::{MAX_ITEMS, OpikClient};
use super::datasets::new_id;
use super::error::RestError;
use super::listing::{Listing, PageNumber};
use crate::model::Extra;
use crate::{Json, Timestamp, TraceId};

/// A score of an experiment as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExperimentScore {
    /// What is scored.
    pub name: String,
    /// The value; the mean where it comes from traces.
    pub value: f64,
}

impl ExperimentScore {
    /// A score.
    #[must_use]
    pub fn new(name: impl Into<String>, value: f64) -> Self {
        Self {
            name: name.into(),
            value,
        }
    }
}

/// A version of a prompt that an experiment used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PromptVersionLink {
    /// Identifier of the version.
    pub id: String,
    /// Its commit (read).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The prompt's identifier (read).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_id: Option<String>,
    /// The prompt's name (read).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_name: Option<String>,
}

/// An experiment (read).
#[derive(Clone, PartialEq, Deserialize)]
#[non_exhaustive]
pub struct Experiment {
    /// Identifier.
    pub id: String,
    /// Name.
    #[serde(default)]
    pub name: Option<String>,
    /// Its dataset.
    #[serde(default)]
    pub dataset_id: Option<String>,
    /// Its dataset's name.
    #[serde(default)]
    pub dataset_name: Option<String>,
    /// The version of the dataset.
    #[serde(default)]
    pub dataset_version_id: Option<String>,
    /// Its project.
    #[serde(default)]
    pub project_id: Option<String>,
    /// Anything else about it.
    #[serde(default)]
    pub metadata: Option<Json>,
    /// Labels.
    #[serde(default)]
    pub tags: Option<Vec<String>>,
    /// `running`, `completed`, `cancelled` or `failed`.
    #[serde(default)]
    pub status: Option<String>,
    /// How many traces it has.
    #[serde(default)]
    pub trace_count: Option<u64>,
    /// Means of the scores of its traces.
    #[serde(default)]
    pub feedback_scores: Option<Vec<ExperimentScore>>,
    /// Scores of the whole.
    #[serde(default)]
    pub experiment_scores: Option<Vec<ExperimentScore>>,
    /// The versions of prompts that it used.
    #[serde(default)]
    pub prompt_versions: Option<Vec<PromptVersionLink>>,
    /// When it was made.
    #[serde(default)]
    pub created_at: Option<Timestamp>,
    /// When it was changed last.
    #[serde(default)]
    pub last_updated_at: Option<Timestamp>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}

debug_only!(Experiment: id, name, dataset_id, dataset_name, status, trace_count, metadata, created_at);

/// One run of an experiment: a trace for an item of the dataset.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExperimentItem {
    /// Identifier, version 7.
    pub id: String,
    /// The experiment.
    pub experiment_id: String,
    /// The item of the dataset.
    pub dataset_item_id: String,
    /// The trace.
    pub trace_id: TraceId,
    /// Input of the trace (read).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Json>,
    /// Output of the trace (read).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Json>,
    /// Scores of the trace (read).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback_scores: Option<Vec<crate::FeedbackScore>>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Extra,
}

debug_only!(ExperimentItem: id, experiment_id, dataset_item_id, trace_id, input, output);

impl ExperimentItem {
    /// A run with a new identifier.
    #[must_use]
    pub fn new(
        experiment_id: impl Into<String>,
        dataset_item_id: impl Into<String>,
        trace_id: TraceId,
    ) -> Self {
        Self {
            id: new_id(),
            experiment_id: experiment_id.into(),
            dataset_item_id: dataset_item_id.into(),
            trace_id,
            input: None,
            output: None,
            feedback_scores: None,
            extra: Extra::new(),
        }
    }
}

/// An experiment to make.
///
/// ```no_run
/// use opik_core::TraceId;
/// use opik_core::rest::{BaseUrl, ExperimentItem, NewExperiment, OpikClient};
///
/// # async fn run(item: String, trace: TraceId) -> Result<(), Box<dyn std::error::Error>> {
/// let opik = OpikClient::builder(BaseUrl::LOCAL).build()?;
/// let id = opik
///     .create_experiment(&NewExperiment::on("questions").name("nightly"))
///     .await?;
/// opik.put_experiment_items(&[ExperimentItem::new(&id, item, trace)])
///     .await?;
/// opik.finish_experiments(&[id]).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Serialize)]
pub struct NewExperiment {
    id: String,
    dataset_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    project_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Json>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    prompt_versions: Vec<PromptVersionLink>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dataset_version_id: Option<String>,
    r#type: &'static str,
    evaluation_method: &'static str,
}

debug_only!(NewExperiment: id, name, dataset_name, project_name, metadata);

impl NewExperiment {
    /// An experiment on a dataset, which is made when there is none.
    #[must_use]
    pub fn on(dataset_name: impl Into<String>) -> Self {
        Self {
            id: new_id(),
            dataset_name: dataset_name.into(),
            project_name: None,
            name: None,
            metadata: None,
            tags: Vec::new(),
            prompt_versions: Vec::new(),
            dataset_version_id: None,
            r#type: "regular",
            evaluation_method: "dataset",
        }
    }

    /// The identifier, a version 7 UUID, where the caller needs to know it before: an experiment
    /// that is made again under the same one is a conflict and not a second experiment.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// Its name; the server makes one up where there is none.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The project, where it is not the client's.
    #[must_use]
    pub fn project_name(mut self, name: impl Into<String>) -> Self {
        self.project_name = Some(name.into());
        self
    }

    /// Anything else about it.
    #[must_use]
    pub fn metadata(mut self, metadata: Json) -> Self {
        self.metadata = Some(metadata);
        self
    }

    /// Labels.
    #[must_use]
    pub fn tags(mut self, tags: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.tags = tags.into_iter().map(Into::into).collect();
        self
    }

    /// The version of the dataset by identifier; the newest where none is set.
    #[must_use]
    pub fn dataset_version(mut self, id: impl Into<String>) -> Self {
        self.dataset_version_id = Some(id.into());
        self
    }

    /// Adds a version of a prompt that it uses, by identifier.
    #[must_use]
    pub fn prompt_version(mut self, id: impl Into<String>) -> Self {
        self.prompt_versions.push(PromptVersionLink {
            id: id.into(),
            commit: None,
            prompt_id: None,
            prompt_name: None,
        });
        self
    }
}

/// A change to an experiment; absent fields stay as they are.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ExperimentUpdate {
    /// Its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Anything else about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Json>,
    /// `running`, `completed`, `cancelled` or `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// Scores of the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub experiment_scores: Option<Vec<ExperimentScore>>,
}

impl OpikClient {
    /// Makes an experiment and returns its identifier.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn create_experiment(&self, new: &NewExperiment) -> Result<String, RestError> {
        let mut new = new.clone();
        if new.project_name.is_none() {
            new.project_name = self.project_name().map(str::to_owned);
        }
        self.create(Call::post("experiments").json(&new)?).await?;
        Ok(new.id)
    }

    /// Records runs, a thousand in a request.
    ///
    /// # Errors
    /// [`RestError`] of the first request that fails; the whole may be repeated.
    pub async fn put_experiment_items(&self, items: &[ExperimentItem]) -> Result<(), RestError> {
        #[derive(Serialize)]
        struct Body<'a> {
            experiment_items: &'a [ExperimentItem],
        }
        for experiment_items in items.chunks(MAX_ITEMS) {
            let body = Body { experiment_items };
            self.create(Call::post("experiments/items").json(&body)?)
                .await?;
        }
        Ok(())
    }

    /// One experiment.
    ///
    /// # Errors
    /// [`RestError`], except when there is none.
    pub async fn experiment(&self, id: &str) -> Result<Option<Experiment>, RestError> {
        self.find(Call::get("experiments").at(id)).await
    }

    /// A page of the experiments, of one dataset if one is given (by identifier).
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn experiments(
        &self,
        dataset_id: Option<&str>,
        page: PageNumber,
    ) -> Result<Listing<Experiment>, RestError> {
        let call = Call::get("experiments")
            .query("page", &page.page)
            .query("size", &page.size)
            // The server spells it so.
            .query_some("datasetId", dataset_id);
        self.send(call).await?.json()
    }

    /// The experiments with exactly this name, newest first, at most 2,000.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn find_experiments(&self, name: &str) -> Result<Vec<Experiment>, RestError> {
        let body = serde_json::json!({
            "name": name,
            "limit": 2_000,
            "project_name": self.project_name(),
        });
        let call = Call::post("experiments/stream").expect(Expect::Lines);
        let mut found: Vec<Experiment> = self.send(call.json(&body)?).await?.lines()?;
        // The server finds every name that contains this one.
        found.retain(|experiment| experiment.name.as_deref() == Some(name));
        Ok(found)
    }

    /// Runs of the experiments whose name contains this one: at most `limit` (1 to 2,000) after an
    /// identifier.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn experiment_items(
        &self,
        experiment_name: &str,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ExperimentItem>, RestError> {
        let body = serde_json::json!({
            "experiment_name": experiment_name,
            "last_retrieved_id": after,
            "limit": limit.clamp(1, 2_000),
            "truncate": false,
            "project_name": self.project_name(),
        });
        let call = Call::post("experiments/items/stream").expect(Expect::Lines);
        self.send(call.json(&body)?).await?.lines()
    }

    /// Changes an experiment.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn update_experiment(
        &self,
        id: &str,
        update: &ExperimentUpdate,
    ) -> Result<(), RestError> {
        let call = Call::patch("experiments").at(id).json(update)?;
        self.send(call).await.map(drop)
    }

    /// Says that experiments are finished, which starts what the server does afterwards.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn finish_experiments(&self, ids: &[String]) -> Result<(), RestError> {
        self.for_experiments("experiments/finish", ids).await
    }

    /// Deletes experiments; their traces stay.
    ///
    /// # Errors
    /// [`RestError`].
    pub async fn delete_experiments(&self, ids: &[String]) -> Result<(), RestError> {
        self.for_experiments("experiments/delete", ids).await
    }

    async fn for_experiments(&self, path: &str, ids: &[String]) -> Result<(), RestError> {
        for ids in ids.chunks(MAX_ITEMS) {
            let body = serde_json::json!({ "ids": ids });
            self.send(Call::post(path).json(&body)?).await?;
        }
        Ok(())
    }
}
