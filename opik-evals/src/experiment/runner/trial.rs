//! One trial: the task, then the metrics.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use opik_core::Timestamp;
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout};

use crate::dataset::Item;
use crate::experiment::{
    Cache, Call, Experiment, FailedScore, Scored, Scorer, ScoringError, Task, TaskError,
    TaskErrorKind, TaskOutput, Trial, TrialScore, canonical, digest, number,
};
use crate::{Case, Score};

/// What every trial needs.
pub(super) struct Shared {
    task: Arc<dyn Task>,
    scorers: Vec<Arc<dyn Scorer>>,
    mapping: BTreeMap<String, String>,
    timeout: Duration,
    cache: Option<Cache>,
    /// What outputs in the cache depend on besides the item.
    task_key: [String; 2],
    seed: u64,
}

impl Shared {
    pub(super) fn of(experiment: &Experiment, task: &Arc<dyn Task>) -> Self {
        Self {
            task: Arc::clone(task),
            scorers: experiment.scorers.clone(),
            mapping: experiment.mapping.clone(),
            timeout: experiment.timeout,
            cache: experiment.cache.clone(),
            task_key: [
                experiment.task_version.clone().unwrap_or_default(),
                experiment.model.clone().unwrap_or_default(),
            ],
            seed: experiment.seed,
        }
    }
}

/// Runs one trial, the task, then the metrics; or only the metrics that could not score its output
/// before. With what it cost now, in US dollars.
pub(super) async fn trial(
    shared: &Shared,
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
    let fields = case.fields();
    let fields = fields.map(|(name, value)| (name.to_owned(), value.clone()));
    let fields = canonical(&Value::Object(fields.collect()));
    let trace = output.trace_id.map(|id| id.to_string()).unwrap_or_default();
    digest(&["score", identity, &fields, &trace])
}
