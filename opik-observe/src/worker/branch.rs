//! One branch: redact, batch, export.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use opik_core::Batch;
use tokio::time::Instant;

use super::delivery::Delivery;
use super::open_rows::OpenRows;
use super::queue::{BranchQueue, Item, Parcel};
use crate::config::{Limits, StartRows};
use crate::intake::records;
use crate::policy::Policy;
use crate::raw::RawView;
use crate::redact::{Common, Row, redact};
use crate::stats::DropReason;

/// The state of a branch's thread.
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) queue: Arc<BranchQueue>,
    pub(crate) delivery: Delivery,
    pub(crate) policy: Policy,
    pub(crate) common: Common,
    pub(crate) start_rows: StartRows,
    pub(crate) limits: Limits,
    batch: Batch,
    batch_bytes: usize,
    due: Option<Instant>,
    open: OpenRows,
}

/// Settles the books however the thread ends.
struct LastEntry {
    queue: Arc<BranchQueue>,
    index: usize,
}

impl Drop for LastEntry {
    fn drop(&mut self) {
        self.queue.close(self.index, DropReason::ExporterPanicked);
    }
}

impl Worker {
    pub(crate) fn new(
        index: usize,
        delivery: Delivery,
        policy: Policy,
        common: Common,
        start_rows: StartRows,
        limits: Limits,
    ) -> Self {
        Self {
            index,
            queue: Arc::clone(&delivery.queue),
            delivery,
            policy,
            common,
            start_rows,
            limits,
            batch: Batch::default(),
            batch_bytes: 0,
            due: None,
            open: OpenRows::default(),
        }
    }

    /// Works until the branch is closed.
    pub(crate) async fn run(mut self) {
        let _last_entry = LastEntry {
            queue: Arc::clone(&self.queue),
            index: self.index,
        };
        loop {
            let deadline = [self.due, self.open.due()].into_iter().flatten().min();
            match self.queue.next(deadline).await {
                Some(Item::Records(parcel)) => self.take(&parcel).await,
                Some(Item::Flush(ticket)) => {
                    self.export().await;
                    let durable = self.delivery.sync().await;
                    ticket.settle(self.index, durable);
                }
                Some(Item::Close(ticket)) => {
                    // What never ended stays visible as what began.
                    for row in self.open.drain() {
                        self.add_start_row(row);
                    }
                    self.export().await;
                    let durable = self.delivery.sync().await && !self.queue.is_abandoned();
                    self.queue.close(self.index, DropReason::Closed);
                    ticket.settle(self.index, durable);
                    return;
                }
                None => {
                    let now = Instant::now();
                    while let Some(row) = self.open.pop_due(now) {
                        self.add_start_row(row);
                    }
                    self.export().await;
                }
            }
        }
    }

    async fn take(&mut self, parcel: &Parcel) {
        let bytes = parcel.bytes.as_slice();
        let bytes = bytes.get(..parcel.take).unwrap_or_default();
        for record in records(bytes) {
            self.add(record);
            if self.batch.len() >= self.limits.batch_records
                || self.batch_bytes >= self.limits.batch_bytes
            {
                self.export().await;
            }
        }
    }

    fn add(&mut self, record: &[u8]) {
        let Some(view) = RawView::parse(record) else {
            if !crate::raw::is_open(record) {
                self.queue.settle_lost(DropReason::Redaction, 1);
            }
            return;
        };
        if view.is_open() && self.start_rows == StartRows::Off {
            return;
        }
        let row = catch_unwind(AssertUnwindSafe(|| {
            redact(&view, &self.policy, &self.common)
        }))
        .ok()
        .flatten();
        match (row, view.is_open(), self.start_rows) {
            (Some(row), false, _) => {
                self.open.ended(&view.key());
                self.push(row, record.len());
            }
            (None, false, _) => self.queue.settle_lost(DropReason::Redaction, 1),
            (Some(row), true, StartRows::Immediately) => self.add_start_row(row),
            (Some(row), true, StartRows::After(delay)) => self.open.began(view.key(), row, delay),
            (_, true, _) => {}
        }
    }

    fn add_start_row(&mut self, row: Row) {
        self.queue.opened_start_row();
        self.push(row, 0);
    }

    fn push(&mut self, row: Row, bytes: usize) {
        match row {
            Row::Trace(trace) => self.batch.traces.push(*trace),
            Row::Span(span) => self.batch.spans.push(*span),
            Row::Score(score) => self.batch.scores.push(*score),
        }
        self.batch_bytes += bytes;
        let delay: Duration = self.limits.batch_delay;
        self.due.get_or_insert_with(|| Instant::now() + delay);
    }

    async fn export(&mut self) {
        self.due = None;
        self.batch_bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        self.delivery.deliver(batch).await;
    }
}
