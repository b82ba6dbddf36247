//! The same call again after it had failed.

use std::collections::HashMap;

use opik_core::tree::NodeId;

use super::{Repetition, RepetitionKind, Scene};
use crate::signature::Basis;

/// Attempts one right after the other.
pub(super) fn find(scene: &mut Scene<'_>, sequence: &[NodeId], found: &mut Vec<Repetition>) {
    let mut rest = sequence;
    while let Some((&first, _)) = rest.split_first() {
        let exact = &scene.signatures.exact;
        let equal = rest
            .iter()
            .take_while(|&&node| exact.at(node) == exact.at(first));
        let length = attempts(scene, equal);
        let (group, after) = rest.split_at_checked(length.max(1)).unwrap_or((rest, &[]));
        rest = after;
        found.extend(describe(scene, group, false));
    }
}

/// Attempts with other calls between them: those of an agent that looks at the error first, and
/// those of several calls at the same time. Only spans with recorded input can show them.
pub(super) fn find_apart(scene: &mut Scene<'_>, sequence: &[NodeId], found: &mut Vec<Repetition>) {
    let fails = sequence
        .iter()
        .any(|&node| scene.failed.at(node) && !scene.taken.at(node));
    if !fails {
        return;
    }
    let mut groups: HashMap<u32, Vec<NodeId>> = HashMap::new();
    for &node in sequence {
        if scene.signatures.basis.at(node) == Basis::Input && !scene.taken.at(node) {
            let exact = scene.signatures.exact.at(node);
            groups.entry(exact).or_default().push(node);
        }
    }
    let mut groups: Vec<Vec<NodeId>> = groups.into_values().collect();
    groups.retain(|group| group.len() >= 2);
    groups.sort_unstable();
    for group in groups {
        let mut rest = group.as_slice();
        while !rest.is_empty() {
            let length = attempts(scene, rest.iter());
            let (series, after) = rest.split_at_checked(length.max(1)).unwrap_or((rest, &[]));
            rest = after;
            found.extend(describe(scene, series, true));
        }
    }
}

/// How many of equal calls are attempts of one: all but the last failed.
fn attempts<'n>(scene: &Scene<'_>, equal: impl Iterator<Item = &'n NodeId>) -> usize {
    let mut length = 0;
    for &node in equal {
        length += 1;
        if !scene.failed.at(node) {
            break;
        }
    }
    length
}

fn describe(scene: &mut Scene<'_>, group: &[NodeId], apart: bool) -> Option<Repetition> {
    let (&last, before) = group.split_last()?;
    let &first = group.first()?;
    if group.len() < 2 || !scene.is_sequential(group) {
        return None;
    }
    let succeeded = !scene.failed.at(last);
    let lost = if succeeded { before } else { group };
    let until = scene.tree.interval(last);
    let until = if succeeded { until.start } else { until.end };
    // What ran between attempts that are apart was not all for them.
    let wasted_micros = if apart {
        scene.micros(lost)
    } else {
        until.micros_since(scene.tree.interval(first).start)
    };
    scene.take(group);
    Some(Repetition {
        kind: RepetitionKind::Retry,
        nodes: group.to_vec(),
        period: 1,
        times: group.len(),
        wasted_micros,
        wasted: scene.spent(lost),
        gaps: group
            .array_windows()
            .map(|&[a, b]| scene.gap(a, b))
            .collect(),
        progress: succeeded,
        apart,
        said: false,
    })
}
