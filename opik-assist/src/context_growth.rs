//! Prompts that grow from call to call, because each sends all that came before again.
//!
//! Model calls of one name and model in order of their start, at least four with prompt tokens.
//! They grow when the last prompt is at least twice the first and at least three quarters of the
//! steps do not shrink. What was sent again is the sum of all prompts without the longest.

use std::collections::HashMap;

use opik_core::tree::NodeId;
use opik_core::{SpanType, TraceTree};

/// Least number of calls.
const LEAST: usize = 4;

/// A row of model calls with growing prompts.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ContextGrowth {
    /// The calls in order of their start.
    pub nodes: Vec<NodeId>,
    /// Prompt tokens of the first call.
    pub first: i64,
    /// Prompt tokens of the last call.
    pub last: i64,
    /// Prompt tokens of all calls.
    pub total: i64,
    /// Prompt tokens that were sent again.
    pub resent: i64,
}

/// Name and model.
type Group<'a> = (Option<&'a str>, Option<&'a str>);

/// Finds growing prompts, the most wasteful first.
#[must_use]
pub fn context_growth(tree: &TraceTree) -> Vec<ContextGrowth> {
    let mut groups: HashMap<Group<'_>, Vec<(NodeId, i64)>> = HashMap::new();
    for node in tree.nodes() {
        let span = tree.span(node);
        let prompt = span.usage.prompt_tokens().filter(|&tokens| tokens > 0);
        if let Some(prompt) = prompt.filter(|_| span.kind() == &SpanType::Llm) {
            let key = (span.name.as_deref(), span.model.as_deref());
            groups.entry(key).or_default().push((node, prompt));
        }
    }
    let mut found: Vec<ContextGrowth> = groups
        .into_values()
        .filter(|calls| calls.len() >= LEAST)
        .filter_map(|mut calls| {
            calls.sort_by_key(|&(node, _)| (tree.interval(node).start, node));
            let (&(_, first), &(_, last)) = (calls.first()?, calls.last()?);
            let rising = calls
                .array_windows()
                .filter(|&&[(_, a), (_, b)]| a <= b)
                .count();
            if last / 2 < first || rising * 4 < (calls.len() - 1) * 3 {
                return None;
            }
            let tokens = || calls.iter().map(|&(_, prompt)| prompt);
            let total = tokens().fold(0i64, i64::saturating_add);
            Some(ContextGrowth {
                first,
                last,
                total,
                resent: total - tokens().max().unwrap_or(0),
                nodes: calls.iter().map(|&(node, _)| node).collect(),
            })
        })
        .collect();
    found.sort_by_key(|growth| {
        (
            std::cmp::Reverse(growth.resent),
            growth.nodes.first().copied(),
        )
    });
    found
}
