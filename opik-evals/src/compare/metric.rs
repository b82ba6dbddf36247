//! One metric of two runs.

use std::collections::HashMap;

use serde::Serialize;

use super::{CaseChange, Change, CompareOptions};
use crate::statistics::{
    clustered_error, mcnemar, minimum_detectable_effect, paired_bootstrap_clustered, sign_flip,
    standard_error,
};
use crate::{Interval, wilson_at};

/// What can be said about a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// Better, beyond chance.
    Improved,
    /// Worse, beyond chance.
    Regressed,
    /// Nothing beyond chance. That is not "the same": see
    /// [`minimum_detectable_effect`](MetricComparison::minimum_detectable_effect).
    NoEvidence,
}

/// How chance is told from change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Test {
    /// Signs of the differences, decided by coins; of groups where a field for them was named.
    SignFlip,
    /// Who passes now and did not, and the other way round: for scores of 0 and 1. An item without a
    /// score does not pass.
    McNemar,
}

/// One metric of two runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct MetricComparison {
    /// Its name.
    pub name: String,
    /// Whether low scores are good.
    pub lower_is_better: bool,
    /// Items with a score in both runs; the figures below are of these.
    pub pairs: usize,
    /// The mean in the first run.
    pub mean_before: Option<f64>,
    /// The mean in the second run.
    pub mean_after: Option<f64>,
    /// The second minus the first, with its interval of confidence (paired bootstrap).
    pub difference: Option<Interval>,
    /// The standard error of the difference, with groups where a field for them was named.
    pub standard_error: Option<f64>,
    /// How the chance below is found.
    pub test: Test,
    /// The chance of a difference as large, if there were none (two-sided).
    pub p: Option<f64>,
    /// The same, corrected for the number of metrics (Holm); the verdict stands on it.
    pub p_corrected: Option<f64>,
    /// The smallest true difference that this comparison would have found with a chance of 80 %.
    pub minimum_detectable_effect: Option<f64>,
    /// Who passes, where it is known what passing is.
    pub passes: Option<PassComparison>,
    /// Items that became better.
    pub improved: usize,
    /// Items that became worse.
    pub regressed: usize,
    /// Items that stayed as they were.
    pub same: usize,
    /// Items of the second run only; all it has, where only that run has the metric.
    pub new: usize,
    /// Items of the first run only; all it has, where only that run has the metric.
    pub gone: usize,
    /// Items of both runs without a score in the first.
    pub unscored_before: usize,
    /// Items of both runs without a score in the second.
    pub unscored_after: usize,
    /// What can be said.
    pub verdict: Verdict,
    #[serde(skip)]
    level: f64,
}

/// Who passes, in two runs; over items that both have.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PassComparison {
    /// The score that passes.
    pub pass_at: f64,
    /// The rate in the first run (Wilson's interval).
    pub before: Option<Interval>,
    /// The rate in the second run.
    pub after: Option<Interval>,
    /// Items that pass and did not.
    pub gained: usize,
    /// Items that no longer pass.
    pub lost: usize,
    /// The chance of a split as uneven, if both were equally likely (McNemar, exact).
    pub p: f64,
}

impl MetricComparison {
    /// Whether the difference, of means or of who passes, is beyond chance after correction.
    #[must_use]
    pub fn is_significant(&self) -> bool {
        self.verdict != Verdict::NoEvidence
    }

    /// The second mean minus the first, where both are known.
    #[must_use]
    pub fn change(&self) -> Option<f64> {
        Some(self.mean_after? - self.mean_before?)
    }

    /// Decides from the corrected probability.
    pub(super) fn decide(&mut self) {
        let good = if self.lower_is_better { -1.0 } else { 1.0 };
        let gain = match (self.test, &self.passes) {
            (Test::McNemar, Some(passes)) => passes.gained as f64 - passes.lost as f64,
            _ => self.change().unwrap_or(0.0) * good,
        };
        let chance = self.p_corrected.or(self.p).unwrap_or(1.0);
        self.verdict = match gain {
            gain if chance < self.level && gain > 0.0 => Verdict::Improved,
            gain if chance < self.level && gain < 0.0 => Verdict::Regressed,
            _ => Verdict::NoEvidence,
        };
    }
}

pub(super) fn compare(
    name: &str,
    lower_is_better: bool,
    pass_at: Option<f64>,
    cases: &[&CaseChange],
    clusters: Option<&HashMap<String, String>>,
    options: &CompareOptions,
) -> MetricComparison {
    let scored: Vec<(&str, f64, f64)> = cases
        .iter()
        .filter(|case| !matches!(case.change, Change::New | Change::Gone))
        .filter_map(|case| Some((case.item.as_str(), case.before?, case.after?)))
        .collect();
    let count = scored.len();
    let mean = |value: fn(&(&str, f64, f64)) -> f64| {
        (count > 0).then(|| scored.iter().map(value).sum::<f64>() / count as f64)
    };
    let differences: Vec<f64> = scored
        .iter()
        .map(|(_, before, after)| after - before)
        .collect();
    let keyed: Vec<(&str, f64)> = scored
        .iter()
        .zip(&differences)
        .map(|((item, ..), difference)| {
            let key = clusters.and_then(|clusters| clusters.get(*item));
            (key.map_or(*item, String::as_str), *difference)
        })
        .collect();
    let standard_error = match clusters {
        Some(_) => clustered_error(&keyed),
        None => standard_error(&differences),
    };
    let level = 1.0 - options.confidence;
    let how_many = |change| cases.iter().filter(|case| case.change == change).count();
    let both = || {
        let cases = cases.iter();
        cases.filter(|case| !matches!(case.change, Change::New | Change::Gone))
    };
    let both_runs: Vec<&CaseChange> = both().copied().collect();
    let passes = pass_at.and_then(|at| passes(at, lower_is_better, &both_runs, options));
    let flag = |score: f64| score == 0.0 || score == 1.0;
    let flags = scored
        .iter()
        .all(|(_, before, after)| flag(*before) && flag(*after));
    // Groups are beyond McNemar's test, which counts every item for itself.
    let (test, p) = match &passes {
        Some(passes) if flags && clusters.is_none() && !both_runs.is_empty() => {
            (Test::McNemar, Some(passes.p))
        }
        _ => {
            let p = sign_flip(&group_sums(&keyed), options.resamples, options.seed);
            (Test::SignFlip, p)
        }
    };
    let mut comparison = MetricComparison {
        name: name.to_owned(),
        lower_is_better,
        pairs: count,
        mean_before: mean(|(_, before, _)| *before),
        mean_after: mean(|(_, _, after)| *after),
        difference: paired_bootstrap_clustered(
            &keyed,
            options.resamples,
            options.confidence,
            options.seed,
        ),
        standard_error,
        test,
        p,
        p_corrected: None,
        minimum_detectable_effect: standard_error
            .and_then(|error| minimum_detectable_effect(error, level, options.power)),
        passes,
        improved: how_many(Change::Improved),
        regressed: how_many(Change::Regressed),
        same: how_many(Change::Same),
        new: how_many(Change::New),
        gone: how_many(Change::Gone),
        unscored_before: both().filter(|case| case.before.is_none()).count(),
        unscored_after: both().filter(|case| case.after.is_none()).count(),
        verdict: Verdict::NoEvidence,
        level,
    };
    comparison.decide();
    comparison
}

/// The differences of each group, added up: under the assumption that there is none, the sign of
/// a group as a whole is a coin.
fn group_sums(keyed: &[(&str, f64)]) -> Vec<f64> {
    let mut sums = std::collections::BTreeMap::<&str, f64>::new();
    for (key, difference) in keyed {
        *sums.entry(key).or_default() += difference;
    }
    sums.into_values().collect()
}

fn passes(
    pass_at: f64,
    lower_is_better: bool,
    cases: &[&CaseChange],
    options: &CompareOptions,
) -> Option<PassComparison> {
    let pass = |score: Option<f64>| {
        score.is_some_and(|score| {
            if lower_is_better {
                score <= pass_at + options.tolerance
            } else {
                score >= pass_at - options.tolerance
            }
        })
    };
    let count = |test: &dyn Fn(&CaseChange) -> bool| {
        u32::try_from(cases.iter().filter(|case| test(case)).count()).ok()
    };
    let all = u32::try_from(cases.len()).ok()?;
    let gained = count(&|case| !pass(case.before) && pass(case.after))?;
    let lost = count(&|case| pass(case.before) && !pass(case.after))?;
    Some(PassComparison {
        pass_at,
        before: wilson_at(count(&|case| pass(case.before))?, all, options.confidence),
        after: wilson_at(count(&|case| pass(case.after))?, all, options.confidence),
        gained: usize::try_from(gained).ok()?,
        lost: usize::try_from(lost).ok()?,
        p: mcnemar(gained, lost),
    })
}
