//! Items of experiments: what became of an item of a dataset.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Audit, CatalogError, Condition, DatasetItem, FieldKind, Fields, Numbered, Order, check_id,
};
use crate::model::{Comment, FeedbackScore, Usage};
use crate::{EntityId, Json, ProjectId, TraceId};

/// An item of an experiment that is written.
#[derive(Debug, Clone, Deserialize)]
#[non_exhaustive]
pub struct NewExperimentItem {
    /// Identifier; made where absent.
    #[serde(default)]
    pub id: Option<EntityId>,
    /// The experiment.
    pub experiment_id: EntityId,
    /// The item of the dataset.
    pub dataset_item_id: EntityId,
    /// The trace of the run.
    pub trace_id: TraceId,
    /// What it is about.
    #[serde(default)]
    pub description: Option<String>,
    /// How often the item runs, and how many runs must pass.
    #[serde(default)]
    pub execution_policy: Option<Json>,
}

impl NewExperimentItem {
    /// One run of an item.
    #[must_use]
    pub fn new(experiment_id: EntityId, dataset_item_id: EntityId, trace_id: TraceId) -> Self {
        Self {
            id: None,
            experiment_id,
            dataset_item_id,
            trace_id,
            description: None,
            execution_policy: None,
        }
    }

    /// Checks its identifiers.
    ///
    /// # Errors
    /// [`CatalogError`] unless they are of version 7.
    pub fn check(&self) -> Result<(), CatalogError> {
        if let Some(id) = self.id {
            check_id(id, "Experiment Item")?;
        }
        check_id(self.experiment_id, "Experiment Item experiment")?;
        check_id(self.dataset_item_id, "Experiment Item dataset_item")?;
        check_id(
            EntityId::from_bytes(*self.trace_id.as_bytes()),
            "Experiment Item trace",
        )
    }
}

/// Whether an assertion or a run passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum AssertionStatus {
    /// It did.
    Passed,
    /// It did not.
    Failed,
}

impl AssertionStatus {
    /// Passed, or not.
    #[must_use]
    pub const fn of(passed: bool) -> Self {
        if passed { Self::Passed } else { Self::Failed }
    }
}

/// What became of an assertion on a trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AssertionResult {
    /// The assertion.
    pub value: String,
    /// Whether it holds.
    pub passed: bool,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl AssertionResult {
    /// An assertion that holds or does not.
    #[must_use]
    pub fn new(value: impl Into<String>, passed: bool, reason: Option<String>) -> Self {
        Self {
            value: value.into(),
            passed,
            reason,
        }
    }
}

/// An item of an experiment, with what its trace says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExperimentItem {
    /// Identifier.
    pub id: EntityId,
    /// The experiment.
    pub experiment_id: EntityId,
    /// The item of the dataset.
    pub dataset_item_id: EntityId,
    /// The trace of the run.
    pub trace_id: TraceId,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// How often the item runs, and how many runs must pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_policy: Option<Json>,
    /// Who made it, and when.
    #[serde(flatten)]
    pub audit: Audit,
    /// The trace's project; everything from here on is joined on reading.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<ProjectId>,
    /// What the task got.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Json>,
    /// What the task answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Json>,
    /// Metadata of the trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_metadata: Option<Json>,
    /// Scores of the trace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub feedback_scores: Vec<FeedbackScore>,
    /// Comments on the trace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comments: Vec<Comment>,
    /// What the trace cost, in dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_estimated_cost: Option<f64>,
    /// How long the trace took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
    /// Tokens of the trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
    /// `default`, or `hidden` from lists of traces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_visibility_mode: Option<String>,
    /// What became of the assertions on the trace.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assertion_results: Vec<AssertionResult>,
    /// Whether all of them hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<AssertionStatus>,
}

impl ExperimentItem {
    /// The item that a request asks for, without what its trace says.
    #[must_use]
    pub fn new(new: NewExperimentItem, audit: Audit) -> Self {
        let id = new
            .id
            .unwrap_or_else(|| EntityId::generate_at(audit.created_at));
        Self {
            id,
            experiment_id: new.experiment_id,
            dataset_item_id: new.dataset_item_id,
            trace_id: new.trace_id,
            description: new.description,
            execution_policy: new.execution_policy,
            audit,
            project_id: None,
            input: None,
            output: None,
            trace_metadata: None,
            feedback_scores: Vec::new(),
            comments: Vec::new(),
            total_estimated_cost: None,
            duration: None,
            usage: None,
            trace_visibility_mode: None,
            assertion_results: Vec::new(),
            status: None,
        }
    }

    /// Puts in what its trace says, and what became of the assertions on it.
    pub fn join(&mut self, trace: crate::Trace, assertions: Vec<AssertionResult>) {
        self.project_id = trace.project_id;
        self.duration = trace.duration.or_else(|| {
            let micros = trace.end_time?.micros_since(trace.start_time);
            #[expect(clippy::cast_precision_loss, reason = "exact up to 285 years")]
            let millis = micros as f64 / 1_000.0;
            Some(millis)
        });
        self.input = trace.input;
        self.output = trace.output;
        self.trace_metadata = trace.metadata;
        self.feedback_scores = trace.feedback_scores;
        self.comments = trace.comments;
        self.total_estimated_cost = trace.total_estimated_cost.filter(|cost| *cost > 0.0);
        self.usage = Some(trace.usage).filter(|usage| !usage.is_empty());
        self.trace_visibility_mode = Some("default".to_owned());
        let all = assertions.iter().all(|one| one.passed);
        self.status = (!assertions.is_empty()).then_some(AssertionStatus::of(all));
        self.assertion_results = assertions;
    }
}

/// How many runs of an item passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunSummary {
    /// Runs whose assertions all hold.
    pub passed_runs: u32,
    /// Runs with assertions.
    pub total_runs: u32,
    /// Whether as many passed as must.
    pub status: AssertionStatus,
}

/// The outcome of the runs of one item in one experiment.
#[derive(Debug, Clone, Copy, Default)]
pub struct AssertionOutcome {
    passed: u32,
    total: u32,
    needed: u32,
}

impl AssertionOutcome {
    /// Counts a run, given how many runs must pass by its policy.
    pub fn run(&mut self, status: AssertionStatus, policy: Option<&Json>) {
        #[derive(Deserialize)]
        struct Policy {
            pass_threshold: Option<u32>,
        }
        let needed = policy
            .and_then(|policy| policy.decode::<Policy>().ok())
            .and_then(|policy| policy.pass_threshold);
        self.needed = self.needed.max(needed.unwrap_or(1));
        self.total += 1;
        self.passed += u32::from(status == AssertionStatus::Passed);
    }

    /// The sum; `None` where no run had assertions.
    #[must_use]
    pub fn summary(self) -> Option<RunSummary> {
        (self.total > 0).then(|| RunSummary {
            passed_runs: self.passed,
            total_runs: self.total,
            status: AssertionStatus::of(self.passed >= self.needed),
        })
    }
}

/// An item of a dataset with its runs in several experiments.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ComparedItem {
    /// The item.
    #[serde(flatten)]
    pub item: DatasetItem,
    /// Its runs, oldest first.
    pub experiment_items: Vec<ExperimentItem>,
    /// How many runs passed, by experiment, where there are assertions.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub run_summaries_by_experiment: BTreeMap<String, RunSummary>,
}

impl ComparedItem {
    /// An item with its runs.
    #[must_use]
    pub fn new(item: DatasetItem, runs: Vec<ExperimentItem>) -> Self {
        let mut outcomes: BTreeMap<String, AssertionOutcome> = BTreeMap::new();
        for run in &runs {
            if let Some(status) = run.status {
                outcomes
                    .entry(run.experiment_id.to_string())
                    .or_default()
                    .run(status, run.execution_policy.as_ref());
            }
        }
        let summaries = outcomes
            .into_iter()
            .filter_map(|(id, outcome)| Some((id, outcome.summary()?)))
            .collect();
        Self {
            item,
            experiment_items: runs,
            run_summaries_by_experiment: summaries,
        }
    }
}

/// Which items are compared.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CompareQuery {
    /// The dataset.
    pub dataset: EntityId,
    /// The experiments.
    pub experiments: Vec<EntityId>,
    /// Conditions on [`Self::FIELDS`]: an item is there when it fits and one of its runs does.
    pub conditions: Vec<Condition>,
    /// Order; newest first where absent.
    pub order: Option<Order>,
    /// A text that the item's content must have in it, without regard to case.
    pub search: Option<String>,
    /// Which page.
    pub page: Numbered,
}

/// Members of an [`ExperimentItem`] that conditions ask for; others are the dataset item's.
const OF_RUNS: &[&str] = &[
    "input",
    "output",
    "trace_metadata",
    "feedback_scores",
    "duration",
    "usage.total_tokens",
    "total_estimated_cost",
];

impl CompareQuery {
    /// The fields that compared items are filtered by, see [`Condition::parse_list`].
    pub const FIELDS: Fields = &[
        ("id", "id", FieldKind::Exact),
        ("data", "data", FieldKind::Map),
        ("full_data", "data", FieldKind::Whole),
        ("source", "source", FieldKind::Text),
        ("trace_id", "trace_id", FieldKind::Exact),
        ("span_id", "span_id", FieldKind::Exact),
        ("description", "description", FieldKind::Text),
        ("tags", "tags", FieldKind::List),
        ("created_at", "created_at", FieldKind::Moment),
        ("created_by", "created_by", FieldKind::Text),
        ("last_updated_at", "last_updated_at", FieldKind::Moment),
        ("last_updated_by", "last_updated_by", FieldKind::Text),
        ("input", "input", FieldKind::Whole),
        ("output", "output", FieldKind::Whole),
        ("metadata", "trace_metadata", FieldKind::Map),
        ("feedback_scores", "feedback_scores", FieldKind::Scores),
        ("duration", "duration", FieldKind::Number),
        (
            "usage.total_tokens",
            "usage.total_tokens",
            FieldKind::Number,
        ),
        (
            "total_estimated_cost",
            "total_estimated_cost",
            FieldKind::Number,
        ),
    ];

    /// Every item of a dataset that experiments have looked at.
    #[must_use]
    pub fn of(dataset: EntityId, experiments: Vec<EntityId>) -> Self {
        Self {
            dataset,
            experiments,
            conditions: Vec::new(),
            order: None,
            search: None,
            page: Numbered::default(),
        }
    }

    /// Its conditions: those on the item, then those on a run.
    #[must_use]
    pub fn split(&self) -> (Vec<Condition>, Vec<Condition>) {
        let of_run = |one: &Condition| OF_RUNS.iter().any(|member| one.asks(member));
        let (runs, items) = self.conditions.iter().cloned().partition(of_run);
        (items, runs)
    }
}
