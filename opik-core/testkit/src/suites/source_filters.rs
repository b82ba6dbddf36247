//! Cases about filters and sorting. The expected answers are written out; that they are also those
//! of [`matches`](opik_core::query::matches) is checked beside it, over the records as they are read.

use opik_core::model::{RecordSource, ScoreTarget};
use opik_core::query::{Direction, Entity, Sort, SpanQuery, TraceQuery, matches, oql};
use opik_core::{ErrorInfo, Span, SpanType, Trace, TraceId, Usage};

use super::Place;
use crate::records::{at, content, llm_span, score, span, span_id, trace, trace_id};
use crate::report::{Failure, Outcome, check, check_eq};

/// Six traces, each with a span, that differ in every field that can be filtered.
async fn fill(place: &Place) -> Outcome {
    let mut traces: Vec<Trace> = (1..=6).map(trace).collect();
    let mut spans: Vec<Span> = (1..=6).map(|number| span(number, 1)).collect();
    let names = [
        "Checkout",
        "checkout basket",
        "50% off",
        "50 off",
        "a_b",
        "axb",
    ];
    let metadata = [
        r#"{"n": 2, "env": {"name": "Prod"}, "list": [{"k": "first"}]}"#,
        r#"{"n": 10, "env": {"name": "dev"}}"#,
        r#"{"n": "text", "flag": true}"#,
        r#"{"n": null}"#,
    ];
    let numbered = (1..).zip(names);
    for ((number, name), (trace, span)) in numbered.zip(traces.iter_mut().zip(&mut spans)) {
        trace.name = Some(name.to_owned());
        span.name = Some(name.to_owned());
        trace.end_time = Some(trace.start_time.plus_micros(number * 100_000));
        span.end_time = Some(span.start_time.plus_micros(number * 100_000));
    }
    for (text, (trace, span)) in metadata.iter().zip(traces.iter_mut().zip(&mut spans)) {
        trace.metadata = Some(content(text));
        span.metadata = Some(content(text));
    }
    if let [one, two, three, four, five, six] = traces.as_mut_slice() {
        one.tags = vec!["Blue".to_owned(), "green, red".to_owned()];
        two.tags = vec!["blue".to_owned()];
        one.thread_id = Some("T-1".to_owned());
        two.thread_id = Some("t-1".to_owned());
        three.error_info = Some(ErrorInfo::new("ValueError", "x"));
        four.error_info = Some(ErrorInfo::new("TimeoutError", "x"));
        five.source = Some(RecordSource::Experiment);
        five.environment = Some("production".to_owned());
        six.input = Some(content(r#"{"question": "Where is 100% of it?"}"#));
        six.ttft = Some(7.5);
        six.end_time = None;
    }
    if let [one, two, three, four, five, six] = spans.as_mut_slice() {
        let call = llm_span(1, 1, (10, 20), 0.5);
        (one.r#type, one.model, one.provider) = (call.r#type, call.model, call.provider);
        (one.usage, one.total_estimated_cost) = (call.usage, call.total_estimated_cost);
        two.r#type = Some(SpanType::Tool);
        two.parent_span_id = Some(span_id(1, 1));
        three.r#type = Some(SpanType::Llm);
        three.model = Some("GPT-4.1".to_owned());
        three.usage = Usage::of_tokens(100, 200);
        four.r#type = Some(SpanType::Guardrail);
        five.r#type = None;
        five.tags = vec!["Blue".to_owned()];
        six.error_info = Some(ErrorInfo::new("ValueError", "x"));
        six.end_time = None;
    }
    place.put_rows(traces, spans).await?;
    place
        .put_scores(vec![
            score(ScoreTarget::Trace(trace_id(1)), "Relevance", 0.25),
            score(ScoreTarget::Trace(trace_id(2)), "relevance", 0.75),
            score(ScoreTarget::Span(span_id(3, 1)), "relevance", 0.5),
        ])
        .await
}

/// Conditions and the numbers of the traces that they hold for, newest first.
const TRACES: &[(&str, &[u32])] = &[
    // Text: in any case; the signs of LIKE and GLOB are only signs.
    (r#"name = "checkout""#, &[1]),
    (r#"name != "checkout""#, &[6, 5, 4, 3, 2]),
    (r#"name contains "CHECK""#, &[2, 1]),
    (r#"name not_contains "check""#, &[6, 5, 4, 3]),
    (r#"name starts_with "50""#, &[4, 3]),
    (r#"name ends_with "OFF""#, &[4, 3]),
    (r#"name contains "0% o""#, &[3]),
    (r#"name contains "a_b""#, &[5]),
    (r#"name contains "*""#, &[]),
    (r#"name contains "'""#, &[]),
    (r#"name > "axa""#, &[6, 2, 1]),
    (r#"input contains "100% OF""#, &[6]),
    (r#"input not_contains "where""#, &[5, 4, 3, 2, 1]),
    // Exact text.
    (r#"thread_id = "T-1""#, &[1]),
    (r#"thread_id contains "-1""#, &[2, 1]),
    (r#"thread_id starts_with "t""#, &[2]),
    // Moments. Traces begin a second apart.
    (r#"start_time > "2026-01-01T00:00:04Z""#, &[6, 5]),
    (
        r#"start_time >= "2026-01-01T01:00:04.000+01:00""#,
        &[6, 5, 4],
    ),
    (r#"start_time = "2026-01-01T00:00:04.000000Z""#, &[4]),
    (r#"end_time < "2026-01-01T00:00:02.200001Z""#, &[2, 1]),
    // Numbers; durations are milliseconds and only of what has ended.
    ("duration = 300", &[3]),
    ("duration > 300", &[5, 4]),
    ("duration <= 200", &[2, 1]),
    ("ttft >= 7.5", &[6]),
    ("span_count = 1", &[6, 5, 4, 3, 2, 1]),
    ("llm_span_count = 1", &[3, 1]),
    ("llm_span_count < 1", &[6, 5, 4, 2]),
    ("usage.total_tokens > 30", &[3]),
    ("usage.prompt_tokens = 0", &[6, 5, 4, 2]),
    ("total_estimated_cost = 0.5", &[1]),
    ("total_estimated_cost < 0.5", &[6, 5, 4, 3, 2]),
    // Lists.
    (r#"tags = "blue""#, &[2]),
    (r#"tags != "Blue""#, &[6, 5, 4, 3, 2]),
    (r#"tags contains "BLU""#, &[2, 1]),
    (r#"tags contains "green""#, &[1]),
    ("tags is_empty", &[6, 5, 4, 3]),
    ("tags is_not_empty", &[2, 1]),
    // JSON by path.
    (r#"metadata.n = "2""#, &[1]),
    ("metadata.n > 2", &[2]),
    ("metadata.n < 11", &[2, 1]),
    (r#"metadata."env.name" = "PROD""#, &[1]),
    (r#"metadata."list[0].k" starts_with "fi""#, &[1]),
    (r#"metadata.flag = "true""#, &[3]),
    ("metadata.n is_empty", &[6, 5, 4]),
    ("metadata.n is_not_empty", &[3, 2, 1]),
    (r#"input_json.question contains "where""#, &[6]),
    // Scores by name in any case.
    ("feedback_scores.relevance > 0.5", &[2]),
    ("feedback_scores.RELEVANCE <= 0.25", &[1]),
    ("feedback_scores.relevance is_empty", &[6, 5, 4, 3]),
    ("feedback_scores.relevance is_not_empty", &[2, 1]),
    ("span_feedback_scores.relevance = 0.5", &[3]),
    // Words of a list, errors.
    (r#"source = "experiment""#, &[5]),
    (r#"source in ("experiment","playground")"#, &[5]),
    (r#"source not_in ("experiment")"#, &[6, 4, 3, 2, 1]),
    ("environment is_empty", &[6, 4, 3, 2, 1]),
    (r#"environment = "production""#, &[5]),
    (r#"visibility_mode = "default""#, &[6, 5, 4, 3, 2, 1]),
    ("error_info is_not_empty", &[4, 3]),
    ("error_info is_empty", &[6, 5, 2, 1]),
    (r#"error_type = "valueerror""#, &[3]),
];

/// Conditions and the numbers of the traces whose span they hold for, newest first.
const SPANS: &[(&str, &[u32])] = &[
    (r#"name = "checkout""#, &[1]),
    (r#"name contains "0% o""#, &[3]),
    (r#"model = "gpt-4.1""#, &[3]),
    (r#"model starts_with "gpt-4.1""#, &[3, 1]),
    (r#"model != "gpt-4.1""#, &[6, 5, 4, 2, 1]),
    (r#"provider = "OpenAI""#, &[1]),
    (r#"type = "llm""#, &[3, 1]),
    (r#"type = "general""#, &[6, 5]),
    (r#"type != "general""#, &[4, 3, 2, 1]),
    (r#"type in ("tool","guardrail")"#, &[4, 2]),
    ("usage.total_tokens >= 30", &[3, 1]),
    ("usage.completion_tokens = 200", &[3]),
    ("total_estimated_cost > 0", &[1]),
    ("duration > 300", &[5, 4]),
    ("duration = 100", &[1]),
    (r#"tags = "Blue""#, &[5]),
    ("metadata.n > 2", &[2]),
    ("feedback_scores.relevance = 0.5", &[3]),
    ("error_info is_not_empty", &[6]),
    (r#"error_type = "ValueError""#, &[6]),
    (r#"start_time < "2026-01-01T00:00:02.001Z""#, &[1]),
    (r#"end_time >= "2026-01-01T00:00:05.501Z""#, &[5]),
];

fn conditions(entity: Entity, text: &str) -> Result<Vec<opik_core::query::Filter>, Failure> {
    oql::parse(entity, text).map_err(|error| Failure::new(format!("{text}: {error}")))
}

async fn traces_with(place: &Place, text: &str, size: usize) -> Result<Vec<TraceId>, Failure> {
    let mut query = TraceQuery::default();
    query.filters = conditions(Entity::Trace, text)?;
    let found = place.search_traces(query, size).await?;
    Ok(found.iter().map(|trace| trace.id).collect())
}

async fn spans_with(place: &Place, text: &str, size: usize) -> Result<Vec<TraceId>, Failure> {
    let mut query = SpanQuery::default();
    query.filters = conditions(Entity::Span, text)?;
    let found = place.search_spans(query, size).await?;
    Ok(found.iter().map(|span| span.trace_id).collect())
}

fn ids(numbers: &[u32]) -> Vec<TraceId> {
    numbers.iter().copied().map(trace_id).collect()
}

pub(super) async fn of_traces(place: Place) -> Outcome {
    fill(&place).await?;
    let all = place.search_traces(TraceQuery::default(), 10).await?;
    for &(text, expected) in TRACES {
        let found = traces_with(&place, text, 10).await?;
        check_eq!(found, ids(expected), "traces with {text}");
        let filters = conditions(Entity::Trace, text)?;
        let matching = all
            .iter()
            .filter(|trace| matches::trace_matches(trace, &filters));
        let matching: Vec<TraceId> = matching.map(|trace| trace.id).collect();
        check_eq!(matching, found, "traces as read that match {text}");
    }
    Ok(())
}

pub(super) async fn of_spans(place: Place) -> Outcome {
    fill(&place).await?;
    let all = place.search_spans(SpanQuery::default(), 10).await?;
    for &(text, expected) in SPANS {
        let found = spans_with(&place, text, 10).await?;
        check_eq!(found, ids(expected), "spans with {text}");
        let filters = conditions(Entity::Span, text)?;
        let matching = all
            .iter()
            .filter(|span| matches::span_matches(span, &filters));
        let matching: Vec<TraceId> = matching.map(|span| span.trace_id).collect();
        check_eq!(matching, found, "spans as read that match {text}");
    }
    // Values that are identifiers.
    for (text, expected) in [
        (format!("trace_id = \"{}\"", trace_id(2)), vec![2]),
        (format!("parent_span_id = \"{}\"", span_id(1, 1)), vec![2]),
        (format!("id = \"{}\"", span_id(4, 1)), vec![4]),
    ] {
        check_eq!(
            spans_with(&place, &text, 10).await?,
            ids(&expected),
            "spans with {text}"
        );
    }
    Ok(())
}

pub(super) async fn all_hold(place: Place) -> Outcome {
    fill(&place).await?;
    let text = r#"name contains "check" AND duration > 100 AND tags = "blue""#;
    check_eq!(
        traces_with(&place, text, 10).await?,
        ids(&[2]),
        "traces with {text}"
    );
    let text = r#"type = "llm" AND usage.total_tokens < 100"#;
    check_eq!(
        spans_with(&place, text, 10).await?,
        ids(&[1]),
        "spans with {text}"
    );
    let text = r#"name contains "check" AND error_info is_not_empty"#;
    check_eq!(
        traces_with(&place, text, 10).await?,
        ids(&[]),
        "traces with {text}"
    );
    // A filter and another restriction.
    let mut query = TraceQuery::default();
    query.filters = conditions(Entity::Trace, r#"name contains "o""#)?;
    query.from = Some(at(2_000));
    query.to = Some(at(4_000));
    let found = place.search_traces(query, 10).await?;
    let found: Vec<TraceId> = found.iter().map(|trace| trace.id).collect();
    check_eq!(found, ids(&[3, 2]), "traces with a filter, from and to");
    Ok(())
}

pub(super) async fn pages(place: Place) -> Outcome {
    fill(&place).await?;
    for size in 1..=5 {
        let found = traces_with(&place, "tags is_empty", size).await?;
        check_eq!(found, ids(&[6, 5, 4, 3]), "traces on pages of {size}");
        let found = spans_with(&place, r#"type != "general""#, size).await?;
        check_eq!(found, ids(&[4, 3, 2, 1]), "spans on pages of {size}");
    }
    Ok(())
}

async fn sorted_traces(
    place: &Place,
    field: &str,
    direction: Direction,
    size: usize,
) -> Result<Vec<TraceId>, Failure> {
    let mut query = TraceQuery::default();
    query.sort = Sort::by(Entity::Trace, field, direction);
    check!(query.sort.is_some(), "there is no field {field}");
    let found = place.search_traces(query, size).await?;
    Ok(found.iter().map(|trace| trace.id).collect())
}

async fn sorted_spans(
    place: &Place,
    field: &str,
    direction: Direction,
    size: usize,
) -> Result<Vec<TraceId>, Failure> {
    let mut query = SpanQuery::default();
    query.sort = Sort::by(Entity::Span, field, direction);
    check!(query.sort.is_some(), "there is no field {field}");
    let found = place.search_spans(query, size).await?;
    Ok(found.iter().map(|span| span.trace_id).collect())
}

use Direction::{Ascending, Descending};

pub(super) async fn sorted(place: Place) -> Outcome {
    fill(&place).await?;
    for (field, direction, expected) in [
        ("start_time", Ascending, [1, 2, 3, 4, 5, 6]),
        ("start_time", Descending, [6, 5, 4, 3, 2, 1]),
        ("id", Ascending, [1, 2, 3, 4, 5, 6]),
        ("name", Ascending, [4, 3, 1, 5, 6, 2]),
        ("usage.total_tokens", Descending, [3, 1, 6, 5, 4, 2]),
    ] {
        let found = sorted_traces(&place, field, direction, 10).await?;
        check_eq!(found, ids(&expected), "traces by {field} {direction:?}");
        let found = sorted_spans(&place, field, direction, 10).await?;
        check_eq!(found, ids(&expected), "spans by {field} {direction:?}");
    }
    Ok(())
}

pub(super) async fn valueless_last(place: Place) -> Outcome {
    fill(&place).await?;
    // The sixth has not ended; only the first two have scores.
    for (field, direction, expected) in [
        ("duration", Ascending, [1, 2, 3, 4, 5, 6]),
        ("duration", Descending, [5, 4, 3, 2, 1, 6]),
        ("end_time", Descending, [5, 4, 3, 2, 1, 6]),
        ("feedback_scores.relevance", Ascending, [1, 2, 3, 4, 5, 6]),
        ("feedback_scores.relevance", Descending, [2, 1, 6, 5, 4, 3]),
        ("thread_id", Ascending, [1, 2, 3, 4, 5, 6]),
        ("thread_id", Descending, [2, 1, 6, 5, 4, 3]),
    ] {
        let found = sorted_traces(&place, field, direction, 10).await?;
        check_eq!(found, ids(&expected), "traces by {field} {direction:?}");
    }
    Ok(())
}

pub(super) async fn ties(place: Place) -> Outcome {
    fill(&place).await?;
    for (direction, expected) in [
        (Ascending, [2, 4, 5, 6, 1, 3]),
        (Descending, [3, 1, 6, 5, 4, 2]),
    ] {
        let found = sorted_traces(&place, "llm_span_count", direction, 10).await?;
        check_eq!(
            found,
            ids(&expected),
            "traces by llm_span_count {direction:?}"
        );
    }
    Ok(())
}

pub(super) async fn sorted_pages(place: Place) -> Outcome {
    fill(&place).await?;
    for size in 1..=7 {
        for (field, direction, expected) in [
            ("llm_span_count", Ascending, [2, 4, 5, 6, 1, 3]),
            ("duration", Descending, [5, 4, 3, 2, 1, 6]),
            ("feedback_scores.relevance", Descending, [2, 1, 6, 5, 4, 3]),
        ] {
            let found = sorted_traces(&place, field, direction, size).await?;
            check_eq!(
                found,
                ids(&expected),
                "traces by {field} {direction:?}, pages of {size}"
            );
        }
        let found = sorted_spans(&place, "usage.total_tokens", Descending, size).await?;
        check_eq!(
            found,
            ids(&[3, 1, 6, 5, 4, 2]),
            "spans by tokens, pages of {size}"
        );
    }
    Ok(())
}
