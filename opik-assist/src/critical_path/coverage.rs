//! What ran while the path shows a parent, or nothing.

use opik_core::tree::{Interval, NodeId};
use opik_core::{Timestamp, TraceTree};

use super::Segment;
use crate::PerNode;

/// The own segments of the path without the time in which another span ran.
pub(super) struct Coverage {
    pub(super) alone: PerNode<i64>,
    pub(super) hidden: PerNode<i64>,
    pub(super) gaps: i64,
    pub(super) between: Vec<(NodeId, i64)>,
}

impl Coverage {
    /// Compares the segments, the last first, with the children of their spans.
    pub(super) fn of(tree: &TraceTree, segments: &[Segment], own: &PerNode<i64>) -> Self {
        let mut found = Self {
            alone: own.clone(),
            hidden: PerNode::filled(tree, 0),
            gaps: 0,
            between: Vec::new(),
        };
        // Of one span its segments in order of time: a stable sort keeps them together.
        let mut rows: Vec<Segment> = segments.iter().rev().copied().collect();
        rows.sort_by_key(|segment| segment.node);
        for group in rows.chunk_by(|a, b| a.node == b.node) {
            let Some(first) = group.first() else {
                continue;
            };
            if let Some(node) = first.node {
                let alone = &mut found.alone;
                let hidden = &mut found.hidden;
                sweep(tree, group, tree.children(node), |child, micros| {
                    hidden.update(child, |hidden| *hidden += micros);
                    alone.update(node, |alone| *alone -= micros);
                });
            } else {
                let mut all: Vec<NodeId> = tree.nodes().collect();
                all.sort_by_key(|&node| tree.interval(node).start);
                let between = &mut found.between;
                sweep(tree, group, all.into_iter(), |node, micros| {
                    between.push((node, micros));
                });
                let covered: i64 = between.iter().map(|(_, micros)| micros).sum();
                found.gaps = group.iter().map(Segment::micros).sum::<i64>() - covered;
            }
        }
        found
    }
}

/// Tells for each moment of the segments in which a span runs one such span; both are in order of
/// their start.
fn sweep(
    tree: &TraceTree,
    segments: &[Segment],
    spans: impl Iterator<Item = NodeId>,
    mut ran: impl FnMut(NodeId, i64),
) {
    let mut rest = segments;
    let mut reached = Timestamp::from_micros(i64::MIN);
    for node in spans {
        let times = tree.interval(node);
        reached = reached.max(times.start);
        while let Some((segment, later)) = rest.split_first() {
            let (start, end) = (reached.max(segment.start), times.end.min(segment.end));
            if start < end {
                ran(node, end.micros_since(start));
                reached = end;
            }
            if segment.end > times.end {
                break;
            }
            rest = later;
        }
    }
}

/// The parts of the wall time outside the interval, in order of time.
pub(super) fn outside(tree: &TraceTree, interval: Interval) -> Vec<Segment> {
    let wall = tree.wall();
    let mut nodes: Vec<NodeId> = tree
        .nodes()
        .filter(|&node| !interval.encloses(tree.interval(node)))
        .collect();
    nodes.sort_by_key(|&node| (tree.interval(node).start, node));
    let mut parts = Vec::new();
    for (from, to) in [(wall.start, interval.start), (interval.end, wall.end)] {
        let mut reached = from;
        let mut add = |node: Option<NodeId>, start: Timestamp, end: Timestamp| {
            if start < end {
                parts.push(Segment { node, start, end });
            }
        };
        for &node in &nodes {
            let times = tree.interval(node);
            let (start, end) = (times.start.max(reached), times.end.min(to));
            if start < end {
                add(None, reached, start);
                add(Some(node), start, end);
                reached = end;
            }
        }
        add(None, reached, to);
    }
    parts
}
