//! Where threads write, and the list of these places.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use try_lock::{Locked, TryLock};

use super::chunk::Chunk;

/// How often a thread tries to enter the list before it does without a slot.
const TRIES: usize = 100;

/// Where one thread writes for one recorder.
///
/// It has two cells, and the worker is at one of them at most: the thread always finds one free.
#[derive(Default)]
pub(super) struct Slot {
    cells: [TryLock<Cell>; 2],
    /// Complete records that went through here, whatever became of them. Only the thread itself
    /// writes it, so that a store does.
    recorded: AtomicU64,
}

#[derive(Default)]
pub(super) struct Cell {
    pub(super) chunk: Option<Chunk>,
    pub(super) closed: bool,
}

impl Slot {
    /// The thread's way in.
    #[inline]
    pub(super) fn cell(&self) -> Option<Locked<'_, Cell>> {
        let [first, second] = &self.cells;
        first.try_lock().or_else(|| second.try_lock())
    }

    /// The worker's way in: one cell after the other. The thread holds one for a few nanoseconds,
    /// or until it runs again when it was interrupted there.
    pub(super) fn each_cell(&self, mut visit: impl FnMut(&mut Cell)) {
        for cell in &self.cells {
            let mut locked = loop {
                match cell.try_lock() {
                    Some(locked) => break locked,
                    None => std::thread::yield_now(),
                }
            };
            visit(&mut locked);
        }
    }

    #[inline]
    pub(super) fn count(&self, counted: usize) {
        let recorded = self.recorded.load(Ordering::Relaxed);
        self.recorded
            .store(recorded + counted as u64, Ordering::Relaxed);
    }

    pub(super) fn recorded(&self) -> u64 {
        self.recorded.load(Ordering::Relaxed)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.cell().is_some_and(|cell| cell.closed)
    }
}

/// The slots of all threads.
///
/// A thread enters through `arrivals`, which nobody holds for longer than a moment, so that it does
/// not have to wait while the worker goes through the list.
#[derive(Default)]
pub(super) struct Registry {
    slots: Mutex<Vec<Arc<Slot>>>,
    arrivals: Mutex<Arrivals>,
}

#[derive(Default)]
struct Arrivals {
    slots: Vec<Arc<Slot>>,
    closed: bool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tried<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

impl Registry {
    /// A slot for this thread; `None` when the list is closed or in use all the time.
    pub(super) fn enter(&self) -> Option<Arc<Slot>> {
        let mut arrivals = (0..TRIES).find_map(|_| {
            std::hint::spin_loop();
            tried(&self.arrivals)
        })?;
        (!arrivals.closed).then(|| {
            let slot = Arc::<Slot>::default();
            arrivals.slots.push(Arc::clone(&slot));
            slot
        })
    }

    /// The list, with those that arrived.
    pub(super) fn slots(&self) -> MutexGuard<'_, Vec<Arc<Slot>>> {
        let mut slots = locked(&self.slots);
        slots.append(&mut locked(&self.arrivals).slots);
        slots
    }

    /// The same where that does not take waiting.
    pub(super) fn try_slots(&self) -> Option<MutexGuard<'_, Vec<Arc<Slot>>>> {
        let mut slots = tried(&self.slots)?;
        slots.append(&mut tried(&self.arrivals)?.slots);
        Some(slots)
    }

    /// Lets nobody in any more, and nothing into the slots.
    pub(super) fn close(&self) {
        locked(&self.arrivals).closed = true;
        for slot in self.slots().iter() {
            slot.each_cell(|cell| cell.closed = true);
        }
    }
}
