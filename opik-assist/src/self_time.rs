//! Self time: what a span did itself.
//!
//! The self time of a span is its duration minus the length of the union of its children's
//! intervals, each cut to the span. Children that run at the same time count once, so it is never
//! negative. One sweep over the children in order of their start, `O(n)` in all.

use opik_core::TraceTree;

use crate::PerNode;

/// The self time of every span, in microseconds.
#[must_use]
pub fn self_times(tree: &TraceTree) -> PerNode<i64> {
    PerNode::from_fn(tree, |node| {
        let own = tree.interval(node);
        let mut covered = 0;
        let mut reached = own.start;
        for child in tree.children(node) {
            let times = tree.interval(child);
            let (start, end) = (times.start.max(reached), times.end.min(own.end));
            if start < end {
                covered += end.micros_since(start);
                reached = end;
            }
        }
        own.micros() - covered
    })
}
