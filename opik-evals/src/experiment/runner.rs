//! Runs the trials of an experiment.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use opik_core::Timestamp;
use serde_json::{Map, Value};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::journal::RunFile;
use super::pace::Pace;
use super::{
    Cache, Call, Experiment, ExperimentError, FailedScore, Progress, Run, Scored, Scorer,
    ScoringError, Stopped, Task, TaskError, TaskErrorKind, TaskOutput, Trial, TrialScore,
    canonical, digest, number,
};
use crate::dataset::Item;
use crate::{Case, Score};

/// What every trial needs.
struct Shared {
    task: Arc<dyn Task>,
    scorers: Vec<Arc<dyn Scorer>>,
    mapping: BTreeMap<String, String>,
    timeout: Duration,
    cache: Option<Cache>,
    /// What outputs in the cache depend on besides the item.
    task_key: [String; 2],
    seed: u64,
}

pub(super) async fn run(experiment: Experiment) -> Result<Run, ExperimentError> {
    let mut info = experiment.checked()?;
    let Some(task) = experiment.task.clone() else {
        return Err(ExperimentError::NoTask);
    };
    let (mut file, mut trials) = (None, Vec::new());
    let mut unscored = HashMap::new();
    if let Some(path) = &experiment.file {
        let (opened, before) = RunFile::open(path, &info, &experiment.items)?;
        file = Some(opened);
        if let Some(before) = before {
            info = before.info;
            trials = before.trials;
            if experiment.retry_errors {
                let (whole, partly): (Vec<_>, Vec<_>) = trials
                    .into_iter()
                    .filter(|trial| !trial.failed())
                    .partition(|trial| trial.failed_scores.is_empty());
                trials = whole;
                // Their outputs stand; only what could not be scored is scored again.
                let key = |trial: Trial| ((trial.item_id.clone(), trial.repeat), trial);
                unscored = partly.into_iter().map(key).collect();
            }
        }
    }
    let shared = Arc::new(Shared {
        task: Arc::clone(&task),
        scorers: experiment.scorers.clone(),
        mapping: experiment.mapping.clone(),
        timeout: experiment.timeout,
        cache: experiment.cache.clone(),
        task_key: [
            experiment.task_version.clone().unwrap_or_default(),
            experiment.model.clone().unwrap_or_default(),
        ],
        seed: experiment.seed,
    });
    let items: Vec<Arc<Item>> = experiment.items.iter().cloned().map(Arc::new).collect();
    let ran = Loop::new(&experiment, trials, unscored)
        .run(&shared, &items, &mut file)
        .await;
    // Also after a failure, since the task may hold processes.
    task.finish().await;
    let (trials, stopped) = ran?;
    if let Some(file) = &mut file {
        file.end(stopped)?;
    }
    Ok(Run::new(info, experiment.items, trials, stopped))
}

/// The state of a run.
struct Loop<'a> {
    experiment: &'a Experiment,
    trials: Vec<Trial>,
    /// Trials that some metric could not score before, by item and repetition.
    unscored: HashMap<(String, u32), Trial>,
    pace: Pace,
    began: Instant,
    before: usize,
    failed: usize,
    cached: usize,
    spent: f64,
}

impl<'a> Loop<'a> {
    fn new(
        experiment: &'a Experiment,
        trials: Vec<Trial>,
        unscored: HashMap<(String, u32), Trial>,
    ) -> Self {
        Self {
            experiment,
            pace: Pace::new(experiment.rate),
            began: Instant::now(),
            before: trials.len(),
            failed: trials.iter().filter(|trial| trial.failed()).count(),
            cached: trials.iter().filter(|trial| trial.cached).count(),
            spent: 0.0,
            trials,
            unscored,
        }
    }

    async fn run(
        mut self,
        shared: &Arc<Shared>,
        items: &[Arc<Item>],
        file: &mut Option<RunFile>,
    ) -> Result<(Vec<Trial>, Option<Stopped>), ExperimentError> {
        let done: HashSet<(String, u32)> = self
            .trials
            .iter()
            .map(|trial| (trial.item_id.clone(), trial.repeat))
            .collect();
        let repeats = self.experiment.repeats;
        let mut left = items
            .iter()
            .flat_map(|item| (0..repeats).map(move |repeat| (item, repeat)))
            .filter(|(item, repeat)| !done.contains(&(item.id().into_owned(), *repeat)))
            .peekable();
        // Dropped with this function, which ends what is under way.
        let mut running: JoinSet<(Trial, f64)> = JoinSet::new();
        let mut stopped = None;
        loop {
            let mut wait = None;
            while stopped.is_none() && running.len() < self.experiment.concurrency {
                if self.experiment.stop.is_stopped() {
                    stopped = Some(Stopped::Cancelled);
                } else if left.peek().is_none() {
                    break;
                } else if self
                    .experiment
                    .budget
                    .is_some_and(|most| self.spent >= most)
                {
                    stopped = Some(Stopped::Budget);
                } else if let Some(until) = self.pace.wait_until() {
                    wait = Some(until);
                    break;
                } else if let Some((item, repeat)) = left.next() {
                    self.pace.begun();
                    let before = self.unscored.remove(&(item.id().into_owned(), repeat));
                    running.spawn(trial(Arc::clone(shared), Arc::clone(item), repeat, before));
                }
            }
            if stopped == Some(Stopped::Cancelled) || (running.is_empty() && wait.is_none()) {
                // What was not scored again is as it was.
                self.trials.extend(self.unscored.into_values());
                return Ok((self.trials, stopped));
            }
            let next = tokio::select! {
                biased;
                () = self.experiment.stop.stopped() => {
                    stopped = Some(Stopped::Cancelled);
                    None
                }
                finished = running.join_next(), if !running.is_empty() => finished,
                () = sleep_until(wait.unwrap_or_else(Instant::now)), if wait.is_some() => None,
            };
            let first = self.trials.len();
            let mut next = next;
            while let Some(finished) = next {
                // A trial catches its own panics, and only this function ends one.
                if let Ok((trial, spent)) = finished {
                    self.count(&trial, spent);
                    self.trials.push(trial);
                }
                next = running.try_join_next();
            }
            let new = self.trials.get(first..).unwrap_or_default();
            if !new.is_empty() {
                if let Some(file) = file {
                    file.trials(new)?;
                }
                self.tell(items.len());
            }
        }
    }

    fn count(&mut self, trial: &Trial, spent: f64) {
        self.failed += usize::from(trial.failed());
        self.cached += usize::from(trial.cached);
        self.spent += spent;
    }

    fn tell(&self, items: usize) {
        let Some(callback) = &self.experiment.on_progress else {
            return;
        };
        let repeats = usize::try_from(self.experiment.repeats).unwrap_or(usize::MAX);
        let total = items.saturating_mul(repeats);
        let elapsed = self.began.elapsed();
        let now = self.trials.len() - self.before;
        let left = total.saturating_sub(self.trials.len());
        let per_trial = elapsed.as_secs_f64() / now as f64;
        callback(&Progress {
            done: self.trials.len(),
            total,
            failed: self.failed,
            cached: self.cached,
            cost: self.spent,
            elapsed,
            left: Duration::try_from_secs_f64(per_trial * left as f64).ok(),
        });
    }
}

/// Runs one trial, the task, then the metrics; or only the metrics that could not score its output
/// before. With what it cost now.
async fn trial(
    shared: Arc<Shared>,
    item: Arc<Item>,
    repeat: u32,
    before: Option<Trial>,
) -> (Trial, f64) {
    match before {
        Some(mut trial) => {
            let spent = trial.scoring_cost;
            shared.score_again(&item, &mut trial).await;
            let spent = trial.scoring_cost - spent;
            (trial, spent)
        }
        None => {
            let trial = shared.trial(item, repeat).await;
            let spent = trial.spent();
            (trial, spent)
        }
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

impl Shared {
    async fn trial(&self, item: Arc<Item>, repeat: u32) -> Trial {
        let seed = number(&[&self.seed.to_string(), &item.id(), &repeat.to_string()]);
        let call = Call {
            item: Arc::clone(&item),
            repeat,
            seed,
        };
        let (started_at, began) = (Timestamp::now(), Instant::now());
        let (result, cached) = self.output(&call).await;
        let took = micros(began.elapsed());
        let mut trial = Trial {
            item_id: item.id().into_owned(),
            repeat,
            started_at,
            duration_us: took,
            scoring_us: 0,
            output: None,
            error: None,
            scores: Vec::new(),
            failed_scores: Vec::new(),
            scoring_cost: 0.0,
            cached,
        };
        match result {
            Ok(output) => {
                trial.duration_us = output.duration_us.unwrap_or(took);
                let began = Instant::now();
                self.score(&item, &output, &mut trial).await;
                trial.scoring_us = micros(began.elapsed());
                trial.output = Some(output);
            }
            Err(error) => trial.error = Some(error),
        }
        trial
    }

    /// Scores an output once more by what could not score it.
    async fn score_again(&self, item: &Item, trial: &mut Trial) {
        let Some(output) = trial.output.take() else {
            return;
        };
        let began = Instant::now();
        trial.failed_scores.clear();
        self.score(item, &output, trial).await;
        let place = |name: &str| self.scorers.iter().position(|own| own.name() == name);
        trial.scores.sort_by_key(|score| place(&score.name));
        trial.scoring_us = trial.scoring_us.saturating_add(micros(began.elapsed()));
        trial.output = Some(output);
    }

    /// The output of the task, and whether it came from the cache.
    async fn output(&self, call: &Call) -> (Result<TaskOutput, TaskError>, bool) {
        let key = self.cache.as_ref().map(|cache| (cache, self.key_of(call)));
        if let Some((cache, key)) = &key
            && let Some(mut output) = cache.get::<TaskOutput>(key).await
        {
            // The time that it took when it was made.
            output.duration_us.get_or_insert(0);
            return (Ok(output), true);
        }
        let began = Instant::now();
        let result = self.call(call).await;
        if let (Some((cache, key)), Ok(output)) = (&key, &result) {
            let mut kept = output.clone();
            kept.duration_us.get_or_insert(micros(began.elapsed()));
            cache.put(key, &kept).await;
        }
        (result, false)
    }

    fn key_of(&self, call: &Call) -> String {
        let [version, model] = &self.task_key;
        let (seed, repeat) = (call.seed.to_string(), call.repeat.to_string());
        let item = call.item.content_hash();
        digest(&["output", version, model, &item, &seed, &repeat])
    }

    async fn call(&self, call: &Call) -> Result<TaskOutput, TaskError> {
        let guarded = AssertUnwindSafe(self.task.run(call)).catch_unwind();
        match timeout(self.timeout, guarded).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(TaskError::of(TaskErrorKind::Panicked, "the task panicked")),
            Err(_) => Err(TaskError::of(
                TaskErrorKind::Timeout,
                format!("no answer within {:?}", self.timeout),
            )),
        }
    }

    /// Scores an output by all metrics that did not yet, one after another.
    async fn score(&self, item: &Item, output: &TaskOutput, trial: &mut Trial) {
        let case = Case::from(visible(item, output, &self.mapping));
        for scorer in &self.scorers {
            let name = scorer.name().to_owned();
            if trial.score(&name).is_some() {
                continue;
            }
            match self.scored(scorer.as_ref(), &case, output).await {
                Ok(scored) if scored.score.value().is_finite() => {
                    trial.scoring_cost += scored.cost;
                    trial.scores.push(TrialScore {
                        name,
                        value: scored.score.value(),
                        reason: scored.score.reason().map(str::to_owned),
                    });
                }
                Ok(scored) => {
                    trial.scoring_cost += scored.cost;
                    let message = "the metric gave no finite number".to_owned();
                    trial.failed_scores.push(FailedScore { name, message });
                }
                Err(error) => {
                    let message = error.to_string();
                    trial.failed_scores.push(FailedScore { name, message });
                }
            }
        }
    }

    async fn scored(
        &self,
        scorer: &dyn Scorer,
        case: &Case,
        output: &TaskOutput,
    ) -> Result<Scored, ScoringError> {
        let key = self.cache.as_ref().zip(scorer.identity());
        let key = key.map(|(cache, identity)| (cache, score_key(identity, case, output)));
        if let Some((cache, key)) = &key
            && let Some((value, reason)) = cache.get::<(f64, Option<String>)>(key).await
        {
            let score = Score::new(scorer.name(), value);
            let score = match reason {
                Some(reason) => score.because(reason),
                None => score,
            };
            return Ok(score.into());
        }
        let guarded = AssertUnwindSafe(scorer.score(case, output)).catch_unwind();
        let scored = match timeout(self.timeout, guarded).await {
            Ok(Ok(result)) => result?,
            Ok(Err(_)) => return Err(ScoringError::new("the metric panicked")),
            Err(_) => {
                let message = format!("no score within {:?}", self.timeout);
                return Err(ScoringError::new(message));
            }
        };
        if let Some((cache, key)) = &key
            && scored.score.value().is_finite()
        {
            let kept = (scored.score.value(), scored.score.reason());
            cache.put(key, &kept).await;
        }
        Ok(scored)
    }
}

/// What metrics see: the fields of the item, those of the output over them, and other names for
/// both.
pub(crate) fn visible(
    item: &Item,
    output: &TaskOutput,
    mapping: &BTreeMap<String, String>,
) -> Map<String, Value> {
    let mut fields = item.fields();
    fields.extend(output.fields.clone());
    for (name, field) in mapping {
        if let Some(value) = fields.get(field) {
            let value = value.clone();
            fields.insert(name.clone(), value);
        }
    }
    fields
}

/// What a score in the cache depends on. A judge of a trace depends on the trace as well.
fn score_key(identity: &str, case: &Case, output: &TaskOutput) -> String {
    let fields = canonical(&Value::Object(case.fields().clone()));
    let trace = output.trace_id.map(|id| id.to_string()).unwrap_or_default();
    digest(&["score", identity, &fields, &trace])
}
