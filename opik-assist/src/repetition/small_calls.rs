//! Many small calls in a row that one call could replace (the N+1 pattern).

use std::collections::HashMap;

use opik_core::SpanType;
use opik_core::tree::NodeId;

use super::{Repetition, RepetitionKind, Scene};

/// Least number of calls.
const LEAST: usize = 5;
/// Gaps are shorter than this share of a mean call.
const GAP: i64 = 10;
/// Gaps up to this many microseconds never count.
const NO_GAP: i64 = 1_000;

pub(super) fn find(scene: &mut Scene<'_>, sequence: &[NodeId], found: &mut Vec<Repetition>) {
    if sequence.len() < LEAST {
        return;
    }
    let mut groups: HashMap<u32, Vec<NodeId>> = HashMap::new();
    for &node in sequence {
        let is_call = scene.tree.span(node).kind() != &SpanType::Llm;
        if is_call && scene.has_content(node) && !scene.taken.at(node) {
            groups
                .entry(scene.signatures.loose.at(node))
                .or_default()
                .push(node);
        }
    }
    let mut groups: Vec<Vec<NodeId>> = groups.into_values().collect();
    groups.retain(|group| group.len() >= LEAST);
    groups.sort_unstable();
    for group in groups {
        let total = scene.micros(&group);
        let mean = total / i64::try_from(group.len()).unwrap_or(i64::MAX);
        let longest_gap = (mean / GAP).max(NO_GAP);
        let tight = |&&[a, b]: &&[NodeId; 2]| (0..=longest_gap).contains(&scene.gap(a, b));
        if group.array_windows().filter(tight).count() + 1 < group.len() {
            continue;
        }
        let longest = group
            .iter()
            .map(|&node| scene.tree.interval(node).micros())
            .max();
        let again = group.get(1..).unwrap_or_default();
        found.push(Repetition {
            kind: RepetitionKind::ManySmallCalls,
            period: 1,
            times: group.len(),
            wasted_micros: total - longest.unwrap_or(0),
            wasted: scene.spent(again),
            gaps: Vec::new(),
            progress: true,
            apart: false,
            said: false,
            nodes: group.clone(),
        });
        scene.take(&group);
    }
}
