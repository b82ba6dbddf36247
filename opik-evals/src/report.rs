//! Reports: one result as text for a terminal, JSON, JUnit XML, Markdown for a pull request, and
//! one HTML page that needs nothing else.
//!
//! ```
//! use opik_evals::report::Report;
//! # use opik_evals::dataset::Item;
//! # use opik_evals::experiment::{Experiment, FieldTask};
//! # use opik_evals::heuristics::Equals;
//! # use serde_json::json;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let items = [Item::from_value(json!({ "answer": "4", "expected_output": "5" }))?];
//! # let task = FieldTask::new("answer");
//! let run = Experiment::new("nightly", items).task(task).metric(Equals::new()).run().await?;
//! let report = Report::new(&run).slice("topic");
//! assert!(report.text().contains("equals_metric"));
//! assert!(report.html().starts_with("<!DOCTYPE html>"));
//! # Ok(())
//! # }
//! ```
//!
//! Every text of a dataset, an output or an error is escaped for the format it goes into: what a
//! model wrote is never markup, and never a control sequence of a terminal. The HTML page has no
//! script, loads nothing, and says so to the browser (`Content-Security-Policy`).
//!
//! Reports quote content: items, outputs, reasons and messages. Handle them like the dataset.

mod confusion;
mod escape;
mod figures;
mod html;
mod junit;
mod markdown;
mod table;
mod text;
mod trend;
mod waterfall;
mod worst;

use std::collections::HashMap;

use opik_core::{TraceId, TraceTree};
use serde::Serialize;

use crate::compare::Comparison;
use crate::experiment::Run;
use crate::gate::GateReport;
use crate::summary::RunSummary;

pub use confusion::{Confusion, LabelFigures};
pub use trend::TrendPoint;
pub use waterfall::{WaterfallRow, waterfall};
pub use worst::Case;

/// Cases that are shown in full.
const WORST: usize = 20;

/// A run, and what goes with it, to be shown.
#[derive(Debug, Clone)]
#[must_use]
pub struct Report<'a> {
    run: &'a Run,
    comparison: Option<&'a Comparison>,
    gate: Option<&'a GateReport>,
    history: Vec<TrendPoint>,
    slices: Vec<String>,
    worst: usize,
    traces: HashMap<TraceId, Vec<WaterfallRow>>,
    trace_link: Option<String>,
    labels: Option<(String, String)>,
}

/// A report as JSON.
#[derive(Debug, Serialize)]
struct Document<'a> {
    summary: RunSummary,
    #[serde(skip_serializing_if = "Option::is_none")]
    confusion: Option<Confusion>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comparison: Option<&'a Comparison>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gate: Option<&'a GateReport>,
    #[serde(skip_serializing_if = "<[TrendPoint]>::is_empty")]
    history: &'a [TrendPoint],
    worst: Vec<Case>,
}

impl<'a> Report<'a> {
    /// A report of a run.
    pub fn new(run: &'a Run) -> Self {
        Self {
            run,
            comparison: None,
            gate: None,
            history: Vec::new(),
            slices: Vec::new(),
            worst: WORST,
            traces: HashMap::new(),
            trace_link: None,
            labels: None,
        }
    }

    /// With a comparison with an earlier run.
    pub fn comparison(mut self, comparison: &'a Comparison) -> Self {
        self.comparison = Some(comparison);
        self
    }

    /// With the outcome of a gate.
    pub fn gate(mut self, gate: &'a GateReport) -> Self {
        self.gate = Some(gate);
        self
    }

    /// With an earlier run, for the trend over runs. They are put into the order of time.
    pub fn earlier(mut self, run: &Run) -> Self {
        self.history.push(TrendPoint::of(run));
        self.history.sort_by_key(|point| point.started_at);
        self
    }

    /// Also by the values of a field of the items. A dot goes into an object.
    pub fn slice(mut self, field: impl Into<String>) -> Self {
        self.slices.push(field.into());
        self
    }

    /// How many of the worst cases are shown in full; 20.
    pub fn worst(mut self, cases: usize) -> Self {
        self.worst = cases;
        self
    }

    /// With a recorded trace, which is drawn beside the cases that name it.
    pub fn trace(mut self, id: TraceId, tree: &TraceTree) -> Self {
        self.traces.insert(id, waterfall(tree));
        self
    }

    /// Where traces can be looked at: an address in which `{trace}` stands for the identifier.
    /// Anything but `http` and `https` is left out.
    pub fn trace_link(mut self, address: impl Into<String>) -> Self {
        let address = address.into();
        if address.starts_with("https://") || address.starts_with("http://") {
            self.trace_link = Some(address);
        }
        self
    }

    /// The fields of the confusion matrix: of what is expected, and of what the task answered. Where
    /// none are set, `reference` and `output`, if they hold few labels.
    pub fn labels(mut self, expected: impl Into<String>, output: impl Into<String>) -> Self {
        self.labels = Some((expected.into(), output.into()));
        self
    }

    /// The traces that the worst cases name, for [`Self::trace`].
    #[must_use]
    pub fn wanted_traces(&self) -> Vec<TraceId> {
        let worst = worst::worst(self.run, self.worst);
        worst.iter().filter_map(|case| case.trace_id).collect()
    }

    fn document(&self) -> Document<'_> {
        Document {
            summary: RunSummary::of(self.run, &self.slices),
            confusion: Confusion::of(self.run, self.labels.as_ref()),
            comparison: self.comparison,
            gate: self.gate,
            history: &self.history,
            worst: worst::worst(self.run, self.worst),
        }
    }

    /// The report as JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::to_value(self.document()).unwrap_or_default()
    }

    /// The report as plain text for a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        text::text(&self.document())
    }

    /// The report as Markdown, short enough for a comment on a pull request.
    #[must_use]
    pub fn markdown(&self) -> String {
        markdown::markdown(&self.document())
    }

    /// The report as JUnit XML: a test for each trial, and one for each threshold of a gate.
    #[must_use]
    pub fn junit(&self) -> String {
        junit::junit(self.run, self.gate)
    }

    /// The report as one HTML page.
    #[must_use]
    pub fn html(&self) -> String {
        html::page(self)
    }
}

/// A comparison as plain text for a terminal.
#[must_use]
pub fn comparison_text(comparison: &Comparison) -> String {
    text::comparison(comparison)
}

/// A comparison as Markdown.
#[must_use]
pub fn comparison_markdown(comparison: &Comparison) -> String {
    markdown::comparison(comparison)
}

/// The outcome of a gate as plain text for a terminal.
#[must_use]
pub fn gate_text(gate: &GateReport) -> String {
    text::gate(gate)
}
