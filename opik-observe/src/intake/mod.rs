//! Where callers hand records over: admission, and the way to the worker.
//!
//! Nothing in here blocks. A record is admitted when the counts of records and bytes that wait for
//! the worker stay within their limits; else it is counted as lost and forgotten. While less than half
//! of a limit is taken, a chunk takes room for a few records at once, so that threads seldom meet at
//! the counts; what it did not use comes back with it.
//!
//! Each thread writes into a [`Chunk`] of its own, which lies in a [`Slot`] that the worker may empty
//! at any time. A full chunk goes through a bounded queue, and so does a record by itself whose thread has
//! no slot. Locks are only ever tried on the callers' side. Buffers come back from the branches through a
//! [`Pool`], so that a warm thread allocates nothing. A thread that has its slot and room in its chunk
//! touches nothing that another thread writes. The beginning of a span that ends next is replaced by the
//! whole of it where it lies, so the branches never see it.
//!
//! Accounting is tied to ownership: a [`Chunk`] that is dropped with records in it, for whatever
//! reason, counts them, so no way out escapes the books.

mod account;
mod chunk;
mod slot;

use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

pub(crate) use account::Account;
pub(crate) use chunk::{SharedBytes, records};

use crate::config::Limits;
use crate::stats::DropReason;
use account::Room;
use chunk::{CHUNK, Chunk, Pool};
use slot::{Registry, Slot};

/// Most chunks in the queue.
const QUEUE: usize = 4_096;
/// How long counting waits for the list of slots.
const PATIENCE: Duration = Duration::from_millis(100);

thread_local! {
    /// The thread's slots by recorder: rarely more than one. Holds slots only, never a recorder.
    static SLOTS: RefCell<Vec<(u64, Arc<Slot>)>> = const { RefCell::new(Vec::new()) };
}

static NEXT_INTAKE: AtomicU64 = AtomicU64::new(1);

/// The callers' end.
pub(crate) struct Intake {
    number: u64,
    account: Arc<Account>,
    pool: Arc<Pool>,
    registry: Registry,
    sender: SyncSender<Chunk>,
    limits: Room,
    ahead: Room,
    max_record: usize,
    /// Chunks that were begun.
    begun: AtomicU64,
    /// Complete records at the last count.
    known: AtomicU64,
    closed: AtomicBool,
    /// It was said that records come after closing.
    warned_closed: AtomicBool,
    /// The worker sleeps until it is woken.
    asleep: AtomicBool,
    worker: OnceLock<Thread>,
}

impl fmt::Debug for Intake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intake")
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

/// The worker's end.
pub(crate) struct Outlet(Receiver<Chunk>);

impl Intake {
    pub(crate) fn new(limits: &Limits) -> (Self, Outlet) {
        let (sender, receiver) = sync_channel(limits.pending_records.min(QUEUE));
        let max_record = limits.record_bytes;
        let (limits, ahead) = Room::limits(limits);
        let intake = Self {
            number: NEXT_INTAKE.fetch_add(1, Ordering::Relaxed),
            account: Arc::default(),
            pool: Arc::default(),
            registry: Registry::default(),
            sender,
            limits,
            ahead,
            max_record,
            begun: AtomicU64::new(0),
            known: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            warned_closed: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            worker: OnceLock::new(),
        };
        (intake, Outlet(receiver))
    }

    pub(crate) fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Tells callers whom to wake.
    pub(crate) fn served_by(&self, worker: Thread) {
        self.worker.set(worker).ok();
    }

    /// Complete records so far.
    ///
    /// Should the list of slots stay locked, as in the child of a fork that happened while the
    /// worker was at it, or while the machine lets the worker wait, this is what was last known, and at
    /// least as many as are known to have `ended`.
    pub(crate) fn recorded(&self, ended: u64) -> u64 {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(slots) = self.registry.try_slots() {
                // Slots that leave the list are added to the account while it is locked.
                let in_slots: u64 = slots.iter().map(|slot| slot.recorded()).sum();
                let recorded = in_slots + self.account.recorded.load(Ordering::Relaxed);
                self.known.store(recorded, Ordering::Relaxed);
                return recorded;
            }
            if Instant::now() >= until {
                return self.known.load(Ordering::Relaxed).max(ended);
            }
            std::thread::yield_now();
        }
    }

    /// Takes a complete record over, or counts it as lost.
    #[inline]
    pub(crate) fn record(&self, bytes: &[u8]) {
        self.admit(bytes, 1);
    }

    /// Takes a start row over. One that finds no room is no loss: the record itself will follow.
    pub(crate) fn preview(&self, bytes: &[u8]) {
        self.admit(bytes, 0);
    }

    /// Takes a record over, of which `counted` are complete.
    fn admit(&self, record: &[u8], counted: usize) {
        let length = u32::try_from(record.len())
            .ok()
            .filter(|_| record.len() <= self.max_record);
        let written = length.and_then(|length| {
            SLOTS
                .try_with(|slots| self.write(slots, record, length, counted))
                .unwrap_or(None)
        });
        let outcome = written.unwrap_or_else(|| self.admit_alone(record, length, counted));
        if let Err(reason) = outcome {
            self.refused(reason, counted);
        }
    }

    /// The way of a record that has no slot: its thread got none or is about to end, or it is too
    /// large.
    #[cold]
    fn admit_alone(
        &self,
        record: &[u8],
        length: Option<u32>,
        counted: usize,
    ) -> Result<(), DropReason> {
        self.account
            .recorded
            .fetch_add(counted as u64, Ordering::Relaxed);
        let length = length.ok_or(DropReason::TooLarge)?;
        if self.closed.load(Ordering::Relaxed) {
            return Err(DropReason::Closed);
        }
        let need = Room::of(record.len() + size_of::<u32>());
        let mut alone = self.chunk(Vec::new());
        alone.reserved = self.reserve(need, Room::default())?;
        alone.push(record, length, counted);
        self.send(alone)
    }

    #[cold]
    fn refused(&self, reason: DropReason, counted: usize) {
        self.account.lost.add(reason, counted);
        if reason == DropReason::BudgetExceeded {
            self.wake();
        }
        if reason == DropReason::Closed && counted > 0 {
            self.warn_closed();
        }
    }

    /// Says once that records come after closing, on whatever thread: the worker may be gone. `false`
    /// when it is not closed.
    pub(crate) fn warn_closed(&self) -> bool {
        let closed = self.closed.load(Ordering::SeqCst);
        if closed && !self.warned_closed.swap(true, Ordering::SeqCst) {
            let warn = || {
                tracing::warn!(
                    target: "opik_observe",
                    reason = %DropReason::Closed,
                    "records are lost: the recorder's guard was dropped or it was shut down; \
                     keep the guard until the program ends"
                );
            };
            // The subscriber is the host's, and this may be its thread.
            catch_unwind(AssertUnwindSafe(warn)).ok();
        }
        closed
    }

    /// Takes room in the budget; wakes the worker when it sleeps or half of the budget is taken.
    ///
    /// Only here: whoever has room already is waited for, so the worker is awake.
    #[inline(never)]
    fn reserve(&self, need: Room, ahead: Room) -> Result<Room, DropReason> {
        let taken = self.account.reserve(need, ahead, self.limits);
        let (taken, before) = taken.ok_or(DropReason::BudgetExceeded)?;
        let half = self.limits.records / 2;
        if (before.records < half && before.records + taken.records >= half)
            || self.asleep.load(Ordering::SeqCst)
        {
            self.wake();
        }
        Ok(taken)
    }

    /// Writes into the thread's chunk; `None` when that cannot be had without waiting.
    fn write(
        &self,
        slots: &RefCell<Vec<(u64, Arc<Slot>)>>,
        record: &[u8],
        length: u32,
        counted: usize,
    ) -> Option<Result<(), DropReason>> {
        let mut slots = slots.try_borrow_mut().ok()?;
        let place = match slots.iter().position(|(number, _)| *number == self.number) {
            Some(place) => place,
            None => self.enter(&mut slots)?,
        };
        let (_, slot) = slots.get(place)?;
        let mut cell = slot.cell()?;
        slot.count(counted);
        if cell.closed {
            return Some(Err(DropReason::Closed));
        }
        let need = Room::of(record.len() + size_of::<u32>());
        let chunk = match &mut cell.chunk {
            Some(chunk) if chunk.bytes.len() + need.bytes <= CHUNK => chunk,
            other => self.next_chunk(other),
        };
        if !chunk.left().holds(need) {
            match self.reserve(need, self.ahead) {
                Ok(taken) => chunk.reserved = chunk.reserved.plus(taken),
                Err(reason) => return Some(Err(reason)),
            }
        }
        chunk.push(record, length, counted);
        Some(Ok(()))
    }

    /// Sends a full chunk off and begins the next one.
    #[inline(never)]
    fn next_chunk<'c>(&self, place: &'c mut Option<Chunk>) -> &'c mut Chunk {
        if let Some(mut full) = place.take_if(|chunk| chunk.records > 0) {
            let left = full.left();
            full.reserved = full.reserved.minus(left);
            self.account.release(left);
            match self.sender.try_send(full) {
                Ok(()) => {}
                // It grows instead; the budget bounds it.
                Err(TrySendError::Full(full)) => *place = Some(full),
                // The worker is gone, and dropping the chunk counts its records.
                Err(TrySendError::Disconnected(full)) => drop(full),
            }
        }
        place.get_or_insert_with(|| self.chunk(self.pool.take()))
    }

    fn chunk(&self, bytes: Vec<u8>) -> Chunk {
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        Chunk::new(number, bytes, &self.account)
    }

    /// Gets the thread its slot; `None` while that cannot be had.
    #[cold]
    fn enter(&self, slots: &mut Vec<(u64, Arc<Slot>)>) -> Option<usize> {
        let slot = self.registry.enter()?;
        slots.retain(|(_, slot)| !slot.is_closed());
        slots.push((self.number, slot));
        Some(slots.len() - 1)
    }

    /// Puts a chunk into the queue, or takes its records back off the books.
    fn send(&self, chunk: Chunk) -> Result<(), DropReason> {
        let (chunk, reason) = match self.sender.try_send(chunk) {
            Ok(()) => return Ok(()),
            Err(TrySendError::Full(chunk)) => (chunk, DropReason::BudgetExceeded),
            Err(TrySendError::Disconnected(chunk)) => (chunk, DropReason::Closed),
        };
        let (bytes, _) = chunk.take();
        self.pool.give_back(bytes);
        self.wake();
        Err(reason)
    }

    /// Hands everything that has arrived to `forward`, with how many records of each portion are
    /// complete. Whatever was recorded before the call is handed over; what comes meanwhile may be.
    /// What a thread recorded stays in its order: of two scores of one name the later one counts.
    /// Tells how many bytes of records that was.
    pub(crate) fn drain(
        &self,
        outlet: &Outlet,
        mut forward: impl FnMut(&Arc<SharedBytes>, usize),
    ) -> usize {
        let mut chunks = Vec::new();
        // Slots first: a chunk that leaves its slot for the queue meanwhile is found there, and what
        // a thread sent there before it wrote on is there already.
        self.registry.slots().retain(|slot| {
            // Asked first: a thread may write and end between the two.
            let thread_lives = Arc::strong_count(slot) > 1;
            slot.each_cell(|cell| {
                let chunk = cell.chunk.take();
                chunks.extend(chunk.filter(|chunk| chunk.records > 0));
            });
            if !thread_lives {
                let recorded = slot.recorded();
                self.account.recorded.fetch_add(recorded, Ordering::Relaxed);
            }
            thread_lives
        });
        chunks.extend(outlet.0.try_iter().take(QUEUE));
        chunks.sort_unstable_by_key(|chunk| chunk.number);
        let mut size = 0;
        for chunk in chunks {
            let (bytes, counted) = chunk.take();
            size += bytes.len();
            forward(&Arc::new(SharedBytes::new(bytes, &self.pool)), counted);
        }
        size
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

    /// Whether there is memory that only a rush needed.
    pub(crate) fn is_warm(&self) -> bool {
        self.pool.has_surplus()
    }

    /// Gives half of that memory back.
    pub(crate) fn cool(&self) {
        self.pool.cool();
    }

    pub(crate) fn woke(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// Refuses whatever comes from now on. What is in the slots stays until it is drained.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.registry.close();
    }
}

#[cfg(test)]
mod tests;
