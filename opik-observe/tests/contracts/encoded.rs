//! Branches whose exporter takes encoded rows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use opik_core::exporter::ExportErrorKind;
use opik_core::wire::{List, WireBatch, WireExporter};
use opik_core::{
    Batch, ExportError, ExportReport, Exporter, Span, SpanType, Timestamp, Trace, Usage,
};
use opik_observe::{Branch, DropReason, Policy, PromptHash, Recorder, RecorderGuard, StartRows};
use opik_testkit::{RecordingExporter, WireStore};
use serde_json::json;

use super::{LONG, balanced};

type Judge = dyn Fn(usize, &WireBatch) -> Option<ExportErrorKind> + Send + Sync;

/// A store of rows that fails as `judge` says of the number of the call and the batch.
struct Judged {
    store: WireStore,
    calls: AtomicUsize,
    judge: Box<Judge>,
}

impl std::fmt::Debug for Judged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Judged")
    }
}

#[async_trait]
impl Exporter for Judged {
    async fn export(&self, _: &Batch) -> Result<ExportReport, ExportError> {
        Err(ExportError::new(
            ExportErrorKind::Internal,
            "rows were asked for",
        ))
    }
    async fn flush(&self) -> Result<(), ExportError> {
        Ok(())
    }
    fn wire(&self) -> Option<&dyn WireExporter> {
        Some(self)
    }
}

#[async_trait]
impl WireExporter for Judged {
    async fn export_rows(&self, batch: &WireBatch) -> Result<ExportReport, ExportError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        match (self.judge)(call, batch) {
            Some(kind) => Err(ExportError::new(kind, "as scripted")),
            None => self.store.export_rows(batch).await,
        }
    }
    fn project_name(&self) -> Option<&str> {
        Some("the exporter's")
    }
}

fn judged(
    judge: impl Fn(usize, &WireBatch) -> Option<ExportErrorKind> + Send + Sync + 'static,
) -> (Recorder, RecorderGuard, WireStore) {
    let store = WireStore::new();
    let exporter = Judged {
        store: store.clone(),
        calls: AtomicUsize::new(0),
        judge: Box::new(judge),
    };
    let branch = Branch::new("b", Arc::new(exporter), Policy::full_content());
    let (recorder, guard) = Recorder::builder()
        .add_branch(branch.start_rows(StartRows::Off))
        .export_attempts(5, Duration::from_millis(1))
        .batch_delay(LONG)
        .start()
        .unwrap();
    (recorder, guard, store)
}

fn ten_spans(recorder: &Recorder) {
    let trace = recorder.trace("t");
    for number in 0..9 {
        let mut span = trace.span("s", SpanType::Tool);
        span.metadata("number", number);
    }
}

#[test]
fn they_get_to_the_letter_what_the_others_get() {
    let (rows, values) = (WireStore::new(), RecordingExporter::new());
    for policy in [Policy::default(), Policy::full_content()] {
        let branch = Branch::new("rows", Arc::new(rows.clone()), policy.clone());
        let (recorder, guard) = Recorder::builder()
            .add_branch(branch.start_rows(StartRows::Off))
            .branch("values", Arc::new(values.clone()), policy)
            .project("p")
            .environment("test")
            .start()
            .unwrap();
        let mut trace = recorder.trace("answer");
        trace
            .input(&json!({"q": "why?\n"}))
            .thread_id("chat-7")
            .tag("eu");
        trace.score("helpful", 0.5);
        {
            let mut span = trace.span(format!("step {}", 1), SpanType::Llm);
            span.model("m", "p")
                .usage(&Usage::of_tokens(3, 4))
                .cost(0.25);
            span.input("why?").output(&[1, 2]).first_token();
            span.metadata("k", "v")
                .metadata("n", 1.5)
                .fail("Timeout", "after 3 s");
            span.score("found", 1.0);
        }
        drop(trace);
        let statistics = guard.shutdown(LONG).statistics;
        for branch in ["rows", "values"] {
            assert_eq!(balanced(&statistics, branch).exported, 4);
        }
    }
    let mut expected = WireBatch::default();
    let now = Timestamp::EPOCH;
    for trace in &values.traces() {
        expected.push_trace(trace, Some("p"), now).unwrap();
    }
    for span in &values.spans() {
        expected.push_span(span, Some("p"), now).unwrap();
    }
    for score in &values.scores() {
        expected.push_score(score, Some("p")).unwrap();
    }
    for list in List::ALL {
        let expected = expected.rows(list).iter();
        let expected: Vec<_> = expected
            .map(|(_, row)| String::from_utf8_lossy(row))
            .collect();
        assert_eq!(rows.rows(list), expected);
    }
    assert_eq!(rows.records(), 8);
}

#[test]
fn a_failed_batch_is_repeated_whole() {
    let (recorder, guard, store) =
        judged(|call, _| (call < 3).then_some(ExportErrorKind::Unavailable));
    ten_spans(&recorder);
    let statistics = guard.shutdown(LONG).statistics;
    assert_eq!(balanced(&statistics, "b").exported, 10);
    assert_eq!((store.batches().len(), store.records()), (1, 10));
    assert!(store.rows(List::Spans)[0].contains(r#""project_name":"the exporter's""#));
}

#[test]
fn a_batch_that_is_refused_whole_goes_in_parts_and_costs_only_the_bad_one() {
    let (recorder, guard, store) = judged(|_, batch| {
        let bad = |(_, row): (_, &[u8])| String::from_utf8_lossy(row).contains(r#""number":6"#);
        let refused = batch.rows(List::Spans).iter().any(bad);
        refused.then_some(ExportErrorKind::Rejected)
    });
    ten_spans(&recorder);
    let statistics = guard.shutdown(LONG).statistics;
    let branch = balanced(&statistics, "b");
    assert_eq!(
        (branch.exported, branch.dropped_for(DropReason::Rejected)),
        (9, 1)
    );
    let mut numbers: Vec<i64> = store
        .rows(List::Spans)
        .iter()
        .map(|row| {
            let row: serde_json::Value = serde_json::from_str(row).unwrap();
            row["metadata"]["number"].as_i64().unwrap()
        })
        .collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    numbers.retain(|number| *number != 6);
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 7, 8]);
}

#[test]
fn what_a_server_would_refuse_is_not_sent() {
    let (recorder, guard, store) = judged(|_, _| None);
    let trace = recorder.trace("t");
    trace.span("good", SpanType::Llm).cost(0.5);
    trace.span("bad", SpanType::Llm).cost(-0.5);
    trace.score("too high", 1e12);
    drop(trace);
    let statistics = guard.shutdown(LONG).statistics;
    let branch = balanced(&statistics, "b");
    assert_eq!(
        (branch.exported, branch.dropped_for(DropReason::Rejected)),
        (2, 2)
    );
    assert_eq!(store.records(), 2);
}

#[test]
fn a_panic_costs_its_batch_only() {
    let (recorder, guard, store) = judged(|call, _| {
        assert!(call > 0, "as scripted");
        None
    });
    ten_spans(&recorder);
    assert!(recorder.flush(LONG).complete);
    recorder.trace("later").end();
    let statistics = guard.shutdown(LONG).statistics;
    let branch = balanced(&statistics, "b");
    assert_eq!(branch.dropped_for(DropReason::ExporterPanicked), 10);
    assert_eq!((branch.exported, store.records()), (1, 1));
}

#[test]
fn a_picture_in_the_input_is_a_record_of_its_own() {
    let (recorder, guard, store) = judged(|_, _| None);
    let picture = format!("iVBORw0KGgo{}", "A".repeat(256_001));
    let mut trace = recorder.trace("t");
    trace.input(&json!({ "image": picture }));
    let id = trace.trace_id().unwrap();
    drop(trace);
    let statistics = guard.shutdown(LONG).statistics;
    let branch = balanced(&statistics, "b");
    assert_eq!(
        (branch.recorded, branch.attachments, branch.exported),
        (2, 1, 2)
    );
    let files = store.files();
    assert_eq!((files.len(), files[0].trace), (1, id));
    assert!(store.rows(List::Traces)[0].len() < 1_000);
}

#[test]
fn what_is_open_for_a_second_is_seen_before_it_ends() {
    // What a crash would leave behind: the row is there while nothing has ended yet.
    let store = WireStore::new();
    let policy = Policy::default().prompt_hash(PromptHash::Off);
    let (recorder, guard) = Recorder::builder()
        .branch("b", Arc::new(store.clone()), policy)
        .start()
        .unwrap();
    let trace = recorder.trace("long");
    let span = trace.span("step", SpanType::Llm);
    trace.span("short", SpanType::Tool).end();
    assert!(store.wait_for_records(3, LONG));
    let read = |row: &String| Trace::from_json(row).unwrap();
    let open = read(&store.rows(List::Traces)[0]);
    assert_eq!((open.name.as_deref(), open.end_time), (Some("long"), None));
    drop((span, trace));
    let statistics = guard.shutdown(LONG).statistics;
    let branch = balanced(&statistics, "b");
    assert_eq!((branch.start_rows, branch.exported), (2, 5));
    let ended = read(store.rows(List::Traces).last().unwrap());
    assert!(ended.end_time.is_some() && ended.last_updated_at > open.last_updated_at);
    let short = |row: &&String| row.contains(r#""name":"short""#);
    assert_eq!(store.rows(List::Spans).iter().filter(short).count(), 1);
    let spans = store.rows(List::Spans);
    let mut of_step = spans.iter().map(|row| Span::from_json(row).unwrap());
    let open = of_step.find(|row| row.end_time.is_none()).unwrap();
    assert_eq!(
        (open.name.as_deref(), open.kind()),
        (Some("step"), &SpanType::Llm)
    );
}
