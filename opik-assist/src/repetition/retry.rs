//! The same call again after it had failed.

use opik_core::tree::NodeId;

use super::{Repetition, RepetitionKind, Scene};

pub(super) fn find(scene: &mut Scene<'_>, sequence: &[NodeId], found: &mut Vec<Repetition>) {
    let mut rest = sequence;
    while let Some((&first, _)) = rest.split_first() {
        let length = attempts(scene, first, rest);
        let (group, after) = rest.split_at_checked(length.max(1)).unwrap_or((rest, &[]));
        rest = after;
        let Some((&last, before)) = group.split_last() else {
            continue;
        };
        if group.len() < 2 || !scene.is_sequential(group) {
            continue;
        }
        let succeeded = !scene.failed.at(last);
        let lost = if succeeded { before } else { group };
        let until = scene.tree.interval(last);
        let until = if succeeded { until.start } else { until.end };
        found.push(Repetition {
            kind: RepetitionKind::Retry,
            nodes: group.to_vec(),
            period: 1,
            times: group.len(),
            wasted_micros: until.micros_since(scene.tree.interval(first).start),
            wasted: scene.spent(lost),
            gaps: group
                .array_windows()
                .map(|&[a, b]| scene.gap(a, b))
                .collect(),
            progress: succeeded,
        });
        scene.take(group);
    }
}

/// How many spans from the start on are attempts of one call: equal, and all but the last failed.
fn attempts(scene: &Scene<'_>, first: NodeId, rest: &[NodeId]) -> usize {
    let exact = &scene.signatures.exact;
    let equal = rest
        .iter()
        .take_while(|&&node| exact.at(node) == exact.at(first));
    let mut length = 0;
    for &node in equal {
        length += 1;
        if !scene.failed.at(node) {
            break;
        }
    }
    length
}
