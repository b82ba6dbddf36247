//! A trace beside others of its kind: what is slow, what is missing, what bad ones have in common.
//!
//! [`fetch`] reads earlier traces of the same project and name from a [`TraceSource`], within
//! [`PeerLimits`]; [`compare`] is a pure function over what was read. The trace itself never counts
//! among its peers.
//!
//! # Slow
//!
//! A span's peers have its kind, name, model and the same names above it. Where fewer than 20 of
//! those were read, the names above do not count, then the model does not. The score is
//! `0.6745 * (ln x - median) / MAD` over logarithms of durations (Iglewicz and Hoaglin), with a MAD
//! of at least 5 %. A span is slow with a score above 3.5 and an excess over the median of at least
//! 5 % of the trace; the order is by excess times the span's own share of the critical path. For
//! model calls the ratio of durations is split into a ratio of output tokens and a ratio of time per
//! token. With fewer than 20 peers nothing is called slow; the rank is told with its 95 % interval
//! (Wilson).
//!
//! An attempt that failed and was made again at once is no peer: neither a failed span before its
//! repetition, nor a trace with the same input that failed within two minutes before the next one.
//!
//! # Between client and server
//!
//! Where the metadata says that a span and its only child are client and server (`kind`, `span.kind`) or
//! on different hosts (`host`, `host.name`), the duration of the one without that of the other is
//! compared with that of peers at the same place, by the same rule.
//!
//! # Structure
//!
//! How often spans of a kind and name occur, the attempts of one call being one. Missing is what at least 95 % of at least 20 peers
//! have, new what none of them has. More or fewer is a number outside of what any peer has, that a
//! Poisson distribution with the peers' mean gives with a probability below 1 % over all names.
//!
//! # What bad ones have in common
//!
//! Peers and the trace are split into bad and good: failed or not where the trace failed, else the
//! slowest tenth (at least as slow as the trace, when it is slow) or not. An attribute (tag,
//! environment, model, provider, scalar in the metadata, name of a span) is over-represented when
//! Fisher's exact test, corrected for the number of attributes (Benjamini and Hochberg, 5 %), says
//! so, and its share among the bad is at least 1.3 times that among all. At least five bad and five
//! good ones are needed. Attributes of exactly the same traces are one.
//!
//! # Limits
//!
//! Peers are the newest traces of that name, whatever version of the program made them. An
//! attribute that bad traces share may be a consequence and no cause.
//!
//! [`TraceSource`]: opik_core::TraceSource

mod attempts;
mod attributes;
mod claims;
mod edges;
mod fetch;
mod slow;
pub(crate) mod stats;
mod structure;

use opik_core::TraceTree;

pub use attributes::{Attribute, Attributes, Split};
pub use edges::Edge;
pub use fetch::{PeerLimits, fetch};
pub use slow::{Likeness, Share, Slow, Standing, TooFew};
pub use structure::{CountDifference, Difference};

use crate::analysis::Evidence;
use crate::finding::Finding;

/// Other traces of the same kind, without their inputs and outputs.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Peers {
    /// The traces, in any order; the one that they are compared with does not count.
    pub trees: Vec<TraceTree>,
    /// Traces that were found and left out, because their spans did not fit the limits.
    pub left_out: usize,
    /// Traces that were found and left out, because they are attempts of the same thing.
    pub attempts: usize,
}

impl Peers {
    /// Peers that are in memory already.
    #[must_use]
    pub fn new(trees: Vec<TraceTree>) -> Self {
        Self {
            trees,
            ..Self::default()
        }
    }

    /// All but this trace and other attempts of the same thing.
    fn of(&self, own: &TraceTree) -> Vec<&TraceTree> {
        let rows = self.trees.iter().map(TraceTree::trace);
        let attempts = attempts::of_trace(own.trace(), rows);
        let is_peer = |tree: &&TraceTree| {
            tree.id() != own.id() && !tree.is_empty() && !attempts.contains(&tree.id())
        };
        self.trees.iter().filter(is_peer).collect()
    }
}

/// How a trace differs from others of its kind.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Comparison {
    /// How many peers it was compared with.
    pub peers: usize,
    /// The duration of the whole trace among theirs; `None` without peers.
    pub duration: Option<Standing>,
    /// Spans that are slow, those that matter most first.
    pub slow: Vec<Slow>,
    /// Spans that matter and have too few peers to be called slow.
    pub too_few: Vec<TooFew>,
    /// Calls between processes that took long beside what the server did, the longest first.
    pub edges: Vec<Edge>,
    /// Spans that are missing, new, more or fewer.
    pub counts: Vec<CountDifference>,
    /// What bad traces have in common.
    pub attributes: Attributes,
    /// The same as claims, the most important first; numbered when they are
    /// [added to the evidence](Evidence::add).
    pub findings: Vec<Finding>,
}

/// Compares a trace with others of its kind. See the [module](self) for the rules.
///
/// ```
/// use opik_assist::analyse;
/// use opik_assist::peers::{Peers, compare};
/// use opik_core::{Span, SpanId, Timestamp, TraceId, TraceTree};
///
/// let tree = |micros: i64| {
///     let id = TraceId::generate();
///     let mut span = Span::new(SpanId::generate(), id, Timestamp::from_micros(1));
///     span.name = Some("answer".to_owned());
///     span.end_time = Some(Timestamp::from_micros(1 + micros));
///     TraceTree::from_spans(id, vec![span])
/// };
/// let peers = Peers::new((0..30).map(|n| tree(100_000 + n)).collect());
/// let slow = tree(900_000);
/// let comparison = compare(&slow, &analyse(&slow), &peers);
/// assert_eq!(comparison.slow.len(), 1);
/// assert_eq!(comparison.slow[0].standing.median, 100_014);
/// ```
#[must_use]
pub fn compare(tree: &TraceTree, evidence: &Evidence, peers: &Peers) -> Comparison {
    let others = peers.of(tree);
    let (slow, too_few) = slow::slow(tree, evidence, &others);
    let mut comparison = Comparison {
        peers: others.len(),
        duration: slow::of_trace(tree, &others),
        slow,
        too_few,
        edges: edges::edges(tree, &others),
        counts: structure::structure(tree, &others),
        attributes: attributes::attributes(tree, &others),
        findings: Vec::new(),
    };
    comparison.findings = claims::findings(tree, &comparison);
    comparison
}

#[cfg(test)]
mod tests;
