//! A call that makes itself again: the same signature on the way to the root.

use opik_core::tree::NodeId;

use super::{Repetition, RepetitionKind, Scene};
use crate::PerNode;
use crate::signature::Basis;

/// Least levels; a wrapper has the name and the input of what it wraps now and then.
const LEAST: usize = 3;

pub(super) fn find(scene: &Scene<'_>, found: &mut Vec<Repetition>) {
    let tree = scene.tree;
    let exact = &scene.signatures.exact;
    // The nearest span above with the same signature, and how many levels that makes.
    let mut above: PerNode<Option<NodeId>> = PerNode::filled(tree, None);
    let mut levels: PerNode<usize> = PerNode::filled(tree, 1);
    let mut goes_on: PerNode<bool> = PerNode::filled(tree, false);
    // The last span of each signature; signatures are numbered from 0.
    let count = exact.iter().max().map_or(0, |&most| most as usize + 1);
    let mut last: Vec<Option<NodeId>> = vec![None; count];
    for node in tree.nodes() {
        if scene.signatures.basis.at(node) != Basis::Input {
            continue;
        }
        let Some(last) = last.get_mut(exact.at(node) as usize) else {
            continue;
        };
        // Pre-order: what is not above this span is not above a later one either.
        let mut nearest = last.replace(node);
        while let Some(other) = nearest.filter(|&other| !tree.is_ancestor(other, node)) {
            nearest = above.at(other);
        }
        if let Some(nearest) = nearest {
            above.set(node, Some(nearest));
            levels.set(node, levels.at(nearest) + 1);
            goes_on.set(nearest, true);
        }
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
            said: false,
            nodes,
        });
    }
}
