//! The critical path by span, for drawing.

use opik_assist::PerNode;
use opik_assist::critical_path::Segment;
use opik_core::TraceTree;
use opik_core::tree::{Interval, NodeId};

/// When each span was what the trace waited for.
#[derive(Debug)]
pub(crate) struct CriticalTimes {
    stretches: PerNode<Vec<Interval>>,
    micros: PerNode<i64>,
}

impl CriticalTimes {
    /// Sorts the segments of a critical path by their span.
    #[expect(
        clippy::indexing_slicing,
        reason = "the segments are those of this tree, see PerNode"
    )]
    pub(crate) fn of(tree: &TraceTree, segments: &[Segment]) -> Self {
        let mut stretches = PerNode::filled(tree, Vec::new());
        let mut micros = PerNode::filled(tree, 0);
        for segment in segments {
            let Some(node) = segment.node else { continue };
            let stretch = Interval {
                start: segment.start,
                end: segment.end,
            };
            stretches[node].push(stretch);
            micros[node] += stretch.micros();
        }
        Self { stretches, micros }
    }

    /// The stretches in which the trace waited for this span.
    pub(crate) fn stretches(&self, node: NodeId) -> &[Interval] {
        self.stretches.get(node).map_or(&[], Vec::as_slice)
    }

    /// How long the trace waited for this span itself, in microseconds.
    pub(crate) fn micros(&self, node: NodeId) -> i64 {
        self.micros.get(node).copied().unwrap_or(0)
    }
}
