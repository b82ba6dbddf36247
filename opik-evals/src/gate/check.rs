//! Thresholds held against a run.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{CaseGates, Gates, MetricGates, TraceFacts, TraceGates};
use crate::compare::{CompareOptions, Comparison, MetricComparison, Verdict};
use crate::experiment::Run;
use crate::statistics::Summary;
use crate::summary::{Flakiness, MetricSummary, Passed, RunSummary};

/// What thresholds are held against.
#[derive(Debug, Clone, Copy, Default)]
#[must_use]
pub struct GateInput<'a> {
    run: Option<&'a Run>,
    baseline: Option<&'a Run>,
    traces: Option<&'a [TraceFacts]>,
    baseline_traces: Option<&'a [TraceFacts]>,
}

impl<'a> GateInput<'a> {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The run that wants to pass.
    pub fn run(mut self, run: &'a Run) -> Self {
        self.run = Some(run);
        self
    }

    /// An earlier run that it is held against.
    pub fn baseline(mut self, run: &'a Run) -> Self {
        self.baseline = Some(run);
        self
    }

    /// What is known about the traces that want to pass.
    pub fn traces(mut self, facts: &'a [TraceFacts]) -> Self {
        self.traces = Some(facts);
        self
    }

    /// What is known about earlier traces.
    pub fn baseline_traces(mut self, facts: &'a [TraceFacts]) -> Self {
        self.baseline_traces = Some(facts);
        self
    }
}

/// One threshold, and whether it is kept.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// What is checked, such as `equals_metric: min_mean`.
    pub name: String,
    /// Whether the threshold is kept.
    pub passed: bool,
    /// What was found; absent when it could not be told, which is not kept.
    pub found: Option<f64>,
    /// The threshold.
    pub limit: f64,
    /// What was found, for people.
    pub detail: String,
}

/// All thresholds, and whether they are kept.
///
/// ```
/// # use opik_evals::dataset::Item;
/// # use opik_evals::experiment::{Experiment, FieldTask};
/// # use opik_evals::gate::{GateInput, Gates};
/// # use opik_evals::heuristics::Equals;
/// # use serde_json::json;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let items = [Item::from_value(json!({ "answer": "4", "expected_output": "5" }))?];
/// # let task = FieldTask::new("answer");
/// let run = Experiment::new("nightly", items).task(task).metric(Equals::new()).run().await?;
/// let gates = Gates::from_toml("[metrics.equals_metric]\nmin_pass_rate = 0.9")?;
/// let report = gates.check(GateInput::new().run(&run));
/// assert!(!report.passed);
/// assert_eq!(report.checks[0].found, Some(0.0));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct GateReport {
    /// Whether every threshold is kept.
    pub passed: bool,
    /// The thresholds, in the order of the [module](super)'s tables.
    pub checks: Vec<Check>,
}

impl GateReport {
    /// The thresholds that are not kept.
    pub fn failures(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| !check.passed)
    }
}

impl Gates {
    /// Holds the thresholds against a run and traces.
    #[must_use]
    pub fn check(&self, input: GateInput<'_>) -> GateReport {
        let mut checks = Checks::default();
        let comparison = match (input.baseline, input.run) {
            (Some(before), Some(after)) if self.needs_baseline() => {
                let options = CompareOptions::default().confidence(self.confidence);
                Some(Comparison::of(before, after, &options))
            }
            _ => None,
        };
        for (name, gates) in &self.metrics {
            checks.metric(name, gates, input.run, comparison.as_ref(), self.confidence);
        }
        checks.cases(&self.cases, input.run);
        checks.traces(&self.traces, input.traces, input.baseline_traces);
        GateReport {
            passed: checks.0.iter().all(|check| check.passed),
            checks: checks.0,
        }
    }
}

#[derive(Debug, Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn push(
        &mut self,
        name: String,
        limit: f64,
        found: Result<f64, &str>,
        side: Side,
        note: String,
    ) {
        let (found, detail) = match found {
            Ok(found) => (Some(found), note),
            Err(reason) => (None, reason.to_owned()),
        };
        let passed = found.is_some_and(|found| match side {
            Side::AtLeast => found >= limit,
            Side::AtMost => found <= limit,
        });
        self.0.push(Check {
            name,
            passed,
            found,
            limit,
            detail,
        });
    }

    fn at_least(&mut self, name: String, limit: f64, found: Result<f64, &str>, note: String) {
        self.push(name, limit, found, Side::AtLeast, note);
    }

    fn at_most(&mut self, name: String, limit: f64, found: Result<f64, &str>, note: String) {
        self.push(name, limit, found, Side::AtMost, note);
    }

    fn metric(
        &mut self,
        name: &str,
        gates: &MetricGates,
        run: Option<&Run>,
        comparison: Option<&Comparison>,
        confidence: f64,
    ) {
        let known = run.filter(|run| run.info().metric(name).is_some());
        let missing = if run.is_none() {
            "there is no run"
        } else {
            "the run has no such metric"
        };
        let summary = known.map(|run| MetricSummary::of(run, name, confidence));
        let mean = summary
            .as_ref()
            .ok_or(missing)
            .and_then(|summary| summary.mean.ok_or("the metric gave no score"));
        let interval =
            |low: f64, value: f64, high: f64| format!("{value:.4}, between {low:.4} and {high:.4}");
        let note = mean.map_or_else(
            |_| String::new(),
            |mean| interval(mean.low, mean.value, mean.high),
        );
        if let Some(limit) = gates.min_mean {
            let found = mean.map(|mean| if gates.sure { mean.low } else { mean.value });
            self.at_least(format!("{name}: min_mean"), limit, found, note.clone());
        }
        if let Some(limit) = gates.max_mean {
            let found = mean.map(|mean| if gates.sure { mean.high } else { mean.value });
            self.at_most(format!("{name}: max_mean"), limit, found, note);
        }
        let pass_at = gates.pass_at.or_else(|| known?.pass_at(name));
        let unknown = "nothing says which score passes; set pass_at";
        if let Some(limit) = gates.min_pass_rate {
            let passed = match (known, pass_at) {
                (None, _) => Err(missing),
                (_, None) => Err(unknown),
                (Some(run), Some(at)) => {
                    Passed::of(run, name, at, confidence).ok_or("there are no trials")
                }
            };
            let found = passed.map(|passed| {
                if gates.sure {
                    passed.rate.low
                } else {
                    passed.rate.value
                }
            });
            let note = passed.map_or_else(
                |_| String::new(),
                |passed| {
                    let rate = passed.rate;
                    format!(
                        "{} of {}: {}",
                        passed.passed,
                        passed.of,
                        interval(rate.low, rate.value, rate.high)
                    )
                },
            );
            self.at_least(format!("{name}: min_pass_rate"), limit, found, note);
        }
        if let Some(limit) = gates.min_pass_all {
            let flaky = match (known, pass_at) {
                (None, _) => Err(missing),
                (_, None) => Err(unknown),
                (Some(run), Some(at)) => {
                    Flakiness::of(run, name, at).ok_or("items were not run more than once")
                }
            };
            let note = flaky.as_ref().map_or_else(
                |_| String::new(),
                |flaky| {
                    format!(
                        "every one of {} times; {} items pass sometimes",
                        flaky.k,
                        flaky.flaky.len()
                    )
                },
            );
            let found = flaky
                .as_ref()
                .map(|flaky| flaky.pass_all_k)
                .map_err(|reason| *reason);
            self.at_least(format!("{name}: min_pass_all"), limit, found, note);
        }
        if let Some(limit) = gates.max_unscored {
            let found = summary
                .as_ref()
                .ok_or(missing)
                .map(|summary| summary.unscored as f64);
            self.at_most(
                format!("{name}: max_unscored"),
                limit as f64,
                found,
                "trials".to_owned(),
            );
        }
        self.against_baseline(
            name,
            gates,
            comparison.and_then(|comparison| comparison.metric(name)),
        );
    }

    fn against_baseline(
        &mut self,
        name: &str,
        gates: &MetricGates,
        metric: Option<&MetricComparison>,
    ) {
        let metric = metric.ok_or("there is no baseline with this metric");
        let pairs = metric.and_then(|metric| {
            if metric.pairs == 0 {
                Err("no item has a score in both runs")
            } else {
                Ok(metric)
            }
        });
        if let Some(limit) = gates.max_drop {
            let drop = pairs.and_then(|metric| {
                let difference = metric
                    .difference
                    .ok_or("no item has a score in both runs")?;
                let (value, far) = if metric.lower_is_better {
                    (difference.value, difference.high)
                } else {
                    (-difference.value, -difference.low)
                };
                Ok(if gates.sure { far } else { value })
            });
            let note = pairs.map_or_else(
                |_| String::new(),
                |metric| {
                    let mean = |mean: Option<f64>| {
                        mean.map_or_else(|| "-".to_owned(), |mean| format!("{mean:.4}"))
                    };
                    format!(
                        "mean {} before, {} now, {} items",
                        mean(metric.mean_before),
                        mean(metric.mean_after),
                        metric.pairs
                    )
                },
            );
            self.at_most(format!("{name}: max_drop"), limit, drop, note);
        }
        if gates.no_regression {
            let found =
                pairs.map(|metric| f64::from(u8::from(metric.verdict == Verdict::Regressed)));
            let note = pairs.map_or_else(
                |_| String::new(),
                |metric| {
                    let p = metric.p_corrected.or(metric.p).unwrap_or(1.0);
                    let seen = metric
                        .minimum_detectable_effect
                        .map_or_else(String::new, |effect| {
                            format!("; a true change below {effect:.4} would go unseen")
                        });
                    format!("p = {p:.4}{seen}")
                },
            );
            self.at_most(format!("{name}: no_regression"), 0.0, found, note);
        }
        if let Some(limit) = gates.max_regressed {
            let found = metric.map(|metric| metric.regressed as f64);
            let note = metric.map_or_else(
                |_| String::new(),
                |metric| format!("{} better, {} the same", metric.improved, metric.same),
            );
            self.at_most(format!("{name}: max_regressed"), limit as f64, found, note);
        }
    }

    fn cases(&mut self, gates: &CaseGates, run: Option<&Run>) {
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

    fn traces(
        &mut self,
        gates: &TraceGates,
        traces: Option<&[TraceFacts]>,
        baseline: Option<&[TraceFacts]>,
    ) {
        let given = traces
            .filter(|traces| !traces.is_empty())
            .ok_or("there are no traces");
        type Kinds = fn(&TraceFacts) -> &Vec<String>;
        let origins: Kinds = |facts| &facts.error_origins;
        let loops: Kinds = |facts| &facts.loops;
        for (name, limit, kinds) in [
            (
                "max_new_error_origins",
                gates.max_new_error_origins,
                origins,
            ),
            ("max_new_loops", gates.max_new_loops, loops),
        ] {
            let Some(limit) = limit else { continue };
            let new = given.map(|traces| new_kinds(traces, baseline.unwrap_or_default(), kinds));
            let note = new
                .as_ref()
                .map_or_else(|_| String::new(), |new| named(new));
            let found = new
                .as_ref()
                .map(|new| new.len() as f64)
                .map_err(|reason| *reason);
            self.at_most(format!("traces: {name}"), limit as f64, found, note);
        }
        let rate = |has: fn(&TraceFacts) -> bool| {
            given.map(|traces| {
                traces.iter().filter(|facts| has(facts)).count() as f64 / traces.len() as f64
            })
        };
        if let Some(limit) = gates.max_error_traces_rate {
            let found = rate(|facts| !facts.error_origins.is_empty());
            self.at_most(
                "traces: max_error_traces_rate".to_owned(),
                limit,
                found,
                "of the traces".to_owned(),
            );
        }
        if let Some(limit) = gates.max_loop_traces_rate {
            let found = rate(|facts| !facts.loops.is_empty());
            self.at_most(
                "traces: max_loop_traces_rate".to_owned(),
                limit,
                found,
                "of the traces".to_owned(),
            );
        }
        if let Some(limit) = gates.max_critical_path_p95_ms {
            let found = given.and_then(|traces| {
                let paths: Vec<f64> = traces
                    .iter()
                    .filter_map(|facts| Some(facts.critical_path_us? as f64 / 1_000.0))
                    .collect();
                let summary = Summary::of(&paths).ok_or("no trace has a critical path")?;
                Ok(summary.p95)
            });
            let note = "95 % are no longer".to_owned();
            self.at_most(
                "traces: max_critical_path_p95_ms".to_owned(),
                limit,
                found,
                note,
            );
        }
        if let Some(limit) = gates.max_cost {
            let found = given.and_then(|traces| {
                let costs: Vec<f64> = traces.iter().filter_map(|facts| facts.cost).collect();
                Ok(Summary::of(&costs)
                    .ok_or("no trace says what it cost")?
                    .mean)
            });
            self.at_most(
                "traces: max_cost".to_owned(),
                limit,
                found,
                "US dollars a trace".to_owned(),
            );
        }
    }
}

#[derive(Clone, Copy)]
enum Side {
    AtLeast,
    AtMost,
}

/// The kinds that no earlier trace has, and in how many traces each is.
fn new_kinds<'a>(
    traces: &'a [TraceFacts],
    baseline: &[TraceFacts],
    kinds: fn(&TraceFacts) -> &Vec<String>,
) -> BTreeMap<&'a str, usize> {
    let known: BTreeSet<&str> = baseline
        .iter()
        .flat_map(kinds)
        .map(String::as_str)
        .collect();
    let mut new = BTreeMap::new();
    for facts in traces {
        let of_trace: BTreeSet<&str> = kinds(facts).iter().map(String::as_str).collect();
        for kind in of_trace {
            if !known.contains(kind) {
                *new.entry(kind).or_default() += 1;
            }
        }
    }
    new
}

fn named(kinds: &BTreeMap<&str, usize>) -> String {
    const SHOWN: usize = 5;
    let mut texts: Vec<String> = kinds
        .iter()
        .take(SHOWN)
        .map(|(kind, count)| format!("{kind} ({count})"))
        .collect();
    if kinds.len() > SHOWN {
        texts.push(format!("and {} more", kinds.len() - SHOWN));
    }
    texts.join("; ")
}
