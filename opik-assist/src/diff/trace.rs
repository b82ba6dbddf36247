//! Difference of two traces.
#![expect(
    clippy::indexing_slicing,
    reason = "tables per node are used with the nodes of their own tree"
)]

use opik_core::tree::NodeId;
use opik_core::{SpanId, TraceId, TraceTree};
use serde::Serialize;

use super::align::{Alignment, MatchKind, align};
use super::content::{ContentDiff, diff_contents, equivalent};
use super::divergence::{Divergence, first_divergence};
use super::span::{Delta, SpanRef};
use crate::PerNode;
use crate::critical_path::critical_path;
use crate::self_time::self_times;

/// A span of the first trace and the span of the second that it corresponds to.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SpanPair {
    /// The span in the first trace.
    pub before: SpanId,
    /// The span in the second trace.
    pub after: SpanId,
    /// Its name in the first trace; empty when it has none.
    pub name: String,
    /// How it was found again.
    pub matched: MatchKind,
    /// Duration in microseconds.
    pub duration_us: Delta<i64>,
    /// Duration without what the children cover, in microseconds.
    pub self_time_us: Delta<i64>,
    /// How long the trace waited for this span itself: its share of the critical path, in
    /// microseconds.
    pub on_path_us: Delta<i64>,
    /// Tokens of the call, 0 where none are recorded.
    pub tokens: Delta<i64>,
    /// Cost in US dollars, 0 where none is recorded.
    pub cost_usd: Delta<f64>,
    /// Whether the span ended in an error, 1 or 0.
    pub failed: Delta<i64>,
    /// Whether the model is the same.
    pub same_model: bool,
    /// Whether the inputs say the same (moments and random identifiers aside).
    pub same_input: bool,
    /// Whether the outputs and the type of the error say the same.
    pub same_output: bool,
}

impl SpanPair {
    /// Whether the span is the same in both traces: place, time, tokens, cost and content.
    #[must_use]
    pub fn is_unchanged(&self) -> bool {
        self.matched == MatchKind::Aligned
            && self.duration_us.is_zero()
            && self.self_time_us.is_zero()
            && self.on_path_us.is_zero()
            && self.tokens.is_zero()
            && self.cost_usd.is_zero()
            && self.failed.is_zero()
            && self.same_model
            && self.same_input
            && self.same_output
    }
}

/// A subtree that only one of the traces has. Spans below it that were found again elsewhere are
/// not part of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Subtree {
    /// The span at its top.
    pub top: SpanRef,
    /// How many spans it has.
    pub spans: usize,
    /// Duration of the span at its top, in microseconds.
    pub duration_us: i64,
    /// Its share of the critical path of its trace, in microseconds.
    pub on_path_us: i64,
    /// Tokens of all its spans.
    pub tokens: i64,
    /// Cost of all its spans in US dollars.
    pub cost_usd: f64,
    /// How many of its spans ended in an error.
    pub errors: usize,
}

/// Where the difference of the durations comes from, in microseconds. The parts add up exactly:
/// `total = matched + added - removed + uninstrumented`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct TimeDecomposition {
    /// How much longer the second trace takes.
    pub total_us: i64,
    /// Change of the critical path's share of the spans that both have.
    pub matched_us: i64,
    /// The share of the spans that only the second trace has.
    pub added_us: i64,
    /// The share of the spans that only the first trace has.
    pub removed_us: i64,
    /// Change of the time in which no span ran: between roots, before the first span and after the
    /// last.
    pub uninstrumented_us: i64,
}

/// What was recorded by any span, in the first and in the second trace; a sum of 0 does not tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Recorded {
    /// Token counts.
    pub tokens: [bool; 2],
    /// Cost.
    pub cost: [bool; 2],
}

impl Recorded {
    fn of(before: &TraceTree, after: &TraceTree) -> Self {
        let any = |has: fn(&opik_core::Span) -> bool| {
            [before, after].map(|tree| tree.nodes().any(|node| has(tree.span(node))))
        };
        Self {
            tokens: any(|span| span.usage.total_tokens().is_some()),
            cost: any(|span| span.total_estimated_cost.is_some()),
        }
    }
}

/// The difference of two traces.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TraceDiff {
    /// The first trace.
    pub before: TraceId,
    /// The second trace.
    pub after: TraceId,
    /// From the first start to the last end with the trace's own record, in microseconds.
    pub duration_us: Delta<i64>,
    /// Number of spans.
    pub spans: Delta<i64>,
    /// Spans that ended in an error.
    pub errors: Delta<i64>,
    /// Tokens, summed over the spans.
    pub tokens: Delta<i64>,
    /// Cost in US dollars, summed over the spans.
    pub cost_usd: Delta<f64>,
    /// Whether tokens and cost were recorded at all.
    #[serde(skip)]
    pub recorded: Recorded,
    /// What the traces were given.
    pub input: ContentDiff,
    /// What the traces gave back.
    pub output: ContentDiff,
    /// Where the time went.
    pub time: TimeDecomposition,
    /// Where they first part.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_divergence: Option<Divergence>,
    /// Subtrees that only the second trace has, in its order.
    pub added: Vec<Subtree>,
    /// Subtrees that only the first trace has, in its order.
    pub removed: Vec<Subtree>,
    /// Every span that both have, in the order of the first trace.
    pub pairs: Vec<SpanPair>,
}

impl TraceDiff {
    /// Whether the traces are equal in all but identifiers and their place in time.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty()
            && self.removed.is_empty()
            && self.duration_us.is_zero()
            && self.input.is_empty()
            && self.output.is_empty()
            && self.changed().next().is_none()
    }

    /// The pairs in which something differs, in the order of the first trace.
    pub fn changed(&self) -> impl Iterator<Item = &SpanPair> {
        self.pairs.iter().filter(|pair| !pair.is_unchanged())
    }
}

/// Aligns two traces and compares them.
///
/// ```
/// use opik_assist::diff::diff_traces;
/// use opik_core::{Span, SpanId, Timestamp, TraceId, TraceTree};
///
/// let run = |millis: i64| {
///     let id = TraceId::generate();
///     let mut root = Span::new(SpanId::generate(), id, Timestamp::from_micros(0));
///     root.end_time = Some(Timestamp::from_micros(millis * 1_000));
///     TraceTree::from_spans(id, vec![root])
/// };
/// let diff = diff_traces(&run(20), &run(25));
/// assert_eq!(diff.pairs[0].duration_us.change(), 5_000);
/// assert_eq!(diff.pairs.len(), 1);
/// ```
#[must_use]
pub fn diff_traces(before: &TraceTree, after: &TraceTree) -> TraceDiff {
    let alignment = align(before, after);
    let (old, new) = (Figures::of(before), Figures::of(after));
    let pairs = pairs(before, &old, after, &new, &alignment);
    let is_matched = |node: NodeId| {
        alignment
            .forward
            .get(node.index())
            .is_some_and(Option::is_some)
    };
    let removed = subtrees(before, &old, &is_matched);
    let is_matched = |node: NodeId| {
        alignment
            .backward
            .get(node.index())
            .is_some_and(Option::is_some)
    };
    let added = subtrees(after, &new, &is_matched);
    let first_divergence = first_divergence(before, after, &pairs, &added, &removed);
    let time = TimeDecomposition {
        total_us: new.wall - old.wall,
        matched_us: pairs.iter().map(|pair| pair.on_path_us.change()).sum(),
        added_us: added.iter().map(|subtree| subtree.on_path_us).sum(),
        removed_us: removed.iter().map(|subtree| subtree.on_path_us).sum(),
        uninstrumented_us: new.uninstrumented - old.uninstrumented,
    };
    let count = |tree: &TraceTree| i64::try_from(tree.len()).unwrap_or(i64::MAX);
    TraceDiff {
        before: before.id(),
        after: after.id(),
        duration_us: Delta::new(old.wall, new.wall),
        spans: Delta::new(count(before), count(after)),
        errors: Delta::new(total(before, failed), total(after, failed)),
        tokens: Delta::new(total(before, tokens), total(after, tokens)),
        cost_usd: Delta::new(
            before.nodes().map(|node| cost(before, node)).sum(),
            after.nodes().map(|node| cost(after, node)).sum(),
        ),
        recorded: Recorded::of(before, after),
        input: diff_contents(before.trace().input.as_ref(), after.trace().input.as_ref()),
        output: diff_contents(
            before.trace().output.as_ref(),
            after.trace().output.as_ref(),
        ),
        time,
        first_divergence,
        added,
        removed,
        pairs,
    }
}

/// Times of all spans of a trace.
struct Figures {
    self_times: PerNode<i64>,
    on_path: PerNode<i64>,
    wall: i64,
    uninstrumented: i64,
}

impl Figures {
    fn of(tree: &TraceTree) -> Self {
        let mut figures = Self {
            self_times: self_times(tree),
            on_path: PerNode::filled(tree, 0),
            wall: tree.wall().micros(),
            uninstrumented: 0,
        };
        let path = critical_path(tree);
        // Between roots, the spans that ran there account for their part of the time.
        figures.uninstrumented = path.uninstrumented();
        for segment in path.segments.iter().chain(&path.outside) {
            if let Some(node) = segment.node {
                figures.on_path[node] += segment.micros();
            }
        }
        for (node, micros) in path.between {
            figures.on_path[node] += micros;
        }
        figures
    }
}

fn tokens(tree: &TraceTree, node: NodeId) -> i64 {
    tree.span(node).usage.total_tokens().unwrap_or(0)
}

fn cost(tree: &TraceTree, node: NodeId) -> f64 {
    tree.span(node).total_estimated_cost.unwrap_or(0.0)
}

fn failed(tree: &TraceTree, node: NodeId) -> i64 {
    i64::from(tree.span(node).error_info.is_some())
}

fn total(tree: &TraceTree, number: fn(&TraceTree, NodeId) -> i64) -> i64 {
    tree.nodes()
        .fold(0, |sum: i64, node| sum.saturating_add(number(tree, node)))
}

fn pairs(
    before: &TraceTree,
    old: &Figures,
    after: &TraceTree,
    new: &Figures,
    alignment: &Alignment,
) -> Vec<SpanPair> {
    let matched = before.nodes().zip(&alignment.forward);
    matched
        .filter_map(|(x, partner)| partner.map(|(y, kind)| (x, y, kind)))
        .map(|(x, y, matched)| {
            let (first, second) = (before.span(x), after.span(y));
            let error = |span: &opik_core::Span| {
                let error = span.error_info.as_ref();
                error.map(|error| error.exception_type.clone())
            };
            SpanPair {
                before: first.id,
                after: second.id,
                name: first.name.clone().unwrap_or_default(),
                matched,
                duration_us: Delta::new(before.interval(x).micros(), after.interval(y).micros()),
                self_time_us: Delta::new(old.self_times[x], new.self_times[y]),
                on_path_us: Delta::new(old.on_path[x], new.on_path[y]),
                tokens: Delta::new(tokens(before, x), tokens(after, y)),
                cost_usd: Delta::new(cost(before, x), cost(after, y)),
                failed: Delta::new(failed(before, x), failed(after, y)),
                same_model: first.model == second.model && first.provider == second.provider,
                same_input: equivalent(first.input.as_ref(), second.input.as_ref()),
                same_output: error(first) == error(second)
                    && equivalent(first.output.as_ref(), second.output.as_ref()),
            }
        })
        .collect()
}

/// The unmatched spans of a trace, joined to subtrees.
fn subtrees(
    tree: &TraceTree,
    figures: &Figures,
    is_matched: &dyn Fn(NodeId) -> bool,
) -> Vec<Subtree> {
    let mut found: Vec<Subtree> = Vec::new();
    // For each unmatched node its subtree; parents come before children.
    let mut owner: PerNode<Option<usize>> = PerNode::filled(tree, None);
    for node in tree.nodes().filter(|&node| !is_matched(node)) {
        let above = tree.parent(node).and_then(|parent| owner[parent]);
        let index = above.unwrap_or(found.len());
        owner[node] = Some(index);
        if above.is_none() {
            found.push(Subtree {
                top: SpanRef::of(tree.span(node)),
                spans: 0,
                duration_us: tree.interval(node).micros(),
                on_path_us: 0,
                tokens: 0,
                cost_usd: 0.0,
                errors: 0,
            });
        }
        if let Some(subtree) = found.get_mut(index) {
            subtree.spans += 1;
            subtree.on_path_us += figures.on_path[node];
            subtree.tokens = subtree.tokens.saturating_add(tokens(tree, node));
            subtree.cost_usd += cost(tree, node);
            subtree.errors += usize::from(tree.span(node).error_info.is_some());
        }
    }
    found
}
