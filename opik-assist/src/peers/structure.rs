//! Which spans are missing, new, more or fewer than in peers.

use std::collections::BTreeMap;

use opik_core::TraceTree;
use opik_core::tree::NodeId;

use super::attempts;
use super::stats::poisson;
use crate::figures::number;

/// Peers that are enough.
pub(super) const ENOUGH: usize = 20;
/// Share of the peers that must have a span for it to be missing.
const NEARLY_ALL: f64 = 0.95;
/// Probability over all names below which a number is unusual.
const UNUSUAL: f64 = 0.01;

/// In which way a number of spans differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Difference {
    /// Nearly all peers have one, the trace has none.
    Missing,
    /// No peer has one.
    New,
    /// More than any peer has.
    More,
    /// Fewer than any peer has.
    Fewer,
}

/// A kind of span that occurs more or less often than in peers.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct CountDifference {
    /// In which way it differs.
    pub difference: Difference,
    /// Kind of the spans.
    pub kind: String,
    /// Name of the spans.
    pub name: String,
    /// How many the trace has.
    pub count: usize,
    /// How many peers have at least one.
    pub peers_with: usize,
    /// How many peers there are.
    pub peers: usize,
    /// How many a peer has on average.
    pub mean: f64,
    /// Least and most that a peer has.
    pub range: (usize, usize),
    /// The spans of the trace, in pre-order.
    pub nodes: Vec<NodeId>,
}

/// Peers' counts of one kind and name.
#[derive(Debug, Default)]
struct Counts {
    with: usize,
    sum: usize,
    least: usize,
    most: usize,
}

/// Finds what differs, missing spans first, then by how far the numbers are apart.
pub(super) fn structure(tree: &TraceTree, others: &[&TraceTree]) -> Vec<CountDifference> {
    let peers = others.len();
    if peers < ENOUGH {
        return Vec::new();
    }
    let mut usual: BTreeMap<(&str, &str), Counts> = BTreeMap::new();
    for other in others {
        for (name, nodes) in by_name(other) {
            let counts = usual.entry(name).or_insert(Counts {
                least: usize::MAX,
                ..Counts::default()
            });
            counts.with += 1;
            counts.sum += nodes.len();
            counts.least = counts.least.min(nodes.len());
            counts.most = counts.most.max(nodes.len());
        }
    }
    let mut own = by_name(tree);
    let names = usual.len().max(1);
    let mut found = Vec::new();
    for (&(kind, name), counts) in &usual {
        let nodes = own.remove(&(kind, name)).unwrap_or_default();
        let count = nodes.len();
        let mean = number(counts.sum) / number(peers);
        let least = if counts.with < peers { 0 } else { counts.least };
        let unlikely = || poisson(count, mean) * number(names) < UNUSUAL;
        let difference = if count == 0 {
            (number(counts.with) >= NEARLY_ALL * number(peers)).then_some(Difference::Missing)
        } else if count > counts.most && unlikely() {
            Some(Difference::More)
        } else if count < least && unlikely() {
            Some(Difference::Fewer)
        } else {
            None
        };
        found.extend(difference.map(|difference| CountDifference {
            difference,
            kind: kind.to_owned(),
            name: name.to_owned(),
            count,
            peers_with: counts.with,
            peers,
            mean,
            range: (least, counts.most),
            nodes,
        }));
    }
    for ((kind, name), nodes) in own {
        found.push(CountDifference {
            difference: Difference::New,
            kind: kind.to_owned(),
            name: name.to_owned(),
            count: nodes.len(),
            peers_with: 0,
            peers,
            mean: 0.0,
            range: (0, 0),
            nodes,
        });
    }
    let apart = |difference: &CountDifference| (number(difference.count) - difference.mean).abs();
    found.sort_by(|a, b| {
        let by_kind = a.difference.cmp(&b.difference);
        by_kind
            .then(apart(b).total_cmp(&apart(a)))
            .then_with(|| a.name.cmp(&b.name))
    });
    found
}

/// The spans of each kind and name; attempts that were repeated are one with what came of them.
fn by_name(tree: &TraceTree) -> BTreeMap<(&str, &str), Vec<NodeId>> {
    let mut counts: BTreeMap<(&str, &str), Vec<NodeId>> = BTreeMap::new();
    let repeated = attempts::repeated(tree);
    for node in tree.nodes().filter(|&node| !repeated.at(node)) {
        let span = tree.span(node);
        let name = span.name.as_deref().unwrap_or_default();
        counts
            .entry((span.kind().as_str(), name))
            .or_default()
            .push(node);
    }
    counts
}
