//! A trace as rows of bars.

use opik_core::TraceTree;
use serde::Serialize;

/// Most rows of a trace.
const ROWS: usize = 60;

/// A span of a trace, as a bar.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct WaterfallRow {
    /// Its name.
    pub name: String,
    /// How deep it is nested, from 0.
    pub depth: usize,
    /// When it began, in milliseconds since the trace began.
    pub start_ms: f64,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
    /// Whether it failed.
    pub failed: bool,
}

/// The first 60 spans of a trace, parents before children.
#[must_use]
pub fn waterfall(tree: &TraceTree) -> Vec<WaterfallRow> {
    let begin = tree.wall().start;
    let rows = tree.nodes().take(ROWS).map(|node| {
        let (span, interval) = (tree.span(node), tree.interval(node));
        WaterfallRow {
            name: span.name.clone().unwrap_or_default(),
            depth: tree.depth(node),
            start_ms: interval.start.micros_since(begin).max(0) as f64 / 1_000.0,
            duration_ms: interval.micros() as f64 / 1_000.0,
            failed: span.error_info.is_some(),
        }
    });
    rows.collect()
}
