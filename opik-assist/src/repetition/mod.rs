//! Work that repeats: retries, loops, many small calls, calls that a cache would save.
//!
//! # Definitions
//!
//! Sequences are the children of one span in order of their start, and the model and tool calls
//! of the whole trace. "Equal" is by the signatures of the [crate]: exact (name and JSON content)
//! or loose (numbers masked).
//!
//! - **Retry**: siblings with equal exact signatures, one after the other in time, of which all but
//!   the last failed. Wasted is everything before the last attempt began, or all of it when the last
//!   failed too. With other calls between the attempts (`apart`), only spans with recorded input can
//!   show it, and only the time of the attempts is wasted. A span may also say which attempt it is
//!   (`attempt`, `retry_count`, `http.request.resend_count` and the like in its metadata, or one level
//!   below): then siblings of one kind and name that count up are a retry whatever their content and
//!   status, and so is a single span that was not the first attempt, of which nothing more is known.
//! - **Loop**: the sequence of exact signatures repeats with a period of 1 to 64, at least three
//!   times in a row; the smallest period counts. Only spans with recorded content can show it.
//!   Wasted is every repetition after the first.
//! - **Near loop**: the same with loose signatures, at least four times, and no exact loop there.
//! - **Similar replies**: at least four model calls of one name in a row, each with a reply that
//!   shares 85 % of its pairs of words with one of the ten before it.
//! - **Recursion**: at least three spans with equal input below each other.
//! - **Many small calls**: at least five children of one span, no model calls, with equal loose
//!   signatures, one after the other with gaps of less than a tenth of a call. One call for all
//!   would save their sum without the longest.
//! - **Duplicate calls**: model or tool calls anywhere in the trace with equal input and, where
//!   recorded, equal output, that did not fail. A cache would save all but the first.
//!
//! A span belongs to at most one retry, loop, row of small calls, retry with other calls between,
//! near loop or row of similar replies, in this order.

mod backoff;
mod duplicate;
mod numbered;
mod recursion;
mod retry;
pub(crate) mod similar;
mod small_calls;
mod tandem;

use opik_core::tree::NodeId;
use opik_core::{SpanType, TraceTree};
use serde::Serialize;

pub use backoff::Backoff;

use crate::PerNode;
use crate::errors::Errors;
use crate::signature::{Basis, Signatures};
use crate::spend::{Amount, Spend};

/// A way in which work repeats. See the [module](self) for the definitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RepetitionKind {
    /// The same call again after it failed.
    Retry,
    /// An exact repetition.
    Loop,
    /// A repetition but for numbers.
    NearLoop,
    /// Many small calls in a row.
    ManySmallCalls,
    /// Equal calls at different places.
    Duplicate,
    /// Replies that say nearly the same again.
    SimilarReplies,
    /// A call below itself.
    Recursion,
}

/// Repeated work.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Repetition {
    /// In which way.
    pub kind: RepetitionKind,
    /// The spans in order of their start.
    pub nodes: Vec<NodeId>,
    /// Spans in one repetition.
    pub period: usize,
    /// How many repetitions there are, the first included.
    pub times: usize,
    /// The time of the spans that were not needed, in microseconds.
    pub wasted_micros: i64,
    /// Cost and tokens of the spans that were not needed, with all below them.
    pub wasted: Amount,
    /// Waits between attempts in microseconds (retries only).
    pub gaps: Vec<i64>,
    /// Whether the last attempt succeeded (retries), or any output changed (loops).
    pub progress: bool,
    /// Whether other calls ran between the attempts (retries only).
    pub apart: bool,
    /// Whether it is known because the spans say which attempt they are (retries only). Then `times`
    /// is what they say, and may be more than the spans that were recorded.
    pub said: bool,
}

impl Repetition {
    /// How the waits between attempts go (retries only).
    #[must_use]
    pub fn backoff(&self) -> Backoff {
        Backoff::of(&self.gaps)
    }
}

/// What all searches look at.
struct Scene<'a> {
    tree: &'a TraceTree,
    errors: &'a Errors,
    spend: &'a Spend,
    signatures: &'a Signatures,
    failed: PerNode<bool>,
    /// Spans that are explained by a repetition already.
    taken: PerNode<bool>,
}

/// Finds repeated work, the most wasteful first.
pub(crate) fn repetitions(
    tree: &TraceTree,
    errors: &Errors,
    spend: &Spend,
    signatures: &Signatures,
) -> Vec<Repetition> {
    let mut scene = Scene {
        tree,
        errors,
        spend,
        signatures,
        failed: PerNode::filled(tree, false),
        taken: PerNode::filled(tree, false),
    };
    for error in &scene.errors.spans {
        scene.failed.set(error.node, true);
    }
    let mut found = Vec::new();
    let sequences = sequences(tree);
    for sequence in &sequences {
        retry::find(&mut scene, sequence, &mut found);
    }
    if let Some(numbers) = numbered::Numbers::of(&scene) {
        for sequence in &sequences {
            numbers.find(&mut scene, sequence, &mut found);
        }
        numbers.find_alone(&mut scene, &mut found);
    }
    let actions = actions(tree);
    for exact in [true, false] {
        for sequence in sequences.iter().chain(actions.as_ref()) {
            tandem::find(&mut scene, sequence, exact, &mut found);
        }
        if exact {
            for sequence in &sequences {
                small_calls::find(&mut scene, sequence, &mut found);
            }
            for sequence in &sequences {
                retry::find_apart(&mut scene, sequence, &mut found);
            }
        }
    }
    similar::find(&mut scene, &mut found);
    recursion::find(&scene, &mut found);
    duplicate::find(&scene, &mut found);
    found.sort_by(|a, b| {
        let first = |r: &Repetition| r.nodes.first().copied();
        let waste = |r: &Repetition| r.wasted_micros;
        waste(b)
            .cmp(&waste(a))
            .then_with(|| (a.kind, first(a)).cmp(&(b.kind, first(b))))
    });
    found
}

/// The children of every span that has at least two.
fn sequences(tree: &TraceTree) -> Vec<Vec<NodeId>> {
    let mut all = vec![tree.roots().collect::<Vec<_>>()];
    all.extend(tree.nodes().map(|node| tree.children(node).collect()));
    all.retain(|sequence| sequence.len() >= 2);
    all
}

/// The topmost model and tool calls in order of their start; `None` when they are siblings.
fn actions(tree: &TraceTree) -> Option<Vec<NodeId>> {
    let mut actions = Vec::new();
    let mut below = PerNode::filled(tree, false);
    let mut one_parent = true;
    for node in tree.nodes() {
        let parent = tree.parent(node);
        let inside = parent.is_some_and(|parent| below.at(parent));
        let acts = matches!(tree.span(node).kind(), SpanType::Llm | SpanType::Tool);
        below.set(node, inside || acts);
        if acts && !inside {
            let known: Option<&NodeId> = actions.first();
            one_parent &= known.is_none_or(|&known| tree.parent(known) == parent);
            actions.push(node);
        }
    }
    actions.sort_by_key(|&node| (tree.interval(node).start, node));
    (!one_parent).then_some(actions)
}

impl Scene<'_> {
    /// Whether each begins when the one before has ended.
    fn is_sequential(&self, nodes: &[NodeId]) -> bool {
        nodes.array_windows().all(|&[a, b]| self.gap(a, b) >= 0)
    }

    /// Microseconds from the end of one to the start of the other.
    fn gap(&self, a: NodeId, b: NodeId) -> i64 {
        let (a, b) = (self.tree.interval(a), self.tree.interval(b));
        b.start.micros_since(a.end)
    }

    fn micros(&self, nodes: &[NodeId]) -> i64 {
        nodes
            .iter()
            .map(|&node| self.tree.interval(node).micros())
            .sum()
    }

    fn spent(&self, nodes: &[NodeId]) -> Amount {
        let mut sum = Amount::default();
        for &node in nodes {
            sum.add(self.spend.subtree.at(node));
        }
        sum
    }

    fn has_content(&self, node: NodeId) -> bool {
        self.signatures.basis.at(node) != Basis::Name
    }

    fn take(&mut self, nodes: &[NodeId]) {
        for &node in nodes {
            self.taken.set(node, true);
        }
    }
}

#[cfg(test)]
mod tests;
