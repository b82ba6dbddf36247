//! Whatever was recorded, the analysis ends, and equal trees give equal findings.

use opik_assist::analyse;
use opik_assist::answer::{AnswerContext, answer};
use opik_assist::peers::{Peers, compare};
use opik_core::{
    ErrorInfo, Json, Span, SpanId, SpanType, Timestamp, Trace, TraceId, TraceTree, Usage,
};
use proptest::prelude::*;

const TRACE: TraceId = TraceId::from_bytes([7; 16]);

fn any_json() -> impl Strategy<Value = Option<Json>> {
    prop_oneof![
        Just(None),
        Just(Json::parse("null").ok()),
        Just(Json::parse(r#"{"a":1,"b":"x"}"#).ok()),
        Just(Json::parse(r#"{"b":"x","a":1}"#).ok()),
        Just(Json::parse(r#"{"error":{"message":"gone \u001b[2J"}}"#).ok()),
        Just(Json::parse(r#"{"choices":[{"finish_reason":"length"}]}"#).ok()),
        Just(Some(Json::string(
            "exitcode: 1\nTraceback (most recent call last):\nValueError: é\u{202e}"
        ))),
        "\\PC{0,40}".prop_map(|text| Some(Json::string(&text))),
    ]
}

prop_compose! {
    fn any_span()(
        (id, parent, start, length) in (0u8..30, 0u8..60, -2_000i64..5_000, prop::option::of(-500i64..5_000)),
        (kind, name) in (0usize..4, prop::option::of("[ab\u{1b}]{0,2}")),
        (input, output) in (any_json(), any_json()),
        (error, tokens, cost) in (prop::option::of("[a-c0-9 '/]{0,12}"), -5i64..5_000, prop::option::of(any::<f64>())),
    ) -> Span {
        let id_of = |n: u8| SpanId::from_bytes([n + 1; 16]);
        let at = Timestamp::from_micros(3_000 + start);
        let mut span = Span::new(id_of(id), TRACE, at);
        span.parent_span_id = (parent < 40).then(|| id_of(parent));
        span.end_time = length.map(|length| at.plus_micros(length));
        span.r#type = [SpanType::General, SpanType::Llm, SpanType::Tool, SpanType::Guardrail].into_iter().nth(kind);
        span.name = name;
        span.input = input;
        span.output = output;
        span.error_info = error.map(|message| ErrorInfo::new("E", message));
        span.usage = Usage::of_tokens(tokens, 3);
        span.total_estimated_cost = cost;
        span
    }
}

proptest! {
    #[test]
    fn analysis_never_panics_and_repeats_itself(
        spans in prop::collection::vec(any_span(), 0..40),
        question in "\\PC{0,30}|why slow|error|cost|difference|odd|loop",
    ) {
        let tree = TraceTree::from_spans(TRACE, spans.clone());
        let evidence = analyse(&tree);
        for (finding, number) in evidence.findings.iter().zip(1u32..) {
            prop_assert_eq!(finding.id.0, number);
            prop_assert!(!finding.claim.chars().any(char::is_control), "{}", finding.claim);
            prop_assert!(finding.numbers.iter().all(|number| number.value.is_finite()));
            prop_assert!(!finding.method.is_empty());
        }
        prop_assert_eq!(&analyse(&tree).findings, &evidence.findings);
        let mut reversed = spans.clone();
        reversed.reverse();
        let other = TraceTree::from_spans(TRACE, reversed);
        let other_evidence = analyse(&other);
        let context = AnswerContext::new(&tree, &evidence).compared_with(&other, &other_evidence);
        let answer = answer(&question, &context);
        prop_assert!(!answer.text.chars().any(|c| c.is_control() && c != '\n'), "{}", answer.text);
        // Parts of it as other traces: comparing them ends too, and repeats itself.
        let others = (0..25u8).map(|number| {
            let id = TraceId::from_bytes([100 + number; 16]);
            let part = spans.iter().skip(usize::from(number % 7)).step_by(1 + usize::from(number % 3));
            let part = part.cloned().map(|mut span| {
                span.trace_id = id;
                span
            });
            TraceTree::from_spans(id, part.collect())
        });
        let peers = Peers::new(others.collect());
        let comparison = compare(&tree, &evidence, &peers);
        for finding in &comparison.findings {
            prop_assert!(!finding.claim.chars().any(char::is_control), "{}", finding.claim);
            prop_assert!(finding.numbers.iter().all(|number| number.value.is_finite()));
            prop_assert!(!finding.method.is_empty());
        }
        prop_assert_eq!(&compare(&tree, &evidence, &peers).findings, &comparison.findings);
        for node in tree.nodes() {
            let own = evidence.self_times.at(node);
            prop_assert!((0..=tree.interval(node).micros()).contains(&own));
        }
    }
}

#[test]
fn a_chain_of_ten_thousand_failing_spans() {
    let id = |n: u64| SpanId::from_bytes(u128::from(n + 1).to_be_bytes());
    let spans: Vec<Span> = (0..10_000u64)
        .map(|n| {
            let at = Timestamp::from_micros(1_000_000 + i64::try_from(n).unwrap());
            let mut span = Span::new(id(n), TRACE, at);
            span.end_time = Some(Timestamp::from_micros(
                2_000_000 - i64::try_from(n).unwrap(),
            ));
            span.parent_span_id = n.checked_sub(1).map(id);
            span.error_info = Some(ErrorInfo::new("E", format!("layer {n}: broken")));
            span.name = Some("layer".to_owned());
            span
        })
        .collect();
    let tree = TraceTree::build(Trace::new(TRACE, Timestamp::from_micros(1_000_000)), spans);
    let evidence = analyse(&tree);
    assert_eq!(
        evidence.errors.origins.len(),
        1,
        "one error, passed on 9,999 times"
    );
    let origin = evidence.errors.origins.first().unwrap();
    assert_eq!(tree.span(origin.node).id, id(9_999));
    assert_eq!(origin.path.len(), 9_999);
    let answer = answer("what failed?", &AnswerContext::new(&tree, &evidence));
    assert!(answer.sufficient);
}
