//! Thresholds held against a run.

mod cases;
mod metric;
mod traces;

use serde::Serialize;

use super::{Gates, TraceFacts};
use crate::compare::{CompareOptions, Comparison};
use crate::experiment::Run;

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
}

#[derive(Clone, Copy)]
enum Side {
    AtLeast,
    AtMost,
}
