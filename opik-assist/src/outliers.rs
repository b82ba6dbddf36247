//! Spans that took much longer than others of their kind in the same trace.
//!
//! A group is all spans of one kind, name and model, at least eight. Durations are log-normal, so
//! the score is `0.6745 * (ln x - median) / MAD` over logarithms (Iglewicz and Hoaglin), with a
//! MAD of at least 5 % of the value. A span stands out with a score above 3.5 when it also took
//! at least 5 % of the trace's time longer than the median. Only slow spans are reported.
//!
//! A span that contains others of its group (an agent that calls itself) counts with its self time:
//! it is longer than what it contains by nature.

use foldhash::HashMap;
use opik_core::TraceTree;
use opik_core::tree::NodeId;

use crate::PerNode;
use crate::figures::{millis, real};
use crate::self_time::self_times;

/// Least size of a group.
const LEAST: usize = 8;
/// Score above which a span stands out.
const SCORE: f64 = 3.5;
/// Excess over the median that matters, as a share of the trace.
const EXCESS: f64 = 0.05;
/// Least deviation: 5 % of the value, as a logarithm.
const FLOOR: f64 = 0.048_79;

/// A span that stands out.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Outlier {
    /// The span.
    pub node: NodeId,
    /// How long it took, in microseconds; its self time when it contains others of its group.
    pub micros: i64,
    /// Whether it contains others of its group, so that its self time counts.
    pub nested: bool,
    /// Its robust score; above 3.5.
    pub score: f64,
    /// The median duration of its group in microseconds.
    pub median: i64,
    /// How many spans its group has.
    pub group: usize,
    /// Its output tokens relative to the median of the group, where both are known.
    pub tokens_ratio: Option<f64>,
}

/// Kind, name and model.
type Group<'a> = (&'a str, Option<&'a str>, Option<&'a str>);

/// Finds the spans that stand out, the largest excess first.
#[must_use]
pub fn outliers(tree: &TraceTree) -> Vec<Outlier> {
    outliers_with(tree, &self_times(tree))
}

/// The same with self times that are known.
pub(crate) fn outliers_with(tree: &TraceTree, self_times: &PerNode<i64>) -> Vec<Outlier> {
    let mut groups: HashMap<Group<'_>, Vec<NodeId>> = HashMap::default();
    for node in tree.nodes() {
        let span = tree.span(node);
        let key = (
            span.kind().as_str(),
            span.name.as_deref(),
            span.model.as_deref(),
        );
        groups.entry(key).or_default().push(node);
    }
    let wall = real(tree.wall().micros());
    let mut found = Vec::new();
    for group in groups.values().filter(|group| group.len() >= LEAST) {
        // Pre-order: what a span contains of its group comes right after it.
        let members: Vec<(NodeId, bool, i64)> = group
            .iter()
            .enumerate()
            .map(|(place, &node)| {
                let next = group.get(place + 1);
                let nested = next.is_some_and(|&next| tree.is_ancestor(node, next));
                let micros = if nested {
                    self_times.at(node)
                } else {
                    tree.interval(node).micros()
                };
                (node, nested, micros)
            })
            .collect();
        let logarithm = |micros: i64| real(micros.max(1)).ln();
        let mut logs: Vec<f64> = members
            .iter()
            .map(|&(_, _, micros)| logarithm(micros))
            .collect();
        let middle = median(&mut logs);
        let mut deviations: Vec<f64> = logs.iter().map(|log| (log - middle).abs()).collect();
        let spread = median(&mut deviations).max(FLOOR);
        for (node, nested, micros) in members {
            let score = 0.6745 * (logarithm(micros) - middle) / spread;
            let excess = real(micros) - middle.exp();
            if score > SCORE && excess >= EXCESS * wall {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "a duration in microseconds"
                )]
                found.push(Outlier {
                    node,
                    micros,
                    nested,
                    score,
                    median: middle.exp().round() as i64,
                    group: group.len(),
                    tokens_ratio: tokens_ratio(tree, node, group),
                });
            }
        }
    }
    let excess = |outlier: &Outlier| outlier.micros - outlier.median;
    found.sort_by_key(|outlier| (std::cmp::Reverse(excess(outlier)), outlier.node));
    found
}

fn tokens_ratio(tree: &TraceTree, node: NodeId, group: &[NodeId]) -> Option<f64> {
    let tokens = |node: NodeId| tree.span(node).usage.completion_tokens().filter(|&n| n > 0);
    let own = tokens(node)?;
    let mut all: Vec<f64> = group
        .iter()
        .filter_map(|&node| tokens(node))
        .map(millis)
        .collect();
    (all.len() * 2 >= group.len()).then(|| millis(own) / median(&mut all))
}

/// The middle value; reorders the list. 0 of nothing.
fn median(values: &mut [f64]) -> f64 {
    let middle = values.len() / 2;
    if values.is_empty() {
        return 0.0;
    }
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use opik_core::{Span, SpanId, Timestamp, TraceId, Usage};

    fn outlier_of(durations: &[i64]) -> Vec<(usize, i64, Option<f64>)> {
        let trace = TraceId::from_bytes([1; 16]);
        let mut at = Timestamp::from_micros(1_000_000);
        let mut spans = Vec::new();
        for (number, &micros) in durations.iter().enumerate() {
            let id = SpanId::from_bytes((number as u128 + 1).to_be_bytes());
            let mut span = Span::new(id, trace, at);
            at = at.plus_micros(micros);
            span.end_time = Some(at);
            span.usage = Usage::of_tokens(1, micros / 10);
            spans.push(span);
        }
        let tree = TraceTree::from_spans(trace, spans);
        let found = outliers(&tree);
        found
            .iter()
            .map(|o| (o.node.index(), o.median, o.tokens_ratio))
            .collect()
    }

    #[test]
    fn one_slow_span_among_equals_stands_out() {
        let found = outlier_of(&[100, 110, 90, 105, 95, 100, 2_000, 100, 101]);
        assert_eq!(found, [(6, 100, Some(20.0))]);
    }

    #[test]
    fn few_spans_wide_spread_and_small_excess_do_not_count() {
        assert_eq!(outlier_of(&[100, 100, 100, 100, 100, 100, 900]), []);
        assert_eq!(
            outlier_of(&[10, 20, 40, 80, 160, 320, 640, 1_280, 2_560]),
            []
        );
        let mut many = vec![100; 200];
        many.push(300);
        assert_eq!(outlier_of(&many), []);
    }
}
