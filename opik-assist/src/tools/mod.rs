//! Tools that a model may ask for: read-only, confined to one trace, its project and its thread,
//! bounded in what they answer.
//!
//! A [`Toolbox`] works on a [`Scene`]: a trace that was loaded once, with its evidence. Only
//! `compare_to_siblings` and `get_thread` ask the source again, and only within the project of the
//! trace. Identifiers of spans are looked up in the loaded trace and never become part of an
//! address.
//!
//! | tool | what it answers |
//! |---|---|
//! | `get_trace_data` | the record of the trace |
//! | `get_span_details` | input, output and metadata of a span |
//! | `search_spans` | spans by words, kind, or whether they failed |
//! | `list_children` | the spans directly below one |
//! | `compare_spans` | how two spans differ |
//! | `critical_path` | the spans that the duration consists of, and what each could save |
//! | `error_chain` | where errors began, how far they went, who stopped them |
//! | `find_loops` | retries, loops and other repeated work |
//! | `cost_hotspots` | where money and tokens go |
//! | `compare_to_siblings` | how this trace compares to others of its name |
//! | `get_thread` | the other turns of the conversation that the trace is a part of |
//!
//! What the two comparisons find is numbered behind the findings of the evidence, so that answers can
//! cite it and are checked against it.
//!
//! What goes wrong (an unknown tool, bad arguments, a span that is not there, a source that fails)
//! is answered in words for the model, without addresses, paths or backtraces.

mod args;
mod bound;
mod evidence;
mod look;
mod made;
mod peers;
mod records;
mod specs;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use futures_util::FutureExt as _;
use opik_core::chat::ToolSpec;
use opik_core::session::{ToolCall, ToolResult};
use opik_core::tree::NodeId;
use opik_core::{Json, SpanId, TraceSource, TraceTree};
use serde_json::{Value, json};

pub(crate) use made::told;
pub use specs::specs;

use crate::analysis::Evidence;
use crate::finding::{Finding, FindingId};
use args::Args;
use made::Made;

/// A trace with its evidence, and where more can be read.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Scene {
    /// The trace.
    pub tree: Arc<TraceTree>,
    /// The evidence about it.
    pub evidence: Arc<Evidence>,
    /// A second trace to compare with.
    pub other: Option<(Arc<TraceTree>, Arc<Evidence>)>,
    /// Where the trace came from.
    pub source: Arc<dyn TraceSource>,
}

impl Scene {
    /// A trace with its evidence, and where it came from.
    #[must_use]
    pub fn new(
        tree: Arc<TraceTree>,
        evidence: Arc<Evidence>,
        source: Arc<dyn TraceSource>,
    ) -> Self {
        Self {
            tree,
            evidence,
            other: None,
            source,
        }
    }

    /// The same with a second trace.
    #[must_use]
    pub fn compared_with(mut self, tree: Arc<TraceTree>, evidence: Arc<Evidence>) -> Self {
        self.other = Some((tree, evidence));
        self
    }

    /// A span of this trace, or of the second one.
    pub(crate) fn find(&self, id: SpanId) -> Option<(&TraceTree, NodeId)> {
        let own = self.tree.find(id).map(|node| (&*self.tree, node));
        own.or_else(|| {
            let (tree, _) = self.other.as_ref()?;
            Some((&**tree, tree.find(id)?))
        })
    }
}

/// Why a tool did not do what it was asked for, in words for the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ToolError {
    /// There is no such tool.
    Unknown(String),
    /// An argument is missing or wrong.
    Argument { name: String, problem: String },
    /// No span of the trace has this id.
    NoSuchSpan(String),
    /// It cannot be told for this trace.
    NotRecorded(&'static str),
    /// The source failed.
    Source(&'static str),
    /// The tool is defective.
    Defect,
}

impl fmt::Display for ToolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => {
                let names: Vec<String> = specs().into_iter().map(|spec| spec.name).collect();
                write!(f, "there is no tool {name}; there are {}", names.join(", "))
            }
            Self::Argument { name, problem } => write!(f, "argument {name}: {problem}"),
            Self::NoSuchSpan(id) => write!(
                f,
                "this trace has no span {id}; use an id that the trace data or search_spans shows"
            ),
            Self::NotRecorded(what) => f.write_str(what),
            Self::Source(what) => write!(f, "the traces cannot be read now: {what}"),
            Self::Defect => f.write_str("the tool failed; try another one"),
        }
    }
}

/// Runs tools on one trace. Clones share what was loaded.
#[derive(Debug, Clone)]
pub struct Toolbox {
    scene: Arc<Scene>,
    /// Most characters of an answer.
    most: usize,
    made: Arc<Made>,
}

impl Toolbox {
    /// Tools for this trace, whose answers have at most this many characters (at least 500).
    #[must_use]
    pub fn new(scene: Scene, characters: usize) -> Self {
        let last = scene.evidence.findings.last();
        Self {
            made: Arc::new(Made::after(last.map_or(FindingId(0), |last| last.id))),
            scene: Arc::new(scene),
            most: characters.max(500),
        }
    }

    /// Numbers what the tools find behind this finding, where that is behind the evidence.
    pub(crate) fn numbered_after(mut self, last: FindingId) -> Self {
        let own = self.scene.evidence.findings.last();
        let last = own.map_or(last, |own| own.id.max(last));
        self.made = Arc::new(Made::after(last));
        self
    }

    /// Remembers the numbers of findings in an answer that a tool gave in an earlier turn.
    pub(crate) fn recall(&self, result: &ToolResult) {
        self.made.recall(result);
    }

    /// What the tools have found so far (`compare_to_siblings`, `compare_spans`), numbered behind the
    /// evidence.
    #[must_use]
    pub fn findings(&self) -> Vec<Finding> {
        self.made.findings()
    }

    /// What can be asked for.
    #[must_use]
    pub fn specs(&self) -> Vec<ToolSpec> {
        specs()
    }

    /// Runs a tool. Whatever goes wrong is an answer with `is_error`.
    pub async fn run(&self, call: &ToolCall) -> ToolResult {
        let running = std::panic::AssertUnwindSafe(self.answer(call)).catch_unwind();
        let answer = running.await.unwrap_or(Err(ToolError::Defect));
        let (content, is_error) = match answer {
            Ok(value) => (bound::fit(&value, self.most), false),
            Err(error) => (json!({ "error": error.to_string() }), true),
        };
        ToolResult {
            id: call.id.clone(),
            name: call.name.clone(),
            content: Json::from_value(&content),
            is_error,
        }
    }

    async fn answer(&self, call: &ToolCall) -> Result<Value, ToolError> {
        let scene = &*self.scene;
        let args = Args::read(&call.arguments)?;
        match call.name.as_str() {
            "get_trace_data" => Ok(records::trace_data(scene, self.most)),
            "get_span_details" => records::span_details(scene, &args, self.most),
            "search_spans" => look::search_spans(scene, &args),
            "list_children" => look::list_children(scene, &args),
            "compare_spans" => evidence::compare_spans(scene, &args, &self.made),
            "critical_path" => evidence::critical_path(scene, &args),
            "error_chain" => evidence::error_chain(scene, &args),
            "find_loops" => evidence::find_loops(scene, &args),
            "cost_hotspots" => evidence::cost_hotspots(scene, &args),
            "compare_to_siblings" => peers::compare_to_siblings(scene, &args, &self.made).await,
            "get_thread" => peers::thread(scene, &args).await,
            other => Err(ToolError::Unknown(crate::quote::clean(other, 64))),
        }
    }
}
