//! One branch: redact, batch, export.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::delivery::Delivery;
use super::open_rows::OpenRows;
use super::queue::{BranchQueue, Item, Parcel};
use super::shipment::{Shipment, project_of};
use super::under_way::UnderWay;
use crate::config::{Limits, StartRows};
use crate::intake::records;
use crate::policy::Policy;
use crate::raw::RawView;
use crate::redact::{Cleared, Common};
use crate::stats::DropReason;

/// The state of a branch's thread.
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) queue: Arc<BranchQueue>,
    pub(crate) policy: Policy,
    pub(crate) common: Common,
    pub(crate) start_rows: StartRows,
    pub(crate) limits: Limits,
    under_way: UnderWay,
    /// The batch that is being made.
    batch: Shipment,
    /// Size of the raw records in the batch.
    raw_bytes: usize,
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
        mut common: Common,
        start_rows: StartRows,
        limits: Limits,
    ) -> Self {
        let batch = Shipment::for_exporter(&*delivery.exporter);
        if common.project.is_none() {
            common.project = project_of(&*delivery.exporter);
        }
        Self {
            index,
            queue: Arc::clone(&delivery.queue),
            policy,
            common,
            start_rows,
            under_way: UnderWay::new(delivery, limits.batch_bytes),
            limits,
            batch,
            raw_bytes: 0,
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
            match self.under_way.beside(self.queue.next(deadline)).await {
                Some(Item::Records(parcel)) => self.take(&parcel).await,
                Some(Item::Flush(ticket)) => {
                    let durable = self.deliver_all().await;
                    ticket.settle(self.index, durable);
                }
                Some(Item::Close(ticket)) => {
                    // What never ended stays visible as what began.
                    self.add_start_rows(None);
                    let durable = self.deliver_all().await && !self.queue.is_abandoned();
                    self.queue.close(self.index, DropReason::Closed);
                    ticket.settle(self.index, durable);
                    return;
                }
                None => {
                    self.add_start_rows(Some(Instant::now()));
                    self.export().await;
                }
            }
        }
    }

    /// Works a parcel off. It makes room for others when its last batch begins its way, not while that
    /// waits for the one before: so no more waits than the limits say, besides two batches.
    async fn take(&mut self, parcel: &Parcel) {
        let bytes = parcel.bytes.as_slice();
        let bytes = bytes.get(..parcel.take).unwrap_or_default();
        let now = Instant::now();
        let mut cleared = Cleared::default();
        let mut records = records(bytes).peekable();
        while let Some(record) = records.next() {
            self.add(record, now, &mut cleared);
            if self.is_full() {
                self.under_way.finish().await;
                if records.peek().is_some() {
                    self.export().await;
                }
            }
        }
        self.queue.worked_off(parcel);
        if self.is_full() {
            self.export().await;
        }
    }

    fn is_full(&self) -> bool {
        self.batch.len() >= self.limits.batch_records
            || self.raw_bytes.max(self.batch.bytes()) >= self.limits.batch_bytes
    }

    fn add<'a>(&mut self, record: &'a [u8], now: Instant, cleared: &mut Cleared<'a>) {
        let Some(view) = RawView::parse(record) else {
            if !crate::raw::is_open(record) {
                self.queue.settle_lost(DropReason::Redaction, 1);
            }
            return;
        };
        match (view.is_open(), self.start_rows) {
            (false, start_rows) => {
                if start_rows != StartRows::Off {
                    self.open.ended(&view.key());
                }
                self.push(&view, record.len(), now, cleared);
            }
            (true, StartRows::Off) => {}
            (true, StartRows::Immediately) => self.add_start_row(&view, now, cleared),
            (true, StartRows::After(delay)) => self.open.began(view.key(), record, now + delay),
        }
    }

    /// Rows of what is still open and due by then, or of all that is.
    fn add_start_rows(&mut self, due: Option<Instant>) {
        let now = Instant::now();
        while let Some(record) = self.open.pop_due(due) {
            if let Some(view) = RawView::parse(&record) {
                self.add_start_row(&view, now, &mut Cleared::default());
            }
        }
    }

    fn add_start_row<'a>(&mut self, view: &RawView<'a>, now: Instant, cleared: &mut Cleared<'a>) {
        self.queue.opened_start_row();
        self.push(view, 0, now, cleared);
    }

    /// Puts what may leave of a record into the batch, or its loss into the books.
    fn push<'a>(
        &mut self,
        view: &RawView<'a>,
        raw_bytes: usize,
        now: Instant,
        cleared: &mut Cleared<'a>,
    ) {
        let Self {
            batch,
            policy,
            common,
            ..
        } = self;
        let files = batch.files();
        let pushed = catch_unwind(AssertUnwindSafe(|| {
            let something = cleared.read(view, policy);
            something.then(|| batch.push(cleared, common))
        }));
        if cleared.fields_lost > 0 {
            self.queue.lose_fields(cleared.fields_lost);
        }
        match pushed {
            Ok(Some(Ok(()))) => {
                self.queue.opened_attachments(self.batch.files() - files);
                self.raw_bytes += raw_bytes;
                let delay: Duration = self.limits.batch_delay;
                self.due.get_or_insert(now + delay);
            }
            Ok(Some(Err(rule))) => {
                tracing::debug!(
                    target: "opik_observe",
                    branch = %self.queue.name,
                    rule,
                    "a record breaks a rule of the server and was not sent"
                );
                self.queue.settle_lost(DropReason::Rejected, 1);
            }
            Ok(None) | Err(_) => self.queue.settle_lost(DropReason::Redaction, 1),
        }
    }

    /// Sends the batch off.
    async fn export(&mut self) {
        self.due = None;
        self.raw_bytes = 0;
        if self.batch.len() > 0 {
            self.under_way.send(&mut self.batch).await;
        }
    }

    /// Delivers all there is; `false` when it may not be durable.
    async fn deliver_all(&mut self) -> bool {
        self.export().await;
        self.under_way.finish().await;
        self.under_way.delivery().sync().await
    }
}
