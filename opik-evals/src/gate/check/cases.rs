//! Thresholds of a run as a whole.

use super::Checks;
use crate::experiment::Run;
use crate::gate::CaseGates;
use crate::summary::RunSummary;

impl Checks {
    pub(super) fn cases(&mut self, gates: &CaseGates, run: Option<&Run>) {
        let summary = run.map(RunSummary::figures);
        let missing = "there is no run";
        let of = |value: fn(&RunSummary) -> Option<f64>, absent: &'static str| {
            let summary = summary.as_ref().ok_or(missing)?;
            value(summary).ok_or(absent)
        };
        let trials = of(|summary| Some(summary.trials as f64), missing);
        if let Some(limit) = gates.min_trials {
            self.at_least(
                "cases: min_trials".to_owned(),
                limit as f64,
                trials,
                "trials".to_owned(),
            );
        }
        let failed = of(|summary| Some(summary.failed as f64), missing);
        let kinds = summary.as_ref().map_or_else(String::new, |summary| {
            let kinds = summary
                .failures
                .iter()
                .map(|(kind, count)| format!("{count} {kind:?}"));
            kinds.collect::<Vec<_>>().join(", ").to_lowercase()
        });
        if let Some(limit) = gates.max_failed {
            self.at_most(
                "cases: max_failed".to_owned(),
                limit as f64,
                failed,
                kinds.clone(),
            );
        }
        if let Some(limit) = gates.max_failed_rate {
            let rate = of(
                |summary| {
                    (summary.trials > 0).then(|| summary.failed as f64 / summary.trials as f64)
                },
                "there are no trials",
            );
            self.at_most("cases: max_failed_rate".to_owned(), limit, rate, kinds);
        }
        // Half a run has half the failures: it does not pass unless that is said to be enough.
        if run.is_some() {
            let limit = gates.max_not_run.unwrap_or(0) as f64;
            let not_run = of(|summary| Some(summary.not_run as f64), missing);
            if gates.max_not_run.is_some() || not_run.is_ok_and(|count| count > limit) {
                let note = "trials that the run has not come to".to_owned();
                self.at_most("cases: max_not_run".to_owned(), limit, not_run, note);
            }
        } else if let Some(limit) = gates.max_not_run {
            self.at_most(
                "cases: max_not_run".to_owned(),
                limit as f64,
                Err(missing),
                String::new(),
            );
        }
        let no_cost = "no trial says what it cost";
        let no_time = "no trial succeeded";
        for (name, limit, found, note) in [
            (
                "max_cost",
                gates.max_cost,
                of(|s| s.cost.map(|cost| cost.mean), no_cost),
                "US dollars a trial",
            ),
            (
                "max_total_cost",
                gates.max_total_cost,
                of(|s| s.total_cost, no_cost),
                "US dollars",
            ),
            (
                "max_p95_ms",
                gates.max_p95_ms,
                of(|s| s.duration_ms.map(|time| time.p95), no_time),
                "95 % take no longer",
            ),
            (
                "max_mean_ms",
                gates.max_mean_ms,
                of(|s| s.duration_ms.map(|time| time.mean), no_time),
                "in the mean",
            ),
            (
                "max_tokens",
                gates.max_tokens,
                of(
                    |s| s.tokens.map(|tokens| tokens.mean),
                    "no trial says how many tokens it took",
                ),
                "a trial",
            ),
        ] {
            if let Some(limit) = limit {
                self.at_most(format!("cases: {name}"), limit, found, note.to_owned());
            }
        }
    }
}
