//! A call that makes itself again: the same signature on the way to the root.

use std::collections::HashMap;

use opik_core::tree::NodeId;

use super::{Repetition, RepetitionKind, Scene};
use crate::PerNode;
use crate::signature::Basis;

/// Least levels; a wrapper has the name and the input of what it wraps now and then.
const LEAST: usize = 3;

pub(super) fn find(scene: &Scene<'_>, found: &mut Vec<Repetition>) {
    let tree = scene.tree;
    // The nearest span above with the same signature, and how many levels that makes.
    let mut above: PerNode<Option<NodeId>> = PerNode::filled(tree, None);
    let mut levels: PerNode<usize> = PerNode::filled(tree, 1);
    let mut goes_on: PerNode<bool> = PerNode::filled(tree, false);
    let mut open: HashMap<u32, Vec<(NodeId, usize)>> = HashMap::new();
    for node in tree.nodes() {
        if scene.signatures.basis.at(node) != Basis::Input {
            continue;
        }
        let end = node.index() + tree.descendants(node).len();
        let same = open.entry(scene.signatures.exact.at(node)).or_default();
        while same.last().is_some_and(|&(_, end)| end < node.index()) {
            same.pop();
        }
        if let Some(&(nearest, _)) = same.last() {
            above.set(node, Some(nearest));
            levels.set(node, levels.at(nearest) + 1);
            goes_on.set(nearest, true);
        }
        same.push((node, end));
    }
    for node in tree.nodes() {
        if levels.at(node) < LEAST || goes_on.at(node) {
            continue;
        }
        let chain = std::iter::successors(Some(node), |&node| above.at(node));
        let mut nodes: Vec<NodeId> = chain.collect();
        nodes.reverse();
        let Some(&second) = nodes.get(1) else {
            continue;
        };
        found.push(Repetition {
            kind: RepetitionKind::Recursion,
            period: 1,
            times: nodes.len(),
            // The second contains all others.
            wasted_micros: tree.interval(second).micros(),
            wasted: scene.spend.subtree.at(second),
            gaps: Vec::new(),
            progress: false,
            apart: false,
            nodes,
        });
    }
}
