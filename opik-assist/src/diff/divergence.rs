//! Where two runs of a program first part.
//!
//! A span that was given the same and answered something else is a cause; everything after it may
//! be a consequence. Of several, the one that *finished* first is taken: a caller with the same
//! input always differs when one of its calls does, and it finishes later. A span that only one
//! run has and that began before that is earlier still.

use opik_core::{SpanId, Timestamp, TraceTree};
use serde::Serialize;

use super::span::SpanRef;
use super::trace::{SpanPair, Subtree};

/// The first difference between two traces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Divergence {
    /// A span had the same input and another output.
    #[non_exhaustive]
    Output {
        /// The span in the first trace.
        before: SpanRef,
        /// The span in the second trace.
        after: SpanId,
        /// Whether there was an input to compare; without one, this is a weaker claim.
        input_recorded: bool,
        /// When the span ended in the first trace, in microseconds after the trace's start.
        offset_us: i64,
    },
    /// A span that only the second trace has.
    #[non_exhaustive]
    Added {
        /// The span in the second trace.
        span: SpanRef,
        /// When it began, in microseconds after the trace's start.
        offset_us: i64,
    },
    /// A span that only the first trace has.
    #[non_exhaustive]
    Removed {
        /// The span in the first trace.
        span: SpanRef,
        /// When it began, in microseconds after the trace's start.
        offset_us: i64,
    },
    /// A span was called with another input, and nothing before it differs.
    #[non_exhaustive]
    Input {
        /// The span in the first trace.
        before: SpanRef,
        /// The span in the second trace.
        after: SpanId,
        /// When it began in the first trace, in microseconds after the trace's start.
        offset_us: i64,
    },
}

/// When a pair of spans began and ended, after the start of their traces, in either run.
struct Offsets {
    starts: [i64; 2],
    ends: [i64; 2],
}

pub(super) fn first_divergence(
    before: &TraceTree,
    after: &TraceTree,
    pairs: &[SpanPair],
    added: &[Subtree],
    removed: &[Subtree],
) -> Option<Divergence> {
    let offset = |tree: &TraceTree, at: Timestamp| at.micros_since(tree.wall().start);
    let offsets = |pair: &SpanPair| {
        let times = |tree: &TraceTree, id| {
            tree.find(id).map(|node| {
                let times = tree.interval(node);
                (offset(tree, times.start), offset(tree, times.end))
            })
        };
        let (x, y) = (times(before, pair.before)?, times(after, pair.after)?);
        Some(Offsets {
            starts: [x.0, y.0],
            ends: [x.1, y.1],
        })
    };
    let reference = |tree: &TraceTree, id| tree.find(id).map(|node| SpanRef::of(tree.span(node)));

    // The sum over both runs, so that swapping them does not change the choice.
    let causal = pairs
        .iter()
        .filter(|pair| pair.same_input && !pair.same_output)
        .filter_map(|pair| Some((offsets(pair)?, pair)))
        .min_by_key(|(offsets, _)| offsets.ends.iter().sum::<i64>());
    let start_of = |tree: &TraceTree, subtree: &Subtree| {
        let node = tree.find(subtree.top.span)?;
        Some(offset(tree, tree.interval(node).start))
    };
    let earliest = |tree: &TraceTree, list: &[Subtree]| {
        list.iter()
            .filter_map(|subtree| Some((start_of(tree, subtree)?, subtree.top.clone())))
            .min_by_key(|(start, _)| *start)
    };
    let bound = causal.as_ref().map(|(offsets, _)| offsets.ends);
    let is_earlier = |start: i64, run: usize| {
        bound.is_none_or(|ends| ends.get(run).is_none_or(|&end| start < end))
    };
    let gone = earliest(before, removed).filter(|(start, _)| is_earlier(*start, 0));
    let new = earliest(after, added).filter(|(start, _)| is_earlier(*start, 1));
    match (gone, new) {
        (Some((offset_us, span)), new) if new.as_ref().is_none_or(|new| offset_us <= new.0) => {
            return Some(Divergence::Removed { span, offset_us });
        }
        (_, Some((offset_us, span))) => return Some(Divergence::Added { span, offset_us }),
        _ => {}
    }
    if let Some((offsets, pair)) = causal {
        let node = before.find(pair.before)?;
        return Some(Divergence::Output {
            before: SpanRef::of(before.span(node)),
            after: pair.after,
            input_recorded: before.span(node).input.is_some(),
            offset_us: offsets.ends.first().copied()?,
        });
    }
    let (offsets, pair) = pairs
        .iter()
        .filter(|pair| !pair.same_input)
        .filter_map(|pair| Some((offsets(pair)?, pair)))
        .min_by_key(|(offsets, _)| offsets.starts.iter().sum::<i64>())?;
    Some(Divergence::Input {
        before: reference(before, pair.before)?,
        after: pair.after,
        offset_us: offsets.starts.first().copied()?,
    })
}
