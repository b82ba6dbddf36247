//! A trace with its spans indexed once.
//!
//! [`TraceTree::build`] takes spans as they were recorded, in any order and with any defect, and
//! makes a forest that analysis can rely on:
//!
//! - nodes are numbered in pre-order, so a subtree is a contiguous range, a parent's number is
//!   smaller than its children's, and siblings are ordered by (start, end, id);
//! - every node has an interval with `start <= end`, on one clock;
//! - what had to be repaired is listed in [`TraceTree::quality`], never hidden;
//! - the order of the spans that go in makes no difference (rows of one span are told apart by
//!   `last_updated_at`; of equal ones the later in the list counts).
//!
//! | defect | what becomes of it |
//! |---|---|
//! | the parent is missing | below the shortest span that encloses it in time, else a root |
//! | spans are each other's ancestors | the link above the earliest one is cut |
//! | one span twice | the newest row counts |
//! | no end | the end of the nearest finished span above, else of the trace; at least that of its children |
//! | no start (1970) | that of its first child, else of the trace |
//! | the end is before the start | a moment at its start |
//! | the clock of a server differs from its client's | moved to the middle of its client, with all below it |
//! | a child sticks out of its parent by more than 1 % | reported, left as it is |
//!
//! Building is iterative and `O(n log n)`: 100,000 spans and chains 10,000 deep are fine.

mod adopt;
mod build;
mod clock;
mod parents;
mod quality;
mod times;

use foldhash::HashMap;
use std::ops::Range;

pub use quality::{QualityIssue, QualityKind};

use crate::{Span, SpanId, Timestamp, Trace, TraceId};

/// A span's place in its tree: its number in pre-order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

impl NodeId {
    /// The number, for tables that have an entry per node.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// A stretch of time, `start <= end`.
///
/// ```
/// use opik_core::Timestamp;
/// use opik_core::tree::Interval;
///
/// let at = Timestamp::from_micros;
/// let (outer, inner) = (
///     Interval { start: at(0), end: at(9) },
///     Interval { start: at(2), end: at(5) },
/// );
/// assert!(outer.encloses(inner));
/// assert_eq!(inner.micros(), 3);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interval {
    /// When it begins.
    pub start: Timestamp,
    /// When it ends.
    pub end: Timestamp,
}

impl Interval {
    /// Its length in microseconds, at least 0.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.end.micros_since(self.start)
    }

    /// Whether all of `other` lies within.
    #[must_use]
    pub fn encloses(self, other: Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }
}

/// A node's place and time. Spans are large and lie elsewhere, so that walks over the tree touch
/// little memory.
#[derive(Debug, Clone, Copy)]
struct Node {
    parent: Option<NodeId>,
    /// One past the last descendant.
    subtree_end: u32,
    depth: u32,
    interval: Interval,
    inferred_parent: bool,
}

/// A trace with its spans as a forest. See the [module](self) for what it guarantees.
///
/// ```
/// use opik_core::{Span, SpanId, Timestamp, Trace, TraceId, TraceTree};
///
/// let (at, id) = (Timestamp::from_micros(0), TraceId::generate());
/// let root = Span::new(SpanId::generate(), id, at);
/// let mut child = Span::new(SpanId::generate(), id, at);
/// child.parent_span_id = Some(root.id);
///
/// let tree = TraceTree::build(Trace::new(id, at), vec![child, root]);
/// let top = tree.roots().next().ok_or("no root")?;
/// assert_eq!(tree.children(top).count(), 1);
/// # Ok::<(), &str>(())
/// ```
#[derive(Debug, Clone)]
pub struct TraceTree {
    trace: Trace,
    nodes: Vec<Node>,
    /// The span of each node.
    spans: Vec<Span>,
    by_id: HashMap<SpanId, NodeId>,
    quality: Vec<QualityIssue>,
    interval: Interval,
}

impl TraceTree {
    /// The trace's own record.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// The trace's identifier.
    #[must_use]
    pub fn id(&self) -> TraceId {
        self.trace.id
    }

    /// How many spans it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Whether it has no span.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Every node in pre-order.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = NodeId> + DoubleEndedIterator + use<> {
        (0..self.node_count()).map(NodeId)
    }

    /// The nodes without a parent, in order of their start.
    pub fn roots(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.siblings(0..self.node_count())
    }

    /// The direct children in order of (start, end, id).
    pub fn children(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        self.siblings(self.range(node))
    }

    /// Every descendant in pre-order, without the node itself.
    pub fn descendants(
        &self,
        node: NodeId,
    ) -> impl ExactSizeIterator<Item = NodeId> + DoubleEndedIterator + use<> {
        self.range(node).map(NodeId)
    }

    /// The parent; for an orphan the span that most likely is (see [`Self::has_inferred_parent`]).
    #[must_use]
    pub fn parent(&self, node: NodeId) -> Option<NodeId> {
        self.node(node).and_then(|node| node.parent)
    }

    /// The chain of parents, the nearest first.
    pub fn ancestors(&self, node: NodeId) -> impl Iterator<Item = NodeId> + '_ {
        std::iter::successors(self.parent(node), |&above| self.parent(above))
    }

    /// Whether `ancestor` is on the way from `node` to its root; a node is not its own ancestor.
    #[must_use]
    pub fn is_ancestor(&self, ancestor: NodeId, node: NodeId) -> bool {
        self.range(ancestor).contains(&node.0)
    }

    /// The span as it was recorded.
    ///
    /// # Panics
    /// When the node belongs to a larger tree.
    #[must_use]
    #[expect(
        clippy::indexing_slicing,
        reason = "documented: a node is used with its own tree"
    )]
    pub fn span(&self, node: NodeId) -> &Span {
        &self.spans[node.index()]
    }

    /// The node of a span.
    #[must_use]
    pub fn find(&self, id: SpanId) -> Option<NodeId> {
        self.by_id.get(&id).copied()
    }

    /// When the span ran, after repair: on the clock of the trace, ended, not negative.
    #[must_use]
    pub fn interval(&self, node: NodeId) -> Interval {
        self.node(node).map_or(self.interval, |node| node.interval)
    }

    /// How far it is from its root, which has 0.
    #[must_use]
    pub fn depth(&self, node: NodeId) -> usize {
        self.node(node).map_or(0, |node| node.depth as usize)
    }

    /// Whether the parent was guessed, because the recorded one is missing.
    #[must_use]
    pub fn has_inferred_parent(&self, node: NodeId) -> bool {
        self.node(node).is_some_and(|node| node.inferred_parent)
    }

    /// From the first start to the last end, of the trace's record and of all spans.
    #[must_use]
    pub fn wall(&self) -> Interval {
        self.interval
    }

    /// What had to be repaired, and what looks wrong.
    #[must_use]
    pub fn quality(&self) -> &[QualityIssue] {
        &self.quality
    }

    fn node(&self, node: NodeId) -> Option<&Node> {
        self.nodes.get(node.index())
    }

    /// The numbers of the descendants.
    fn range(&self, node: NodeId) -> Range<u32> {
        self.node(node)
            .map_or(0..0, |found| node.0 + 1..found.subtree_end)
    }

    fn siblings(&self, mut range: Range<u32>) -> impl Iterator<Item = NodeId> + '_ {
        std::iter::from_fn(move || {
            let node = NodeId(range.start);
            range.start = self.node(node).filter(|_| !range.is_empty())?.subtree_end;
            Some(node)
        })
    }

    fn node_count(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }
}
