//! Where callers hand records over: admission, and the bounded queue to the worker.
//!
//! Nothing in here blocks. A record is admitted when the counts of records and bytes that wait for
//! the worker stay within their limits; else it is counted as lost and forgotten. Accounting is
//! tied to ownership: a [`Chunk`] that is dropped with records in it, for whatever reason, counts
//! them, so no way out of the queue escapes the books.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::Thread;

use crate::stats::{DropReason, Tally};

/// Counters that callers and worker share.
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) recorded: AtomicU64,
    pub(crate) suppressed: AtomicU64,
    pub(crate) fields_lost: AtomicU64,
    /// Losses before the branches, which each of them counts as its own.
    pub(crate) lost: Tally,
    waiting_records: AtomicUsize,
    waiting_bytes: AtomicUsize,
}

impl Account {
    /// Takes room for one record; `false` when there is none.
    fn reserve(&self, bytes: usize, limits: (usize, usize)) -> bool {
        // SeqCst: pairs with the worker's check before it goes to sleep.
        let records = self.waiting_records.fetch_add(1, Ordering::SeqCst);
        let held = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let fits = records < limits.0 && held.saturating_add(bytes) <= limits.1;
        if !fits {
            self.release(1, bytes);
        }
        fits
    }

    fn release(&self, records: usize, bytes: usize) {
        self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.waiting_records.fetch_sub(records, Ordering::SeqCst);
    }

    pub(crate) fn waiting(&self) -> usize {
        self.waiting_records.load(Ordering::SeqCst)
    }
}

/// Records on their way from a caller to the worker, each after its length (u32).
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    /// Records in it, of which `counted` are complete ones.
    records: usize,
    counted: usize,
    account: Arc<Account>,
}

impl Chunk {
    /// Takes the records out: bytes, and how many of them are complete.
    pub(crate) fn take(mut self) -> (Vec<u8>, usize) {
        let bytes = std::mem::take(&mut self.bytes);
        self.account.release(self.records, bytes.len());
        (bytes, std::mem::take(&mut self.counted))
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if !self.bytes.is_empty() {
            self.account.release(self.records, self.bytes.len());
        }
        if self.counted > 0 {
            self.account.lost.add(DropReason::Closed, self.counted);
        }
    }
}

/// The callers' end.
#[derive(Debug)]
pub(crate) struct Intake {
    account: Arc<Account>,
    sender: SyncSender<Chunk>,
    max_records: usize,
    max_bytes: usize,
    max_record: usize,
    closed: AtomicBool,
    /// The worker sleeps until it is woken.
    asleep: AtomicBool,
    worker: std::sync::OnceLock<Thread>,
}

impl Intake {
    pub(crate) fn new(limits: &crate::config::Limits) -> (Self, Receiver<Chunk>) {
        let (sender, receiver) = sync_channel(limits.pending_records);
        let intake = Self {
            account: Arc::default(),
            sender,
            max_records: limits.pending_records,
            max_bytes: limits.pending_bytes,
            max_record: limits.record_bytes,
            closed: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            worker: std::sync::OnceLock::new(),
        };
        (intake, receiver)
    }

    pub(crate) fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Tells callers whom to wake.
    pub(crate) fn served_by(&self, worker: Thread) {
        self.worker.set(worker).ok();
    }

    /// Takes a complete record over, or counts it as lost.
    pub(crate) fn record(&self, bytes: &[u8]) {
        self.account.recorded.fetch_add(1, Ordering::Relaxed);
        if let Err(reason) = self.admit(bytes, 1) {
            self.account.lost.add(reason, 1);
        }
    }

    /// Takes a start row over. One that finds no room is no loss: the record itself will follow.
    pub(crate) fn preview(&self, bytes: &[u8]) {
        self.admit(bytes, 0).ok();
    }

    fn admit(&self, record: &[u8], counted: usize) -> Result<(), DropReason> {
        if self.closed.load(Ordering::Relaxed) {
            return Err(DropReason::Closed);
        }
        let length = u32::try_from(record.len())
            .ok()
            .filter(|_| record.len() <= self.max_record)
            .ok_or(DropReason::TooLarge)?;
        let size = record.len() + size_of::<u32>();
        if !self
            .account
            .reserve(size, (self.max_records, self.max_bytes))
        {
            self.wake();
            return Err(DropReason::BudgetExceeded);
        }
        let mut bytes = Vec::with_capacity(size);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(record);
        let chunk = Chunk {
            bytes,
            records: 1,
            counted,
            account: Arc::clone(&self.account),
        };
        match self.sender.try_send(chunk) {
            Ok(()) => {}
            Err(TrySendError::Full(chunk)) => {
                chunk.take();
                return Err(DropReason::BudgetExceeded);
            }
            Err(TrySendError::Disconnected(chunk)) => {
                chunk.take();
                return Err(DropReason::Closed);
            }
        }
        if self.account.waiting() == self.max_records / 2 || self.asleep.load(Ordering::SeqCst) {
            self.wake();
        }
        Ok(())
    }

    /// Ends the worker's sleep.
    pub(crate) fn wake(&self) {
        if let Some(worker) = self.worker.get() {
            self.asleep.store(false, Ordering::SeqCst);
            worker.unpark();
        }
    }

    /// Called by the worker before it sleeps; `false` when there is something to do.
    pub(crate) fn may_sleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        let idle = self.account.waiting() == 0;
        if !idle {
            self.asleep.store(false, Ordering::SeqCst);
        }
        idle
    }

    pub(crate) fn woke(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }
}

/// The records of a chunk, one after the other, each with the bytes that it takes.
pub(crate) fn records(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (record, rest) = rest.split_at_checked(length)?;
        bytes = rest;
        Some(record)
    })
}
