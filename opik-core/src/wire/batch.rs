//! A batch of rows.

use super::rows::{List, RowId, Rows};
use super::{WireAttachment, encode, validate};
use crate::exporter::Rejection;
use crate::{ScoreRecord, Span, Timestamp, Trace};

/// Rows and files on their way out, already redacted.
///
/// ```
/// use opik_core::wire::{List, WireBatch};
/// use opik_core::{Timestamp, Trace, TraceId};
///
/// let trace = Trace::new(TraceId::generate(), Timestamp::now());
/// let mut batch = WireBatch::default();
/// batch.push_trace(&trace, Some("checkout"), Timestamp::now())?;
/// assert_eq!(batch.rows(List::Traces).len(), 1);
/// # Ok::<(), opik_core::exporter::Rejection>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WireBatch {
    lists: [Rows; List::ALL.len()],
    /// Files, sent after the rows.
    pub attachments: Vec<WireAttachment>,
}

impl Default for WireBatch {
    fn default() -> Self {
        Self {
            lists: List::ALL.map(Rows::of),
            attachments: Vec::new(),
        }
    }
}

impl WireBatch {
    /// The rows of a list.
    #[must_use]
    pub fn rows(&self, list: List) -> &Rows {
        let [traces, spans, of_traces, of_spans, of_threads] = &self.lists;
        match list {
            List::Traces => traces,
            List::Spans => spans,
            List::TraceScores => of_traces,
            List::SpanScores => of_spans,
            List::ThreadScores => of_threads,
        }
    }

    /// The rows of a list, to append to.
    pub fn rows_mut(&mut self, list: List) -> &mut Rows {
        let [traces, spans, of_traces, of_spans, of_threads] = &mut self.lists;
        match list {
            List::Traces => traces,
            List::Spans => spans,
            List::TraceScores => of_traces,
            List::SpanScores => of_spans,
            List::ThreadScores => of_threads,
        }
    }

    /// How many records it has: rows and attachments.
    #[must_use]
    pub fn len(&self) -> usize {
        let rows: usize = self.lists.iter().map(Rows::len).sum();
        rows + self.attachments.len()
    }

    /// Whether it has no record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Size of all texts and files in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let rows: usize = self.lists.iter().map(Rows::bytes).sum();
        let files: usize = self.attachments.iter().map(|file| file.bytes.len()).sum();
        rows + files
    }

    /// Forgets the records and keeps the memory.
    pub fn clear(&mut self) {
        self.lists.iter_mut().for_each(Rows::clear);
        self.attachments.clear();
    }

    /// Adds a trace as the server takes it; `now` stands in for a missing `last_updated_at`.
    ///
    /// # Errors
    /// [`Rejection`] when a server would refuse it; nothing is added.
    pub fn push_trace(
        &mut self,
        trace: &Trace,
        project: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        self.push(RowId::Trace(trace.id), validate::trace(trace), |out| {
            encode::trace(out, trace, project, now)
        })
    }

    /// Adds a span as the server takes it; `now` stands in for a missing `last_updated_at`.
    ///
    /// # Errors
    /// [`Rejection`] when a server would refuse it; nothing is added.
    pub fn push_span(
        &mut self,
        span: &Span,
        project: Option<&str>,
        now: Timestamp,
    ) -> Result<(), Rejection> {
        self.push(RowId::Span(span.id), validate::span(span), |out| {
            encode::span(out, span, project, now)
        })
    }

    /// Adds a score as the server takes it.
    ///
    /// # Errors
    /// [`Rejection`] when a server would refuse it; nothing is added.
    pub fn push_score(
        &mut self,
        record: &ScoreRecord,
        project: Option<&str>,
    ) -> Result<(), Rejection> {
        let id = RowId::of_score(&record.target);
        self.push(id, validate::score(record), |out| {
            encode::score(out, record, project)
        })
    }

    fn push(
        &mut self,
        id: RowId,
        valid: Result<(), &'static str>,
        write: impl FnOnce(&mut Vec<u8>) -> serde_json::Result<()>,
    ) -> Result<(), Rejection> {
        let rows = self.rows_mut(id.list());
        valid
            .and_then(|()| rows.push_with(id, write).map_err(|_| "it has no JSON form"))
            .map_err(|reason| Rejection {
                record: id.to_string(),
                reason: reason.to_owned(),
            })
    }
}
