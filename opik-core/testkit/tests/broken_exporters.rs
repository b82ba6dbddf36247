//! Exporters with one defect each: the suite has to find every one, in the case that names it.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use opik_core::exporter::{ExportErrorKind, Rejection};
use opik_core::query::{SpanQuery, TraceQuery};
use opik_core::{
    Batch, ExportError, ExportReport, Exporter, Page, PageRequest, SourceError, Span, SpanId,
    Timestamp, Trace, TraceId, TraceSource,
};
use opik_testkit::{MemoryStore, Place, exporter_suite};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Defect {
    None,
    LastArrivalWins,
    FirstArrivalWins,
    MergesFields,
    LosesSpansBeforeTheirTrace,
    DuplicatesOnRetry,
    FailsTheWholeBatch,
    QuotesContent,
    DropsTheTailOfLargeBatches,
    TakesMarksForRowsWhenCancelled,
    MixesCallsAtOnce,
    KeepsOneAuthor,
    RewritesNumbers,
}

#[derive(Debug)]
struct Broken {
    defect: Defect,
    store: MemoryStore,
    marked: Mutex<HashSet<SpanId>>,
    slot: Mutex<Option<Batch>>,
}

impl Broken {
    fn new(defect: Defect) -> Self {
        Self {
            defect,
            store: MemoryStore::new(),
            marked: Mutex::default(),
            slot: Mutex::default(),
        }
    }

    /// Changes rows before they are stored.
    async fn spoil(&self, batch: &mut Batch) -> Result<(), ExportError> {
        match self.defect {
            Defect::LastArrivalWins => {
                for trace in &mut batch.traces {
                    trace.last_updated_at = None;
                }
                for span in &mut batch.spans {
                    span.last_updated_at = None;
                }
            }
            Defect::FirstArrivalWins => {
                for trace in &mut batch.traces {
                    trace.last_updated_at = trace.last_updated_at.map(backwards);
                }
                for span in &mut batch.spans {
                    span.last_updated_at = span.last_updated_at.map(backwards);
                }
            }
            Defect::MergesFields => {
                for trace in &mut batch.traces {
                    if let Ok(Some(known)) = self.store.trace(trace.id).await {
                        trace.input = trace.input.take().or(known.input);
                    }
                }
            }
            Defect::LosesSpansBeforeTheirTrace => {
                let mut kept = Vec::new();
                for span in batch.spans.drain(..) {
                    let here = batch.traces.iter().any(|trace| trace.id == span.trace_id);
                    if here || matches!(self.store.trace(span.trace_id).await, Ok(Some(_))) {
                        kept.push(span);
                    }
                }
                batch.spans = kept;
            }
            Defect::DuplicatesOnRetry => {
                let mut marked = self.marked.lock().unwrap_or_else(PoisonError::into_inner);
                for span in &mut batch.spans {
                    if !marked.insert(span.id) {
                        span.id = SpanId::generate();
                    }
                }
            }
            Defect::FailsTheWholeBatch => {
                if batch.spans.iter().any(|span| !span.id.is_v7()) {
                    return Err(ExportError::new(ExportErrorKind::Rejected, "a bad span"));
                }
            }
            Defect::DropsTheTailOfLargeBatches => batch.spans.truncate(2_000),
            Defect::TakesMarksForRowsWhenCancelled => {
                let fresh: Vec<Span> = {
                    let mut marked = self.marked.lock().unwrap_or_else(PoisonError::into_inner);
                    let spans = batch.spans.drain(..);
                    spans.filter(|span| marked.insert(span.id)).collect()
                };
                tokio::task::yield_now().await;
                batch.spans = fresh;
            }
            Defect::MixesCallsAtOnce => {
                *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(batch.clone());
                tokio::task::yield_now().await;
                let mine = self
                    .slot
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .take();
                *batch = mine.unwrap_or_default();
            }
            Defect::KeepsOneAuthor => {
                for record in &mut batch.scores {
                    record.author = None;
                }
            }
            Defect::RewritesNumbers => {
                for trace in &mut batch.traces {
                    let value = trace.input.as_ref().and_then(|json| json.to_value().ok());
                    trace.input = value.map(|value| opik_core::Json::from_value(&value));
                }
            }
            Defect::None | Defect::QuotesContent => {}
        }
        Ok(())
    }
}

fn backwards(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(i64::MAX - at.as_micros())
}

#[async_trait]
impl Exporter for Broken {
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        let mut spoilt = batch.clone();
        self.spoil(&mut spoilt).await?;
        let mut report = self.store.export(&spoilt).await?;
        report.accepted = batch.len() - report.rejected.len();
        if self.defect == Defect::QuotesContent {
            report.rejected = batch
                .scores
                .iter()
                .filter(|record| !record.score.value.is_finite())
                .map(|record| Rejection {
                    record: "score".to_owned(),
                    reason: format!("{} is not a number", record.score.name),
                })
                .collect();
        }
        Ok(report)
    }

    async fn flush(&self) -> Result<(), ExportError> {
        self.store.flush().await
    }
}

#[async_trait]
impl TraceSource for Broken {
    async fn trace(&self, id: TraceId) -> Result<Option<Trace>, SourceError> {
        self.store.trace(id).await
    }

    async fn spans(&self, trace: TraceId, page: &PageRequest) -> Result<Page<Span>, SourceError> {
        self.store.spans(trace, page).await
    }

    async fn search_traces(&self, query: &TraceQuery) -> Result<Page<Trace>, SourceError> {
        self.store.search_traces(query).await
    }

    async fn search_spans(&self, query: &SpanQuery) -> Result<Page<Span>, SourceError> {
        self.store.search_spans(query).await
    }
}

#[tokio::test]
async fn every_defect_fails_in_the_case_that_names_it() {
    for (defect, case) in [
        (Defect::LastArrivalWins, "highest_last_updated_at_stays"),
        (Defect::FirstArrivalWins, "highest_last_updated_at_stays"),
        (Defect::MergesFields, "a_newer_row_replaces_the_whole"),
        (
            Defect::LosesSpansBeforeTheirTrace,
            "spans_before_their_trace",
        ),
        (
            Defect::DuplicatesOnRetry,
            "the_same_batch_again_changes_nothing",
        ),
        (
            Defect::FailsTheWholeBatch,
            "one_bad_record_does_not_cost_the_others",
        ),
        (Defect::QuotesContent, "rejections_quote_no_content"),
        (
            Defect::DropsTheTailOfLargeBatches,
            "a_large_batch_is_taken_whole",
        ),
        (
            Defect::TakesMarksForRowsWhenCancelled,
            "a_cancelled_export_is_repaired_by_a_repetition",
        ),
        (Defect::MixesCallsAtOnce, "exports_at_once_lose_nothing"),
        (
            Defect::KeepsOneAuthor,
            "scores_of_several_authors_are_averaged",
        ),
        (Defect::RewritesNumbers, "content_is_kept_to_the_letter"),
    ] {
        let report = exporter_suite(|| async { Place::of(Broken::new(defect)) }, &[]).await;
        assert!(report.has_failed(case), "{defect:?}\n{report}");
        assert!(
            report.passed.len() > report.failed.len(),
            "{defect:?}\n{report}"
        );
    }
}

#[tokio::test]
async fn without_a_defect_the_same_exporter_passes() {
    let report = exporter_suite(|| async { Place::of(Broken::new(Defect::None)) }, &[]).await;
    report.assert_ok();
}
