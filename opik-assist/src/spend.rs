//! Cost and tokens: of a span itself, and with everything below it.
//!
//! Cost is what was recorded (`total_estimated_cost`); there is no price table here. Tokens are
//! the usage's total. Some producers repeat on a wrapper what its model calls have spent: a span
//! that is no model call, with usage below it, and a model call whose number equals the sum below
//! it within 1 %, count for nothing themselves. Negative and non-finite costs are ignored.

use opik_core::tree::NodeId;
use opik_core::{SpanType, TraceTree};

use crate::PerNode;

/// What was spent, in two currencies.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Amount {
    /// US dollars.
    pub dollars: f64,
    /// Tokens in and out.
    pub tokens: i64,
    /// Tokens in.
    pub prompt_tokens: i64,
    /// Tokens out.
    pub completion_tokens: i64,
}

impl Amount {
    pub(crate) fn add(&mut self, other: Self) {
        self.dollars += other.dollars;
        self.tokens = self.tokens.saturating_add(other.tokens);
        self.prompt_tokens = self.prompt_tokens.saturating_add(other.prompt_tokens);
        self.completion_tokens = self
            .completion_tokens
            .saturating_add(other.completion_tokens);
    }
}

/// What a trace has spent, and where.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Spend {
    /// By each span itself.
    pub own: PerNode<Amount>,
    /// By each span with everything below it.
    pub subtree: PerNode<Amount>,
    /// By the whole trace.
    pub total: Amount,
    /// The sum of what every span says, wrappers that repeat their calls included: the totals
    /// that Opik shows.
    pub recorded: Amount,
    /// Whether any span has a cost.
    pub has_cost: bool,
    /// Whether any span has tokens.
    pub has_tokens: bool,
}

/// Sums up cost and tokens.
#[must_use]
pub fn spend(tree: &TraceTree) -> Spend {
    let mut spend = Spend {
        own: PerNode::filled(tree, Amount::default()),
        subtree: PerNode::filled(tree, Amount::default()),
        ..Spend::default()
    };
    // Children before parents.
    for node in tree.nodes().rev() {
        let below = spend.subtree.at(node);
        let own = own(tree, node, below);
        spend.recorded.add(recorded(tree, node));
        spend.has_cost |= own.dollars > 0.0;
        spend.has_tokens |= own.tokens > 0;
        spend.own.set(node, own);
        let mut all = below;
        all.add(own);
        spend.subtree.set(node, all);
        match tree.parent(node) {
            Some(parent) => spend.subtree.update(parent, |sum| sum.add(all)),
            None => spend.total.add(all),
        }
    }
    spend
}

/// What a span says.
fn recorded(tree: &TraceTree, node: NodeId) -> Amount {
    let span = tree.span(node);
    let cost = span.total_estimated_cost.unwrap_or(0.0);
    let tokens = |count: Option<i64>| count.unwrap_or(0).max(0);
    Amount {
        dollars: if cost.is_finite() { cost.max(0.0) } else { 0.0 },
        tokens: tokens(span.usage.total_tokens()),
        prompt_tokens: tokens(span.usage.prompt_tokens()),
        completion_tokens: tokens(span.usage.completion_tokens()),
    }
}

fn own(tree: &TraceTree, node: NodeId, below: Amount) -> Amount {
    let span = tree.span(node);
    let is_call = span.kind() == &SpanType::Llm;
    let cost = span.total_estimated_cost.unwrap_or(0.0);
    let mut amount = Amount::default();
    let repeats =
        |own: f64, below: f64| below > 0.0 && (!is_call || (own - below).abs() <= 0.01 * below);
    if cost.is_finite() && cost > 0.0 && !repeats(cost, below.dollars) {
        amount.dollars = cost;
    }
    let usage = &span.usage;
    if let Some(tokens) = usage.total_tokens().filter(|&tokens| tokens > 0) {
        let (own, sum) = (
            crate::figures::real(tokens),
            crate::figures::real(below.tokens),
        );
        if !repeats(own, sum) {
            amount.tokens = tokens;
            amount.prompt_tokens = usage.prompt_tokens().unwrap_or(0).max(0);
            amount.completion_tokens = usage.completion_tokens().unwrap_or(0).max(0);
        }
    }
    amount
}

#[cfg(test)]
mod tests {
    use super::*;
    use opik_core::{Span, SpanId, Timestamp, TraceId, Usage};

    #[test]
    fn what_a_wrapper_repeats_counts_once() {
        let trace = TraceId::from_bytes([1; 16]);
        let id = |n: u8| SpanId::from_bytes([n; 16]);
        let span = |n: u8, parent: Option<u8>, kind: SpanType, cost: f64, tokens: i64| {
            let mut span = Span::new(id(n), trace, Timestamp::from_micros(i64::from(n)));
            span.parent_span_id = parent.map(id);
            span.r#type = Some(kind);
            span.total_estimated_cost = Some(cost);
            span.usage = Usage::of_tokens(tokens, 0);
            span
        };
        let tree = TraceTree::from_spans(
            trace,
            vec![
                span(1, None, SpanType::General, 3.0, 30),
                span(2, Some(1), SpanType::Llm, 1.0, 10),
                span(3, Some(1), SpanType::Llm, 2.0, 20),
                span(4, Some(3), SpanType::Llm, 0.5, 5),
            ],
        );
        let spend = spend(&tree);
        assert_eq!((spend.total.dollars, spend.total.tokens), (3.5, 35));
        let root = tree.roots().next().unwrap();
        assert_eq!((spend.recorded.dollars, spend.recorded.tokens), (6.5, 65));
        assert_eq!(spend.own.at(root), Amount::default());
        assert_eq!(spend.subtree.at(root).tokens, 35);
    }
}
