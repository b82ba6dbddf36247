//! Equal calls at different places of the trace.

use std::collections::HashMap;

use opik_core::SpanType;
use opik_core::tree::NodeId;

use super::{Repetition, RepetitionKind, Scene};
use crate::signature::Basis;

pub(super) fn find(scene: &Scene<'_>, found: &mut Vec<Repetition>) {
    let mut groups: HashMap<u32, Vec<NodeId>> = HashMap::new();
    for node in scene.tree.nodes() {
        let calls = matches!(scene.tree.span(node).kind(), SpanType::Llm | SpanType::Tool);
        let known = scene.signatures.basis.at(node) == Basis::Input;
        if calls && known && !scene.failed.at(node) && !scene.taken.at(node) {
            groups
                .entry(scene.signatures.exact.at(node))
                .or_default()
                .push(node);
        }
    }
    for mut nodes in groups.into_values() {
        if nodes.len() < 2 {
            continue;
        }
        nodes.sort_by_key(|&node| (scene.tree.interval(node).start, node));
        let Some((&first, again)) = nodes.split_first() else {
            continue;
        };
        let output = |node: NodeId| scene.tree.span(node).output.as_ref();
        if again.iter().any(|&node| output(node) != output(first)) {
            continue;
        }
        found.push(Repetition {
            kind: RepetitionKind::Duplicate,
            period: 1,
            times: nodes.len(),
            wasted_micros: scene.micros(again),
            wasted: scene.spent(again),
            gaps: Vec::new(),
            progress: false,
            apart: false,
            said: false,
            nodes,
        });
    }
}
