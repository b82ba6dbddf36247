//! What the experiments of an optimization say together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Experiment, NamedValue};
use crate::{Json, Timestamp};

/// Sums over the experiments of an optimization.
///
/// Experiments with the same `candidate_id` in their metadata, a text that is not empty, are trials
/// of one candidate, any other is one of its own; those of type `mini-batch` and `mutation` are of none. The first
/// candidate is the baseline, the best is the one with the highest mean of the objective.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct TrialTotals {
    /// Of each score of traces the highest mean that an experiment has.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub feedback_scores: Vec<NamedValue>,
    /// Of each score of experiments as a whole the highest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub experiment_scores: Vec<NamedValue>,
    /// The objective's mean of the baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline_objective_score: Option<f64>,
    /// The objective's mean of the best candidate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_objective_score: Option<f64>,
    /// How long a trace of the baseline takes, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline_duration: Option<f64>,
    /// How long a trace of the best candidate takes, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_duration: Option<f64>,
    /// What a trace of the baseline costs, in dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub baseline_cost: Option<f64>,
    /// What a trace of the best candidate costs, in dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best_cost: Option<f64>,
    /// What all experiments cost, in dollars.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_optimization_cost: Option<f64>,
}

impl TrialTotals {
    /// The sums for the score with this name; the experiments are complete.
    #[must_use]
    pub fn of(objective: &str, trials: &[Experiment]) -> Self {
        let mut candidates: BTreeMap<String, Candidate> = BTreeMap::new();
        for trial in trials {
            if !matches!(trial.r#type.as_str(), "mini-batch" | "mutation") {
                let candidate = candidates.entry(candidate_of(trial)).or_default();
                candidate.add(objective, trial);
            }
        }
        let candidates: Vec<_> = candidates.into_values().collect();
        let baseline = candidates.iter().min_by_key(|it| it.made);
        let best = candidates
            .iter()
            .filter(|it| it.score.mean().is_some())
            .max_by(|left, right| {
                let of = |it: &Candidate| it.score.mean().unwrap_or_default();
                of(left).total_cmp(&of(right))
            });
        let costs: Vec<_> = trials
            .iter()
            .filter_map(|it| it.total_estimated_cost)
            .collect();
        Self {
            feedback_scores: highest(trials.iter().flat_map(|it| &it.feedback_scores)),
            experiment_scores: highest(trials.iter().flat_map(|it| &it.experiment_scores)),
            baseline_objective_score: baseline.and_then(|it| it.score.mean()),
            best_objective_score: best.and_then(|it| it.score.mean()),
            baseline_duration: baseline.and_then(|it| it.seconds.mean()),
            best_duration: best.and_then(|it| it.seconds.mean()),
            baseline_cost: baseline.and_then(Candidate::cost),
            best_cost: best.and_then(Candidate::cost),
            total_optimization_cost: (!costs.is_empty()).then(|| costs.iter().sum()),
        }
    }
}

fn candidate_of(trial: &Experiment) -> String {
    let metadata = trial.metadata.as_ref();
    metadata
        .and_then(candidate_id)
        .filter(|id| !id.is_empty())
        .unwrap_or_else(|| trial.id.to_string())
}

/// A number or anything else that is no text is no identifier.
fn candidate_id(metadata: &Json) -> Option<String> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(metadata.as_str()).ok()?;
    serde_json::from_str(members.get("candidate_id")?.get()).ok()
}

fn highest<'s>(scores: impl Iterator<Item = &'s NamedValue>) -> Vec<NamedValue> {
    let mut highest: BTreeMap<&str, f64> = BTreeMap::new();
    for score in scores {
        let known = highest.entry(&score.name).or_insert(score.value);
        *known = known.max(score.value);
    }
    let highest = highest.into_iter();
    highest
        .map(|(name, value)| NamedValue::new(name, value))
        .collect()
}

/// A mean in which some values count more than others.
#[derive(Debug, Default)]
struct Weighted {
    sum: f64,
    weight: f64,
}

impl Weighted {
    fn add(&mut self, value: f64, weight: f64) {
        self.sum += value * weight;
        self.weight += weight;
    }

    fn mean(&self) -> Option<f64> {
        (self.weight > 0.0).then(|| self.sum / self.weight)
    }
}

#[derive(Debug, Default)]
struct Candidate {
    made: Option<Timestamp>,
    score: Weighted,
    seconds: Weighted,
    cost: Option<f64>,
    traces: f64,
}

impl Candidate {
    fn add(&mut self, objective: &str, trial: &Experiment) {
        #[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 traces")]
        let traces = trial.trace_count as f64;
        let made = trial.audit.created_at;
        self.made = Some(self.made.map_or(made, |known| known.min(made)));
        let mut scores = trial.experiment_scores.iter();
        if let Some(score) = scores.find(|it| it.name == objective) {
            self.score.add(score.value, traces);
        }
        if let Some(spread) = trial.duration {
            self.seconds.add(spread.p50 / 1_000.0, traces);
        }
        if let Some(cost) = trial.total_estimated_cost {
            self.cost = Some(self.cost.unwrap_or_default() + cost);
        }
        self.traces += traces;
    }

    /// Of one trace.
    fn cost(&self) -> Option<f64> {
        self.cost
            .filter(|_| self.traces > 0.0)
            .map(|cost| cost / self.traces)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{NewExperiment, Percentiles};
    use super::*;
    use crate::Json;

    /// At a moment, of a candidate, with as many traces and a score.
    fn trial(at: i64, candidate: Option<&str>, traces: u64, score: Option<f64>) -> Experiment {
        let mut new = NewExperiment::on("ds");
        new.r#type = Some("trial".to_owned());
        new.metadata =
            candidate.map(|id| Json::parse(&format!(r#"{{"candidate_id":"{id}"}}"#)).unwrap());
        let mut trial = new.into_record(Timestamp::from_micros(at)).unwrap();
        trial.trace_count = traces;
        let score = score.map(|value| NamedValue::new("goal", value));
        trial.experiment_scores = score.into_iter().collect();
        trial.duration = Some(Percentiles::new(1_000.0 * score_of(&trial), 0.0, 0.0));
        trial.total_estimated_cost = Some(0.5);
        trial.feedback_scores = vec![NamedValue::new("goal", 0.25)];
        trial
    }

    fn score_of(trial: &Experiment) -> f64 {
        trial.experiment_scores.first().map_or(0.0, |it| it.value)
    }

    #[test]
    fn a_candidate_is_the_mean_of_its_trials_by_traces() {
        let mut part = trial(9, None, 10, Some(9.0));
        part.r#type = "mini-batch".to_owned();
        part.feedback_scores = vec![NamedValue::new("goal", 0.75)];
        let trials = [
            trial(3, Some("b"), 1, Some(0.9)),
            trial(2, Some("b"), 3, Some(0.5)),
            trial(1, None, 2, Some(0.4)),
            trial(4, None, 5, None),
            part,
        ];
        let totals = TrialTotals::of("goal", &trials);
        let near = |found: Option<f64>, wanted: f64| {
            assert!((found.unwrap() - wanted).abs() < 1e-9, "{found:?} {wanted}");
        };
        near(totals.baseline_objective_score, 0.4);
        near(totals.best_objective_score, 0.6);
        near(totals.best_duration, 0.6);
        near(totals.baseline_duration, 0.4);
        near(totals.baseline_cost, 0.25);
        near(totals.best_cost, 0.25);
        near(totals.total_optimization_cost, 2.5);
        assert_eq!(totals.feedback_scores, [NamedValue::new("goal", 0.75)]);
        assert_eq!(totals.experiment_scores, [NamedValue::new("goal", 9.0)]);
    }

    #[test]
    fn a_candidate_is_named_by_a_text() {
        let best = |metadata: &str| {
            let trials = [(1, 0.2), (2, 0.8)].map(|(at, score)| {
                let mut trial = trial(at, None, 1, Some(score));
                trial.metadata = Some(Json::parse(metadata).unwrap());
                trial
            });
            TrialTotals::of("goal", &trials).best_objective_score
        };
        assert_eq!(best(r#"{"x":[1],"candidate_id":"7\u0061"}"#), Some(0.5));
        for alone in ["7", "true", "null", r#""""#, r#"["a"]"#, r#"{"a":"b"}"#] {
            let metadata = format!(r#"{{"candidate_id":{alone}}}"#);
            assert_eq!(best(&metadata), Some(0.8), "{alone}");
        }
        assert_eq!(best(r#"["candidate_id"]"#), Some(0.8));
    }

    #[test]
    fn nothing_is_said_of_what_is_not_there() {
        assert_eq!(TrialTotals::of("goal", &[]), TrialTotals::default());
        let other = TrialTotals::of("other", &[trial(1, None, 0, Some(1.0))]);
        assert_eq!(other.best_objective_score, None);
        assert_eq!(other.baseline_cost, None);
    }
}
