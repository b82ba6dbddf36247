//! How an experiment is put together.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use opik_core::{Timestamp, TraceId};
use serde_json::{Map, Value};

use super::run::{DatasetInfo, RunInfo, ScorerInfo};
use super::{
    Cache, ExperimentError, MetricScorer, Progress, Run, Scorer, Stop, Task, digest, runner,
};
use crate::Metric;
use crate::dataset::Item;

pub(super) type OnProgress = Arc<dyn Fn(&Progress) + Send + Sync>;

/// A task, the items to run it on, the metrics to score it by, and how to run it.
///
/// See the [module](super) for an example and for what holds of a run.
#[must_use = "an experiment is run by `run`"]
pub struct Experiment {
    pub(super) name: String,
    pub(super) items: Vec<Item>,
    pub(super) dataset_name: Option<String>,
    pub(super) task: Option<Arc<dyn Task>>,
    pub(super) task_version: Option<String>,
    pub(super) model: Option<String>,
    pub(super) scorers: Vec<Arc<dyn Scorer>>,
    pub(super) lower_is_better: HashSet<String>,
    pub(super) pass_at: BTreeMap<String, f64>,
    pub(super) mapping: BTreeMap<String, String>,
    pub(super) concurrency: usize,
    pub(super) rate: Option<f64>,
    pub(super) repeats: u32,
    pub(super) timeout: Duration,
    pub(super) budget: Option<f64>,
    pub(super) seed: u64,
    pub(super) stop: Stop,
    pub(super) on_progress: Option<OnProgress>,
    pub(super) cache: Option<Cache>,
    pub(super) file: Option<PathBuf>,
    pub(super) retry_errors: bool,
    pub(super) metadata: Map<String, Value>,
    pub(super) tags: Vec<String>,
}

impl Experiment {
    /// An experiment of that name over these items.
    pub fn new(name: impl Into<String>, items: impl IntoIterator<Item = Item>) -> Self {
        Self {
            name: name.into(),
            // Made once: the identifier of an item that was given none is a hash.
            items: items
                .into_iter()
                .map(|item| {
                    let id = item.id().into_owned();
                    item.with_id(id)
                })
                .collect(),
            dataset_name: None,
            task: None,
            task_version: None,
            model: None,
            scorers: Vec::new(),
            lower_is_better: HashSet::new(),
            pass_at: BTreeMap::new(),
            mapping: BTreeMap::new(),
            concurrency: 16,
            rate: None,
            repeats: 1,
            timeout: Duration::from_secs(120),
            budget: None,
            seed: 0,
            stop: Stop::new(),
            on_progress: None,
            cache: None,
            file: None,
            retry_errors: false,
            metadata: Map::new(),
            tags: Vec::new(),
        }
    }

    /// What is evaluated.
    pub fn task(mut self, task: impl Task + 'static) -> Self {
        self.task = Some(Arc::new(task));
        self
    }

    /// The name of the dataset that the items come from.
    pub fn dataset_name(mut self, name: impl Into<String>) -> Self {
        self.dataset_name = Some(name.into());
        self
    }

    /// Which version of the task it is, for example a commit. A cache needs it.
    pub fn task_version(mut self, version: impl Into<String>) -> Self {
        self.task_version = Some(version.into());
        self
    }

    /// The model that the task uses. Another model has other answers in a cache.
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Adds a metric.
    pub fn metric(self, metric: impl Metric + 'static) -> Self {
        self.scorer(MetricScorer::new(metric))
    }

    /// Adds what scores slowly, such as a judge.
    pub fn scorer(mut self, scorer: impl Scorer + 'static) -> Self {
        self.scorers.push(Arc::new(scorer));
        self
    }

    /// Adds what scores slowly and was made by name.
    pub fn shared_scorer(mut self, scorer: Arc<dyn Scorer>) -> Self {
        self.scorers.push(scorer);
        self
    }

    /// Says that low scores of the metric of that name are good. The metrics of this crate know it
    /// of themselves.
    pub fn lower_is_better(mut self, metric: impl Into<String>) -> Self {
        self.lower_is_better.insert(metric.into());
        self
    }

    /// The score with which a trial passes a metric. Without one, 1 for metrics that give 0 and 1
    /// only, and no rate of passing for others.
    pub fn pass_at(mut self, metric: impl Into<String>, score: f64) -> Self {
        self.pass_at.insert(metric.into(), score);
        self
    }

    /// Lets metrics read a field of the item or the output under another name, such as `reference`
    /// for a dataset whose answers are called `expected`.
    pub fn map(mut self, name: impl Into<String>, field: impl Into<String>) -> Self {
        self.mapping.insert(name.into(), field.into());
        self
    }

    /// Most trials at once; 16.
    pub fn concurrency(mut self, trials: usize) -> Self {
        self.concurrency = trials;
        self
    }

    /// Most trials that begin in a second, evenly spaced; no limit. Outputs from the cache count.
    pub fn rate(mut self, per_second: f64) -> Self {
        self.rate = Some(per_second);
        self
    }

    /// How many times each item is run; 1.
    pub fn repeats(mut self, times: u32) -> Self {
        self.repeats = times;
        self
    }

    /// Most time for one call of the task, and for one score; 2 minutes.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Begins no trial after this many US dollars are spent; no limit. Trials that are under way
    /// then are finished, so that a little more may be spent.
    pub fn budget(mut self, dollars: f64) -> Self {
        self.budget = Some(dollars);
        self
    }

    /// The seed of the seeds that trials are given; 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// What stops the run from outside.
    pub fn stop(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }

    /// Calls back after trials finish. The run waits for the callback, so it has to be quick.
    pub fn on_progress(mut self, callback: impl Fn(&Progress) + Send + Sync + 'static) -> Self {
        self.on_progress = Some(Arc::new(callback));
        self
    }

    /// Keeps outputs, and scores of metrics that have an [identity](Scorer::identity), in a cache.
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = Some(cache);
        self
    }

    /// Writes the run to this file as it goes, and goes on with what is in it; see the
    /// [module](super).
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.file = Some(path.into());
        self
    }

    /// Whether trials that failed in an earlier run on the same file are run again, and outputs that
    /// a metric could not score are scored again; they are not.
    pub fn retry_errors(mut self, on: bool) -> Self {
        self.retry_errors = on;
        self
    }

    /// Adds something that is kept with the results.
    pub fn metadata(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.metadata.insert(name.into(), value.into());
        self
    }

    /// Adds a label.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.tags.push(tag.into());
        self
    }

    /// Runs it. Needs a Tokio runtime with time, and with IO for tasks that do any.
    ///
    /// A dropped call ends the trials that are under way; what is in the file stays.
    ///
    /// # Errors
    /// [`ExperimentError`] when it makes no sense as it is, or its file cannot be used.
    pub async fn run(self) -> Result<Run, ExperimentError> {
        runner::run(self).await
    }

    /// Checks everything that can be checked before anything runs.
    pub(super) fn checked(&self) -> Result<RunInfo, ExperimentError> {
        if self.items.is_empty() {
            return Err(ExperimentError::NoItems);
        }
        let mut ids = HashSet::new();
        if let Some(twice) = self.items.iter().find(|item| !ids.insert(item.id())) {
            return Err(ExperimentError::SameItem(twice.id().into_owned()));
        }
        let mut names = HashSet::new();
        for scorer in &self.scorers {
            if scorer.name().trim().is_empty() {
                return Err(ExperimentError::BlankMetric);
            }
            if !names.insert(scorer.name()) {
                return Err(ExperimentError::SameMetric(scorer.name().to_owned()));
            }
        }
        for (wrong, problem) in [
            (
                self.concurrency == 0,
                "at least one trial has to run at once",
            ),
            (self.repeats == 0, "each item has to be run at least once"),
            (
                self.rate
                    .is_some_and(|rate| !(rate > 0.0 && rate.is_finite())),
                "the rate has to be a number of trials above 0",
            ),
            (
                self.budget
                    .is_some_and(|budget| budget.is_nan() || budget < 0.0),
                "the budget has to be an amount of dollars",
            ),
            (
                self.timeout.is_zero(),
                "the timeout has to be longer than nothing",
            ),
        ] {
            if wrong {
                return Err(ExperimentError::Setting(problem));
            }
        }
        if self.cache.is_some() && self.task_version.is_none() {
            return Err(ExperimentError::CacheNeedsVersion);
        }
        Ok(self.info())
    }

    fn info(&self) -> RunInfo {
        let hashes: Vec<String> = self
            .items
            .iter()
            .flat_map(|item| [item.id().into_owned(), item.content_hash()])
            .collect();
        let hashes: Vec<&str> = hashes.iter().map(String::as_str).collect();
        let metrics = self.scorers.iter().map(|scorer| ScorerInfo {
            name: scorer.name().to_owned(),
            identity: scorer.identity().map(str::to_owned),
            lower_is_better: scorer.lower_is_better()
                || self.lower_is_better.contains(scorer.name()),
            pass_at: self.pass_at.get(scorer.name()).copied(),
        });
        RunInfo {
            format: 1,
            id: TraceId::generate().to_string(),
            name: self.name.clone(),
            started_at: Timestamp::now(),
            dataset: DatasetInfo {
                name: self.dataset_name.clone(),
                hash: digest(&hashes),
                items: self.items.len(),
            },
            task_version: self.task_version.clone(),
            model: self.model.clone(),
            metrics: metrics.collect(),
            repeats: self.repeats,
            seed: self.seed,
            mapping: self.mapping.clone(),
            metadata: self.metadata.clone(),
            tags: self.tags.clone(),
        }
    }
}

impl fmt::Debug for Experiment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Experiment")
            .field("name", &self.name)
            .field("items", &self.items.len())
            .field("concurrency", &self.concurrency)
            .field("repeats", &self.repeats)
            .field("timeout", &self.timeout)
            .field("file", &self.file)
            .finish_non_exhaustive()
    }
}
