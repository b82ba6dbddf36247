//! Prompts that grow from call to call, because each sends all that came before again.
//!
//! Model calls of one name and model in order of their start, at least four with prompt tokens.
//! They grow when the last prompt is at least twice the first and at least three quarters of the
//! steps do not shrink. What was sent again is the sum of all prompts without the longest. The rate
//! is the slope of a straight line through the prompts (least squares): with a steady rate the sum
//! grows with the square of the number of calls.

use foldhash::HashMap;
use opik_core::tree::NodeId;
use opik_core::{SpanType, TraceTree};

use crate::figures::{number, real};

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
    /// Tokens by which a prompt is longer than the one before, on average.
    pub per_call: f64,
}

/// Name and model.
type Group<'a> = (Option<&'a str>, Option<&'a str>);

/// Finds growing prompts, the most wasteful first.
#[must_use]
pub fn context_growth(tree: &TraceTree) -> Vec<ContextGrowth> {
    let mut groups: HashMap<Group<'_>, Vec<(NodeId, i64)>> = HashMap::default();
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
                per_call: slope(&calls),
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

/// The slope of the straight line through the prompts by their place.
fn slope(calls: &[(NodeId, i64)]) -> f64 {
    let count = number(calls.len());
    let middle = (count - 1.0) / 2.0;
    let mean = calls.iter().map(|&(_, prompt)| real(prompt)).sum::<f64>() / count;
    let (mut above, mut below) = (0.0, 0.0);
    for (place, &(_, prompt)) in calls.iter().enumerate() {
        let from_middle = number(place) - middle;
        above += from_middle * (real(prompt) - mean);
        below += from_middle * from_middle;
    }
    if below > 0.0 { above / below } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opik_core::{Span, SpanId, Timestamp, TraceId, Usage};

    fn growth(prompts: &[i64]) -> Vec<ContextGrowth> {
        let trace = TraceId::from_bytes([1; 16]);
        let spans = prompts.iter().zip(1u8..).map(|(&prompt, number)| {
            let at = Timestamp::from_micros(i64::from(number));
            let mut span = Span::new(SpanId::from_bytes([number; 16]), trace, at);
            span.r#type = Some(SpanType::Llm);
            span.usage = Usage::of_tokens(prompt, 10);
            span
        });
        context_growth(&TraceTree::from_spans(trace, spans.collect()))
    }

    #[test]
    fn a_steady_rate_is_found() {
        let found = growth(&[100, 200, 300, 400, 500]);
        assert_eq!(found.len(), 1);
        let found = &found[0];
        assert_eq!(
            (found.first, found.last, found.total, found.resent),
            (100, 500, 1_500, 1_000)
        );
        assert!((found.per_call - 100.0).abs() < 1e-9);
    }

    #[test]
    fn prompts_that_stay_or_jump_do_not_grow() {
        assert!(
            growth(&[100, 200, 300]).is_empty(),
            "three calls are too few"
        );
        assert!(
            growth(&[100, 110, 120, 130]).is_empty(),
            "less than twice the first"
        );
        assert!(
            growth(&[100, 900, 100, 900, 100, 900]).is_empty(),
            "up and down"
        );
    }
}
