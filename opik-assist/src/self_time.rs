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

#[cfg(test)]
mod tests {
    use super::*;
    use opik_core::{Span, SpanId, Timestamp, TraceId};

    #[test]
    fn children_at_the_same_time_count_once_and_only_inside() {
        let trace = TraceId::from_bytes([1; 16]);
        let id = |n: u8| SpanId::from_bytes([n + 1; 16]);
        let rows = [
            (0, 100),
            (10, 40),
            (20, 50),
            (30, 35),
            (80, 300),
            (400, 500),
        ];
        let spans = rows.iter().zip(0u8..).map(|(&(start, end), n)| {
            let at = |micros: i64| Timestamp::from_micros(1_000_000 + micros);
            let mut span = Span::new(id(n), trace, at(start));
            span.end_time = Some(at(end));
            span.parent_span_id = (n > 0).then(|| id(0));
            span
        });
        let tree = TraceTree::from_spans(trace, spans.collect());
        let root = tree.find(id(0)).unwrap();
        assert_eq!(self_times(&tree).at(root), 100 - 40 - 20);
    }
}
