//! What a [`WireExporter`](opik_core::wire::WireExporter) promises.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use futures_util::future::poll_fn;
use opik_core::model::ScoreTarget;
use opik_core::query::{SpanQuery, TraceQuery};
use opik_core::wire::{List, RowId, WireAttachment, WireBatch};
use opik_core::{ExportReport, ScoreRecord, Span, SpanId, Trace, TraceId};

use super::Place;
use super::reading::{check_same, written_span, written_trace};
use crate::records::{
    PROJECT, at, full_span, full_trace, llm_span, score, span, span_id, trace, trace_id,
};
use crate::report::{Failure, Outcome, Runner, Skip, SuiteReport, check, check_eq};

/// Runs every case of the contract of [`WireExporter`](opik_core::wire::WireExporter), for an
/// exporter that says by [`Exporter::wire`](opik_core::Exporter::wire) that it is one.
///
/// `make` returns an empty [`Place`] for each case. What is in files is compared where the place
/// knows [how to read them](Place::reading_files). Cases, in order:
///
/// - `it_says_that_it_takes_rows`
/// - `no_rows_are_ok`
/// - `every_row_is_accepted_and_read`: of all five lists
/// - `every_written_field_is_read_back`
/// - `the_same_rows_again_change_nothing`
/// - `highest_last_updated_at_stays`: also between rows and records
/// - `twice_in_one_batch_the_newest_stays`
/// - `one_bad_row_does_not_cost_the_others`: no JSON, fields that are missing, bad identifiers
/// - `rejections_quote_no_content`
/// - `files_are_taken_with_the_rows`, `files_may_come_after_the_rows`,
///   `a_file_of_the_same_name_is_replaced`
/// - `a_cancelled_export_is_repaired_by_a_repetition`
/// - `a_large_batch_is_taken_whole`
/// - `flush_keeps_what_was_accepted`
pub async fn wire_suite<F>(make: impl Fn() -> F, skips: &[Skip]) -> SuiteReport
where
    F: Future<Output = Place>,
{
    let mut run = Runner::new("wire", skips);
    macro_rules! cases {
        ($($name:ident: $case:path),+ $(,)?) => {
            $(run.case(stringify!($name), || Box::pin(async { $case(make().await).await })).await;)+
        };
    }
    cases! {
        it_says_that_it_takes_rows: says,
        no_rows_are_ok: no_rows,
        every_row_is_accepted_and_read: every_row,
        every_written_field_is_read_back: every_field,
        the_same_rows_again_change_nothing: same_again,
        highest_last_updated_at_stays: highest_stays,
        twice_in_one_batch_the_newest_stays: twice_in_one,
        one_bad_row_does_not_cost_the_others: one_bad,
        rejections_quote_no_content: no_content,
        files_are_taken_with_the_rows: files_with_rows,
        files_may_come_after_the_rows: files_later,
        a_file_of_the_same_name_is_replaced: file_again,
        a_cancelled_export_is_repaired_by_a_repetition: cancelled,
        a_large_batch_is_taken_whole: large,
        flush_keeps_what_was_accepted: flushed,
    }
    run.finish()
}

/// Rows of these records; those that have no moment are of [`at`]`(0)`.
fn rows(traces: &[Trace], spans: &[Span], scores: &[ScoreRecord]) -> Result<WireBatch, Failure> {
    let mut batch = WireBatch::default();
    let project = Some(PROJECT);
    let pushed = traces
        .iter()
        .try_for_each(|trace| batch.push_trace(trace, project, at(0)))
        .and_then(|()| {
            let mut spans = spans.iter();
            spans.try_for_each(|span| batch.push_span(span, project, at(0)))
        })
        .and_then(|()| {
            let mut scores = scores.iter();
            scores.try_for_each(|score| batch.push_score(score, project))
        });
    match pushed {
        Ok(()) => Ok(batch),
        Err(bad) => Err(Failure::new(format!("{} has no row", bad.record))),
    }
}

impl Place {
    async fn export_rows(&self, batch: &WireBatch) -> Result<ExportReport, Failure> {
        let wire = self.exporter.wire();
        let wire = wire.ok_or_else(|| Failure::new("it does not say that it takes rows"))?;
        let report = wire.export_rows(batch).await?;
        check_eq!(
            report.accepted + report.rejected.len(),
            batch.len(),
            "rows and files that the report accounts for"
        );
        Ok(report)
    }

    /// Exports rows and insists that every one was taken.
    async fn put_encoded(&self, batch: &WireBatch) -> Outcome {
        let report = self.export_rows(batch).await?;
        check!(
            report.rejected.is_empty(),
            "rows were rejected: {:?}",
            report.rejected
        );
        Ok(())
    }

    /// What is in a file is what was sent, where the place knows how to read it.
    async fn check_file(&self, sent: &WireAttachment) -> Outcome {
        let Some(read) = &self.read_file else {
            return Ok(());
        };
        let found = read(sent.clone()).await;
        let found = found.ok_or_else(|| Failure::new("a file that was accepted is not there"))?;
        check!(
            found == sent.bytes,
            "a file of {} bytes is read with {} others",
            sent.bytes.len(),
            found.len()
        );
        Ok(())
    }
}

async fn says(place: Place) -> Outcome {
    check!(place.exporter.wire().is_some(), "Exporter::wire is None");
    Ok(())
}

async fn no_rows(place: Place) -> Outcome {
    let report = place.export_rows(&WireBatch::default()).await?;
    check_eq!(report, ExportReport::default(), "report of no rows");
    let traces = place.search_traces(TraceQuery::default(), 10).await?;
    check!(traces.is_empty(), "no rows made {} traces", traces.len());
    Ok(())
}

async fn every_row(place: Place) -> Outcome {
    let traces: Vec<Trace> = (1..=4).map(trace).collect();
    let spans: Vec<Span> = (1..=4)
        .flat_map(|t| (1..=3).map(move |s| span(t, s)))
        .collect();
    let scores = [
        score(ScoreTarget::Trace(trace_id(1)), "relevance", 0.25),
        score(ScoreTarget::Span(span_id(1, 1)), "exact", 1.0),
        score(ScoreTarget::Thread("thread 1".to_owned()), "mood", 0.5),
    ];
    place.put_encoded(&rows(&traces, &spans, &scores)?).await?;
    for expected in &traces {
        let found = place.read_trace(expected.id).await?;
        check_same(&written_trace(&found), &written_trace(expected), "trace")?;
    }
    for expected in &spans {
        let found = place.read_span(expected.trace_id, expected.id).await?;
        check_same(&written_span(&found), &written_span(expected), "span")?;
    }
    let of_trace = place.read_trace(trace_id(1)).await?.feedback_scores;
    let of_span = place.read_span(trace_id(1), span_id(1, 1)).await?;
    for (found, name, value) in [
        (of_trace, "relevance", 0.25),
        (of_span.feedback_scores, "exact", 1.0),
    ] {
        let values: Vec<f64> = found
            .iter()
            .filter(|score| score.name == name)
            .map(|score| score.value)
            .collect();
        check_eq!(values, [value], "values of the score {name}");
    }
    Ok(())
}

async fn every_field(place: Place) -> Outcome {
    let (trace, span) = (full_trace(1), full_span(1, 1));
    let batch = rows(
        std::slice::from_ref(&trace),
        std::slice::from_ref(&span),
        &[],
    )?;
    place.put_encoded(&batch).await?;
    let found = place.read_trace(trace.id).await?;
    let mut sent = trace;
    // Fields of a newer protocol are up to the server.
    let mut found = found;
    (found.extra, sent.extra) = Default::default();
    check_same(&written_trace(&found), &written_trace(&sent), "trace")?;
    let mut found = place.read_span(sent.id, span.id).await?;
    let mut sent = span;
    (found.extra, sent.extra) = Default::default();
    check_same(&written_span(&found), &written_span(&sent), "span")
}

async fn same_again(place: Place) -> Outcome {
    let scores = [score(ScoreTarget::Trace(trace_id(1)), "relevance", 0.25)];
    let spans = [llm_span(1, 1, (5, 6), 0.5), span(1, 2)];
    let mut batch = rows(&[full_trace(1)], &spans, &scores)?;
    batch.attachments = vec![file("a.png", b"picture")];
    for _ in 0..3 {
        place.put_encoded(&batch).await?;
    }
    let found = place.read_trace(trace_id(1)).await?;
    check_eq!(found.span_count, Some(2), "spans after repetitions");
    check_eq!(
        found.usage.total_tokens(),
        Some(11),
        "tokens after repetitions"
    );
    check_eq!(found.feedback_scores.len(), 1, "scores after repetitions");
    let traces = place.search_traces(TraceQuery::default(), 10).await?;
    check_eq!(traces.len(), 1, "traces after repetitions");
    place.check_file(&file("a.png", b"picture")).await
}

fn dated(name: &str, millis: i64) -> (Trace, Span) {
    let (mut trace, mut span) = (trace(1), span(1, 1));
    trace.name = Some(name.to_owned());
    span.name = Some(name.to_owned());
    trace.last_updated_at = Some(at(millis));
    span.last_updated_at = Some(at(millis));
    (trace, span)
}

async fn check_names(place: &Place, expected: &str) -> Outcome {
    let trace = place.read_trace(trace_id(1)).await?;
    check_eq!(trace.name.as_deref(), Some(expected), "name of the trace");
    let span = place.read_span(trace_id(1), span_id(1, 1)).await?;
    check_eq!(span.name.as_deref(), Some(expected), "name of the span");
    Ok(())
}

async fn highest_stays(place: Place) -> Outcome {
    for (name, millis, expected) in [
        ("newer", 5_000, "newer"),
        ("older", 4_000, "newer"),
        ("newest", 6_000, "newest"),
    ] {
        let (trace, span) = dated(name, millis);
        place.put_encoded(&rows(&[trace], &[span], &[])?).await?;
        check_names(&place, expected).await?;
    }
    let (trace, span) = dated("late record", 5_500);
    place.put_rows(vec![trace], vec![span]).await?;
    check_names(&place, "newest").await
}

async fn twice_in_one(place: Place) -> Outcome {
    let (newer, newer_span) = dated("newer", 2);
    let (older, older_span) = dated("older", 1);
    let batch = rows(&[newer, older], &[newer_span, older_span], &[])?;
    place.put_encoded(&batch).await?;
    check_names(&place, "newer").await
}

const SECRET: &str = "zq-secret-prompt-zq";

/// Two good traces and three bad ones, a good span and a bad one; the bad ones with content.
fn with_bad_rows() -> Result<WireBatch, Failure> {
    let mut batch = rows(&[trace(1)], &[span(1, 1)], &[])?;
    let bad = |number| RowId::Trace(trace_id(number));
    let traces = batch.rows_mut(List::Traces);
    let cut_off = format!("{{\"id\": \"{}\", \"name\": \"{SECRET}", trace_id(11));
    traces.push(bad(11), cut_off.as_bytes());
    let without_start = format!("{{\"id\": \"{}\", \"name\": \"{SECRET}\"}}", trace_id(12));
    traces.push(bad(12), without_start.as_bytes());
    let version_4 = TraceId::from_bytes([0x44; 16]);
    let other_id = format!(
        "{{\"id\": \"{version_4}\", \"name\": \"{SECRET}\", \"start_time\": \"2026-01-01T00:00:00Z\"}}"
    );
    traces.push(RowId::Trace(version_4), other_id.as_bytes());
    let spans = batch.rows_mut(List::Spans);
    let bad_span = RowId::Span(SpanId::from_bytes([0x44; 16]));
    spans.push(bad_span, format!("[\"{SECRET}\"]").as_bytes());
    let good = batch.push_trace(&trace(2), Some(PROJECT), at(0));
    check!(good.is_ok(), "a good trace has no row");
    Ok(batch)
}

async fn one_bad(place: Place) -> Outcome {
    let batch = with_bad_rows()?;
    let report = place.export_rows(&batch).await?;
    check_eq!(report.accepted, 3, "accepted rows beside four bad ones");
    for good in [1, 2] {
        place.read_trace(trace_id(good)).await?;
    }
    place.read_span(trace_id(1), span_id(1, 1)).await?;
    for bad in [11, 12] {
        let id = trace_id(bad).to_string();
        let named = report.rejected.iter().any(|row| row.record.contains(&id));
        check!(named, "the report does not name the bad trace {id}");
    }
    Ok(())
}

async fn no_content(place: Place) -> Outcome {
    let mut batch = with_bad_rows()?;
    batch.attachments = vec![file("a.png", SECRET.as_bytes())];
    let report = place.export_rows(&batch).await?;
    for rejection in &report.rejected {
        check!(
            !format!("{rejection:?}").contains(SECRET),
            "a rejection quotes content"
        );
        check!(
            !rejection.reason.trim().is_empty(),
            "a rejection has no reason"
        );
    }
    let shown = format!("{:?} {batch:?}", place.exporter);
    check!(!shown.contains(SECRET), "Debug quotes content");
    Ok(())
}

fn file(name: &str, bytes: &[u8]) -> WireAttachment {
    let mut file = WireAttachment::new(trace_id(1), name, "image/png", bytes.to_vec());
    file.project_name = Some(PROJECT.to_owned());
    file
}

fn span_file(name: &str, bytes: &[u8]) -> WireAttachment {
    let mut file = file(name, bytes);
    file.span = Some(span_id(1, 1));
    file
}

async fn files_with_rows(place: Place) -> Outcome {
    let mut batch = rows(&[trace(1)], &[span(1, 1)], &[])?;
    batch.attachments = vec![
        file("a.png", b"of the trace"),
        span_file("a.png", b"\0of the span"),
    ];
    place.put_encoded(&batch).await?;
    place.read_trace(trace_id(1)).await?;
    for file in &batch.attachments {
        place.check_file(file).await?;
    }
    Ok(())
}

async fn files_later(place: Place) -> Outcome {
    place.put_encoded(&rows(&[trace(1)], &[], &[])?).await?;
    let mut batch = WireBatch::default();
    batch.attachments = vec![file("a.png", b"later"), file("empty.png", b"")];
    place.put_encoded(&batch).await?;
    for file in &batch.attachments {
        place.check_file(file).await?;
    }
    Ok(())
}

async fn file_again(place: Place) -> Outcome {
    for bytes in [b"first".as_slice(), b"and second"] {
        let mut batch = rows(&[trace(1)], &[], &[])?;
        batch.attachments = vec![file("a.png", bytes)];
        place.put_encoded(&batch).await?;
        place.check_file(&file("a.png", bytes)).await?;
    }
    Ok(())
}

async fn cancelled(place: Place) -> Outcome {
    let spans: Vec<Span> = (1..=50)
        .map(|number| llm_span(1, number, (1, 1), 0.5))
        .collect();
    let mut batch = rows(&[trace(1)], &spans, &[])?;
    batch.attachments = vec![file("a.png", b"picture")];
    let wire = place.exporter.wire();
    let wire = wire.ok_or_else(|| Failure::new("it does not say that it takes rows"))?;
    for polls in 1..=3 {
        let mut export = pin!(wire.export_rows(&batch));
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
    place.put_encoded(&batch).await?;
    let found = place.read_trace(trace_id(1)).await?;
    check_eq!(found.span_count, Some(50), "spans after cancelled calls");
    check_eq!(
        found.usage.total_tokens(),
        Some(100),
        "tokens after cancelled calls"
    );
    place.check_file(&file("a.png", b"picture")).await
}

async fn large(place: Place) -> Outcome {
    let traces: Vec<Trace> = (1..=100).map(trace).collect();
    let spans: Vec<Span> = (1..=100)
        .flat_map(|t| (1..=25).map(move |s| span(t, s)))
        .collect();
    place.put_encoded(&rows(&traces, &spans, &[])?).await?;
    let traces = place.search_traces(TraceQuery::default(), 500).await?;
    check_eq!(traces.len(), 100, "traces of a large batch");
    let spans = place.search_spans(SpanQuery::default(), 500).await?;
    check_eq!(spans.len(), 2_500, "spans of a large batch");
    Ok(())
}

async fn flushed(place: Place) -> Outcome {
    place.exporter.flush().await?;
    place
        .put_encoded(&rows(&[trace(1)], &[span(1, 1)], &[])?)
        .await?;
    place.exporter.flush().await?;
    place.read_trace(trace_id(1)).await?;
    place.read_span(trace_id(1), span_id(1, 1)).await?;
    Ok(())
}
