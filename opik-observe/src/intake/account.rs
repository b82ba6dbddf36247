//! Counts that callers and worker share, and the budget.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::config::Limits;
use crate::stats::Tally;

/// Most records that a chunk takes room for ahead, and the part of a limit that this may be.
const AHEAD: usize = 64;
const AHEAD_PART: usize = 64;
/// Bytes that go with a record that room is taken for ahead.
const USUAL_RECORD: usize = 512;

/// Counters that callers and worker share.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// Records of threads that have no slot, or had one; those of the others are in their slots.
    pub(super) recorded: AtomicU64,
    pub(crate) suppressed: AtomicU64,
    pub(crate) fields_lost: AtomicU64,
    /// Losses before the branches, which each of them counts as its own.
    pub(crate) lost: Tally,
    /// What waits for the worker or has room to: records in the upper 24 bits, bytes in the lower
    /// 40, so that both are had with one step.
    pub(super) waiting: AtomicU64,
}

/// Where the count of records begins in [`Account::waiting`].
const RECORDS_AT: u32 = 40;
/// Limits stay well below what the counts can hold: they overshoot before they are checked.
const MOST_RECORDS: usize = 1 << 22;
const MOST_BYTES: usize = 1 << 38;

/// A number of records and of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Room {
    pub(super) records: usize,
    pub(super) bytes: usize,
}

impl Room {
    /// The most that may wait, and what a chunk may take room for ahead.
    pub(super) fn limits(limits: &Limits) -> (Self, Self) {
        let most = Self {
            records: limits.pending_records.min(MOST_RECORDS),
            bytes: limits.pending_bytes.min(MOST_BYTES),
        };
        let ahead = AHEAD
            .min(most.records / AHEAD_PART)
            .min(most.bytes / AHEAD_PART / USUAL_RECORD);
        let ahead = Self {
            records: ahead,
            bytes: ahead * USUAL_RECORD,
        };
        (most, ahead)
    }

    pub(super) fn of(bytes: usize) -> Self {
        Self { records: 1, bytes }
    }

    fn packed(self) -> u64 {
        ((self.records as u64) << RECORDS_AT) + self.bytes as u64
    }

    pub(super) fn holds(self, other: Self) -> bool {
        other.records <= self.records && other.bytes <= self.bytes
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            records: self.records + other.records,
            bytes: self.bytes + other.bytes,
        }
    }

    pub(super) fn minus(self, other: Self) -> Self {
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
    pub(super) fn reserve(&self, need: Room, ahead: Room, limits: Room) -> Option<(Room, Room)> {
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

    pub(super) fn release(&self, room: Room) {
        self.waiting.fetch_sub(room.packed(), Ordering::SeqCst);
    }

    /// Records that wait for the worker, and those that have room to.
    pub(crate) fn waiting(&self) -> u64 {
        self.waiting.load(Ordering::SeqCst) >> RECORDS_AT
    }
}
