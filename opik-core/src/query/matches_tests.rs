use super::*;
use crate::model::{AnnotationQueueRef, ExperimentRef, RecordSource, SpanType};
use crate::query::Entity;
use crate::{ErrorInfo, Json, SpanId, Timestamp, TraceId, Usage};

const START: Timestamp = Timestamp::from_micros(1_795_170_315_000_000);

fn full_trace() -> Trace {
    let mut trace = Trace::new(TraceId::from_parts(START, 7), START);
    trace.name = Some("Checkout Flow".to_owned());
    trace.end_time = Some(START.plus_micros(1_500));
    trace.input = Some(Json::parse(r#"{"q": "Why?", "n": 3, "deep": [{"x": "Y"}]}"#).unwrap());
    trace.metadata =
        Some(Json::parse(r#"{"n": 2, "s": "Abc", "b": true, "e": "", "z": null}"#).unwrap());
    trace.tags = vec!["Alpha".to_owned(), "beta".to_owned()];
    trace.usage = Usage::of_tokens(3, 4);
    trace.feedback_scores = vec![FeedbackScore::new("Accuracy", 0.5)];
    trace.error_info = Some(ErrorInfo::of_type("ValueError"));
    trace.thread_id = Some("Thread-1".to_owned());
    trace.environment = Some("production".to_owned());
    trace.llm_span_count = Some(2);
    trace.experiment = Some(ExperimentRef {
        id: "e1".to_owned(),
        name: String::new(),
        dataset_id: String::new(),
        dataset_item_id: String::new(),
    });
    trace.annotation_queues = vec![AnnotationQueueRef {
        id: "q1".to_owned(),
        name: String::new(),
    }];
    trace
}

fn filter(entity: Entity, field: &str, operator: &str, value: &str) -> Filter {
    let (field, key) = field.split_once('/').unwrap_or((field, ""));
    let operator = Operator::find(operator).unwrap();
    Filter::new(entity, field, operator, Some(key), value).unwrap()
}

/// Asserts that conditions `field[/key] operator value` hold or not.
fn check(trace: &Trace, cases: &[(&str, &str, &str, bool)]) {
    for &(field, operator, value, expected) in cases {
        let filter = filter(Entity::Trace, field, operator, value);
        assert_eq!(
            trace_matches(trace, &[filter]),
            expected,
            "{field} {operator} {value:?}"
        );
    }
}

#[test]
fn texts_ignore_case_and_exact_texts_do_not() {
    check(
        &full_trace(),
        &[
            ("name", "=", "checkout flow", true),
            ("name", "!=", "CHECKOUT FLOW", false),
            ("name", ">", "CHECKOUT", true),
            ("name", "<", "D", true),
            ("name", "contains", "OUT F", true),
            ("name", "not_contains", "out", false),
            ("name", "starts_with", "check", true),
            ("name", "ends_with", "FLOW", true),
            ("name", "contains", "%", false),
            ("input", "contains", r#""q": "why"#, true),
            ("output", "not_contains", "x", true),
            ("error_type", "=", "valueerror", true),
            ("thread_id", "=", "Thread-1", true),
            ("thread_id", "=", "thread-1", false),
            ("thread_id", "!=", "thread-1", true),
            ("thread_id", ">", "Thread-0", true),
            ("thread_id", "<", "Thread-0", false),
            ("thread_id", "contains", "READ", false),
            ("thread_id", "not_contains", "READ", true),
            ("thread_id", "starts_with", "Thr", true),
            ("thread_id", "ends_with", "-1", true),
            ("experiment_id", "=", "e1", true),
            ("id", "=", &full_trace().id.to_string(), true),
        ],
    );
}

#[test]
fn absent_texts_are_empty_texts() {
    let bare = Trace::new(TraceId::from_parts(START, 1), START);
    check(
        &bare,
        &[
            ("name", "!=", "x", true),
            ("name", "=", "x", false),
            ("name", "<", "x", true),
            ("name", "not_contains", "x", true),
            ("name", "contains", "x", false),
            ("environment", "is_empty", "", true),
            ("environment", "not_in", "a,b", true),
            ("visibility_mode", "=", "default", true),
        ],
    );
}

#[test]
fn moments_and_numbers_compare_and_absent_ones_fit_nothing() {
    let mut trace = full_trace();
    check(
        &trace,
        &[
            ("start_time", "=", "2026-11-20T10:25:15Z", true),
            ("start_time", "!=", "2026-11-20T10:25:15Z", false),
            ("start_time", ">=", "2026-11-20T10:25:15Z", true),
            ("start_time", ">", "2026-11-20T10:25:14.999999Z", true),
            ("end_time", "<=", "2026-11-20T10:25:15.001500Z", true),
            ("end_time", "<", "2026-11-20T10:25:15.0015Z", false),
            ("duration", "=", "1.5", true),
            ("duration", "<", "1.5", false),
            ("usage.total_tokens", ">=", "7", true),
            ("usage.prompt_tokens", "<=", "2", false),
            ("usage.completion_tokens", "!=", "4", false),
            ("llm_span_count", ">", "1", true),
            ("span_count", "=", "0", true),
            ("total_estimated_cost", "<", "0.01", true),
            ("ttft", "!=", "1", false),
        ],
    );
    trace.duration = Some(9.0);
    check(&trace, &[("duration", "=", "9", true)]);
    trace.duration = None;
    trace.end_time = None;
    check(
        &trace,
        &[
            ("end_time", "!=", "2026-11-20T10:25:15Z", false),
            ("duration", ">", "-1", false),
        ],
    );
    trace.start_time = Timestamp::EPOCH;
    trace.end_time = Some(START);
    check(&trace, &[("duration", ">", "0", false)]);
}

#[test]
fn lists_have_elements_exactly_and_parts_in_any_case() {
    check(
        &full_trace(),
        &[
            ("tags", "=", "Alpha", true),
            ("tags", "=", "alpha", false),
            ("tags", "!=", "alpha", true),
            ("tags", "contains", "LPH", true),
            ("tags", "not_contains", "LPH", false),
            ("tags", "is_empty", "", false),
            ("tags", "is_not_empty", "", true),
            ("annotation_queue_ids", "=", "q1", true),
        ],
    );
}

#[test]
fn dictionaries_compare_the_text_at_a_path() {
    check(
        &full_trace(),
        &[
            ("metadata/n", "=", "2", true),
            ("metadata/n", "!=", "2", false),
            ("metadata/n", ">", "1.5", true),
            ("metadata/n", "<", "10", true),
            ("metadata/s", ">", "1", false),
            ("metadata/s", "<", "1", false),
            ("metadata/n", ">", "x", false),
            ("metadata/s", "=", "aBC", true),
            ("metadata/s", "contains", "B", true),
            ("metadata/s", "not_contains", "z", true),
            ("metadata/s", "starts_with", "aB", true),
            ("metadata/s", "ends_with", "bc", true),
            ("metadata/b", "=", "TRUE", true),
            ("metadata/e", "is_empty", "", true),
            ("metadata/z", "is_empty", "", true),
            ("metadata/missing", "is_empty", "", true),
            ("metadata/missing", "!=", "x", true),
            ("metadata/missing", "=", "", true),
            ("metadata/missing", "contains", "", true),
            ("metadata/s", "contains", "", true),
            ("metadata/s", "=", "", false),
            ("metadata/s", "is_not_empty", "", true),
            ("input_json/deep[0].x", "=", "y", true),
            ("input_json/$.q", "=", "why?", true),
            ("output_json/q", "is_not_empty", "", false),
        ],
    );
}

#[test]
fn scores_are_found_by_name_in_any_case() {
    check(
        &full_trace(),
        &[
            ("feedback_scores/accuracy", "=", "0.5", true),
            ("feedback_scores/ACCURACY", "!=", "0.5", false),
            ("feedback_scores/accuracy", ">", "0.4", true),
            ("feedback_scores/accuracy", ">=", "0.5", true),
            ("feedback_scores/accuracy", "<", "0.5", false),
            ("feedback_scores/accuracy", "<=", "0.5", true),
            ("feedback_scores/accuracy", "is_empty", "", false),
            ("feedback_scores/accuracy", "is_not_empty", "", true),
            ("feedback_scores/other", "!=", "1", false),
            ("feedback_scores/other", "is_empty", "", true),
            ("span_feedback_scores/accuracy", "is_empty", "", true),
        ],
    );
}

#[test]
fn words_compare_exactly_and_errors_are_there_or_not() {
    let mut trace = full_trace();
    check(
        &trace,
        &[
            ("environment", "=", "production", true),
            ("environment", "!=", "Production", true),
            ("environment", "in", "staging, production", true),
            ("environment", "not_in", "staging,production", false),
            ("environment", "is_not_empty", "", true),
            ("error_info", "is_not_empty", "", true),
            ("error_info", "is_empty", "", false),
        ],
    );
    trace.error_info = None;
    check(&trace, &[("error_info", "is_empty", "", true)]);
}

#[test]
fn what_has_no_source_is_among_those_of_each() {
    let mut trace = full_trace();
    check(
        &trace,
        &[
            ("source", "=", "sdk", true),
            ("source", "in", "experiment,sdk", true),
            ("source", "!=", "sdk", false),
            ("source", "not_in", "experiment,sdk", false),
        ],
    );
    trace.source = Some(RecordSource::Experiment);
    check(
        &trace,
        &[
            ("source", "=", "sdk", false),
            ("source", "in", "experiment,sdk", true),
            ("source", "!=", "sdk", true),
            ("source", "not_in", "experiment,sdk", false),
        ],
    );
}

#[test]
fn spans_have_their_own_fields() {
    let trace_id = TraceId::from_parts(START, 7);
    let mut span = Span::new(SpanId::from_parts(START, 8), trace_id, START);
    let holds = |span: &Span, field: &str, operator: &str, value: &str| {
        span_matches(span, &[filter(Entity::Span, field, operator, value)])
    };
    assert!(holds(&span, "type", "=", "general"));
    assert!(holds(&span, "parent_span_id", "!=", "x"));
    span.r#type = Some(SpanType::Llm);
    span.model = Some("GPT-4o".to_owned());
    span.provider = Some("openai".to_owned());
    span.parent_span_id = Some(SpanId::from_parts(START, 1));
    let parent = SpanId::from_parts(START, 1).to_string();
    assert!(holds(&span, "type", "in", "llm,tool"));
    assert!(holds(&span, "model", "=", "gpt-4o"));
    assert!(holds(&span, "provider", "starts_with", "OPEN"));
    assert!(holds(&span, "trace_id", "=", &trace_id.to_string()));
    assert!(holds(&span, "parent_span_id", "=", &parent));
}

#[test]
fn all_filters_must_hold() {
    let trace = full_trace();
    let yes = filter(Entity::Trace, "name", "contains", "flow");
    let no = filter(Entity::Trace, "name", "contains", "other");
    assert!(trace_matches(&trace, &[]));
    assert!(trace_matches(&trace, &[yes.clone(), yes.clone()]));
    assert!(!trace_matches(&trace, &[yes, no]));
}
