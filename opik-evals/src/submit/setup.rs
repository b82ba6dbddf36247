//! The steps of a submission.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use opik_core::rest::{
    DatasetItem, DatasetRef, DatasetVersion, ExperimentItem, ExperimentScore, ExperimentUpdate,
    NewDataset, NewExperiment, OpikClient, PageNumber, RestErrorKind,
};
use opik_core::{Batch, Exporter, Json};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::error::{SubmitError, step};
use super::ids::{self, RunIds};
use super::rows::{TrialRows, item_data, policy};
use crate::experiment::{Run, RunFile, Submitted, Trial, digest};

/// Where a run is sent, and under which names.
#[derive(Debug, Clone)]
#[must_use = "a submission is made by `run` or `file`"]
pub struct Submission {
    client: OpikClient,
    dataset: Option<String>,
    experiment: Option<String>,
    description: Option<String>,
    scores: Vec<ExperimentScore>,
    batch: usize,
}

/// What a submission did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SubmissionReport {
    /// Identifier of the dataset.
    pub dataset_id: String,
    /// Name of the dataset.
    pub dataset: String,
    /// Identifier of the experiment.
    pub experiment_id: String,
    /// Name of the experiment.
    pub experiment: String,
    /// Items that the dataset did not have yet.
    pub new_items: usize,
    /// Trials that were sent now.
    pub trials: usize,
    /// Trials that an earlier submission had sent.
    pub earlier: usize,
}

impl Submission {
    /// A submission to the server, workspace and project of a client.
    pub fn new(client: OpikClient) -> Self {
        Self {
            client,
            dataset: None,
            experiment: None,
            description: None,
            scores: Vec::new(),
            batch: 100,
        }
    }

    /// The name of the dataset; that of the run, else the name of the experiment.
    pub fn dataset(mut self, name: impl Into<String>) -> Self {
        self.dataset = Some(name.into());
        self
    }

    /// What the dataset is for, when it is made.
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// The name of the experiment; that of the run.
    pub fn experiment(mut self, name: impl Into<String>) -> Self {
        self.experiment = Some(name.into());
        self
    }

    /// Adds a score of the experiment as a whole.
    pub fn score(mut self, name: impl Into<String>, value: f64) -> Self {
        self.scores.push(ExperimentScore::new(name, value));
        self
    }

    /// How many trials are sent before progress is noted; 100.
    pub fn batch(mut self, trials: usize) -> Self {
        self.batch = trials.max(1);
        self
    }

    /// Sends a run that is in memory.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn run(&self, run: &Run) -> Result<SubmissionReport, SubmitError> {
        self.send(run, None).await
    }

    /// Sends the run that a file holds, and notes the progress in the file.
    ///
    /// # Errors
    /// [`SubmitError`].
    pub async fn file(&self, path: impl AsRef<Path>) -> Result<SubmissionReport, SubmitError> {
        let (mut file, run) = RunFile::reopen(path.as_ref())?;
        self.send(&run, Some(&mut file)).await
    }

    async fn send(
        &self,
        run: &Run,
        mut file: Option<&mut RunFile>,
    ) -> Result<SubmissionReport, SubmitError> {
        let info = run.info();
        let experiment = self.experiment.clone().unwrap_or_else(|| info.name.clone());
        let dataset = self.dataset.clone().or_else(|| info.dataset.name.clone());
        let dataset = dataset.unwrap_or_else(|| experiment.clone());
        let project = self.client.project_name();
        let base = self.client.base_url().as_str();
        let place = [
            base,
            self.client.workspace(),
            project.unwrap_or_default(),
            &dataset,
        ]
        .join(" ");
        let ids = RunIds::new(run, place.clone());
        let item_ids: HashMap<String, String> = run
            .items()
            .iter()
            .map(|item| {
                let there = ids::item(project.unwrap_or_default(), &dataset, item);
                (item.id().into_owned(), there)
            })
            .collect();
        let (dataset_id, new_items) = self.dataset_with_items(run, &dataset, &item_ids).await?;
        let version = self.newest_version(&dataset_id).await?;
        let experiment_id = ids.experiment();
        self.make_experiment(run, &experiment_id, &experiment, &dataset, version)
            .await?;

        let of = trials_hash(run);
        let before = file.as_ref().and_then(|file| file.submitted(&place));
        let before = before.filter(|done| done.of == of);
        let earlier = before.map_or(0, |done| done.trials);
        let finished = before.is_some_and(|done| done.finished);
        let mut done = Submitted {
            to: place,
            of,
            trials: earlier,
            finished: false,
        };
        let rows = TrialRows {
            run,
            ids: &ids,
            project,
        };
        let left = run.trials().get(earlier..).unwrap_or_default();
        for trials in left.chunks(self.batch) {
            self.send_trials(&rows, trials, &experiment_id, &item_ids)
                .await?;
            done.trials += trials.len();
            if let Some(file) = &mut file {
                file.submit(done.clone())?;
            }
        }
        // An experiment that is still being run is not finished.
        if run.not_run() == 0 && !finished {
            self.finish(&experiment_id).await?;
            done.finished = true;
            if let Some(file) = &mut file {
                file.submit(done.clone())?;
            }
        }
        Ok(SubmissionReport {
            dataset_id,
            dataset,
            experiment_id,
            experiment,
            new_items,
            trials: done.trials - earlier,
            earlier,
        })
    }

    /// The dataset, made where there is none, with all items of the run.
    async fn dataset_with_items(
        &self,
        run: &Run,
        name: &str,
        item_ids: &HashMap<String, String>,
    ) -> Result<(String, usize), SubmitError> {
        let found = self.client.find_dataset(name).await;
        let found = found.map_err(step("look for the dataset"))?;
        let (id, there) = match found {
            Some(dataset) => (dataset.id, self.items_there(name).await?),
            None => (self.make_dataset(name).await?, HashSet::new()),
        };
        let mut missing = Vec::new();
        for item in run.items() {
            let Some(there_id) = item_ids.get(item.id().as_ref()) else {
                continue;
            };
            if there.contains(there_id) {
                continue;
            }
            let data = item_data(item);
            if data.is_empty() {
                return Err(SubmitError::EmptyItem(item.id().into_owned()));
            }
            let mut row = DatasetItem::new(Json::from_value(&Value::Object(data)));
            row.id = Some(there_id.clone());
            row.tags = (!item.tags().is_empty()).then(|| item.tags().to_vec());
            missing.push(row);
        }
        if !missing.is_empty() {
            let dataset = DatasetRef::Name(name.to_owned());
            let put = self.client.put_dataset_items(&dataset, &missing).await;
            put.map_err(step("write the items of the dataset"))?;
        }
        Ok((id, missing.len()))
    }

    async fn make_dataset(&self, name: &str) -> Result<String, SubmitError> {
        let mut new = NewDataset::new(name);
        if let Some(text) = &self.description {
            new = new.description(text.as_str());
        }
        let id = match self.client.create_dataset(&new).await {
            Ok(id) => return Ok(id),
            // Someone else made it in the meantime.
            Err(error) if error.kind() == RestErrorKind::Conflict => {
                let found = self.client.find_dataset(name).await;
                let found = found.map_err(step("look for the dataset"))?;
                found.map(|dataset| dataset.id).ok_or(error)
            }
            Err(error) => Err(error),
        };
        id.map_err(step("make the dataset"))
    }

    async fn items_there(&self, name: &str) -> Result<HashSet<String>, SubmitError> {
        const PAGE: u32 = 2_000;
        let mut there = HashSet::new();
        let mut after: Option<String> = None;
        loop {
            let items = self
                .client
                .dataset_items(name, None, after.as_deref(), PAGE);
            let items = items.await.map_err(step("read the items of the dataset"))?;
            let last = items.last().and_then(|item| item.id.clone());
            let before = there.len();
            there.extend(items.into_iter().filter_map(|item| item.id));
            // A page that brings nothing new is the end, whatever the server thinks.
            if last.is_none() || there.len() == before {
                return Ok(there);
            }
            after = last;
        }
    }

    async fn newest_version(&self, dataset: &str) -> Result<Option<DatasetVersion>, SubmitError> {
        let versions = self.client.dataset_versions(dataset, PageNumber::new(1, 1));
        let versions = versions
            .await
            .map_err(step("read the version of the dataset"))?;
        Ok(versions.content.into_iter().next())
    }

    async fn make_experiment(
        &self,
        run: &Run,
        id: &str,
        name: &str,
        dataset: &str,
        version: Option<DatasetVersion>,
    ) -> Result<(), SubmitError> {
        let info = run.info();
        let mut new = NewExperiment::on(dataset)
            .with_id(id)
            .name(name)
            .tags(info.tags.iter().map(String::as_str))
            .metadata(Json::from_value(&Value::Object(metadata(
                run,
                version.as_ref(),
            ))));
        if let Some(version) = version.and_then(|version| version.id) {
            new = new.dataset_version(version);
        }
        match self.client.create_experiment(&new).await {
            // An earlier submission of this run made it.
            Err(error) if error.kind() == RestErrorKind::Conflict => Ok(()),
            made => made.map(drop).map_err(step("make the experiment")),
        }
    }

    async fn send_trials(
        &self,
        rows: &TrialRows<'_>,
        trials: &[Trial],
        experiment: &str,
        item_ids: &HashMap<String, String>,
    ) -> Result<(), SubmitError> {
        let items = rows.run.items_by_id();
        let mut batch = Batch::default();
        let mut links = Vec::new();
        let policy = policy(rows.run);
        for trial in trials {
            let found = items
                .get(trial.item_id.as_str())
                .zip(item_ids.get(&trial.item_id));
            let Some((item, item_id)) = found else {
                continue;
            };
            rows.push(&mut batch, item, item_id, trial);
            let mut link = ExperimentItem::new(experiment, item_id, rows.ids.trace(trial));
            link.id = rows.ids.link(trial);
            if let Some(project) = rows.project {
                link.extra.insert("project_name".to_owned(), project.into());
            }
            link.extra
                .insert("execution_policy".to_owned(), policy.clone());
            links.push(link);
        }
        let report = self.client.export(&batch).await?;
        if let Some(first) = report.rejected.first() {
            return Err(SubmitError::Rejected {
                count: report.rejected.len(),
                reason: first.reason.clone(),
            });
        }
        let put = self.client.put_experiment_items(&links).await;
        put.map_err(step("link the traces to the experiment"))
    }

    async fn finish(&self, experiment: &str) -> Result<(), SubmitError> {
        let ids = [experiment.to_owned()];
        let finished = self.client.finish_experiments(&ids).await;
        finished.map_err(step("finish the experiment"))?;
        if self.scores.is_empty() {
            return Ok(());
        }
        let mut update = ExperimentUpdate::default();
        update.experiment_scores = Some(self.scores.clone());
        let updated = self.client.update_experiment(experiment, &update).await;
        updated.map_err(step("write the scores of the experiment"))
    }
}

/// What is kept with the experiment: what the run says, and what the official SDK needs to go on
/// with it.
fn metadata(run: &Run, version: Option<&DatasetVersion>) -> Map<String, Value> {
    let info = run.info();
    let mut metadata = info.metadata.clone();
    for (name, value) in [("task_version", &info.task_version), ("model", &info.model)] {
        if let Some(value) = value {
            metadata
                .entry(name)
                .or_insert_with(|| value.as_str().into());
        }
    }
    let resume = json!({
        "schema_version": 1,
        "resumable": true,
        "default_runs_per_item": info.repeats,
        "dataset_filter_string": null,
        "dataset_version_name": version.and_then(|version| version.version_name.as_deref()),
        "nb_samples": null,
        "requires_local_checkpoint": false,
        "error_tolerance": 10,
    });
    metadata.insert("_opik_resume".to_owned(), resume.to_string().into());
    metadata
}

/// Which trials a run has: after more were run, or some again, all are sent again.
fn trials_hash(run: &Run) -> String {
    let parts: Vec<String> = run
        .trials()
        .iter()
        .map(|trial| format!("{} {} {}", trial.item_id, trial.repeat, trial.started_at))
        .collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    digest(&parts)
}
