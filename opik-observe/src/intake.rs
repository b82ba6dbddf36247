//! Where callers hand records over: admission, and the way to the worker.
//!
//! Nothing in here blocks. A record is admitted when the counts of records and bytes that wait for
//! the worker stay within their limits; else it is counted as lost and forgotten.
//!
//! Each thread writes into a [`Chunk`] of its own, which lies in a [`Slot`] that the worker may empty
//! at any time. A full chunk goes through a bounded queue. The slot's lock is only ever tried:
//! should the worker hold it at that moment, the record takes the queue by itself. Buffers come back
//! from the branches through a [`Pool`], so that a warm thread allocates nothing.
//!
//! Accounting is tied to ownership: a [`Chunk`] that is dropped with records in it, for whatever
//! reason, counts them, so no way out escapes the books.

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread::Thread;

use crate::config::Limits;
use crate::stats::{DropReason, Tally};

/// Bytes of a thread's chunk.
const CHUNK: usize = 64 << 10;
/// Buffers that wait for their next use.
const POOLED: usize = 64;
/// Most chunks in the queue.
const QUEUE: usize = 4_096;

/// Counters that callers and worker share.
#[derive(Debug, Default)]
pub(crate) struct Account {
    pub(crate) recorded: AtomicU64,
    pub(crate) suppressed: AtomicU64,
    pub(crate) fields_lost: AtomicU64,
    /// Losses before the branches, which each of them counts as its own.
    pub(crate) lost: Tally,
    /// What waits for the worker: records in the upper 24 bits, bytes in the lower 40, so that
    /// both are had with one step.
    waiting: AtomicU64,
}

/// Where the count of records begins in [`Account::waiting`].
const RECORDS_AT: u32 = 40;
/// Limits stay well below what the counts can hold: they overshoot before they are checked.
const MOST_RECORDS: usize = 1 << 22;
const MOST_BYTES: usize = 1 << 38;

fn packed(records: usize, bytes: usize) -> u64 {
    ((records as u64) << RECORDS_AT) + bytes as u64
}

impl Account {
    /// Takes room for one record; `false` when there is none.
    fn reserve(&self, bytes: usize, limits: (usize, usize)) -> bool {
        // SeqCst: pairs with the worker's check before it goes to sleep.
        let before = self.waiting.fetch_add(packed(1, bytes), Ordering::SeqCst);
        let records = before >> RECORDS_AT;
        let held = before & (packed(1, 0) - 1);
        let fits = records < limits.0 as u64 && held + bytes as u64 <= limits.1 as u64;
        if !fits {
            self.release(1, bytes);
        }
        fits
    }

    fn release(&self, records: usize, bytes: usize) {
        self.waiting
            .fetch_sub(packed(records, bytes), Ordering::SeqCst);
    }

    /// Records that wait for the worker.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::SeqCst) >> RECORDS_AT
    }
}

/// Buffers for chunks, lent and returned. Its lock is only ever tried.
#[derive(Default)]
pub(crate) struct Pool(Mutex<Vec<Vec<u8>>>);

impl Pool {
    fn take(&self) -> Vec<u8> {
        let kept = self.0.try_lock().ok().and_then(|mut kept| kept.pop());
        kept.unwrap_or_else(|| Vec::with_capacity(CHUNK))
    }

    fn give_back(&self, mut buffer: Vec<u8>) {
        if buffer.capacity() == CHUNK
            && let Ok(mut kept) = self.0.try_lock()
            && kept.len() < POOLED
        {
            buffer.clear();
            kept.push(buffer);
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}

/// Records that all branches read; the buffer goes back to the pool after the last one.
pub(crate) struct SharedBytes {
    bytes: Vec<u8>,
    pool: Arc<Pool>,
}

impl SharedBytes {
    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for SharedBytes {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.bytes));
    }
}

/// Records on their way from a caller to the worker, each after its length (u32).
struct Chunk {
    bytes: Vec<u8>,
    /// Records in it, of which `counted` are complete ones.
    records: usize,
    counted: usize,
    account: Arc<Account>,
}

impl Chunk {
    fn new(bytes: Vec<u8>, account: &Arc<Account>) -> Self {
        Self {
            bytes,
            records: 0,
            counted: 0,
            account: Arc::clone(account),
        }
    }

    fn push(&mut self, record: &[u8], length: u32, counted: usize) {
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(record);
        self.records += 1;
        self.counted += counted;
    }

    /// Takes the records out: bytes, and how many of them are complete.
    fn take(mut self) -> (Vec<u8>, usize) {
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

/// Where one thread writes for one recorder.
#[derive(Default)]
struct Slot {
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    chunk: Option<Chunk>,
    closed: bool,
}

impl Slot {
    /// The worker's way in; callers only try.
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_closed(&self) -> bool {
        self.inside.try_lock().is_ok_and(|inside| inside.closed)
    }
}

thread_local! {
    /// The thread's slots by recorder: rarely more than one. Holds slots only, never a recorder.
    static SLOTS: RefCell<Vec<(u64, Arc<Slot>)>> = const { RefCell::new(Vec::new()) };
}

static NEXT_INTAKE: AtomicU64 = AtomicU64::new(1);

#[derive(Default)]
struct Registry {
    slots: Vec<Arc<Slot>>,
    closed: bool,
}

/// The callers' end.
pub(crate) struct Intake {
    number: u64,
    account: Arc<Account>,
    pool: Arc<Pool>,
    registry: Mutex<Registry>,
    sender: SyncSender<Chunk>,
    max_records: usize,
    max_bytes: usize,
    max_record: usize,
    closed: AtomicBool,
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
        let intake = Self {
            number: NEXT_INTAKE.fetch_add(1, Ordering::Relaxed),
            account: Arc::default(),
            pool: Arc::default(),
            registry: Mutex::default(),
            sender,
            max_records: limits.pending_records.min(MOST_RECORDS),
            max_bytes: limits.pending_bytes.min(MOST_BYTES),
            max_record: limits.record_bytes,
            closed: AtomicBool::new(false),
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
        let limits = (self.max_records, self.max_bytes);
        if !self.account.reserve(size, limits) {
            self.wake();
            return Err(DropReason::BudgetExceeded);
        }
        let written = SLOTS
            .try_with(|slots| self.write(slots, record, length, counted))
            .unwrap_or(None);
        match written {
            Some(outcome) => outcome?,
            None => {
                // The worker is at the slot, or the thread is about to end.
                let bytes = Vec::with_capacity(size);
                let mut alone = Chunk::new(bytes, &self.account);
                alone.push(record, length, counted);
                self.send(alone)?;
            }
        }
        if self.account.waiting() == (self.max_records / 2) as u64
            || self.asleep.load(Ordering::SeqCst)
        {
            self.wake();
        }
        Ok(())
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
            None => {
                let slot = self.register()?;
                slots.retain(|(_, slot)| !slot.is_closed());
                slots.push((self.number, slot));
                slots.len() - 1
            }
        };
        let (_, slot) = slots.get(place)?;
        let mut inside = match slot.inside.try_lock() {
            Ok(inside) => inside,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let size = record.len() + size_of::<u32>();
        if inside.closed {
            self.account.release(1, size);
            return Some(Err(DropReason::Closed));
        }
        let is_full = |chunk: &mut Chunk| chunk.bytes.len() + size > CHUNK;
        if let Some(full) = inside.chunk.take_if(is_full) {
            match self.sender.try_send(full) {
                Ok(()) => {}
                // It grows instead; the budget bounds it.
                Err(TrySendError::Full(full)) => inside.chunk = Some(full),
                // The worker is gone, and dropping the chunk counts its records.
                Err(TrySendError::Disconnected(full)) => drop(full),
            }
        }
        let chunk = inside
            .chunk
            .get_or_insert_with(|| Chunk::new(self.pool.take(), &self.account));
        chunk.push(record, length, counted);
        Some(Ok(()))
    }

    /// A slot for this thread; `None` while the list is in use or when it is closed.
    fn register(&self) -> Option<Arc<Slot>> {
        let mut registry = self.registry.try_lock().ok()?;
        (!registry.closed).then(|| {
            let slot = Arc::<Slot>::default();
            registry.slots.push(Arc::clone(&slot));
            slot
        })
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
    pub(crate) fn drain(
        &self,
        outlet: &Outlet,
        mut forward: impl FnMut(&Arc<SharedBytes>, usize),
    ) -> bool {
        let mut any = false;
        let mut hand_over = |chunk: Chunk| {
            any = true;
            let (bytes, counted) = chunk.take();
            let pool = Arc::clone(&self.pool);
            forward(&Arc::new(SharedBytes { bytes, pool }), counted);
        };
        // Slots first: a chunk that leaves its slot for the queue meanwhile is found there.
        self.registry().slots.retain(|slot| {
            // Asked first: a thread may write and end between the two.
            let thread_lives = Arc::strong_count(slot) > 1;
            let chunk = slot.lock().chunk.take();
            if let Some(chunk) = chunk {
                hand_over(chunk);
            }
            thread_lives
        });
        for chunk in outlet.0.try_iter().take(QUEUE) {
            hand_over(chunk);
        }
        any
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Refuses whatever comes from now on. What is in the slots stays until it is drained.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        let mut registry = self.registry();
        registry.closed = true;
        for slot in &registry.slots {
            slot.lock().closed = true;
        }
    }
}

/// The records of a chunk, one after the other.
pub(crate) fn records(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (record, rest) = rest.split_at_checked(length)?;
        bytes = rest;
        Some(record)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_nobody_takes_out_are_counted_when_their_chunk_goes() {
        let (intake, outlet) = Intake::new(&Limits::default());
        // The worker is at the slot, so the first takes the queue and the others the slot.
        intake.record(b"one");
        let slot = Arc::clone(intake.registry().slots.first().unwrap());
        {
            let _worker = slot.lock();
            intake.record(b"two");
        }
        intake.record(b"three");
        let account = Arc::clone(intake.account());
        assert_eq!(account.waiting(), 3);
        drop(outlet);
        assert_eq!(account.lost.of(DropReason::Closed), 1);
        slot.lock().chunk = None;
        assert_eq!(account.lost.of(DropReason::Closed), 3);
        assert_eq!(account.waiting.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn chunks_of_ended_threads_and_full_ones_are_handed_over() {
        let (intake, outlet) = Intake::new(&Limits::default());
        let record = vec![7; 1_000];
        std::thread::scope(|scope| {
            let ends = scope.spawn(|| (0..100).for_each(|_| intake.record(&record)));
            // Joined, so that its thread-locals are gone as well.
            ends.join().unwrap();
        });
        intake.record(&record);
        let mut handed_over = 0;
        intake.drain(&outlet, |bytes, counted| {
            assert!(records(bytes.as_slice()).all(|found| found == record));
            assert_eq!(records(bytes.as_slice()).count(), counted);
            handed_over += counted;
        });
        assert_eq!((handed_over, intake.account().waiting()), (101, 0));
        // The thread that ended has no slot any more, once that was seen to be empty.
        intake.drain(&outlet, |_, _| {});
        assert_eq!(intake.registry().slots.len(), 1);
    }

    #[test]
    fn a_full_queue_makes_chunks_grow_instead_of_losing_them() {
        let limits = Limits {
            pending_records: 3,
            ..Limits::default()
        };
        let (mut intake, outlet) = Intake::new(&limits);
        intake.max_records = 1_000;
        let record = vec![7; CHUNK - 100];
        for _ in 0..10 {
            intake.record(&record);
        }
        let mut handed_over = Vec::new();
        intake.drain(&outlet, |_, counted| handed_over.push(counted));
        handed_over.sort_unstable();
        assert_eq!(handed_over, [1, 1, 1, 7]);
        assert_eq!(intake.account().lost.of(DropReason::BudgetExceeded), 0);
    }

    #[test]
    fn the_budget_counts_records_and_bytes_and_is_given_back() {
        let account = Account::default();
        assert!(account.reserve(60, (2, 100)));
        assert!(!account.reserve(60, (2, 100)), "bytes");
        assert!(account.reserve(40, (2, 100)));
        assert!(!account.reserve(0, (2, 100)), "records");
        assert_eq!(account.waiting(), 2);
        account.release(2, 100);
        assert!(account.reserve(100, (2, 100)));
    }
}
