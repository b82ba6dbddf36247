//! What waits for one branch.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant as Moment;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::flush::Ticket;
use crate::intake::{SharedBytes, records};
use crate::stats::{DropReason, Tally};

/// The first `take` bytes of a chunk that all branches share.
pub(crate) struct Parcel {
    pub(crate) bytes: Arc<SharedBytes>,
    pub(crate) take: usize,
    records: usize,
}

/// One thing to do.
pub(crate) enum Item {
    Records(Parcel),
    Flush(Arc<Ticket>),
    Close(Arc<Ticket>),
}

/// A bounded queue with the books of its branch.
///
/// Only the recorder's own threads lock it, and none of them calls foreign code meanwhile.
#[derive(Debug)]
pub(crate) struct BranchQueue {
    pub(crate) name: String,
    /// What comes is counted as exported, and nobody takes it out.
    discards: bool,
    max_records: usize,
    max_bytes: usize,
    inner: Mutex<Inner>,
    arrived: Notify,
    pub(crate) exported: AtomicU64,
    pub(crate) start_rows: AtomicU64,
    pub(crate) attachments: AtomicU64,
    pub(crate) lost: Tally,
    pub(crate) fields_lost: AtomicU64,
    /// Records that were taken in and whose fate is open.
    open: AtomicU64,
    /// When the branch will be abandoned, once that is known.
    closing: OnceLock<Moment>,
    announced: Notify,
    abandoned: AtomicBool,
    abandon: Notify,
}

#[derive(Default)]
struct Inner {
    items: VecDeque<Item>,
    records: usize,
    bytes: usize,
    closed: bool,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner")
            .field("records", &self.records)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl BranchQueue {
    pub(crate) fn new(name: String, max_records: usize, max_bytes: usize) -> Self {
        Self {
            name,
            discards: false,
            max_records,
            max_bytes,
            inner: Mutex::default(),
            arrived: Notify::new(),
            exported: AtomicU64::new(0),
            start_rows: AtomicU64::new(0),
            attachments: AtomicU64::new(0),
            lost: Tally::default(),
            fields_lost: AtomicU64::new(0),
            open: AtomicU64::new(0),
            closing: OnceLock::new(),
            announced: Notify::new(),
            abandoned: AtomicBool::new(false),
            abandon: Notify::new(),
        }
    }

    /// The queue of a branch that discards its records.
    pub(crate) fn discarding(name: String) -> Self {
        Self {
            discards: true,
            ..Self::new(name, 0, 0)
        }
    }

    pub(crate) fn discards(&self) -> bool {
        self.discards
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in as many of a chunk's records as fit and counts the others as lost.
    ///
    /// `counted` is how many of the chunk's records are complete ones.
    pub(crate) fn offer(&self, shared: &Arc<SharedBytes>, counted: usize) {
        if self.discards {
            // Release: as in `settle_exported`.
            self.exported.fetch_add(counted as u64, Ordering::Release);
            return;
        }
        let bytes = shared.as_slice();
        let mut inner = self.lock();
        if inner.closed {
            self.lost.add(DropReason::Closed, counted);
            return;
        }
        let room = (
            self.max_records.saturating_sub(inner.records),
            self.max_bytes.saturating_sub(inner.bytes),
        );
        let (take, records) = if counted <= room.0 && bytes.len() <= room.1 {
            (bytes.len(), counted)
        } else {
            prefix(bytes, room)
        };
        if take > 0 {
            inner.records += records;
            inner.bytes += take;
            self.open.fetch_add(records as u64, Ordering::Relaxed);
            inner.items.push_back(Item::Records(Parcel {
                bytes: Arc::clone(shared),
                take,
                records,
            }));
        }
        drop(inner);
        if counted > records {
            self.lost.add(DropReason::QueueFull, counted - records);
        }
        self.arrived.notify_one();
    }

    /// Adds a marker behind what has arrived; `false` when the branch is gone.
    pub(crate) fn mark(&self, item: Item) -> bool {
        let mut inner = self.lock();
        if inner.closed {
            return false;
        }
        inner.items.push_back(item);
        drop(inner);
        self.arrived.notify_one();
        true
    }

    /// The next thing to do, or `None` at the deadline. A parcel takes its room until it is
    /// [worked off](Self::worked_off).
    pub(crate) async fn next(&self, deadline: Option<Instant>) -> Option<Item> {
        loop {
            {
                let mut inner = self.lock();
                if let Some(item) = inner.items.pop_front() {
                    return Some(item);
                }
            }
            match deadline {
                Some(deadline) => {
                    if tokio::time::timeout_at(deadline, self.arrived.notified())
                        .await
                        .is_err()
                    {
                        return None;
                    }
                }
                None => self.arrived.notified().await,
            }
        }
    }

    /// Makes room for as much as there was in a parcel that was taken out and is worked off.
    pub(crate) fn worked_off(&self, parcel: &Parcel) {
        let mut inner = self.lock();
        inner.records = inner.records.saturating_sub(parcel.records);
        inner.bytes = inner.bytes.saturating_sub(parcel.take);
    }

    /// Refuses whatever comes and forgets what waits; calls that wait for it learn of it.
    pub(crate) fn close(&self, branch: usize, reason: DropReason) {
        let mut inner = self.lock();
        inner.closed = true;
        let items = std::mem::take(&mut inner.items);
        drop(inner);
        let open = self.open.swap(0, Ordering::Relaxed);
        self.lost
            .add(reason, usize::try_from(open).unwrap_or(usize::MAX));
        for item in items {
            if let Item::Flush(ticket) | Item::Close(ticket) = item {
                ticket.settle(branch, false);
            }
        }
    }

    /// A start row was made.
    pub(crate) fn opened_start_row(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
        self.start_rows.fetch_add(1, Ordering::Relaxed);
    }

    /// So many files were taken out of content.
    pub(crate) fn opened_attachments(&self, files: usize) {
        if files > 0 {
            self.open.fetch_add(files as u64, Ordering::Relaxed);
            self.attachments.fetch_add(files as u64, Ordering::Relaxed);
        }
    }

    /// The policy's scrubber panicked over so many fields.
    pub(crate) fn lose_fields(&self, fields: u64) {
        self.fields_lost.fetch_add(fields, Ordering::Relaxed);
    }

    pub(crate) fn settle_exported(&self, records: usize) {
        self.open.fetch_sub(records as u64, Ordering::Relaxed);
        // Release: who sees this sees that they were recorded.
        self.exported.fetch_add(records as u64, Ordering::Release);
    }

    pub(crate) fn settle_lost(&self, reason: DropReason, records: usize) {
        self.open.fetch_sub(records as u64, Ordering::Relaxed);
        self.lost.add(reason, records);
    }

    /// Says that the recorder closes and will abandon the branch at that moment.
    pub(crate) fn announce_close(&self, abandon_at: Moment) {
        self.closing.set(abandon_at).ok();
        self.announced.notify_waiters();
    }

    /// When the branch will be abandoned, once the recorder closes.
    pub(crate) fn closing(&self) -> Option<Moment> {
        self.closing.get().copied()
    }

    /// Done when the recorder closes, with the moment at which the branch will be abandoned.
    pub(crate) async fn when_closing(&self) -> Moment {
        loop {
            let announced = self.announced.notified();
            let mut announced = std::pin::pin!(announced);
            announced.as_mut().enable();
            if let Some(abandon_at) = self.closing() {
                return abandon_at;
            }
            announced.await;
        }
    }

    /// Ends every wait of the branch: shutdown is out of time.
    pub(crate) fn abandon(&self) {
        self.abandoned.store(true, Ordering::SeqCst);
        self.abandon.notify_waiters();
    }

    pub(crate) fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::SeqCst)
    }

    /// Done when the branch was abandoned.
    pub(crate) async fn when_abandoned(&self) {
        loop {
            let abandoned = self.abandon.notified();
            let mut abandoned = std::pin::pin!(abandoned);
            abandoned.as_mut().enable();
            if self.is_abandoned() {
                return;
            }
            abandoned.await;
        }
    }
}

/// How many bytes and complete records at the start of a chunk fit into so much room.
fn prefix(bytes: &[u8], room: (usize, usize)) -> (usize, usize) {
    let (mut take, mut complete) = (0, 0);
    for record in records(bytes) {
        let is_complete = usize::from(!crate::raw::is_open(record));
        let next = take + record.len() + size_of::<u32>();
        if complete + is_complete > room.0 || next > room.1 {
            break;
        }
        take = next;
        complete += is_complete;
    }
    (take, complete)
}

#[cfg(test)]
mod tests;
