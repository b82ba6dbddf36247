//! Attempts that were repeated: they are no peers of what came of them.
//!
//! A call that failed and was made again is one call, so the failed attempts of a trace count neither
//! as spans of their kind nor as durations. A whole trace that was run again because it had failed is
//! an attempt too: it has the same input, and the next one began soon after it had ended.

use std::collections::{HashMap, HashSet};

use opik_core::tree::NodeId;
use opik_core::{Json, Timestamp, Trace, TraceId, TraceTree};

use crate::PerNode;

/// How soon a trace is run again after it has failed, in microseconds.
const SOON: i64 = 120_000_000;

/// Spans that failed and were followed by a sibling of their kind and name.
pub(super) fn repeated(tree: &TraceTree) -> PerNode<bool> {
    let mut repeated = PerNode::filled(tree, false);
    let mut last: HashMap<(&str, &str), NodeId> = HashMap::new();
    let mut look = |siblings: &mut dyn Iterator<Item = NodeId>| {
        last.clear();
        for node in siblings {
            let span = tree.span(node);
            let key = (
                span.kind().as_str(),
                span.name.as_deref().unwrap_or_default(),
            );
            if let Some(before) = last.insert(key, node)
                && tree.span(before).error_info.is_some()
                && tree.interval(before).end <= tree.interval(node).start
            {
                repeated.set(before, true);
            }
        }
    };
    look(&mut tree.roots());
    for node in tree.nodes() {
        look(&mut tree.children(node));
    }
    repeated
}

/// The traces among these that are attempts of the same thing as `own`: earlier ones that failed, and
/// later ones after it failed.
pub(super) fn of_trace<'t>(own: &Trace, all: impl Iterator<Item = &'t Trace>) -> HashSet<TraceId> {
    let told = |json: &&Json| !matches!(json.as_str(), "null" | "{}" | "\"\"" | "[]");
    let Some(input) = own.input.as_ref().filter(told) else {
        return HashSet::new();
    };
    let same = |trace: &&Trace| trace.id != own.id && trace.input.as_ref() == Some(input);
    let mut same: Vec<&Trace> = all.filter(same).collect();
    same.sort_by_key(|trace| (trace.start_time, trace.id));
    let place = same.partition_point(|trace| trace.start_time < own.start_time);
    let (before, after) = same.split_at_checked(place).unwrap_or((&same, &[]));
    let mut found = HashSet::new();
    let mut next = own;
    for trace in before.iter().rev() {
        if !leads_to(trace, next) {
            break;
        }
        found.insert(trace.id);
        next = trace;
    }
    let mut last = own;
    for trace in after {
        if !leads_to(last, trace) {
            break;
        }
        found.insert(trace.id);
        last = trace;
    }
    found
}

fn leads_to(trace: &Trace, next: &Trace) -> bool {
    let end: Timestamp = trace.end_time.unwrap_or(trace.start_time);
    trace.error_info.is_some() && (0..=SOON).contains(&next.start_time.micros_since(end))
}
