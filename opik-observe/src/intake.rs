//! Where callers hand records over: admission, and the way to the worker.
//!
//! Nothing in here blocks. A record is admitted when the counts of records and bytes that wait for
//! the worker stay within their limits; else it is counted as lost and forgotten. While less than half
//! of a limit is taken, a chunk takes room for a few records at once, so that threads seldom meet at
//! the counts; what it did not use comes back with it.
//!
//! Each thread writes into a [`Chunk`] of its own, which lies in a [`Slot`] that the worker may empty
//! at any time. A full chunk goes through a bounded queue. The slot's lock is only ever tried:
//! should the worker hold it at that moment, the record takes the queue by itself. Buffers come back
//! from the branches through a [`Pool`], so that a warm thread allocates nothing. A thread that has its
//! slot and room in its chunk touches nothing that another thread writes.
//!
//! Accounting is tied to ownership: a [`Chunk`] that is dropped with records in it, for whatever
//! reason, counts them, so no way out escapes the books.

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::config::Limits;
use crate::stats::{DropReason, Tally};

/// Bytes of a thread's chunk.
const CHUNK: usize = 64 << 10;
/// Buffers that wait for their next use.
const POOLED: usize = 64;
/// Most chunks in the queue.
const QUEUE: usize = 4_096;

/// Most records that a chunk takes room for ahead, and the part of a limit that this may be.
const AHEAD: usize = 64;
const AHEAD_PART: usize = 64;
/// How long counting waits for the list of slots.
const PATIENCE: Duration = Duration::from_millis(100);
/// Bytes that go with a record that room is taken for ahead.
const USUAL_RECORD: usize = 512;

/// Counters that callers and worker share.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Records of threads that have no slot, or had one; those of the others are in their slots.
    recorded: AtomicU64,
    pub(crate) suppressed: AtomicU64,
    pub(crate) fields_lost: AtomicU64,
    /// Losses before the branches, which each of them counts as its own.
    pub(crate) lost: Tally,
    /// What waits for the worker or has room to: records in the upper 24 bits, bytes in the lower
    /// 40, so that both are had with one step.
    waiting: AtomicU64,
}

/// Where the count of records begins in [`Account::waiting`].
const RECORDS_AT: u32 = 40;
/// Limits stay well below what the counts can hold: they overshoot before they are checked.
const MOST_RECORDS: usize = 1 << 22;
const MOST_BYTES: usize = 1 << 38;

/// A number of records and of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Room {
    records: usize,
    bytes: usize,
}

impl Room {
    fn of(bytes: usize) -> Self {
        Self { records: 1, bytes }
    }

    fn packed(self) -> u64 {
        ((self.records as u64) << RECORDS_AT) + self.bytes as u64
    }

    fn holds(self, other: Self) -> bool {
        other.records <= self.records && other.bytes <= self.bytes
    }

    fn plus(self, other: Self) -> Self {
        Self {
            records: self.records + other.records,
            bytes: self.bytes + other.bytes,
        }
    }

    fn minus(self, other: Self) -> Self {
        Self {
            records: self.records.saturating_sub(other.records),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }
}

fn unpacked(packed: u64) -> Room {
    let bytes = packed & ((1 << RECORDS_AT) - 1);
    Room {
        records: usize::try_from(packed >> RECORDS_AT).unwrap_or(usize::MAX),
        bytes: usize::try_from(bytes).unwrap_or(usize::MAX),
    }
}

impl Account {
    /// Takes room for what is needed, and for what is wanted ahead while there is plenty.
    ///
    /// Returns what was taken and what waited before.
    fn reserve(&self, need: Room, ahead: Room, limits: Room) -> Option<(Room, Room)> {
        let plenty = Room {
            records: limits.records / 2,
            bytes: limits.bytes / 2,
        };
        let mut want = need.plus(ahead);
        // SeqCst: pairs with the worker's check before it goes to sleep.
        let before = unpacked(self.waiting.fetch_add(want.packed(), Ordering::SeqCst));
        if want != need && !plenty.holds(before.plus(want)) {
            self.release(ahead);
            want = need;
        }
        if !limits.holds(before.plus(want)) {
            self.release(want);
            return None;
        }
        Some((want, before))
    }

    fn release(&self, room: Room) {
        self.waiting.fetch_sub(room.packed(), Ordering::SeqCst);
    }

    /// Records that wait for the worker, and those that have room to.
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
    /// The room that was taken for it.
    reserved: Room,
    account: Arc<Account>,
}

impl Chunk {
    fn new(bytes: Vec<u8>, account: &Arc<Account>) -> Self {
        Self {
            bytes,
            records: 0,
            counted: 0,
            reserved: Room::default(),
            account: Arc::clone(account),
        }
    }

    /// Room that is taken and not used.
    #[inline]
    fn left(&self) -> Room {
        self.reserved.minus(Room {
            records: self.records,
            bytes: self.bytes.len(),
        })
    }

    #[inline]
    fn push(&mut self, record: &[u8], length: u32, counted: usize) {
        self.bytes.reserve(record.len() + size_of::<u32>());
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(record);
        self.records += 1;
        self.counted += counted;
    }

    /// Takes the records out: bytes, and how many of them are complete.
    fn take(mut self) -> (Vec<u8>, usize) {
        self.account.release(std::mem::take(&mut self.reserved));
        let counted = std::mem::take(&mut self.counted);
        (std::mem::take(&mut self.bytes), counted)
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        if self.reserved != Room::default() {
            self.account.release(self.reserved);
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
    /// Complete records that went through here, whatever became of them. Only written with the
    /// lock held, so that a store does.
    recorded: AtomicU64,
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

    #[inline]
    fn count(&self, counted: usize) {
        let recorded = self.recorded.load(Ordering::Relaxed);
        self.recorded
            .store(recorded + counted as u64, Ordering::Relaxed);
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
    limits: Room,
    ahead: Room,
    max_record: usize,
    /// Complete records at the last count.
    known: AtomicU64,
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
        let max_record = limits.record_bytes;
        let limits = Room {
            records: limits.pending_records.min(MOST_RECORDS),
            bytes: limits.pending_bytes.min(MOST_BYTES),
        };
        let ahead = AHEAD
            .min(limits.records / AHEAD_PART)
            .min(limits.bytes / AHEAD_PART / USUAL_RECORD);
        let intake = Self {
            number: NEXT_INTAKE.fetch_add(1, Ordering::Relaxed),
            account: Arc::default(),
            pool: Arc::default(),
            registry: Mutex::default(),
            sender,
            limits,
            ahead: Room {
                records: ahead,
                bytes: ahead * USUAL_RECORD,
            },
            max_record,
            known: AtomicU64::new(0),
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

    /// Complete records so far.
    ///
    /// Should the list of slots stay locked, as in the child of a fork that happened while the
    /// worker was at it, this is what was last known.
    pub(crate) fn recorded(&self) -> u64 {
        let until = Instant::now() + PATIENCE;
        loop {
            let registry = match self.registry.try_lock() {
                Ok(registry) => registry,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) if Instant::now() < until => {
                    std::thread::yield_now();
                    continue;
                }
                Err(TryLockError::WouldBlock) => return self.known.load(Ordering::Relaxed),
            };
            // Slots that leave the list are added to the account while it is locked.
            let in_slots = registry.slots.iter().map(|slot| &slot.recorded);
            let recorded = in_slots
                .chain([&self.account.recorded])
                .map(|recorded| recorded.load(Ordering::Relaxed))
                .sum();
            self.known.store(recorded, Ordering::Relaxed);
            return recorded;
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

    /// The way of a record that has no slot: the worker is at it, or the thread is about to end.
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
        let mut alone = Chunk::new(Vec::new(), &self.account);
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
        let mut inside = match slot.inside.try_lock() {
            Ok(inside) => inside,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        slot.count(counted);
        if inside.closed {
            return Some(Err(DropReason::Closed));
        }
        let need = Room::of(record.len() + size_of::<u32>());
        let chunk = match &mut inside.chunk {
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
        place.get_or_insert_with(|| Chunk::new(self.pool.take(), &self.account))
    }

    /// Gets the thread its slot; `None` while that cannot be had.
    #[cold]
    fn enter(&self, slots: &mut Vec<(u64, Arc<Slot>)>) -> Option<usize> {
        let slot = self.register()?;
        slots.retain(|(_, slot)| !slot.is_closed());
        slots.push((self.number, slot));
        Some(slots.len() - 1)
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
            if let Some(chunk) = chunk.filter(|chunk| chunk.records > 0) {
                hand_over(chunk);
            }
            if !thread_lives {
                let recorded = slot.recorded.load(Ordering::Relaxed);
                self.account.recorded.fetch_add(recorded, Ordering::Relaxed);
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
        let limits = Limits {
            // So few that no room is taken ahead.
            pending_records: 10,
            ..Limits::default()
        };
        let (intake, outlet) = Intake::new(&limits);
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
        intake.limits.records = 1_000;
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
        let limits = Room {
            records: 2,
            bytes: 100,
        };
        let reserve = |bytes| {
            let taken = account.reserve(Room::of(bytes), Room::default(), limits);
            taken.is_some()
        };
        assert!(reserve(60));
        assert!(!reserve(60), "bytes");
        assert!(reserve(40));
        assert!(!reserve(0), "records");
        assert_eq!(account.waiting(), 2);
        account.release(limits);
        assert!(reserve(100));
    }

    #[test]
    fn room_is_taken_ahead_only_while_there_is_plenty() {
        let account = Account::default();
        let limits = Room {
            records: 100,
            bytes: 10_000,
        };
        let ahead = Room {
            records: 20,
            bytes: 400,
        };
        let taken: Vec<_> = (0..40)
            .filter_map(|_| account.reserve(Room::of(30), ahead, limits))
            .map(|(taken, _)| taken.records)
            .collect();
        assert_eq!(taken[..3], [21, 21, 1]);
        assert_eq!(taken.iter().sum::<usize>(), 80);
        let bytes = |_| account.reserve(Room::of(4_000), ahead, limits);
        assert_eq!((0..3).filter_map(bytes).count(), 2);
    }

    #[test]
    fn room_that_a_chunk_did_not_use_comes_back_with_it() {
        let (intake, outlet) = Intake::new(&Limits::default());
        for size in [10, 700, 2_000, CHUNK / 2, CHUNK / 2, 10, CHUNK, 3 * CHUNK] {
            intake.record(&vec![7; size]);
            assert!(intake.account().waiting() > 0);
            assert!(!intake.may_sleep());
        }
        let mut handed_over = 0;
        intake.drain(&outlet, |_, counted| handed_over += counted);
        assert_eq!((handed_over, intake.recorded()), (8, 8));
        assert_eq!(intake.account().waiting.load(Ordering::SeqCst), 0);
        assert!(intake.may_sleep());
    }

    #[test]
    fn counting_ends_though_the_list_of_slots_stays_locked() {
        let (intake, _outlet) = Intake::new(&Limits::default());
        intake.record(b"one");
        assert_eq!(intake.recorded(), 1);
        let forked = intake.registry();
        intake.record(b"two");
        assert_eq!(intake.recorded(), 1, "what was last known");
        drop(forked);
        assert_eq!(intake.recorded(), 2);
    }

    #[test]
    fn what_an_ended_thread_recorded_stays_counted() {
        let (intake, outlet) = Intake::new(&Limits::default());
        for round in 1..4 {
            std::thread::scope(|scope| {
                let ends = scope.spawn(|| (0..5).for_each(|_| intake.record(b"one")));
                ends.join().unwrap();
            });
            assert_eq!(intake.recorded(), round * 5);
            intake.drain(&outlet, |_, _| {});
            assert_eq!(intake.recorded(), round * 5);
        }
        assert!(intake.registry().slots.len() <= 1);
    }
}
