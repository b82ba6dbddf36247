//! From typed results to findings: sentences with numbers, in order of importance.

mod errors;
mod latency;
mod oddities;
mod overview;
mod repeats;
mod spending;
mod swallowed;

use opik_core::tree::NodeId;
use opik_core::{SpanType, Timestamp, TraceTree};

use crate::analysis::Evidence;
use crate::finding::{Finding, FindingId};
use crate::label::Labels;

/// Span ids that a finding carries at most.
const SPANS: usize = 64;

/// How important a finding is, the most important first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Failure,
    Damage,
    Latency,
    Waste,
    Money,
    Oddity,
    Repaired,
    Context,
}

/// What the claims are made from, and those made so far.
struct Claims<'a> {
    tree: &'a TraceTree,
    evidence: &'a Evidence,
    labels: Labels<'a>,
    /// Model calls by their start.
    calls: Vec<(Timestamp, NodeId)>,
    found: Vec<(Rank, Finding)>,
}

/// Puts everything into words. Findings of equal importance keep the order of their module.
pub(crate) fn findings(tree: &TraceTree, evidence: &Evidence) -> Vec<Finding> {
    let mut claims = Claims {
        tree,
        evidence,
        labels: Labels::new(tree),
        calls: calls(tree, evidence),
        found: Vec::new(),
    };
    errors::claim(&mut claims);
    latency::claim(&mut claims);
    repeats::claim(&mut claims);
    spending::claim(&mut claims);
    oddities::claim(&mut claims);
    overview::claim(&mut claims);
    claims.found.sort_by_key(|(rank, _)| *rank);
    let numbered = claims.found.into_iter().zip(1u32..);
    numbered
        .map(|((_, mut finding), number)| {
            finding.id = FindingId(number);
            finding
        })
        .collect()
}

/// Model calls by their start; none where no error asks for them.
fn calls(tree: &TraceTree, evidence: &Evidence) -> Vec<(Timestamp, NodeId)> {
    if evidence.errors.origins.is_empty() {
        return Vec::new();
    }
    let calls = tree
        .nodes()
        .filter(|&node| tree.span(node).kind() == &SpanType::Llm);
    let mut calls: Vec<_> = calls
        .map(|node| (tree.interval(node).start, node))
        .collect();
    calls.sort_unstable();
    calls
}

impl Claims<'_> {
    fn add(&mut self, rank: Rank, finding: Finding) {
        self.found.push((rank, finding));
    }

    fn ids(&self, nodes: &[NodeId]) -> Vec<opik_core::SpanId> {
        let ids = nodes.iter().take(SPANS);
        ids.map(|&node| self.tree.span(node).id).collect()
    }

    /// The duration of the trace in microseconds, the one that every sentence speaks of.
    fn duration(&self) -> i64 {
        self.tree.wall().micros()
    }
}
