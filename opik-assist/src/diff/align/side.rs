//! What is compared of one trace: a signature, hashes and a sketch per span.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use opik_core::tree::NodeId;
use opik_core::{SpanType, TraceTree};

use crate::diff::content::text_hash;

/// How much of an input goes into its sketch, in bytes.
const SKETCH_BYTES: usize = 4096;

pub(super) struct Side<'t> {
    pub(super) tree: &'t TraceTree,
    /// Number of (type, name), shared by both sides.
    signatures: Vec<u32>,
    /// Hash of the input; 0 when there is none.
    inputs: Vec<u64>,
    /// Hash of signature and input of the span and of all that is below it.
    subtrees: Vec<u64>,
    /// SimHash of the input, made when it is needed.
    sketches: Vec<OnceCell<u64>>,
}

type Names<'t> = HashMap<(&'t SpanType, &'t str), u32>;

impl<'t> Side<'t> {
    pub(super) fn pair(before: &'t TraceTree, after: &'t TraceTree) -> (Self, Self) {
        let mut names = Names::new();
        let first = Self::new(before, &mut names);
        (first, Self::new(after, &mut names))
    }

    fn new(tree: &'t TraceTree, names: &mut Names<'t>) -> Self {
        let signatures: Vec<u32> = tree
            .nodes()
            .map(|node| {
                let span = tree.span(node);
                let next = u32::try_from(names.len()).unwrap_or(u32::MAX);
                *names
                    .entry((span.kind(), span.name.as_deref().unwrap_or_default()))
                    .or_insert(next)
            })
            .collect();
        let inputs: Vec<u64> = tree
            .nodes()
            .map(|node| text_hash(tree.span(node).input.as_ref()))
            .collect();
        let mut side = Self {
            tree,
            signatures,
            inputs,
            subtrees: vec![0; tree.len()],
            sketches: vec![OnceCell::new(); tree.len()],
        };
        // Children have larger numbers than their parent, so they are done before it.
        for node in tree.nodes().rev() {
            let mut hasher = DefaultHasher::new();
            (side.signature(node), side.input(node)).hash(&mut hasher);
            for child in tree.children(node) {
                side.subtree(child).hash(&mut hasher);
            }
            if let Some(place) = side.subtrees.get_mut(node.index()) {
                *place = hasher.finish();
            }
        }
        side
    }

    pub(super) fn signature(&self, node: NodeId) -> u32 {
        self.signatures
            .get(node.index())
            .copied()
            .unwrap_or(u32::MAX)
    }

    pub(super) fn input(&self, node: NodeId) -> u64 {
        self.inputs.get(node.index()).copied().unwrap_or(0)
    }

    pub(super) fn subtree(&self, node: NodeId) -> u64 {
        self.subtrees.get(node.index()).copied().unwrap_or(0)
    }

    /// A key that is equal for spans that are alike to the given degree.
    pub(super) fn key(&self, node: NodeId, degree: Degree) -> (u32, u64) {
        let rest = match degree {
            Degree::Subtree => self.subtree(node),
            Degree::Input => self.input(node),
            Degree::Signature => 0,
        };
        (self.signature(node), rest)
    }

    /// How well two spans go together; `None` when they are of different name or type. An equal
    /// input is worth more than two different ones, so order gives way to content.
    pub(super) fn affinity(&self, node: NodeId, other: &Side<'_>, at: NodeId) -> Option<u32> {
        if self.signature(node) != other.signature(at) {
            return None;
        }
        let whole = u32::from(self.subtree(node) == other.subtree(at)) * 50;
        if self.input(node) == other.input(at) {
            return Some(1000 + whole);
        }
        let differing = (self.sketch(node) ^ other.sketch(at)).count_ones();
        Some(300 + 3 * (64 - differing.min(64)))
    }

    /// SimHash over the words of the head of the input: similar texts have similar bits.
    fn sketch(&self, node: NodeId) -> u64 {
        let make = || {
            let text = self.tree.span(node).input.as_ref();
            let text = text.map_or("", opik_core::Json::as_str);
            let head = text.len().min(SKETCH_BYTES);
            let mut votes = [0i32; 64];
            let words = text.as_bytes().get(..head).unwrap_or_default();
            for word in words.split(|byte| !byte.is_ascii_alphanumeric() && byte.is_ascii()) {
                if word.is_empty() {
                    continue;
                }
                let mut hasher = DefaultHasher::new();
                word.hash(&mut hasher);
                let bits = hasher.finish();
                for (place, vote) in votes.iter_mut().enumerate() {
                    *vote += if bits >> place & 1 == 1 { 1 } else { -1 };
                }
            }
            let set = votes.iter().enumerate().filter(|(_, vote)| **vote > 0);
            set.fold(0u64, |sketch, (place, _)| sketch | 1 << place)
        };
        self.sketches
            .get(node.index())
            .map_or(0, |cell| *cell.get_or_init(make))
    }
}

/// How much two spans have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Degree {
    /// The whole subtree.
    Subtree,
    /// Name, type and input.
    Input,
    /// Name and type.
    Signature,
}
