use opik_core::{ErrorInfo, Json, Span, SpanId, SpanType, Timestamp, TraceId, TraceTree};

use super::*;
use crate::errors::errors;
use crate::spend::spend;

/// A child: kind, name, input, whether it failed; each takes 100 ms and follows 2 ms later.
type Step<'a> = (SpanType, &'a str, &'a str, bool);

fn tree(steps: &[Step<'_>]) -> TraceTree {
    let trace = TraceId::from_bytes([1; 16]);
    let id = |n: usize| SpanId::from_bytes((n as u128 + 1).to_be_bytes());
    let at = |n: usize| Timestamp::from_micros(1_000_000 + i64::try_from(n).unwrap() * 102_000);
    let mut root = Span::new(id(0), trace, at(0));
    root.end_time = Some(at(steps.len() + 1));
    let mut spans = vec![root];
    for (number, (kind, name, input, failed)) in steps.iter().enumerate() {
        let mut span = Span::new(id(number + 1), trace, at(number));
        span.end_time = Some(at(number).plus_micros(100_000));
        span.parent_span_id = Some(id(0));
        span.r#type = Some(kind.clone());
        span.name = Some((*name).to_owned());
        span.input = (!input.is_empty()).then(|| Json::string(input));
        span.error_info = failed.then(|| ErrorInfo::new("E", "broken"));
        spans.push(span);
    }
    TraceTree::from_spans(trace, spans)
}

fn found(steps: &[Step<'_>]) -> Vec<(RepetitionKind, usize, usize, i64)> {
    let tree = tree(steps);
    let (errors, spend) = (errors(&tree), spend(&tree));
    repetitions(&tree, &errors, &spend, &Signatures::new(&tree))
        .iter()
        .map(|r| (r.kind, r.period, r.times, r.wasted_micros / 1_000))
        .collect()
}

fn tool<'a>(name: &'a str, input: &'a str) -> Step<'a> {
    (SpanType::Tool, name, input, false)
}

fn failing<'a>(name: &'a str, input: &'a str) -> Step<'a> {
    (SpanType::Tool, name, input, true)
}

#[test]
fn attempts_until_success_are_a_retry() {
    let steps = [
        failing("get", "x"),
        failing("get", "x"),
        tool("get", "x"),
        tool("get", "y"),
    ];
    assert_eq!(found(&steps), [(RepetitionKind::Retry, 1, 3, 204)]);
    let exhausted = [failing("get", "x"), failing("get", "x")];
    assert_eq!(found(&exhausted), [(RepetitionKind::Retry, 1, 2, 202)]);
    assert_eq!(found(&[failing("get", "x"), tool("get", "y")]), []);
}

#[test]
fn the_smallest_period_of_a_loop_counts() {
    let turn = [tool("search", "cats"), tool("read", "page")];
    let steps: Vec<Step<'_>> = turn.iter().cycle().take(13).cloned().collect();
    assert_eq!(found(&steps), [(RepetitionKind::Loop, 2, 6, 1_000)]);
    assert_eq!(
        found(&steps[..4]),
        [
            (RepetitionKind::Duplicate, 1, 2, 100),
            (RepetitionKind::Duplicate, 1, 2, 100)
        ]
    );
}

#[test]
fn numbers_make_a_near_loop_of_model_calls_and_a_row_of_small_tool_calls() {
    let inputs: Vec<String> = (0..6).map(|n| format!("page {n}")).collect();
    let calls = |kind: SpanType| -> Vec<Step<'_>> {
        inputs
            .iter()
            .map(|input| (kind.clone(), "get", input.as_str(), false))
            .collect()
    };
    assert_eq!(
        found(&calls(SpanType::Tool)),
        [(RepetitionKind::ManySmallCalls, 1, 6, 500)]
    );
    assert_eq!(
        found(&calls(SpanType::Llm)),
        [(RepetitionKind::NearLoop, 1, 6, 500)]
    );
}

#[test]
fn names_alone_are_no_loop() {
    let steps: Vec<Step<'_>> = [tool("plan", ""), tool("act", "")]
        .iter()
        .cycle()
        .take(40)
        .cloned()
        .collect();
    assert_eq!(found(&steps), []);
}
