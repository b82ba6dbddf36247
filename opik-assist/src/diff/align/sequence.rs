//! Alignment of two lists that keeps their order.
//!
//! Equal heads and tails are matched first. A short rest gets the heaviest common subsequence by
//! dynamic programming. A long one is cut at anchors, elements that occur once in either list
//! (patience diff), by the whole subtree, then by the input, then by the name; where no anchor is
//! left, the n-th of a name is matched with the n-th.

use std::collections::HashMap;
use std::ops::Range;

use opik_core::tree::NodeId;

use super::side::{Degree, Side};

/// Largest table of the dynamic programming, in cells.
const TABLE: usize = 10_000;
/// Rounds of cutting at anchors for each degree, so that the work stays linear.
const ROUNDS: [Degree; 6] = [
    Degree::Subtree,
    Degree::Subtree,
    Degree::Input,
    Degree::Input,
    Degree::Signature,
    Degree::Signature,
];

/// Two stretches between matched elements.
struct Gap {
    old: Range<usize>,
    new: Range<usize>,
    round: usize,
}

/// Pairs of equal name and type. In order, except in long stretches without an anchor.
pub(super) fn in_order(
    a: &Side<'_>,
    old: &[NodeId],
    b: &Side<'_>,
    new: &[NodeId],
) -> Vec<(NodeId, NodeId)> {
    let mut pairs = Vec::with_capacity(old.len().min(new.len()));
    let mut gaps = vec![Gap {
        old: 0..old.len(),
        new: 0..new.len(),
        round: 0,
    }];
    while let Some(mut gap) = gaps.pop() {
        let (x, y) = (slice(old, &gap.old), slice(new, &gap.new));
        let (head, tail) = equal_ends(a, x, b, y);
        let matched = |from: &[NodeId], to: &[NodeId]| {
            let both = from.iter().zip(to).map(|(&x, &y)| (x, y));
            both.collect::<Vec<_>>()
        };
        pairs.extend(matched(slice(x, &(0..head)), slice(y, &(0..head))));
        pairs.extend(matched(
            slice(x, &(x.len() - tail..x.len())),
            slice(y, &(y.len() - tail..y.len())),
        ));
        gap.old = gap.old.start + head..gap.old.end - tail;
        gap.new = gap.new.start + head..gap.new.end - tail;
        let (x, y) = (slice(old, &gap.old), slice(new, &gap.new));
        if x.is_empty() || y.is_empty() {
            continue;
        }
        if x.len().saturating_mul(y.len()) <= TABLE {
            pairs.extend(heaviest(a, x, b, y));
            continue;
        }
        let Some(&degree) = ROUNDS.get(gap.round) else {
            pairs.extend(nth_with_nth(a, x, b, y));
            continue;
        };
        let anchors = anchors(a, x, b, y, degree);
        let (mut from, mut to) = (gap.old.start, gap.new.start);
        for &(i, j) in &anchors {
            pairs.extend(x.get(i).zip(y.get(j)).map(|(&x, &y)| (x, y)));
            let (i, j) = (gap.old.start + i, gap.new.start + j);
            gaps.push(Gap {
                old: from..i,
                new: to..j,
                round: gap.round + 1,
            });
            (from, to) = (i + 1, j + 1);
        }
        gaps.push(Gap {
            old: from..gap.old.end,
            new: to..gap.new.end,
            round: gap.round + 1,
        });
    }
    pairs
}

fn slice<'n>(nodes: &'n [NodeId], range: &Range<usize>) -> &'n [NodeId] {
    nodes.get(range.clone()).unwrap_or_default()
}

/// How many subtrees are equal at the head and at the tail.
fn equal_ends(a: &Side<'_>, x: &[NodeId], b: &Side<'_>, y: &[NodeId]) -> (usize, usize) {
    let equal =
        |&(&x, &y): &(&NodeId, &NodeId)| a.key(x, Degree::Subtree) == b.key(y, Degree::Subtree);
    let head = x.iter().zip(y).take_while(equal).count();
    let room = x.len().min(y.len()) - head;
    let backwards = x.iter().rev().zip(y.iter().rev()).take(room);
    (head, backwards.take_while(equal).count())
}

/// The common subsequence with the largest sum of affinities.
#[expect(
    clippy::indexing_slicing,
    reason = "i and j stay within the table, which is made for them"
)]
fn heaviest(a: &Side<'_>, x: &[NodeId], b: &Side<'_>, y: &[NodeId]) -> Vec<(NodeId, NodeId)> {
    let width = y.len() + 1;
    // best[i * width + j]: the largest sum for x[i..] and y[j..].
    let mut best = vec![0u32; (x.len() + 1) * width];
    let affinity = |i: usize, j: usize| a.affinity(x[i], b, y[j]);
    for i in (0..x.len()).rev() {
        for j in (0..y.len()).rev() {
            let skip = best[(i + 1) * width + j].max(best[i * width + j + 1]);
            let take = affinity(i, j).map_or(0, |gain| gain + best[(i + 1) * width + j + 1]);
            best[i * width + j] = skip.max(take);
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while i < x.len() && j < y.len() {
        let here = best[i * width + j];
        let taken = affinity(i, j).map(|gain| gain + best[(i + 1) * width + j + 1]);
        if taken == Some(here) {
            pairs.push((x[i], y[j]));
            (i, j) = (i + 1, j + 1);
        } else if best[(i + 1) * width + j] == here {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

/// Elements that occur once in either list and keep their order: the longest such chain.
fn anchors(
    a: &Side<'_>,
    x: &[NodeId],
    b: &Side<'_>,
    y: &[NodeId],
    degree: Degree,
) -> Vec<(usize, usize)> {
    let once = |side: &Side<'_>, nodes: &[NodeId]| {
        let mut places: HashMap<(u32, u64), Option<usize>> = HashMap::with_capacity(nodes.len());
        for (at, &node) in nodes.iter().enumerate() {
            places
                .entry(side.key(node, degree))
                .and_modify(|place| *place = None)
                .or_insert(Some(at));
        }
        places
    };
    let (old, new) = (once(a, x), once(b, y));
    let mut common: Vec<(usize, usize)> = old
        .into_iter()
        .filter_map(|(key, place)| Some((place?, (*new.get(&key)?)?)))
        .collect();
    common.sort_unstable();
    longest_rising(&common)
}

/// The longest chain whose second numbers rise, of pairs whose first numbers do.
fn longest_rising(pairs: &[(usize, usize)]) -> Vec<(usize, usize)> {
    // ends[k]: the pair with the lowest second number that ends a chain of k + 1 pairs.
    let mut ends: Vec<usize> = Vec::new();
    let mut previous: Vec<Option<usize>> = Vec::with_capacity(pairs.len());
    let second = |at: usize| pairs.get(at).map(|pair| pair.1);
    for (at, pair) in pairs.iter().enumerate() {
        let length = ends.partition_point(|&end| second(end) < Some(pair.1));
        previous.push(length.checked_sub(1).and_then(|k| ends.get(k).copied()));
        match ends.get_mut(length) {
            Some(end) => *end = at,
            None => ends.push(at),
        }
    }
    let last = ends.last().copied();
    let chain = std::iter::successors(last, |&at| previous.get(at).copied().flatten());
    let mut chain: Vec<(usize, usize)> = chain.filter_map(|at| pairs.get(at).copied()).collect();
    chain.reverse();
    chain
}

/// The first of a name with the first, the second with the second.
fn nth_with_nth(a: &Side<'_>, x: &[NodeId], b: &Side<'_>, y: &[NodeId]) -> Vec<(NodeId, NodeId)> {
    let mut waiting: HashMap<u32, Vec<NodeId>> = HashMap::new();
    for &node in y.iter().rev() {
        waiting.entry(b.signature(node)).or_default().push(node);
    }
    x.iter()
        .filter_map(|&node| Some((node, waiting.get_mut(&a.signature(node))?.pop()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Longest rising chain by trying all: quadratic and plain.
    fn slow_length(pairs: &[(usize, usize)]) -> usize {
        let mut best = vec![1; pairs.len()];
        for i in 0..pairs.len() {
            for j in 0..i {
                if pairs[j].1 < pairs[i].1 {
                    best[i] = best[i].max(best[j] + 1);
                }
            }
        }
        best.into_iter().max().unwrap_or(0)
    }

    proptest! {
        #[test]
        fn the_chain_rises_and_is_the_longest(order in Just((0..30usize).collect::<Vec<_>>()).prop_shuffle()) {
            let pairs: Vec<_> = order.into_iter().enumerate().collect();
            let chain = longest_rising(&pairs);
            prop_assert!(chain.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 < two[1].1));
            prop_assert_eq!(chain.len(), slow_length(&pairs));
        }
    }
}
