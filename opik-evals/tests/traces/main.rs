//! Metrics of recorded traces.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use opik_core::{
    Batch, ErrorInfo, Exporter as _, Json, Span, SpanType, Timestamp, Trace, TraceTree, Usage,
};
use opik_evals::dataset::Item;
use opik_evals::experiment::{Experiment, FnTask, TaskOutput};
use opik_evals::gate::TraceFacts;
use opik_evals::trace_metrics::{
    Order, ToolArguments, ToolSequence, ToolUsed, TraceMeasure, TraceMetric, TraceScorer,
};
use opik_testkit::{MemoryStore, records};
use serde_json::json;

fn span(number: u32, name: &str, kind: SpanType, start: i64, end: i64) -> Span {
    let mut span = records::span(1, number);
    span.parent_span_id = None;
    span.name = Some(name.to_owned());
    span.r#type = Some(kind);
    span.start_time = Timestamp::from_micros(start);
    span.end_time = Some(Timestamp::from_micros(end));
    span.usage = Usage::default();
    span.total_estimated_cost = None;
    span.error_info = None;
    span
}

fn spans() -> Vec<Span> {
    let mut plan = span(1, "plan", SpanType::Llm, 1_000_000, 2_000_000);
    plan.usage = Usage::of_tokens(90, 10);
    plan.total_estimated_cost = Some(0.25);
    // Later in the list, earlier in time.
    let mut late = span(2, "answer", SpanType::Tool, 5_000_000, 6_000_000);
    late.error_info = Some(ErrorInfo::new("ToolError", "no luck"));
    let mut first = span(3, "search", SpanType::Tool, 2_000_000, 3_000_000);
    first.input = Json::parse(r#"{"query": "rust", "limit": 5, "tags": ["a", "b"]}"#).ok();
    let mut second = span(4, "search", SpanType::Tool, 3_000_000, 4_000_000);
    second.input = Some(Json::string("free text"));
    second.total_estimated_cost = Some(0.5);
    vec![plan, late, first, second]
}

fn trace() -> Trace {
    let mut trace = records::trace(1);
    trace.start_time = Timestamp::from_micros(1_000_000);
    trace.end_time = Some(Timestamp::from_micros(6_000_000));
    trace.total_estimated_cost = None;
    trace
}

fn tree() -> TraceTree {
    TraceTree::build(trace(), spans())
}

fn value(metric: &dyn TraceMetric) -> f64 {
    let score = metric.score(&tree()).unwrap();
    assert_eq!(score.name(), metric.name());
    score.value()
}

#[test]
fn tools_are_counted_by_name() {
    for (metric, expected) in [
        (ToolUsed::new("search"), 1.0),
        (ToolUsed::new("plan"), 0.0),
        (ToolUsed::never("browse"), 1.0),
        (ToolUsed::never("search"), 0.0),
        (ToolUsed::new("search").times(3, 9), 0.0),
        (ToolUsed::new("search").times(2, 2), 1.0),
    ] {
        assert_eq!(value(&metric), expected, "{metric:?}");
    }
}

#[test]
fn calls_are_compared_in_the_order_of_their_starts() {
    let made = ["search", "search", "answer"];
    for (tools, order, expected) in [
        (&made[..], Order::Exact, 1.0),
        (&["search", "answer"], Order::Exact, 0.0),
        (&["search", "answer"], Order::InOrder, 1.0),
        (&["answer", "search"], Order::InOrder, 0.5),
        (&["answer", "search"], Order::Any, 1.0),
        (&["search", "search", "search", "x"], Order::Any, 0.5),
        (&[], Order::InOrder, 1.0),
        (&[], Order::Exact, 0.0),
    ] {
        let metric = ToolSequence::new(tools.iter().copied()).order(order);
        assert_eq!(value(&metric), expected, "{metric:?}");
    }
}

#[test]
fn arguments_fit_when_everything_expected_is_there() {
    for (expected, exact, fits) in [
        (json!({ "query": "rust" }), false, 1.0),
        (json!({ "query": "rust", "limit": 5.0 }), false, 1.0),
        (json!({ "tags": ["a"] }), false, 1.0),
        (json!({ "tags": ["b"] }), false, 0.0),
        (json!({ "query": "go" }), false, 0.0),
        (json!({ "query": "rust" }), true, 0.0),
        (json!("free text"), true, 1.0),
    ] {
        let metric = ToolArguments::new("search", expected.clone()).exact(exact);
        assert_eq!(value(&metric), fits, "{expected} {exact}");
        assert!(!format!("{metric:?}").contains("rust"));
    }
    assert_eq!(value(&ToolArguments::new("answer", json!({ "a": 1 }))), 0.0);
}

#[test]
fn a_trace_is_measured_and_held_against_limits() {
    let facts = Arc::new(|_: &TraceTree| {
        let mut facts = TraceFacts::default();
        facts.loops = vec!["search".to_owned()];
        facts.critical_path_us = Some(2_500_000);
        facts
    });
    for (metric, expected) in [
        (TraceMeasure::steps(), 4.0),
        (TraceMeasure::spans(), 4.0),
        (TraceMeasure::seconds(), 5.0),
        (TraceMeasure::errors(), 1.0),
        (TraceMeasure::dollars(), 0.75),
        (TraceMeasure::tokens(), 100.0),
        (TraceMeasure::loops(facts.clone()), 1.0),
        (TraceMeasure::critical_path(facts.clone()), 2.5),
        (TraceMeasure::steps().at_most(4.0), 1.0),
        (TraceMeasure::steps().at_most(3.0), 0.0),
        (TraceMeasure::errors().at_most(0.0), 0.0),
        (TraceMeasure::seconds().at_least(1.0).at_most(5.0), 1.0),
    ] {
        assert_eq!(value(&metric), expected, "{metric:?}");
    }
    let score = TraceMeasure::steps().at_most(3.0).score(&tree()).unwrap();
    assert_eq!(score.reason(), Some("4, at most 3"));

    let empty = TraceTree::build(trace(), vec![]);
    assert!(TraceMeasure::dollars().score(&empty).is_err());
    assert!(TraceMeasure::tokens().score(&empty).is_err());
    assert_eq!(TraceMeasure::spans().score(&empty).unwrap().value(), 0.0);
}

#[tokio::test]
async fn an_experiment_scores_the_trace_that_a_trial_recorded() {
    let store = MemoryStore::new();
    store
        .export(&Batch::new(vec![trace()], spans()))
        .await
        .unwrap();
    let items = [json!({ "recorded": true }), json!({ "recorded": false })]
        .map(|value| Item::from_value(value).unwrap());
    let task = FnTask::new(|call| async move {
        let output = TaskOutput::new("done");
        Ok(match call.get("recorded") {
            Some(serde_json::Value::Bool(true)) => output.trace(records::trace_id(1)),
            _ => output,
        })
    });
    let source = Arc::new(store);
    let run = Experiment::new("traces", items)
        .task(task)
        .scorer(TraceScorer::new(source.clone(), ToolUsed::new("search")))
        .scorer(TraceScorer::new(source, TraceMeasure::errors()))
        .run()
        .await
        .unwrap();
    assert_eq!(run.scores("tool_used"), [1.0]);
    assert_eq!(run.scores("trace_error_spans"), [1.0]);
    let failed: usize = run
        .trials()
        .iter()
        .map(|trial| trial.failed_scores.len())
        .sum();
    assert_eq!(failed, 2);
}
