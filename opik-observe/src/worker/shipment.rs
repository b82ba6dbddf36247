//! What a branch sends: records as values, or as rows where its exporter takes these.

use std::panic::{AssertUnwindSafe, catch_unwind};

use opik_core::exporter::ExportErrorKind;
use opik_core::wire::{List, WireBatch};
use opik_core::{Batch, ExportError, ExportReport, Exporter};

use crate::redact::{Cleared, Common, Moments, push_row, push_value};

/// A batch under way. Its memory is used again for another one.
pub(super) enum Shipment {
    Values(Batch),
    Rows(Box<WireBatch>, Moments),
}

/// Whether an exporter takes rows. An exporter that panics when asked is taken at its worst.
pub(crate) fn takes_rows(exporter: &dyn Exporter) -> bool {
    catch_unwind(AssertUnwindSafe(|| exporter.wire().is_some())).unwrap_or(false)
}

/// The project that an exporter of rows has for records that name none.
pub(super) fn project_of(exporter: &dyn Exporter) -> Option<String> {
    let project = || exporter.wire()?.project_name().map(str::to_owned);
    catch_unwind(AssertUnwindSafe(project)).ok().flatten()
}

impl Shipment {
    pub(super) fn for_exporter(exporter: &dyn Exporter) -> Self {
        if takes_rows(exporter) {
            Self::rows(WireBatch::default())
        } else {
            Self::Values(Batch::default())
        }
    }

    fn rows(batch: WireBatch) -> Self {
        Self::Rows(Box::new(batch), Moments::default())
    }

    /// An empty one of the same kind.
    pub(super) fn another(&self) -> Self {
        match self {
            Self::Values(_) => Self::Values(Batch::default()),
            Self::Rows(..) => Self::rows(WireBatch::default()),
        }
    }

    /// Adds what may leave of a record; an error names the rule that a server would refuse it for.
    pub(super) fn push(
        &mut self,
        cleared: &Cleared<'_>,
        common: &Common,
    ) -> Result<(), &'static str> {
        match self {
            Self::Values(batch) => {
                push_value(cleared, common, batch);
                Ok(())
            }
            Self::Rows(batch, moments) => push_row(cleared, common, moments, batch),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Values(batch) => batch.len(),
            Self::Rows(batch, _) => batch.len(),
        }
    }

    /// How many of the records are files that were taken out of others.
    pub(super) fn files(&self) -> usize {
        match self {
            Self::Values(_) => 0,
            Self::Rows(batch, _) => batch.attachments.len(),
        }
    }

    /// Size in bytes where that is known, which it is of rows.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Values(_) => 0,
            Self::Rows(batch, _) => batch.bytes(),
        }
    }

    /// Forgets the records and keeps the memory, unless that is more than twice `usual`.
    pub(super) fn clear(&mut self, usual: usize) {
        match self {
            Self::Values(batch) => batch.clear(),
            Self::Rows(batch, _) if batch.bytes() > usual.saturating_mul(2) => {
                **batch = WireBatch::default();
            }
            Self::Rows(batch, _) => batch.clear(),
        }
    }

    /// Both halves of at least two records, the first one first.
    pub(super) fn halves(&self) -> [Self; 2] {
        let first = self.len() / 2;
        match self {
            Self::Values(batch) => halves_of_values(batch, first).map(Self::Values),
            Self::Rows(batch, _) => halves_of_rows(batch, first).map(Self::rows),
        }
    }

    /// Hands the batch to the exporter.
    pub(super) async fn send(&self, exporter: &dyn Exporter) -> Result<ExportReport, ExportError> {
        match self {
            Self::Values(batch) => exporter.export(batch).await,
            Self::Rows(batch, _) => match exporter.wire() {
                Some(wire) => wire.export_rows(batch).await,
                None => Err(ExportError::new(
                    ExportErrorKind::Internal,
                    "the exporter took rows before and does not any more",
                )),
            },
        }
    }
}

fn halves_of_values(batch: &Batch, mut keep: usize) -> [Batch; 2] {
    let mut divide = |length: usize| {
        let stays = keep.min(length);
        keep -= stays;
        stays
    };
    let traces = batch.traces.split_at(divide(batch.traces.len()));
    let spans = batch.spans.split_at(divide(batch.spans.len()));
    let scores = batch.scores.split_at(divide(batch.scores.len()));
    let mut first = Batch::new(traces.0.to_vec(), spans.0.to_vec());
    first.scores = scores.0.to_vec();
    let mut second = Batch::new(traces.1.to_vec(), spans.1.to_vec());
    second.scores = scores.1.to_vec();
    [first, second]
}

/// Files count as records and come after all rows.
fn halves_of_rows(batch: &WireBatch, mut keep: usize) -> [WireBatch; 2] {
    let mut halves = [WireBatch::default(), WireBatch::default()];
    let [first, second] = &mut halves;
    let mut half = || {
        let stays = keep > 0;
        keep = keep.saturating_sub(1);
        stays
    };
    for list in List::ALL {
        for (id, row) in batch.rows(list).iter() {
            let half = if half() { &mut *first } else { &mut *second };
            half.rows_mut(list).push(id, row);
        }
    }
    for file in &batch.attachments {
        let half = if half() { &mut *first } else { &mut *second };
        half.attachments.push(file.clone());
    }
    halves
}

#[cfg(test)]
mod tests {
    use super::*;
    use opik_core::wire::RowId;
    use opik_core::{Span, SpanId, Timestamp, Trace, TraceId};

    #[test]
    fn halves_keep_every_record_once_and_in_order() {
        for (traces, spans) in [(2, 0), (0, 3), (1, 1), (3, 4)] {
            let (id, at) = (TraceId::generate(), Timestamp::now());
            let batch = Batch::new(
                (0..traces)
                    .map(|_| Trace::new(TraceId::generate(), at))
                    .collect(),
                (0..spans)
                    .map(|_| Span::new(SpanId::generate(), id, at))
                    .collect(),
            );
            let mut rows = WireBatch::default();
            for trace in &batch.traces {
                rows.push_trace(trace, None, at).unwrap();
            }
            for span in &batch.spans {
                rows.push_span(span, None, at).unwrap();
            }
            let [first, second] = halves_of_values(&batch, batch.len() / 2);
            assert_eq!(first.len(), batch.len() / 2);
            assert_eq!([first.traces, second.traces].concat(), batch.traces);
            assert_eq!([first.spans, second.spans].concat(), batch.spans);

            let [first, second] = halves_of_rows(&rows, rows.len() / 2);
            assert_eq!(first.len(), rows.len() / 2);
            let texts = |batch: &WireBatch| -> Vec<(RowId, Vec<u8>)> {
                let rows = List::ALL.iter().flat_map(|list| batch.rows(*list).iter());
                rows.map(|(id, row)| (id, row.to_vec())).collect()
            };
            let mut joined = texts(&first);
            joined.extend(texts(&second));
            joined.sort_by_key(|(id, _)| id.list());
            assert_eq!(joined, texts(&rows));
        }
    }
}
