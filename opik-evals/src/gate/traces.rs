//! What deterministic analysis finds in recorded traces, as far as gates ask.

use opik_core::source::load_tree;
use opik_core::{SourceError, TraceId, TraceSource, TraceTree};
use serde::Serialize;

/// What is known about one trace.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TraceFacts {
    /// The trace.
    pub trace: Option<TraceId>,
    /// The kinds of error that begin in it, as texts that are the same for the same kind in another
    /// trace, such as `lookup: TimeoutError`.
    pub error_origins: Vec<String>,
    /// The kinds of loop in it, as texts of the same sort, such as `search, rank`.
    pub loops: Vec<String>,
    /// The length of its critical path, in microseconds.
    pub critical_path_us: Option<u64>,
    /// What it cost, in US dollars, where that was recorded.
    pub cost: Option<f64>,
}

impl TraceFacts {
    /// Facts about a trace, of which nothing else is known yet.
    #[must_use]
    pub fn of(trace: TraceId) -> Self {
        Self {
            trace: Some(trace),
            ..Self::default()
        }
    }
}

/// Finds the facts in a trace.
///
/// This crate has no analysis of its own; the `opik-rs` command wires that of `opik-assist` to it.
pub trait TraceAnalysis: Send + Sync {
    /// The facts about one trace.
    fn facts(&self, tree: &TraceTree) -> TraceFacts;
}

impl<F: Fn(&TraceTree) -> TraceFacts + Send + Sync> TraceAnalysis for F {
    fn facts(&self, tree: &TraceTree) -> TraceFacts {
        self(tree)
    }
}

/// The facts about some traces, in order. Traces that are gone are left out, which the length of the
/// answer shows.
///
/// # Errors
/// [`SourceError`] of the first read that fails.
pub async fn trace_facts(
    source: &dyn TraceSource,
    traces: impl IntoIterator<Item = TraceId>,
    analysis: &dyn TraceAnalysis,
) -> Result<Vec<TraceFacts>, SourceError> {
    let mut facts = Vec::new();
    for trace in traces {
        if let Some(tree) = load_tree(source, trace).await? {
            facts.push(analysis.facts(&tree));
        }
    }
    Ok(facts)
}
