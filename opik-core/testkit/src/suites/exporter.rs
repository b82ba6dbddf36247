//! What an [`Exporter`](opik_core::Exporter) promises.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use futures_util::future::{join_all, poll_fn};
use opik_core::query::{SpanQuery, TraceQuery};
use opik_core::{Batch, Span, SpanId, Timestamp, Trace, TraceId};

use super::reading::{check_accounted, check_same, written_span, written_trace};
use super::{Place, exporter_scores as scores};
use crate::records::{
    at, content, full_span, full_trace, llm_span, span, span_id, trace, trace_id,
};
use crate::report::{Failure, Outcome, Runner, Skip, SuiteReport, check, check_eq};

/// Runs every case of the contract of [`Exporter`](opik_core::Exporter).
///
/// `make` returns an empty [`Place`] for each case. Cases, in order:
///
/// - `empty_batch_is_ok`
/// - `every_record_is_accepted_and_read`
/// - `every_written_field_is_read_back`
/// - `content_is_kept_to_the_letter`: also the order of keys and the spelling of numbers
/// - `unknown_fields_are_kept`
/// - `the_same_batch_again_changes_nothing`
/// - `highest_last_updated_at_stays`: a late row that is older changes nothing
/// - `a_newer_row_replaces_the_whole`: fields are not merged
/// - `equal_last_updated_at_the_later_row_stays`
/// - `a_row_without_last_updated_at_is_of_now`
/// - `twice_in_one_batch_the_newest_stays`
/// - `spans_before_their_trace`, `spans_without_a_trace`, `children_before_parents`
/// - `one_bad_record_does_not_cost_the_others`
/// - `rejections_quote_no_content`
/// - `a_cancelled_export_is_repaired_by_a_repetition`
/// - `exports_at_once_lose_nothing`
/// - `a_large_batch_is_taken_whole`
/// - `flush_keeps_what_was_accepted`
/// - `scores_are_read_with_their_target`, `scores_before_their_target`,
///   `a_score_is_replaced_by_name_and_author`, `an_older_score_changes_nothing`,
///   `scores_of_several_authors_are_averaged`, `a_new_row_keeps_the_scores`
pub async fn exporter_suite<F>(make: impl Fn() -> F, skips: &[Skip]) -> SuiteReport
where
    F: Future<Output = Place>,
{
    let mut run = Runner::new("exporter", skips);
    macro_rules! cases {
        ($($name:ident: $case:path),+ $(,)?) => {
            $(run.case(stringify!($name), || Box::pin(async { $case(make().await).await })).await;)+
        };
    }
    cases! {
        empty_batch_is_ok: empty_batch,
        every_record_is_accepted_and_read: every_record,
        every_written_field_is_read_back: every_field,
        content_is_kept_to_the_letter: letter,
        unknown_fields_are_kept: unknown_fields,
        the_same_batch_again_changes_nothing: same_again,
        highest_last_updated_at_stays: highest_stays,
        a_newer_row_replaces_the_whole: whole_row,
        equal_last_updated_at_the_later_row_stays: equal_later,
        a_row_without_last_updated_at_is_of_now: without_moment,
        twice_in_one_batch_the_newest_stays: twice_in_one,
        spans_before_their_trace: spans_first,
        spans_without_a_trace: spans_alone,
        children_before_parents: children_first,
        one_bad_record_does_not_cost_the_others: one_bad,
        rejections_quote_no_content: no_content,
        a_cancelled_export_is_repaired_by_a_repetition: cancelled,
        exports_at_once_lose_nothing: at_once,
        a_large_batch_is_taken_whole: large,
        flush_keeps_what_was_accepted: flushed,
        scores_are_read_with_their_target: scores::with_target,
        scores_before_their_target: scores::before_target,
        a_score_is_replaced_by_name_and_author: scores::replaced,
        an_older_score_changes_nothing: scores::older,
        scores_of_several_authors_are_averaged: scores::averaged,
        a_new_row_keeps_the_scores: scores::kept_by_new_row,
    }
    run.finish()
}

async fn empty_batch(place: Place) -> Outcome {
    let report = place.exporter.export(&Batch::default()).await?;
    check_eq!(report.accepted, 0, "accepted records of an empty batch");
    check!(report.rejected.is_empty(), "an empty batch has rejections");
    let traces = place.search_traces(TraceQuery::default(), 10).await?;
    check!(
        traces.is_empty(),
        "an empty batch made {} traces",
        traces.len()
    );
    Ok(())
}

async fn every_record(place: Place) -> Outcome {
    let traces: Vec<Trace> = (1..=5).map(trace).collect();
    let spans: Vec<Span> = (1..=5)
        .flat_map(|t| (1..=3).map(move |s| span(t, s)))
        .collect();
    let batch = Batch::new(traces.clone(), spans.clone());
    let report = place.exporter.export(&batch).await?;
    check_accounted(&report, &batch)?;
    check!(
        report.rejected.is_empty(),
        "good records were rejected: {:?}",
        report.rejected
    );
    for expected in &traces {
        let found = place.read_trace(expected.id).await?;
        check_same(&written_trace(&found), &written_trace(expected), "trace")?;
    }
    for expected in &spans {
        let found = place.read_span(expected.trace_id, expected.id).await?;
        check_same(&written_span(&found), &written_span(expected), "span")?;
    }
    let found = place.search_spans(SpanQuery::default(), 100).await?;
    check_eq!(found.len(), spans.len(), "spans in all");
    Ok(())
}

async fn every_field(place: Place) -> Outcome {
    let (trace, span) = (full_trace(1), full_span(1, 1));
    place
        .put_rows(vec![trace.clone()], vec![span.clone()])
        .await?;
    let found = place.read_trace(trace.id).await?;
    check_same(&written_trace(&found), &written_trace(&trace), "trace")?;
    let found = place.read_span(trace.id, span.id).await?;
    check_same(&written_span(&found), &written_span(&span), "span")
}

async fn letter(place: Place) -> Outcome {
    let text = r#"{"b": 1.0e2,  "a": [123456789012345678901234567890, 0.10], "\u00e9": "\u0041"}"#;
    let (mut trace, mut span) = (trace(1), span(1, 1));
    trace.input = Some(content(text));
    span.output = Some(content(text));
    place.put_rows(vec![trace], vec![span]).await?;
    let found = place.read_trace(trace_id(1)).await?;
    check_eq!(
        found.input.as_ref().map(|json| json.as_str()),
        Some(text),
        "input"
    );
    let found = place.read_span(trace_id(1), span_id(1, 1)).await?;
    check_eq!(
        found.output.as_ref().map(|json| json.as_str()),
        Some(text),
        "output"
    );
    Ok(())
}

async fn unknown_fields(place: Place) -> Outcome {
    let (mut trace, mut span) = (trace(1), span(1, 1));
    trace.extra.insert(
        "field_of_tomorrow".to_owned(),
        serde_json::json!({"a": [1]}),
    );
    span.extra
        .insert("field_of_tomorrow".to_owned(), serde_json::json!("x"));
    let (of_trace, of_span) = (trace.extra.clone(), span.extra.clone());
    place.put_rows(vec![trace], vec![span]).await?;
    check_eq!(
        place.read_trace(trace_id(1)).await?.extra,
        of_trace,
        "fields of the trace"
    );
    let found = place.read_span(trace_id(1), span_id(1, 1)).await?;
    check_eq!(found.extra, of_span, "fields of the span");
    Ok(())
}

async fn same_again(place: Place) -> Outcome {
    let batch = Batch::new(
        vec![full_trace(1)],
        vec![full_span(1, 1), llm_span(1, 2, (5, 6), 0.5)],
    );
    place.put(&batch).await?;
    let before = everything(&place).await?;
    place.put(&batch).await?;
    place.put(&batch).await?;
    let after = everything(&place).await?;
    check_same(&after, &before, "after a repetition")
}

/// All that reading shows of trace 1, without moments of arrival.
async fn everything(place: &Place) -> Result<serde_json::Value, Failure> {
    let trace = place.read_trace(trace_id(1)).await?;
    let mut spans = place.read_spans(trace_id(1)).await?;
    spans.sort_by_key(|span| span.id);
    let spans: Vec<serde_json::Value> = spans.iter().map(written_span).collect();
    Ok(serde_json::json!({
        "trace": written_trace(&trace),
        "span_count": trace.span_count,
        "llm_span_count": trace.llm_span_count,
        "usage": trace.usage,
        "cost": trace.total_estimated_cost,
        "spans": spans,
        "traces in all": place.search_traces(TraceQuery::default(), 10).await?.len(),
        "spans in all": place.search_spans(SpanQuery::default(), 10).await?.len(),
    }))
}

fn named_trace(number: u32, name: &str, updated: Option<Timestamp>) -> Trace {
    let mut row = trace(number);
    row.name = Some(name.to_owned());
    row.last_updated_at = updated;
    row
}

fn named_span(number: u32, name: &str, updated: Option<Timestamp>) -> Span {
    let mut row = span(1, number);
    row.name = Some(name.to_owned());
    row.last_updated_at = updated;
    row
}

/// Exports rows of one trace and one span, one batch each, and reads the names that stay.
async fn names_after(
    place: &Place,
    rows: &[(&str, Option<Timestamp>)],
) -> Result<(Option<String>, Option<String>), Failure> {
    for &(name, updated) in rows {
        let (trace, span) = (named_trace(1, name, updated), named_span(1, name, updated));
        place.put_rows(vec![trace], vec![span]).await?;
    }
    let trace = place.read_trace(trace_id(1)).await?;
    let span = place.read_span(trace_id(1), span_id(1, 1)).await?;
    Ok((trace.name, span.name))
}

fn both(name: &str) -> (Option<String>, Option<String>) {
    (Some(name.to_owned()), Some(name.to_owned()))
}

async fn highest_stays(place: Place) -> Outcome {
    // A microsecond makes the difference, and the newest row comes in the middle.
    let newest = at(5_000).plus_micros(1);
    let rows = [
        ("old", Some(at(4_000))),
        ("newest", Some(newest)),
        ("late", Some(at(5_000))),
    ];
    let names = names_after(&place, &rows).await?;
    check_eq!(names, both("newest"), "names of trace and span");
    Ok(())
}

async fn whole_row(place: Place) -> Outcome {
    let (mut first, mut second) = (full_trace(1), trace(1));
    first.last_updated_at = Some(at(1));
    second.last_updated_at = Some(at(2));
    let (mut first_span, mut second_span) = (full_span(1, 1), span(1, 1));
    first_span.last_updated_at = Some(at(1));
    second_span.last_updated_at = Some(at(2));
    place.put_rows(vec![first], vec![first_span]).await?;
    place
        .put_rows(vec![second.clone()], vec![second_span.clone()])
        .await?;
    let found = place.read_trace(second.id).await?;
    check_same(&written_trace(&found), &written_trace(&second), "trace")?;
    let found = place.read_span(second.id, second_span.id).await?;
    check_same(&written_span(&found), &written_span(&second_span), "span")
}

async fn equal_later(place: Place) -> Outcome {
    let rows = [("first", Some(at(7))), ("second", Some(at(7)))];
    let names = names_after(&place, &rows).await?;
    check_eq!(names, both("second"), "names of trace and span");
    Ok(())
}

async fn without_moment(place: Place) -> Outcome {
    let rows = [
        ("dated", Some(at(1))),
        ("of now", None),
        ("late and old", Some(at(2))),
    ];
    let names = names_after(&place, &rows).await?;
    check_eq!(names, both("of now"), "names of trace and span");
    Ok(())
}

async fn twice_in_one(place: Place) -> Outcome {
    let rows = |names: &[(u32, &str, i64)]| {
        let moment = |millis: i64| Some(at(millis));
        Batch::new(
            names
                .iter()
                .map(|&(n, name, t)| named_trace(n, name, moment(t)))
                .collect(),
            names
                .iter()
                .map(|&(n, name, t)| named_span(n, name, moment(t)))
                .collect(),
        )
    };
    let batch = rows(&[
        (1, "newer", 2),
        (1, "older", 1),
        (2, "earlier", 3),
        (2, "later", 3),
    ]);
    let report = place.exporter.export(&batch).await?;
    check_accounted(&report, &batch)?;
    for (number, expected) in [(1, "newer"), (2, "later")] {
        let trace = place.read_trace(trace_id(number)).await?;
        check_eq!(
            trace.name.as_deref(),
            Some(expected),
            "name of trace {number}"
        );
        let span = place.read_span(trace_id(1), span_id(1, number)).await?;
        check_eq!(
            span.name.as_deref(),
            Some(expected),
            "name of span {number}"
        );
    }
    Ok(())
}

async fn spans_first(place: Place) -> Outcome {
    place
        .put_rows(vec![], vec![span(1, 1), llm_span(1, 2, (1, 2), 0.5)])
        .await?;
    place.put_rows(vec![trace(1)], vec![]).await?;
    let found = place.read_trace(trace_id(1)).await?;
    check_eq!(
        found.span_count,
        Some(2),
        "spans of the trace that came later"
    );
    check_eq!(
        found.usage.total_tokens(),
        Some(3),
        "tokens of the trace that came later"
    );
    check_eq!(
        place.read_spans(trace_id(1)).await?.len(),
        2,
        "spans that are read"
    );
    Ok(())
}

async fn spans_alone(place: Place) -> Outcome {
    place.put_rows(vec![], vec![span(1, 1)]).await?;
    check_eq!(
        place.read_spans(trace_id(1)).await?.len(),
        1,
        "spans without a trace"
    );
    let missing = place.source.trace(trace_id(1)).await?;
    check!(missing.is_none(), "a span without its trace made a trace");
    Ok(())
}

async fn children_first(place: Place) -> Outcome {
    let mut child = span(1, 1);
    child.parent_span_id = Some(span_id(1, 2));
    place.put_rows(vec![], vec![child]).await?;
    place.put_rows(vec![trace(1)], vec![span(1, 2)]).await?;
    let child = place.read_span(trace_id(1), span_id(1, 1)).await?;
    check_eq!(
        child.parent_span_id,
        Some(span_id(1, 2)),
        "parent of the child"
    );
    Ok(())
}

const SECRET: &str = "zq-secret-prompt-zq";

/// A batch with a good trace and span, a trace and span with identifiers of the wrong version, and
/// a score that is not a number; each bad record with content.
fn batch_with_bad_records() -> Batch {
    let secret = content(&format!("{{\"text\": \"{SECRET}\"}}"));
    let mut bad_trace = Trace::new(TraceId::from_bytes([0x44; 16]), at(0));
    bad_trace.input = Some(secret.clone());
    let mut bad_span = Span::new(SpanId::from_bytes([0x44; 16]), trace_id(1), at(0));
    bad_span.input = Some(secret);
    bad_span.name = Some(SECRET.to_owned());
    let mut batch = Batch::new(vec![bad_trace, trace(1)], vec![bad_span, span(1, 1)]);
    batch.scores = vec![
        scores::of_trace(1, SECRET, f64::NAN),
        scores::of_trace(1, "good", 1.0),
    ];
    batch
}

async fn one_bad(place: Place) -> Outcome {
    let batch = batch_with_bad_records();
    let report = place.exporter.export(&batch).await?;
    check_accounted(&report, &batch)?;
    check!(
        report.rejected.len() <= 3,
        "good records are among the {} rejected",
        report.rejected.len()
    );
    let found = place.read_trace(trace_id(1)).await?;
    let names: Vec<&str> = found
        .feedback_scores
        .iter()
        .map(|score| score.name.as_str())
        .collect();
    check!(names.contains(&"good"), "the good score is not read");
    place.read_span(trace_id(1), span_id(1, 1)).await?;
    // What was not rejected was accepted, so it has to be there.
    let told = |id: &str| {
        report
            .rejected
            .iter()
            .any(|rejection| rejection.record.contains(id))
    };
    let [bad_trace, ..] = batch.traces.as_slice() else {
        return Ok(());
    };
    if !told(&bad_trace.id.to_string()) {
        place.read_trace(bad_trace.id).await?;
    }
    let [bad_span, ..] = batch.spans.as_slice() else {
        return Ok(());
    };
    if !told(&bad_span.id.to_string()) {
        place.read_span(trace_id(1), bad_span.id).await?;
    }
    Ok(())
}

async fn no_content(place: Place) -> Outcome {
    let report = place.exporter.export(&batch_with_bad_records()).await?;
    for rejection in &report.rejected {
        check!(
            !rejection.record.contains(SECRET),
            "the name of a rejected record quotes content"
        );
        check!(
            !rejection.reason.contains(SECRET),
            "the reason of a rejection quotes content"
        );
        check!(
            !rejection.reason.trim().is_empty(),
            "a rejection has no reason"
        );
    }
    check!(
        !format!("{:?}", place.exporter).contains(SECRET),
        "Debug quotes content"
    );
    Ok(())
}

async fn cancelled(place: Place) -> Outcome {
    let spans: Vec<Span> = (1..=50)
        .map(|number| llm_span(1, number, (1, 1), 0.5))
        .collect();
    let batch = Batch::new(vec![trace(1)], spans);
    for polls in 1..=3 {
        let mut export = pin!(place.exporter.export(&batch));
        for _ in 0..polls {
            let mut ended = false;
            poll_fn(|context| {
                ended = export.as_mut().poll(context).is_ready();
                Poll::Ready(())
            })
            .await;
            if ended {
                break;
            }
        }
    }
    place.put(&batch).await?;
    let found = place.read_trace(trace_id(1)).await?;
    check_eq!(
        found.span_count,
        Some(50),
        "spans counted after cancelled calls"
    );
    check_eq!(
        found.usage.total_tokens(),
        Some(100),
        "tokens after cancelled calls"
    );
    check_eq!(
        place.read_spans(trace_id(1)).await?.len(),
        50,
        "spans after cancelled calls"
    );
    Ok(())
}

async fn at_once(place: Place) -> Outcome {
    // Sixteen calls, each with its own spans and a row of the one trace; the newest is in the middle.
    let batches: Vec<Batch> = (0..16)
        .map(|call| {
            let rank = (call * 7) % 16;
            let row = named_trace(1, &format!("rank {rank}"), Some(at(i64::from(rank))));
            let spans = (1..=20).map(|number| span(1, call * 20 + number)).collect();
            Batch::new(vec![row], spans)
        })
        .collect();
    for done in join_all(batches.iter().map(|batch| place.put(batch))).await {
        done?;
    }
    let found = place.read_trace(trace_id(1)).await?;
    check_eq!(
        found.name.as_deref(),
        Some("rank 15"),
        "name of the newest row"
    );
    check_eq!(found.span_count, Some(320), "spans counted");
    check_eq!(
        place.read_spans(trace_id(1)).await?.len(),
        320,
        "spans read"
    );
    Ok(())
}

async fn large(place: Place) -> Outcome {
    let traces: Vec<Trace> = (1..=100).map(trace).collect();
    let spans: Vec<Span> = (1..=100)
        .flat_map(|t| (1..=25).map(move |s| span(t, s)))
        .collect();
    place.put_rows(traces, spans).await?;
    let traces = place.search_traces(TraceQuery::default(), 500).await?;
    check_eq!(traces.len(), 100, "traces of a large batch");
    let short = traces
        .iter()
        .filter(|trace| trace.span_count != Some(25))
        .count();
    check_eq!(short, 0, "traces that miss spans");
    let spans = place.search_spans(SpanQuery::default(), 500).await?;
    check_eq!(spans.len(), 2_500, "spans of a large batch");
    Ok(())
}

async fn flushed(place: Place) -> Outcome {
    place.exporter.flush().await?;
    place.put_rows(vec![trace(1)], vec![span(1, 1)]).await?;
    place.exporter.flush().await?;
    place.read_trace(trace_id(1)).await?;
    place.read_span(trace_id(1), span_id(1, 1)).await?;
    Ok(())
}
