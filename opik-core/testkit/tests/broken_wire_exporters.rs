//! Exporters of rows with one defect each: the suite has to find every one, in the case that names it.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Mutex;

use async_trait::async_trait;
use opik_core::exporter::{ExportErrorKind, Rejection};
use opik_core::query::{SpanQuery, TraceQuery};
use opik_core::wire::{List, WireBatch, WireExporter};
use opik_core::{
    Batch, ExportError, ExportReport, Exporter, Page, PageRequest, SourceError, Span, SpanId,
    Trace, TraceId, TraceSource,
};
use opik_testkit::{Place, WireStore, wire_suite};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Defect {
    None,
    SaysNothing,
    FailsTheWholeBatch,
    ForgetsFiles,
    KeepsTheFirstFile,
    QuotesContent,
    DropsTheTailOfLargeBatches,
    LosesScores,
    CountsRowsOnly,
    TakesRowsForNewer,
    TakesMarksForRowsWhenCancelled,
}

#[derive(Debug)]
struct Broken {
    defect: Defect,
    store: WireStore,
    marked: Mutex<bool>,
}

/// The rows of a list without those after the first `keep`.
fn cut(batch: &mut WireBatch, list: List, keep: usize) {
    let kept = batch.rows(list).clone();
    let rows = batch.rows_mut(list);
    rows.clear();
    for (id, row) in kept.iter().take(keep) {
        rows.push(id, row);
    }
}

impl Broken {
    async fn spoil(&self, batch: &mut WireBatch) -> Result<(), ExportError> {
        match self.defect {
            Defect::FailsTheWholeBatch => {
                let mut probe = batch.rows(List::Traces).iter();
                let bad = |row: &[u8]| serde_json::from_slice::<Trace>(row).is_err();
                if probe.any(|(_, row)| bad(row)) {
                    return Err(ExportError::new(ExportErrorKind::Rejected, "a bad row"));
                }
            }
            Defect::ForgetsFiles => batch.attachments.clear(),
            Defect::KeepsTheFirstFile => batch.attachments.retain(|file| {
                let known = self.store.file(file.trace, file.span, &file.file_name);
                known.is_none()
            }),
            Defect::DropsTheTailOfLargeBatches => cut(batch, List::Spans, 1_000),
            Defect::LosesScores => cut(batch, List::SpanScores, 0),
            Defect::TakesRowsForNewer => {
                let kept = batch.rows(List::Spans).clone();
                let rows = batch.rows_mut(List::Spans);
                rows.clear();
                for (id, row) in kept.iter() {
                    let text = String::from_utf8(row.to_vec()).unwrap();
                    let text = text.replace("last_updated_at", "was_updated_at");
                    rows.push(id, text.as_bytes());
                }
            }
            Defect::TakesMarksForRowsWhenCancelled => {
                let known = std::mem::replace(&mut *self.marked.lock().unwrap(), true);
                tokio::task::yield_now().await;
                if known {
                    cut(batch, List::Spans, 0);
                }
            }
            Defect::None | Defect::SaysNothing | Defect::QuotesContent | Defect::CountsRowsOnly => {
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Exporter for Broken {
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        self.store.export(batch).await
    }

    async fn flush(&self) -> Result<(), ExportError> {
        self.store.flush().await
    }

    fn wire(&self) -> Option<&dyn WireExporter> {
        (self.defect != Defect::SaysNothing).then_some(self)
    }
}

#[async_trait]
impl WireExporter for Broken {
    async fn export_rows(&self, batch: &WireBatch) -> Result<ExportReport, ExportError> {
        let mut spoilt = batch.clone();
        self.spoil(&mut spoilt).await?;
        let mut report = self.store.export_rows(&spoilt).await?;
        report.accepted = batch.len() - report.rejected.len();
        match self.defect {
            Defect::QuotesContent => {
                let quote = |bad: &Rejection| {
                    let mut rows = batch.rows(List::Traces).iter();
                    let row = rows.find(|(id, _)| id.to_string() == bad.record);
                    String::from_utf8_lossy(row.map_or(&[], |(_, row)| row)).into_owned()
                };
                let quotes: Vec<String> = report.rejected.iter().map(quote).collect();
                for (rejection, quote) in report.rejected.iter_mut().zip(quotes) {
                    rejection.reason = format!("cannot read {quote}");
                }
            }
            Defect::CountsRowsOnly => report.accepted -= batch.attachments.len(),
            _ => {}
        }
        Ok(report)
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

fn place(defect: Defect) -> Place {
    let store = WireStore::new();
    let files = store.clone();
    Place::of(Broken {
        defect,
        store,
        marked: Mutex::default(),
    })
    .reading_files(move |file| {
        let (trace, span): (TraceId, Option<SpanId>) = (file.trace, file.span);
        let found = files.file(trace, span, &file.file_name);
        async move { found }
    })
}

#[tokio::test]
async fn each_defect_is_found_in_the_case_that_names_it() {
    for (defect, case) in [
        (Defect::SaysNothing, "it_says_that_it_takes_rows"),
        (
            Defect::FailsTheWholeBatch,
            "one_bad_row_does_not_cost_the_others",
        ),
        (Defect::ForgetsFiles, "files_are_taken_with_the_rows"),
        (
            Defect::KeepsTheFirstFile,
            "a_file_of_the_same_name_is_replaced",
        ),
        (Defect::QuotesContent, "rejections_quote_no_content"),
        (
            Defect::DropsTheTailOfLargeBatches,
            "a_large_batch_is_taken_whole",
        ),
        (Defect::LosesScores, "every_row_is_accepted_and_read"),
        (Defect::CountsRowsOnly, "files_may_come_after_the_rows"),
        (Defect::TakesRowsForNewer, "highest_last_updated_at_stays"),
        (
            Defect::TakesMarksForRowsWhenCancelled,
            "a_cancelled_export_is_repaired_by_a_repetition",
        ),
    ] {
        let report = wire_suite(|| async { place(defect) }, &[]).await;
        assert!(report.has_failed(case), "{defect:?}: {report}");
    }
    let report = wire_suite(|| async { place(Defect::None) }, &[]).await;
    report.assert_ok();
    assert_eq!(report.passed.len(), 15, "{report}");
}
