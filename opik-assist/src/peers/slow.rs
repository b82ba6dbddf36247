//! Durations beside those of peers.

use std::collections::HashMap;

use opik_core::tree::NodeId;
use opik_core::{Span, SpanType, TraceTree};
use serde::Serialize;

use super::attempts;
use super::stats::{Robust, wilson};
use crate::PerNode;
use crate::analysis::Evidence;
use crate::figures::{millis, number, real, time_share};
use crate::signature::Mix;

/// Peers that are enough.
const ENOUGH: usize = 20;
/// Score above which a span is slow.
const SCORE: f64 = 3.5;
/// Excess over the median that matters, and share of the critical path that makes a span matter
/// without it, in percent of the trace.
pub(super) const WORTH: f64 = 5.0;
/// Spans that are told to have too few peers.
const TOO_FEW: usize = 3;
/// From this share of the ratio of durations on, one of two causes is the cause.
const CAUSE: f64 = 0.7;

/// What peers of a span have in common with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Likeness {
    /// Kind, name, model, and the names of all spans above.
    Path,
    /// Kind, name and model.
    Model,
    /// Kind and name.
    Name,
    /// They are whole traces.
    Trace,
}

/// A duration among those of peers.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Standing {
    /// How long it took, in microseconds.
    pub micros: i64,
    /// How many peers there are.
    pub peers: usize,
    /// What they have in common with it.
    pub likeness: Likeness,
    /// Their median, in microseconds.
    pub median: i64,
    /// The robust score over logarithms.
    pub score: f64,
    /// How many peers took no longer.
    pub no_longer: usize,
    /// The 95 % interval of the share of such spans that take no longer.
    pub interval: (f64, f64),
}

impl Standing {
    /// How many times the median it took.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        millis(self.micros) / millis(self.median.max(1))
    }

    /// Whether there are enough peers and the score is above 3.5.
    #[must_use]
    pub fn is_slow(&self) -> bool {
        self.peers >= ENOUGH && self.score > SCORE
    }
}

/// Why a model call took longer.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Share {
    /// Its output tokens, as a multiple of the peers' median.
    pub tokens: f64,
    /// Its time per output token (without the time to the first one, where known), as a multiple
    /// of the peers' median.
    pub time_per_token: f64,
}

impl Share {
    /// Whether nearly all of it is more output.
    #[must_use]
    pub fn is_more_tokens(&self) -> bool {
        self.of_tokens() >= CAUSE
    }

    /// Whether nearly all of it is a slower model.
    #[must_use]
    pub fn is_slower_model(&self) -> bool {
        self.of_tokens() <= 1.0 - CAUSE
    }

    /// The share of the ratio of durations, in logarithms, that more tokens explain.
    fn of_tokens(&self) -> f64 {
        let (tokens, time) = (self.tokens.ln().max(0.0), self.time_per_token.ln().max(0.0));
        if tokens + time > 0.0 {
            tokens / (tokens + time)
        } else {
            0.5
        }
    }
}

/// A span that is slow beside its peers.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Slow {
    /// The span.
    pub node: NodeId,
    /// Its duration among theirs.
    pub standing: Standing,
    /// Its own time on the critical path, in microseconds.
    pub on_path: i64,
    /// For model calls with known tokens: more tokens, or more time for each.
    pub share: Option<Share>,
}

/// A span that matters and has too few peers.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct TooFew {
    /// The span.
    pub node: NodeId,
    /// Its duration among those that there are; `None` without any.
    pub standing: Option<Standing>,
}

/// A peer of a span.
#[derive(Debug, Clone, Copy)]
struct Sample {
    micros: i64,
    tokens: Option<(f64, f64)>,
}

impl Sample {
    fn of(span: &Span, micros: i64) -> Self {
        let tokens = span.usage.completion_tokens().filter(|&tokens| tokens > 0);
        let is_call = span.kind() == &SpanType::Llm;
        let first = span
            .ttft
            .filter(|first| first.is_finite() && *first >= 0.0)
            .unwrap_or(0.0);
        let tokens = tokens.filter(|_| is_call).map(|tokens| {
            let tokens = real(tokens);
            (tokens, (millis(micros) - first).max(0.001) / tokens)
        });
        Self { micros, tokens }
    }
}

/// Peers by what they have in common.
#[derive(Debug, Default)]
struct Groups(HashMap<u64, Vec<Sample>>);

impl Groups {
    fn new(others: &[&TraceTree]) -> Self {
        let mut groups = Self::default();
        for tree in others {
            let (paths, repeated) = (paths(tree), attempts::repeated(tree));
            for node in tree.nodes().filter(|&node| !repeated.at(node)) {
                let span = tree.span(node);
                let sample = Sample::of(span, tree.interval(node).micros());
                for likeness in [Likeness::Path, Likeness::Model, Likeness::Name] {
                    let key = key(span, paths.at(node), likeness);
                    groups.0.entry(key).or_default().push(sample);
                }
            }
        }
        groups
    }

    /// The closest peers that are enough, else the most.
    fn of(&self, span: &Span, path: u64) -> Option<(Likeness, &[Sample])> {
        let mut most: Option<(Likeness, &[Sample])> = None;
        for likeness in [Likeness::Path, Likeness::Model, Likeness::Name] {
            let Some(samples) = self.0.get(&key(span, path, likeness)) else {
                continue;
            };
            if samples.len() >= ENOUGH {
                return Some((likeness, samples));
            }
            if most.is_none_or(|(_, known)| known.len() < samples.len()) {
                most = Some((likeness, samples));
            }
        }
        most
    }
}

/// A hash of the kinds and names above every span.
pub(super) fn paths(tree: &TraceTree) -> PerNode<u64> {
    let mut paths = PerNode::filled(tree, 0u64);
    for node in tree.nodes() {
        let Some(parent) = tree.parent(node) else {
            continue;
        };
        let above = tree.span(parent);
        let mut mix = Mix::default();
        mix.add(paths.at(parent));
        mix.text(above.kind().as_str());
        mix.text(above.name.as_deref().unwrap_or_default());
        paths.set(node, mix.value());
    }
    paths
}

fn key(span: &Span, path: u64, likeness: Likeness) -> u64 {
    let mut mix = Mix::default();
    mix.add(likeness as u64);
    mix.text(span.kind().as_str());
    mix.text(span.name.as_deref().unwrap_or_default());
    if likeness != Likeness::Name {
        mix.text(span.model.as_deref().unwrap_or_default());
    }
    if likeness == Likeness::Path {
        mix.add(path);
    }
    mix.value()
}

pub(super) fn standing(micros: i64, likeness: Likeness, samples: &[i64]) -> Option<Standing> {
    let robust = Robust::of(samples.iter().map(|&micros| real(micros)), 1.0)?;
    let no_longer = samples.iter().filter(|&&other| other <= micros).count();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a duration in microseconds"
    )]
    let median = robust.median().round() as i64;
    Some(Standing {
        micros,
        peers: samples.len(),
        likeness,
        median,
        score: robust.score(real(micros), 1.0),
        no_longer,
        interval: wilson(no_longer, samples.len()),
    })
}

/// The duration of the whole trace among those of its peers.
pub(super) fn of_trace(tree: &TraceTree, others: &[&TraceTree]) -> Option<Standing> {
    let walls: Vec<i64> = others.iter().map(|tree| tree.wall().micros()).collect();
    standing(tree.wall().micros(), Likeness::Trace, &walls)
}

/// Spans that are slow, and spans that matter and have too few peers.
pub(super) fn slow(
    tree: &TraceTree,
    evidence: &Evidence,
    others: &[&TraceTree],
) -> (Vec<Slow>, Vec<TooFew>) {
    if others.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let groups = Groups::new(others);
    let paths = paths(tree);
    let wall = tree.wall().micros();
    let (mut slow, mut too_few) = (Vec::new(), Vec::new());
    // Many spans have the same peers, and a median of many is not free.
    let mut known: HashMap<u64, Robust> = HashMap::new();
    for node in tree.nodes() {
        let span = tree.span(node);
        let micros = tree.interval(node).micros();
        let on_path = evidence.critical_path.own.get(node).copied().unwrap_or(0);
        let found = groups.of(span, paths.at(node));
        let enough = found.filter(|(_, samples)| samples.len() >= ENOUGH);
        let Some((likeness, samples)) = enough else {
            if time_share(on_path, wall) >= WORTH {
                let standing = found.and_then(|(likeness, samples)| {
                    let times: Vec<i64> = samples.iter().map(|sample| sample.micros).collect();
                    standing(micros, likeness, &times)
                });
                too_few.push((on_path, TooFew { node, standing }));
            }
            continue;
        };
        let key = key(span, paths.at(node), likeness);
        let robust = match known.get(&key) {
            Some(robust) => *robust,
            None => {
                let times = samples.iter().map(|sample| real(sample.micros));
                let Some(robust) = Robust::of(times, 1.0) else {
                    continue;
                };
                known.insert(key, robust);
                robust
            }
        };
        let excess = real(micros) - robust.median();
        if robust.score(real(micros), 1.0) <= SCORE || excess < WORTH / 100.0 * real(wall) {
            continue;
        }
        let times: Vec<i64> = samples.iter().map(|sample| sample.micros).collect();
        if let Some(standing) = standing(micros, likeness, &times) {
            let share = share(Sample::of(span, micros), samples);
            slow.push(Slow {
                node,
                standing,
                on_path,
                share,
            });
        }
    }
    drop_explained(tree, &mut slow, wall);
    let weight = |slow: &Slow| {
        let excess = real(slow.standing.micros - slow.standing.median);
        excess * (real(slow.on_path) + 1.0)
    };
    slow.sort_by(|a, b| weight(b).total_cmp(&weight(a)).then(a.node.cmp(&b.node)));
    too_few.sort_by_key(|&(on_path, few)| (std::cmp::Reverse(on_path), few.node));
    let too_few = too_few
        .into_iter()
        .take(TOO_FEW)
        .map(|(_, few)| few)
        .collect();
    (slow, too_few)
}

/// Leaves out spans that are slow because of slow spans below them. The list is in pre-order.
fn drop_explained(tree: &TraceTree, slow: &mut Vec<Slow>, wall: i64) {
    let mut below: PerNode<i64> = PerNode::filled(tree, 0);
    let mut explained: PerNode<bool> = PerNode::filled(tree, false);
    for node in tree.nodes().rev() {
        let mut excess = below.at(node);
        let place = slow.binary_search_by_key(&node, |slow| slow.node);
        if let Some(found) = place.ok().and_then(|place| slow.get(place)) {
            let own = found.standing.micros - found.standing.median - excess;
            if time_share(own, wall) < WORTH {
                explained.set(node, true);
            } else {
                excess += own;
            }
        }
        if let Some(parent) = tree.parent(node) {
            below.update(parent, |sum| *sum += excess);
        }
    }
    slow.retain(|slow| !explained.at(slow.node));
}

/// Splits the ratio of durations of a model call.
fn share(own: Sample, samples: &[Sample]) -> Option<Share> {
    let (tokens, time) = own.tokens?;
    let known: Vec<(f64, f64)> = samples.iter().filter_map(|sample| sample.tokens).collect();
    // Half of the peers must say how many tokens they made.
    if number(known.len()) * 2.0 < number(samples.len()) {
        return None;
    }
    let usual_tokens = Robust::of(known.iter().map(|known| known.0), 1.0)?.median();
    let usual_time = Robust::of(known.iter().map(|known| known.1), 1e-6)?.median();
    Some(Share {
        tokens: tokens / usual_tokens,
        time_per_token: time / usual_time,
    })
}
