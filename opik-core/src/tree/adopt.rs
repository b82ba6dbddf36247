//! New parents for orphans.
//!
//! An orphan goes below the shortest span that encloses it in time and is longer than it. Spans
//! that were finished go before those that were not, which count as running until the end of the
//! trace; spans without a start adopt nobody. A span of the orphan's own tree cannot adopt it.
//!
//! Spans enter a tournament over their ends in the order of their starts; whoever is asked for has
//! begun by then, and the leaves that end late enough are the enclosing ones. That makes
//! `O(log n)` per orphan, however many spans enclose it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::Interval;
use super::build::Draft;
use crate::{Timestamp, Trace};

/// How many enclosing spans of its own tree an orphan passes over before it is left at the top.
const CANDIDATES: usize = 64;

/// Gives each orphan a parent, where a span can be one.
pub(super) fn adopt(draft: &mut Draft, orphans: &[usize], trace: &Trace) {
    if orphans.is_empty() {
        return;
    }
    let times = assumed_times(draft, trace);
    let time = |index: usize| times.get(index).copied();
    let id = |index: usize| draft.spans.get(index).map(|span| span.id);
    let by_start = |&index: &usize| {
        let times = time(index).map(|times| (times.start, Reverse(times.end)));
        (times, id(index))
    };
    let finished = |index: usize| {
        draft
            .spans
            .get(index)
            .is_some_and(|span| span.end_time.is_some())
    };

    let has_start = |index: usize| {
        draft
            .spans
            .get(index)
            .is_some_and(|span| span.start_time != Timestamp::EPOCH)
    };
    let mut entrants: Vec<usize> = (0..draft.spans.len())
        .filter(|&index| has_start(index))
        .collect();
    // The order of preference decides a tournament, the order of ends is the place in it.
    entrants.sort_unstable_by_key(|&index| {
        let times = time(index).map(|times| (times.micros(), Reverse(times.start)));
        (!finished(index), times, id(index))
    });
    let mut rank = vec![0usize; draft.spans.len()];
    for (place, &index) in entrants.iter().enumerate() {
        if let Some(slot) = rank.get_mut(index) {
            *slot = place;
        }
    }
    let preferred = entrants.clone();
    entrants.sort_unstable_by_key(|&index| (time(index).map(|times| times.end), id(index)));
    let mut seat = vec![0usize; draft.spans.len()];
    for (place, &index) in entrants.iter().enumerate() {
        if let Some(slot) = seat.get_mut(index) {
            *slot = place;
        }
    }
    let ends: Vec<Option<Timestamp>> = entrants
        .iter()
        .map(|&index| time(index).map(|times| times.end))
        .collect();
    entrants.sort_unstable_by_key(by_start);
    let mut waiting: Vec<usize> = orphans
        .iter()
        .copied()
        .filter(|&orphan| has_start(orphan))
        .collect();
    waiting.sort_unstable_by_key(by_start);

    let mut tournament = Tournament::new(entrants.len());
    let mut tops = Tops::new(&draft.parent);
    let mut entering = entrants.into_iter().peekable();
    let mut chosen = Vec::with_capacity(waiting.len());
    for orphan in waiting {
        let Some(own) = time(orphan) else { continue };
        // All that began earlier, or at the same moment and end later: enclosing means longer.
        let begun =
            |other: Interval| (other.start, Reverse(other.end)) < (own.start, Reverse(own.end));
        while let Some(entrant) = entering.next_if(|&index| time(index).is_some_and(begun)) {
            if let (Some(&seat), Some(&rank)) = (seat.get(entrant), rank.get(entrant)) {
                tournament.enter(seat, rank);
            }
        }
        let first = ends.partition_point(|&end| end < Some(own.end));
        let parent = tournament
            .best_from(first)
            .take(CANDIDATES)
            .filter_map(|rank| preferred.get(rank).copied())
            .find(|&candidate| tops.top(candidate) != orphan);
        if let Some(parent) = parent {
            tops.attach(orphan, parent);
            chosen.push((orphan, parent));
        }
    }
    for (orphan, parent) in chosen {
        if let Some(slot) = draft.parent.get_mut(orphan) {
            *slot = Some(parent);
        }
        if let Some(inferred) = draft.inferred.get_mut(orphan) {
            *inferred = true;
        }
    }
}

/// When spans ran as far as is known before there is a tree.
fn assumed_times(draft: &Draft, trace: &Trace) -> Vec<Interval> {
    let last = draft
        .spans
        .iter()
        .map(|span| {
            span.end_time
                .unwrap_or(span.start_time)
                .max(span.start_time)
        })
        .chain(trace.end_time)
        .max()
        .unwrap_or(trace.start_time);
    let assumed = draft.spans.iter().map(|span| Interval {
        start: span.start_time,
        end: span.end_time.unwrap_or(last).max(span.start_time),
    });
    assumed.collect()
}

/// A complete binary tree of seats; each inner node knows the best rank below it.
struct Tournament {
    /// Node 1 is the top, the children of `i` are `2i` and `2i + 1`, the seats are the last half.
    best: Vec<usize>,
    seats: usize,
}

impl Tournament {
    const EMPTY: usize = usize::MAX;

    fn new(seats: usize) -> Self {
        let seats = seats.max(1).next_power_of_two();
        Self {
            best: vec![Self::EMPTY; 2 * seats],
            seats,
        }
    }

    fn enter(&mut self, seat: usize, rank: usize) {
        let mut node = self.seats + seat;
        while node > 0 {
            match self.best.get_mut(node) {
                Some(best) if rank < *best => *best = rank,
                _ => break,
            }
            node /= 2;
        }
    }

    /// Ranks of those who sit at `first` or later, the best first.
    fn best_from(&self, first: usize) -> impl Iterator<Item = usize> + '_ {
        let mut heap = BinaryHeap::new();
        let push =
            |heap: &mut BinaryHeap<Reverse<(usize, usize)>>, node: usize| match self.best.get(node)
            {
                Some(&best) if best != Self::EMPTY => heap.push(Reverse((best, node))),
                _ => {}
            };
        // The nodes that together cover the seats from `first` to the last.
        let (mut left, mut right) = (self.seats + first.min(self.seats), 2 * self.seats);
        while left < right {
            if left % 2 == 1 {
                push(&mut heap, left);
                left += 1;
            }
            left /= 2;
            right /= 2;
        }
        std::iter::from_fn(move || {
            loop {
                let Reverse((rank, node)) = heap.pop()?;
                if node >= self.seats {
                    return Some(rank);
                }
                push(&mut heap, 2 * node);
                push(&mut heap, 2 * node + 1);
            }
        })
    }
}

/// The top of the tree that a span is in, with path compression.
struct Tops(Vec<usize>);

impl Tops {
    fn new(parent: &[Option<usize>]) -> Self {
        let tops = parent.iter().enumerate();
        Self(tops.map(|(index, up)| up.unwrap_or(index)).collect())
    }

    fn top(&mut self, mut index: usize) -> usize {
        loop {
            let up = self.0.get(index).copied().unwrap_or(index);
            if up == index {
                return index;
            }
            let over = self.0.get(up).copied().unwrap_or(up);
            if let Some(slot) = self.0.get_mut(index) {
                *slot = over;
            }
            index = over;
        }
    }

    fn attach(&mut self, index: usize, to: usize) {
        if let Some(slot) = self.0.get_mut(index) {
            *slot = to;
        }
    }
}
