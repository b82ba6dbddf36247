//! An exporter that keeps what it gets, batch by batch.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use opik_core::{Batch, ExportError, ExportReport, Exporter, ScoreRecord, Span, Trace};

/// Keeps every batch as it came, and lets a test wait for what it expects. Clones share the record.
///
/// ```
/// use std::time::Duration;
/// use opik_testkit::RecordingExporter;
///
/// let exporter = RecordingExporter::new();
/// let seen = exporter.clone();
/// // … hand `exporter` to the code under test …
/// assert!(!seen.wait_for_records(1, Duration::from_millis(1)));
/// ```
#[derive(Debug, Clone, Default)]
pub struct RecordingExporter(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Seen {
    batches: Vec<Batch>,
    flushes: usize,
}

impl RecordingExporter {
    /// An exporter that has seen nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Every batch, in order of arrival.
    #[must_use]
    pub fn batches(&self) -> Vec<Batch> {
        self.seen().batches.clone()
    }

    /// Every trace row, in order of arrival.
    #[must_use]
    pub fn traces(&self) -> Vec<Trace> {
        let seen = self.seen();
        seen.batches
            .iter()
            .flat_map(|batch| batch.traces.clone())
            .collect()
    }

    /// Every span row, in order of arrival.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        let seen = self.seen();
        seen.batches
            .iter()
            .flat_map(|batch| batch.spans.clone())
            .collect()
    }

    /// Every score, in order of arrival.
    #[must_use]
    pub fn scores(&self) -> Vec<ScoreRecord> {
        let seen = self.seen();
        seen.batches
            .iter()
            .flat_map(|batch| batch.scores.clone())
            .collect()
    }

    /// How many records came.
    #[must_use]
    pub fn records(&self) -> usize {
        self.seen().batches.iter().map(Batch::len).sum()
    }

    /// How often it was flushed.
    #[must_use]
    pub fn flushes(&self) -> usize {
        self.seen().flushes
    }

    /// Blocks until this many records came; `false` when that took longer than `limit`.
    #[must_use]
    pub fn wait_for_records(&self, count: usize, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut seen = self.seen();
        loop {
            if seen.batches.iter().map(Batch::len).sum::<usize>() >= count {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let waited = self.0.changed.wait_timeout(seen, left);
            seen = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        let seen = self.0.seen.lock();
        seen.unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Exporter for RecordingExporter {
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        self.seen().batches.push(batch.clone());
        self.0.changed.notify_all();
        Ok(ExportReport::accepted(batch.len()))
    }

    async fn flush(&self) -> Result<(), ExportError> {
        self.seen().flushes += 1;
        Ok(())
    }
}
