//! A trace store in memory: [`Exporter`] and [`TraceSource`] in one.

mod read;
mod rows;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use opik_core::query::{SpanQuery, TraceQuery};
use opik_core::{
    Batch, ExportError, ExportReport, Exporter, Page, PageRequest, SourceError, Span, Trace,
    TraceId, TraceSource,
};

use rows::Rows;

/// Keeps records in memory and reads them back, to the letter of both contracts. Clones share
/// what they hold.
///
/// What a server adds on reading is added here as well: totals of traces, durations, scores that
/// were given, `created_at`, `project_id`, and the moment of arrival as `last_updated_at` of a row
/// that came without one.
///
/// ```
/// use opik_core::{Batch, Exporter, TraceSource};
/// use opik_testkit::{MemoryStore, records};
///
/// # let run = futures_util::future::FutureExt::now_or_never;
/// # run(async {
/// let store = MemoryStore::new();
/// store.export(&Batch::new(vec![records::trace(1)], vec![records::span(1, 1)])).await?;
/// let trace = store.trace(records::trace_id(1)).await?.ok_or("not there")?;
/// assert_eq!(trace.span_count, Some(1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).ok_or("it never waits")??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct MemoryStore(Arc<Mutex<Rows>>);

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many traces it has a row of.
    #[must_use]
    pub fn trace_count(&self) -> usize {
        self.rows().trace_count()
    }

    /// How many spans it has.
    #[must_use]
    pub fn span_count(&self) -> usize {
        self.rows().span_count()
    }

    fn rows(&self) -> MutexGuard<'_, Rows> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for MemoryStore {
    /// How much it holds, not what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = self.rows();
        f.debug_struct("MemoryStore")
            .field("traces", &rows.trace_count())
            .field("spans", &rows.span_count())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Exporter for MemoryStore {
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        Ok(self.rows().take(batch))
    }

    async fn flush(&self) -> Result<(), ExportError> {
        Ok(())
    }
}

#[async_trait]
impl TraceSource for MemoryStore {
    async fn trace(&self, id: TraceId) -> Result<Option<Trace>, SourceError> {
        Ok(self.rows().trace(id))
    }

    async fn spans(&self, trace: TraceId, page: &PageRequest) -> Result<Page<Span>, SourceError> {
        let mut spans = self.rows().spans_of(trace);
        spans.sort_by_key(|span| (span.start_time, span.id));
        read::page(spans, page)
    }

    async fn search_traces(&self, query: &TraceQuery) -> Result<Page<Trace>, SourceError> {
        read::search_traces(&self.rows(), query)
    }

    async fn search_spans(&self, query: &SpanQuery) -> Result<Page<Span>, SourceError> {
        read::search_spans(&self.rows(), query)
    }
}
