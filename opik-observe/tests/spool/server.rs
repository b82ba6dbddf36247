//! A server that can be down and remembers what it got.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use opik_core::exporter::ExportErrorKind;
use opik_core::wire::{List, RowId, WireBatch, WireExporter};
use opik_core::{Batch, ExportError, ExportReport, Exporter, Timestamp, TraceId};

/// How the server answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Up,
    Fails(ExportErrorKind),
    Hangs,
}

#[derive(Debug)]
struct State {
    mood: Mood,
    rows: Vec<u64>,
    calls: usize,
}

/// Clones share the state.
#[derive(Debug, Clone)]
pub(super) struct Server(Arc<Mutex<State>>);

impl Server {
    pub(super) fn new(mood: Mood) -> Self {
        Self(Arc::new(Mutex::new(State {
            mood,
            rows: Vec::new(),
            calls: 0,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is(&self, mood: Mood) {
        self.state().mood = mood;
    }

    /// How often it was asked.
    pub(super) fn calls(&self) -> usize {
        self.state().calls
    }

    /// Numbers of the rows that arrived, in order of arrival.
    pub(super) fn rows(&self) -> Vec<u64> {
        self.state().rows.clone()
    }
}

/// Rows with these numbers.
pub(super) fn rows(numbers: impl IntoIterator<Item = u64>) -> WireBatch {
    let mut batch = WireBatch::default();
    for number in numbers {
        let id = RowId::Trace(TraceId::from_parts(Timestamp::EPOCH, number));
        let text = format!(
            "{{\"name\":\"{number}\",\"filling\":\"{}\"}}",
            "x".repeat(200)
        );
        batch.rows_mut(List::Traces).push(id, text.as_bytes());
    }
    batch
}

fn numbers(batch: &WireBatch) -> Vec<u64> {
    let rows = batch.rows(List::Traces).iter();
    rows.map(|(_, row)| {
        let row: serde_json::Value = serde_json::from_slice(row).unwrap();
        row["name"].as_str().unwrap().parse().unwrap()
    })
    .collect()
}

#[async_trait]
impl WireExporter for Server {
    async fn export_rows(&self, batch: &WireBatch) -> Result<ExportReport, ExportError> {
        let mood = {
            let mut state = self.state();
            state.calls += 1;
            state.mood
        };
        match mood {
            Mood::Up => {}
            Mood::Fails(kind) => return Err(ExportError::new(kind, "down")),
            Mood::Hangs => std::future::pending().await,
        }
        self.state().rows.extend(numbers(batch));
        Ok(ExportReport::accepted(batch.len()))
    }
}

#[async_trait]
impl Exporter for Server {
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        let mut rows = WireBatch::default();
        for trace in &batch.traces {
            rows.push_trace(trace, None, Timestamp::now()).unwrap();
        }
        self.export_rows(&rows).await
    }

    async fn flush(&self) -> Result<(), ExportError> {
        Ok(())
    }

    fn wire(&self) -> Option<&dyn WireExporter> {
        Some(self)
    }
}
