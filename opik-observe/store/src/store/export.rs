//! Taking batches.

use std::sync::Arc;

use async_trait::async_trait;
use opik_core::{Batch, ExportError, ExportReport, Exporter, Timestamp};
use tokio::sync::oneshot;

use super::{LEAST_WEIGHT, MOST_WAITING, Store};
use crate::block::Compression;
use crate::error::StoreError;
use crate::pack::{self, Packed};
use crate::threads::{WaitingBatch, WriteJob, lock};

/// What becomes of a batch that was handed over.
type Handed = oneshot::Receiver<Result<Box<Packed>, StoreError>>;

impl Store {
    /// [`Exporter::export`] for a batch that its caller does not keep: it is let go while the writer
    /// works, which for a thousand spans takes a fifth of a millisecond.
    ///
    /// # Errors
    /// As [`Exporter::export`].
    pub async fn take(&self, batch: Batch) -> Result<ExportReport, ExportError> {
        let handed = self.hand_over(&batch).await?;
        drop(batch);
        Self::outcome(handed).await
    }

    /// Packs a batch. A writer that has nothing to do begins to compress it meanwhile.
    fn pack(&self, batch: &Batch) -> Result<(Packed, Compression), StoreError> {
        let writer = lock(&self.0.writer).clone();
        let early = |block| {
            if let Some(writer) = &writer
                && self.0.signals.may_hand_early()
            {
                // Without a writer the batch will not be written either.
                drop(writer.send(WriteJob::Early(block)));
            }
        };
        pack::pack(batch, Timestamp::now(), &early)
    }

    /// Encodes and compresses on the calling thread (a few microseconds a span), while the writer begins.
    async fn hand_over(&self, batch: &Batch) -> Result<Option<Handed>, ExportError> {
        if batch.is_empty() {
            return Ok(None);
        }
        let (packed, compression) = self.pack(batch).map_err(StoreError::into_export)?;
        let closed = |_| StoreError::Closed.into_export();
        let weight = u32::try_from(packed.bytes() >> 10).unwrap_or(MOST_WAITING);
        let permit = Arc::clone(&self.0.waiting)
            .acquire_many_owned(weight.clamp(LEAST_WEIGHT, MOST_WAITING))
            .await
            .map_err(closed)?;
        let (answer, wait) = oneshot::channel();
        let mut compression = Some(compression);
        let compress = |slot: &mut Option<Compression>| {
            let run = slot.take().map_or(Ok(()), Compression::run);
            run.map_err(StoreError::into_export)
        };
        // The writer puts the columns in while a larger batch is compressed here.
        if !compression.as_ref().is_some_and(Compression::is_long) {
            compress(&mut compression)?;
        }
        self.0
            .submit(WriteJob::Batch(WaitingBatch {
                packed: Box::new(packed),
                answer,
                permit,
            }))
            .map_err(StoreError::into_export)?;
        compress(&mut compression)?;
        Ok(Some(wait))
    }

    /// Waits for the commit.
    async fn outcome(handed: Option<Handed>) -> Result<ExportReport, ExportError> {
        let Some(wait) = handed else {
            return Ok(ExportReport::default());
        };
        let packed = wait
            .await
            .unwrap_or(Err(StoreError::Closed))
            .map_err(StoreError::into_export)?;
        let mut report = ExportReport::accepted(packed.accepted);
        report.rejected = packed.rejected;
        Ok(report)
    }
}

#[async_trait]
impl Exporter for Store {
    /// Encodes and compresses on the calling thread, and waits for the commit.
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        let handed = self.hand_over(batch).await?;
        Self::outcome(handed).await
    }

    /// Writes the log into the file and flushes both to the disk.
    async fn flush(&self) -> Result<(), ExportError> {
        // What was handed over before comes first.
        let before = self
            .write_task(|_| Ok(()))
            .map_err(StoreError::into_export)?;
        before
            .await
            .unwrap_or(Err(StoreError::Closed))
            .map_err(StoreError::into_export)?;
        let flusher = lock(&self.0.flusher).clone();
        let wait = flusher
            .ok_or(StoreError::Closed)
            .and_then(|flusher| flusher.flush())
            .map_err(StoreError::into_export)?;
        wait.await
            .unwrap_or(Err(StoreError::Closed))
            .map_err(StoreError::into_export)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use opik_core::model::{FeedbackScore, ScoreRecord, ScoreTarget};
    use opik_core::{PageRequest, TraceSource as _};
    use opik_testkit::records;

    use super::*;

    #[test]
    fn a_batch_that_is_given_away_is_written_as_one_that_is_lent() {
        let span = records::full_span(1, 0);
        let target = ScoreTarget::Trace(span.trace_id);
        let mut batch = Batch::new(vec![records::full_trace(1)], vec![span.clone()]);
        // One that no store can take.
        let score = FeedbackScore::new("quality", f64::NAN);
        batch.scores.push(ScoreRecord::new(target, score));
        pollster::block_on(async {
            let (lent, given) = (Store::open_in_memory(), Store::open_in_memory());
            let (lent, given) = (lent.unwrap(), given.unwrap());
            let report = lent.export(&batch).await.unwrap();
            assert_eq!((report.accepted, report.rejected.len()), (2, 1));
            assert_eq!(given.take(batch).await.unwrap(), report);
            for store in [lent, given] {
                let page = PageRequest::default();
                let spans = store.spans(span.trace_id, &page).await.unwrap().items;
                let inputs: Vec<_> = spans.iter().map(|span| &span.input).collect();
                assert_eq!(inputs, [&span.input]);
            }
        });
    }

    /// A batch of many blocks.
    fn long_batch() -> Batch {
        let mut batch = Batch::default();
        for number in 0..40 {
            let mut span = records::full_span(number, 0);
            span.input = Some(opik_core::Json::string(&"long words ".repeat(2_000)));
            batch.spans.push(span);
        }
        batch
    }

    #[test]
    fn a_writer_that_is_idle_compresses_what_is_being_packed() {
        let store = Store::open_in_memory().unwrap();
        let early = |block| {
            while !store.0.signals.may_hand_early() {
                std::thread::yield_now();
            }
            store.0.submit(WriteJob::Early(block)).unwrap();
            // Behind it in the line.
            store.write(|_| Ok(())).unwrap();
        };
        let (packed, _left) = pack::pack(&long_batch(), Timestamp::now(), &early).unwrap();
        let made = packed.blocks.iter().filter(|block| block.is_made());
        assert!(packed.blocks.len() > 10);
        assert!(made.count() >= packed.blocks.len() - 1, "all but the last");
    }

    #[test]
    fn a_writer_that_writes_is_handed_no_blocks() {
        let store = Store::open_in_memory().unwrap();
        let (began, has_begun) = sync_channel(1);
        let (end, wait) = sync_channel(1);
        let task = store.write_task(move |_| {
            began.send(()).unwrap();
            wait.recv().unwrap();
            Ok(())
        });
        has_begun.recv().unwrap();
        let (packed, left) = store.pack(&long_batch()).unwrap();
        // The block and what is left to do; nobody else holds it.
        let held = packed
            .blocks
            .iter()
            .map(|block| Arc::strong_count(&block.raw));
        assert!(held.clone().count() > 10);
        assert!(held.into_iter().all(|count| count == 2));
        end.send(()).unwrap();
        pollster::block_on(task.unwrap()).unwrap().unwrap();
        left.run().unwrap();
        pollster::block_on(store.take(long_batch())).unwrap();
    }

    #[test]
    fn a_store_that_was_closed_takes_nothing() {
        let store = Store::open_in_memory().unwrap();
        store.close();
        let batch = Batch::new(vec![records::full_trace(1)], Vec::new());
        assert!(pollster::block_on(store.take(batch)).is_err());
        let empty = pollster::block_on(store.take(Batch::default())).unwrap();
        assert_eq!(empty, ExportReport::default());
    }
}
