//! The result of an experiment.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::Path;

use opik_core::{Timestamp, TraceId};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::journal::{self, RunFile};
use super::{RunFileError, Trial};
use crate::dataset::Item;
use crate::statistics::Summary;

/// What was run.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunInfo {
    /// Version of the format of the file; 1.
    pub format: u32,
    /// Identifier of the run, a version 7 UUID.
    pub id: String,
    /// Name of the experiment.
    pub name: String,
    /// When it was first begun.
    pub started_at: Timestamp,
    /// What it was run on.
    pub dataset: DatasetInfo,
    /// Version of the task, as the caller states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_version: Option<String>,
    /// The model that the task uses, as the caller states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What scored it.
    pub metrics: Vec<ScorerInfo>,
    /// How many times each item was run.
    pub repeats: u32,
    /// The seed of the seeds that trials are given.
    pub seed: u64,
    /// Names that metrics read, and the fields that they stand for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub mapping: BTreeMap<String, String>,
    /// Anything else about it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// Labels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
}

impl fmt::Debug for RunInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunInfo")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("started_at", &self.started_at)
            .field("dataset", &self.dataset)
            .field("metrics", &self.metrics)
            .field("repeats", &self.repeats)
            .finish_non_exhaustive()
    }
}

impl RunInfo {
    /// What of another experiment is not the same, so that results of both must not be mixed.
    pub(super) fn different(&self, other: &Self) -> Option<&'static str> {
        let checks = [
            (self.name != other.name, "another name"),
            (self.dataset.hash != other.dataset.hash, "other items"),
            (
                self.task_version != other.task_version,
                "another version of the task",
            ),
            (self.model != other.model, "another model"),
            (self.metrics != other.metrics, "other metrics"),
            (
                self.repeats != other.repeats,
                "another number of repetitions",
            ),
            (self.seed != other.seed, "another seed"),
            (self.mapping != other.mapping, "another mapping of names"),
        ];
        checks
            .into_iter()
            .find_map(|(differs, what)| differs.then_some(what))
    }

    /// What is known about a metric.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<&ScorerInfo> {
        self.metrics.iter().find(|metric| metric.name == name)
    }
}

/// What a run was run on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DatasetInfo {
    /// Its name, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// SHA-256 over identifiers and contents of the items, in order.
    pub hash: String,
    /// How many items it has.
    pub items: usize,
}

/// What is known about a metric of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ScorerInfo {
    /// Its name.
    pub name: String,
    /// What tells it from others, where it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
    /// Whether low scores are good.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub lower_is_better: bool,
    /// The score with which a trial passes. Without one, 1 for metrics that give 0 and 1 only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass_at: Option<f64>,
}

/// Why a run ended before everything was run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stopped {
    /// Somebody stopped it.
    Cancelled,
    /// The budget was spent.
    Budget,
}

/// The result of an experiment: what was run, on what, and every trial in order of items and
/// repetitions.
///
/// ```no_run
/// use opik_evals::experiment::Run;
///
/// let run = Run::read("runs/nightly.jsonl")?;
/// println!("{} of {} failed", run.failed(), run.trials().len());
/// # Ok::<(), opik_evals::experiment::RunFileError>(())
/// ```
#[derive(Clone, PartialEq)]
pub struct Run {
    pub(super) info: RunInfo,
    pub(super) items: Vec<Item>,
    pub(super) trials: Vec<Trial>,
    pub(super) stopped: Option<Stopped>,
}

impl Run {
    pub(super) fn new(
        info: RunInfo,
        items: Vec<Item>,
        mut trials: Vec<Trial>,
        stopped: Option<Stopped>,
    ) -> Self {
        let places: HashMap<String, usize> = items
            .iter()
            .enumerate()
            .map(|(place, item)| (item.id().into_owned(), place))
            .collect();
        trials.sort_by_key(|trial| {
            let place = places.get(trial.item_id.as_str());
            (place.copied().unwrap_or(usize::MAX), trial.repeat)
        });
        Self {
            info,
            items,
            trials,
            stopped,
        }
    }

    /// Reads the file of a run, finished or not. Nothing is written and nothing is locked.
    ///
    /// # Errors
    /// [`RunFileError`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self, RunFileError> {
        let read = journal::read(path.as_ref())?;
        Ok(Self::new(read.info, read.items, read.trials, read.stopped))
    }

    /// Writes the run into a new file.
    ///
    /// # Errors
    /// [`RunFileError`], also when the file is there already and holds anything else.
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), RunFileError> {
        let (mut file, _) = RunFile::open(path.as_ref(), &self.info, &self.items)?;
        file.trials(&self.trials)?;
        file.end(self.stopped)
    }

    /// What was run.
    #[must_use]
    pub fn info(&self) -> &RunInfo {
        &self.info
    }

    /// The items, in order.
    #[must_use]
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// The trials, in order of items and repetitions.
    #[must_use]
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// Why it ended early, if it did.
    #[must_use]
    pub fn stopped(&self) -> Option<Stopped> {
        self.stopped
    }

    /// How many trials were not run.
    #[must_use]
    pub fn not_run(&self) -> usize {
        let all = self.items.len() * usize::try_from(self.info.repeats).unwrap_or(usize::MAX);
        all.saturating_sub(self.trials.len())
    }

    /// How many trials failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.trials.iter().filter(|trial| trial.failed()).count()
    }

    /// The names of the metrics, in order.
    pub fn metrics(&self) -> impl Iterator<Item = &str> {
        self.info.metrics.iter().map(|metric| metric.name.as_str())
    }

    /// The scores of a metric, in order of the trials. Trials without one are left out.
    #[must_use]
    pub fn scores(&self, metric: &str) -> Vec<f64> {
        let scores = self.trials.iter().filter_map(|trial| trial.score(metric));
        scores.collect()
    }

    /// The mean of the scores of a metric; `None` when it gave none.
    #[must_use]
    pub fn mean(&self, metric: &str) -> Option<f64> {
        Summary::of(&self.scores(metric)).map(|summary| summary.mean)
    }

    /// What all trials cost, in US dollars, where that is known of any.
    #[must_use]
    pub fn cost(&self) -> Option<f64> {
        let known: Vec<f64> = self.trials.iter().filter_map(Trial::cost).collect();
        (!known.is_empty()).then(|| known.iter().sum())
    }

    /// The score with which a trial passes a metric: as stated, or 1 when all its scores are 0 or 1.
    #[must_use]
    pub fn pass_at(&self, metric: &str) -> Option<f64> {
        let stated = self.info.metric(metric).and_then(|metric| metric.pass_at);
        stated.or_else(|| {
            let scores = self.scores(metric);
            let flags = scores.iter().all(|score| *score == 0.0 || *score == 1.0);
            let good = if self.lower_is_better(metric) {
                0.0
            } else {
                1.0
            };
            (flags && !scores.is_empty()).then_some(good)
        })
    }

    /// The traces that trials recorded or that items were made from, each once, in order.
    #[must_use]
    pub fn traces(&self) -> Vec<TraceId> {
        let items = self.items_by_id();
        let mut seen = HashSet::new();
        let traces = self.trials.iter().filter_map(|trial| {
            let own = trial.output.as_ref().and_then(|output| output.trace_id);
            own.or_else(|| super::trace_of(items.get(trial.item_id.as_str())?))
        });
        traces.filter(|trace| seen.insert(*trace)).collect()
    }

    /// Whether low scores of a metric are good.
    #[must_use]
    pub fn lower_is_better(&self, metric: &str) -> bool {
        let known = self.info.metric(metric);
        known.is_some_and(|metric| metric.lower_is_better)
    }

    /// Whether a score passes.
    pub(crate) fn passes(&self, metric: &str, score: f64, pass_at: f64) -> bool {
        if self.lower_is_better(metric) {
            score <= pass_at
        } else {
            score >= pass_at
        }
    }

    /// The item of a trial.
    pub(crate) fn items_by_id(&self) -> HashMap<Cow<'_, str>, &Item> {
        self.items.iter().map(|item| (item.id(), item)).collect()
    }

    /// The trials of each item, in order.
    pub(crate) fn trials_by_item(&self) -> HashMap<&str, Vec<&Trial>> {
        let mut by_item: HashMap<&str, Vec<&Trial>> = HashMap::new();
        for trial in &self.trials {
            by_item.entry(&trial.item_id).or_default().push(trial);
        }
        by_item
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("info", &self.info)
            .field("items", &self.items.len())
            .field("trials", &self.trials.len())
            .field("stopped", &self.stopped)
            .finish_non_exhaustive()
    }
}
