//! Sequences that repeat with a period: `abcabcabc`.
//!
//! For each period `p` the runs of positions with `s[i] == s[i + p]` are the repeats; smaller
//! periods first, so that `abab` is two letters four times and not four letters twice.

use std::collections::HashMap;

use opik_core::tree::NodeId;

use super::{Repetition, RepetitionKind, Scene};
use crate::signature::Basis;

/// Longest period.
const PERIOD: usize = 64;
/// Least repetitions of an exact loop.
const EXACT: usize = 3;
/// Least repetitions of a near loop.
const NEAR: usize = 4;

pub(super) fn find(
    scene: &mut Scene<'_>,
    sequence: &[NodeId],
    exact: bool,
    found: &mut Vec<Repetition>,
) {
    let least = if exact { EXACT } else { NEAR };
    // Names alone, and outputs that only look alike, are what every agent repeats.
    let usable = |node: NodeId| match scene.signatures.basis.at(node) {
        Basis::Input => true,
        Basis::Output => exact,
        Basis::Name => false,
    };
    let table = if exact {
        &scene.signatures.exact
    } else {
        &scene.signatures.loose
    };
    // What cannot repeat gets a number of its own, so that it equals nothing.
    let signs: Vec<u64> = sequence
        .iter()
        .zip(1u64..)
        .map(|(&node, place)| {
            if usable(node) && !scene.taken.at(node) {
                u64::from(table.at(node))
            } else {
                place << 32
            }
        })
        .collect();
    let mut counts: HashMap<u64, usize> = HashMap::new();
    for &sign in &signs {
        *counts.entry(sign).or_default() += 1;
    }
    if signs.len() < least || counts.values().all(|&count| count < least) {
        return;
    }
    let mut covered = vec![false; signs.len()];
    for period in 1..=PERIOD.min(signs.len() / least) {
        for run in runs(&signs, period) {
            let times = run.len() / period + 1;
            let Some(cover) = covered.get_mut(run.start..run.end + period) else {
                continue;
            };
            if times < least || cover.iter().any(|&taken| taken) {
                continue;
            }
            let nodes = sequence.get(run.start..run.start + times * period);
            let Some(repetition) = nodes.and_then(|nodes| describe(scene, nodes, period, exact))
            else {
                continue;
            };
            cover.fill(true);
            found.push(repetition);
        }
    }
    for (&node, &covered) in sequence.iter().zip(&covered) {
        scene.taken.update(node, |taken| *taken |= covered);
    }
}

/// The stretches of positions `i` with `s[i] == s[i + period]`.
fn runs(signs: &[u64], period: usize) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    let later = signs.iter().skip(period);
    for (place, (now, then)) in signs.iter().zip(later).enumerate() {
        if now != then {
            continue;
        }
        match runs.last_mut() {
            Some(run) if run.end == place => run.end += 1,
            _ => runs.push(place..place + 1),
        }
    }
    runs
}

fn describe(scene: &Scene<'_>, nodes: &[NodeId], period: usize, exact: bool) -> Option<Repetition> {
    // Equal calls side by side are a fan-out and no loop.
    let overlaps = nodes
        .array_windows()
        .filter(|&&[a, b]| scene.gap(a, b) < 0)
        .count();
    if overlaps * 2 >= nodes.len() {
        return None;
    }
    let (first, again) = nodes.split_at_checked(period)?;
    let output = |node: NodeId| scene.tree.span(node).output.as_ref();
    let same_outputs = again.chunks(period).all(|turn| {
        turn.iter()
            .zip(first)
            .all(|(&a, &b)| output(a) == output(b))
    });
    Some(Repetition {
        kind: if exact {
            RepetitionKind::Loop
        } else {
            RepetitionKind::NearLoop
        },
        nodes: nodes.to_vec(),
        period,
        times: nodes.len() / period,
        wasted_micros: scene.micros(again),
        wasted: scene.spent(again),
        gaps: Vec::new(),
        progress: !same_outputs,
        apart: false,
        said: false,
    })
}
