//! Cases about the totals of a trace.

use opik_core::query::TraceQuery;
use opik_core::{SpanType, Trace};

use super::Place;
use crate::records::{at, llm_span, span, trace, trace_id};
use crate::report::{Outcome, check, check_eq};

/// Spans, model calls, prompt, completion and all tokens, cost, milliseconds.
type Totals = (u64, u64, i64, i64, i64, f64, Option<f64>);

fn totals(trace: &Trace) -> Totals {
    let count = |name: &str| trace.usage.get(name).unwrap_or(0);
    (
        trace.span_count.unwrap_or(0),
        trace.llm_span_count.unwrap_or(0),
        count("prompt_tokens"),
        count("completion_tokens"),
        count("total_tokens"),
        trace.total_estimated_cost.unwrap_or(0.0),
        trace.duration,
    )
}

/// That the totals of a trace are these. Costs are powers of two, so sums of them are exact.
async fn check_totals(place: &Place, number: u32, expected: Totals) -> Outcome {
    let found = place.read_trace(trace_id(number)).await?;
    check_eq!(
        totals(&found),
        expected,
        "totals of trace {number} (spans, model calls, prompt, completion, all tokens, cost, ms)"
    );
    Ok(())
}

pub(super) async fn of_spans(place: Place) -> Outcome {
    let mut own_count = llm_span(1, 3, (10, 20), 0.25);
    own_count
        .usage
        .0
        .insert("original_usage.cached".to_owned(), 4);
    let mut tool = span(1, 4);
    tool.r#type = Some(SpanType::Tool);
    let spans = vec![
        span(1, 1),
        llm_span(1, 2, (1, 2), 0.5),
        own_count,
        tool,
        span(2, 1),
    ];
    place
        .put_rows(vec![trace(1), trace(2), trace(3)], spans)
        .await?;
    check_totals(&place, 1, (4, 2, 11, 22, 33, 0.75, Some(500.0))).await?;
    check_totals(&place, 2, (1, 0, 0, 0, 0, 0.0, Some(500.0))).await?;
    check_totals(&place, 3, (0, 0, 0, 0, 0, 0.0, Some(500.0))).await?;
    let found = place.read_trace(trace_id(1)).await?;
    check_eq!(
        found.usage.get("original_usage.cached"),
        Some(4),
        "the provider's own count"
    );
    check_eq!(
        found.has_tool_spans,
        Some(true),
        "whether there is a tool call"
    );
    check_eq!(found.providers, ["openai"], "providers");
    Ok(())
}

pub(super) async fn late_span(place: Place) -> Outcome {
    place
        .put_rows(vec![trace(1)], vec![llm_span(1, 1, (1, 2), 0.5)])
        .await?;
    check_totals(&place, 1, (1, 1, 1, 2, 3, 0.5, Some(500.0))).await?;
    place
        .put_rows(vec![], vec![llm_span(1, 2, (1, 2), 0.5)])
        .await?;
    check_totals(&place, 1, (2, 2, 2, 4, 6, 1.0, Some(500.0))).await
}

pub(super) async fn replaced_span(place: Place) -> Outcome {
    place
        .put_rows(
            vec![trace(1)],
            vec![llm_span(1, 1, (1, 2), 0.5), span(1, 2)],
        )
        .await?;
    let mut newer = llm_span(1, 1, (10, 20), 0.25);
    newer.last_updated_at = Some(at(600_000));
    place.put_rows(vec![], vec![newer]).await?;
    check_totals(&place, 1, (2, 1, 10, 20, 30, 0.25, Some(500.0))).await?;
    // No model call any more: what it counted has to go.
    let mut plain = span(1, 1);
    plain.last_updated_at = Some(at(700_000));
    place.put_rows(vec![], vec![plain]).await?;
    check_totals(&place, 1, (2, 0, 0, 0, 0, 0.0, Some(500.0))).await?;
    let mut longer = trace(1);
    longer.end_time = Some(longer.start_time.plus_micros(1_250_500));
    longer.last_updated_at = Some(at(800_000));
    place.put_rows(vec![longer], vec![]).await?;
    check_totals(&place, 1, (2, 0, 0, 0, 0, 0.0, Some(1_250.5))).await
}

pub(super) async fn moved_span(place: Place) -> Outcome {
    place
        .put_rows(vec![trace(1), trace(2)], vec![llm_span(1, 1, (1, 2), 0.5)])
        .await?;
    let mut moved = llm_span(1, 1, (1, 2), 0.5);
    moved.trace_id = trace_id(2);
    moved.last_updated_at = Some(at(600_000));
    place.put_rows(vec![], vec![moved]).await?;
    check_totals(&place, 1, (0, 0, 0, 0, 0, 0.0, Some(500.0))).await?;
    check_totals(&place, 2, (1, 1, 1, 2, 3, 0.5, Some(500.0))).await?;
    check_eq!(
        place.read_spans(trace_id(1)).await?.len(),
        0,
        "spans of the trace it left"
    );
    check_eq!(
        place.read_spans(trace_id(2)).await?.len(),
        1,
        "spans of the trace it came to"
    );
    Ok(())
}

pub(super) async fn lost_row(place: Place) -> Outcome {
    place
        .put_rows(vec![trace(1)], vec![llm_span(1, 1, (1, 2), 0.5)])
        .await?;
    let mut older = llm_span(1, 1, (100, 200), 8.0);
    older.last_updated_at = Some(at(0));
    place.put_rows(vec![], vec![older]).await?;
    check_totals(&place, 1, (1, 1, 1, 2, 3, 0.5, Some(500.0))).await
}

pub(super) async fn in_search(place: Place) -> Outcome {
    let spans = (1..=3).flat_map(|number| {
        (0..number).map(move |n| llm_span(number, n, (i64::from(number), 1), 0.5))
    });
    place
        .put_rows((1..=3).map(trace).collect(), spans.collect())
        .await?;
    let listed = place.search_traces(TraceQuery::default(), 2).await?;
    check_eq!(listed.len(), 3, "traces in the list");
    for listed in listed {
        let read = place.read_trace(listed.id).await?;
        check_eq!(
            totals(&listed),
            totals(&read),
            "totals in the list and of the one trace"
        );
        check!(listed.span_count > Some(0), "a listed trace has no totals");
    }
    Ok(())
}

pub(super) async fn running(place: Place) -> Outcome {
    let mut running = trace(1);
    running.end_time = None;
    place.put_rows(vec![running], vec![span(1, 1)]).await?;
    let found = place.read_trace(trace_id(1)).await?;
    check_eq!(found.duration, None, "duration of a trace that runs");
    check_eq!(found.end_time, None, "end of a trace that runs");
    Ok(())
}
