//! A table with one entry per node of a tree.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::ops::{Index, IndexMut};

use opik_core::TraceTree;
use opik_core::tree::NodeId;

/// Values of some nodes of one tree, or of some places in them. Nodes are numbered by us, so nobody can
/// make them collide.
pub(crate) type NodeMap<T, K = NodeId> = HashMap<K, T, BuildHasherDefault<NodeHash>>;

/// Hashes the number of a node.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct NodeHash(u64);

impl Hasher for NodeHash {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(u64::from(byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(u64::try_from(number).unwrap_or(u64::MAX));
    }

    fn write_u64(&mut self, number: u64) {
        // Tables look at the first and the last bits.
        self.0 = (self.0.rotate_left(23) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// One value per node of one tree.
///
/// ```
/// use opik_assist::PerNode;
/// use opik_core::{Span, SpanId, Timestamp, TraceId, TraceTree};
///
/// let id = TraceId::generate();
/// let span = Span::new(SpanId::generate(), id, Timestamp::EPOCH);
/// let tree = TraceTree::from_spans(id, vec![span]);
/// let mut calls = PerNode::filled(&tree, 0);
/// for node in tree.nodes() {
///     calls.set(node, calls.at(node) + 1);
/// }
/// assert_eq!(calls.iter().copied().sum::<i32>(), 1);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PerNode<T>(Vec<T>);

impl<T> PerNode<T> {
    /// The same value for every node.
    #[must_use]
    pub fn filled(tree: &TraceTree, value: T) -> Self
    where
        T: Clone,
    {
        Self(vec![value; tree.len()])
    }

    /// A computed value for every node, in pre-order.
    #[must_use]
    pub fn from_fn(tree: &TraceTree, value: impl FnMut(NodeId) -> T) -> Self {
        Self(tree.nodes().map(value).collect())
    }

    /// The values in pre-order.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    /// The value of a node, copied.
    ///
    /// # Panics
    /// When the node is of a larger tree, as [`TraceTree::span`] does.
    #[must_use]
    #[expect(
        clippy::indexing_slicing,
        reason = "documented: a node is used with the table of its own tree"
    )]
    pub fn at(&self, node: NodeId) -> T
    where
        T: Copy,
    {
        self.0[node.index()]
    }

    /// Sets the value of a node; does nothing when the node is of a larger tree.
    pub fn set(&mut self, node: NodeId, value: T) {
        if let Some(slot) = self.0.get_mut(node.index()) {
            *slot = value;
        }
    }

    /// Changes the value of a node; does nothing when the node is of a larger tree.
    pub fn update(&mut self, node: NodeId, change: impl FnOnce(&mut T)) {
        if let Some(slot) = self.0.get_mut(node.index()) {
            change(slot);
        }
    }

    /// The value of a node; `None` when the node is of a larger tree.
    #[must_use]
    pub fn get(&self, node: NodeId) -> Option<&T> {
        self.0.get(node.index())
    }
}

impl<T> Index<NodeId> for PerNode<T> {
    type Output = T;

    /// # Panics
    /// When the node is of a larger tree, as [`TraceTree::span`] does.
    #[expect(
        clippy::indexing_slicing,
        reason = "documented: a node is used with the table of its own tree"
    )]
    fn index(&self, node: NodeId) -> &T {
        &self.0[node.index()]
    }
}

impl<T> IndexMut<NodeId> for PerNode<T> {
    #[expect(
        clippy::indexing_slicing,
        reason = "documented: a node is used with the table of its own tree"
    )]
    fn index_mut(&mut self, node: NodeId) -> &mut T {
        &mut self.0[node.index()]
    }
}
