//! A store in memory that takes encoded rows.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use opik_core::exporter::Rejection;
use opik_core::model::ScoreTarget;
use opik_core::query::{SpanQuery, TraceQuery};
use opik_core::wire::{List, RowId, WireAttachment, WireBatch, WireExporter};
use opik_core::{
    Batch, ExportError, ExportReport, Exporter, FeedbackScore, Page, PageRequest, ProjectId,
    ScoreRecord, SourceError, Span, SpanId, Trace, TraceId, TraceSource,
};
use serde::Deserialize;

use super::MemoryStore;

/// What a file belongs to, and its name.
type FileKey = (TraceId, Option<SpanId>, String);

/// A [`MemoryStore`] that also takes encoded rows and files: a [`WireExporter`] that reads every row
/// back into a record, and keeps the batches as they came. Clones share what they hold.
///
/// Rows are judged as Opik's server does: what is no JSON, misses a field or has an identifier of
/// another version than 7 is rejected.
///
/// ```
/// use opik_core::Exporter;
/// use opik_core::wire::{List, WireBatch};
/// use opik_testkit::{WireStore, records};
///
/// # let run = futures_util::future::FutureExt::now_or_never;
/// # run(async {
/// let store = WireStore::new();
/// let mut batch = WireBatch::default();
/// batch.push_span(&records::span(1, 1), None, records::at(0)).map_err(|bad| bad.reason)?;
/// let wire = store.wire().ok_or("it takes rows")?;
/// assert_eq!(wire.export_rows(&batch).await?.accepted, 1);
/// assert_eq!(store.store().span_count(), 1);
/// assert_eq!(store.rows(List::Spans).len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).ok_or("it never waits")??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct WireStore {
    store: MemoryStore,
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Default)]
struct Seen {
    batches: Vec<WireBatch>,
    files: BTreeMap<FileKey, WireAttachment>,
    flushes: usize,
}

impl WireStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The records, read back.
    #[must_use]
    pub fn store(&self) -> MemoryStore {
        self.store.clone()
    }

    /// Every batch of rows, in order of arrival.
    #[must_use]
    pub fn batches(&self) -> Vec<WireBatch> {
        self.seen().batches.clone()
    }

    /// The text of every row of a list, in order of arrival.
    #[must_use]
    pub fn rows(&self, list: List) -> Vec<String> {
        let text = |(_, row): (RowId, &[u8])| String::from_utf8_lossy(row).into_owned();
        let seen = self.seen();
        let batches = seen.batches.iter();
        batches
            .flat_map(|batch| batch.rows(list).iter().map(text).collect::<Vec<_>>())
            .collect()
    }

    /// How many rows and files came.
    #[must_use]
    pub fn records(&self) -> usize {
        self.seen().batches.iter().map(WireBatch::len).sum()
    }

    /// How often it was flushed.
    #[must_use]
    pub fn flushes(&self) -> usize {
        self.seen().flushes
    }

    /// Every file that is kept.
    #[must_use]
    pub fn files(&self) -> Vec<WireAttachment> {
        self.seen().files.values().cloned().collect()
    }

    /// What is in a file of a trace, or of its span.
    #[must_use]
    pub fn file(&self, trace: TraceId, span: Option<SpanId>, name: &str) -> Option<Vec<u8>> {
        let key = (trace, span, name.to_owned());
        self.seen().files.get(&key).map(|file| file.bytes.clone())
    }

    /// Blocks until this many rows and files came; `false` when that took longer than `limit`.
    #[must_use]
    pub fn wait_for_records(&self, count: usize, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut seen = self.seen();
        loop {
            if seen.batches.iter().map(WireBatch::len).sum::<usize>() >= count {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.inner.changed.wait_timeout(seen, left);
            seen = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        let seen = self.inner.seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for WireStore {
    /// How much it holds, not what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WireStore")
            .field("store", &self.store)
            .field("batches", &self.seen().batches.len())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Exporter for WireStore {
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        self.store.export(batch).await
    }

    async fn flush(&self) -> Result<(), ExportError> {
        self.seen().flushes += 1;
        Ok(())
    }

    fn wire(&self) -> Option<&dyn WireExporter> {
        Some(self)
    }
}

#[async_trait]
impl WireExporter for WireStore {
    async fn export_rows(&self, batch: &WireBatch) -> Result<ExportReport, ExportError> {
        let (mut records, mut rejected) = (Batch::default(), Vec::new());
        for (id, row) in List::ALL.iter().flat_map(|list| batch.rows(*list).iter()) {
            if let Err(reason) = read(id, row, &mut records) {
                rejected.push(Rejection {
                    record: id.to_string(),
                    reason: reason.to_owned(),
                });
            }
        }
        let mut report = self.store.export(&records).await?;
        report.rejected.splice(0..0, rejected);
        report.accepted += batch.attachments.len();
        let mut seen = self.seen();
        for file in &batch.attachments {
            let key = (file.trace, file.span, file.file_name.clone());
            seen.files.insert(key, file.clone());
        }
        if !batch.is_empty() {
            seen.batches.push(batch.clone());
        }
        drop(seen);
        self.inner.changed.notify_all();
        Ok(report)
    }
}

#[async_trait]
impl TraceSource for WireStore {
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

#[derive(Deserialize)]
struct ScoreRow {
    id: Option<String>,
    thread_id: Option<String>,
    project_name: Option<String>,
    project_id: Option<ProjectId>,
    author: Option<String>,
    #[serde(flatten)]
    score: FeedbackScore,
}

/// Reads a row into the record that it is of.
fn read(id: RowId, row: &[u8], records: &mut Batch) -> Result<(), &'static str> {
    let text = std::str::from_utf8(row).map_err(|_| "the row is not UTF-8")?;
    match id.list() {
        List::Traces => {
            let trace = Trace::from_json(text).map_err(|_| "the row is no trace")?;
            version_7(trace.id.is_v7())?;
            records.traces.push(trace);
        }
        List::Spans => {
            let span = Span::from_json(text).map_err(|_| "the row is no span")?;
            version_7(span.id.is_v7() && span.trace_id.is_v7())?;
            records.spans.push(span);
        }
        list => {
            let row: ScoreRow = serde_json::from_str(text).map_err(|_| "the row is no score")?;
            let target = target(list, &row).ok_or("the row names no target")?;
            let mut record = ScoreRecord::new(target, row.score);
            record.project_name = row.project_name;
            record.project_id = row.project_id;
            record.author = row.author;
            records.scores.push(record);
        }
    }
    Ok(())
}

fn version_7(is: bool) -> Result<(), &'static str> {
    if is {
        Ok(())
    } else {
        Err("an identifier is not a version 7 UUID")
    }
}

fn target(list: List, row: &ScoreRow) -> Option<ScoreTarget> {
    let id = row.id.as_deref();
    match list {
        List::TraceScores => id?.parse().ok().map(ScoreTarget::Trace),
        List::SpanScores => id?.parse().ok().map(ScoreTarget::Span),
        _ => row.thread_id.clone().map(ScoreTarget::Thread),
    }
}
