//! Records on their way, and the buffers that they lie in.

use std::fmt;
use std::sync::{Arc, Mutex};

use super::account::{Account, Room};
use crate::stats::DropReason;

/// Bytes of a thread's chunk.
pub(super) const CHUNK: usize = 64 << 10;
/// Most buffers that wait for their next use, 64 MiB, and how many of them stay when nothing has been
/// recorded for long.
const POOLED: usize = 1_024;
const POOLED_IDLE: usize = 64;
/// Bytes that memory hands over at once, and how many times that is asked for ahead: more at once than
/// a core can wait for would make it wait.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
const LINE: usize = 64;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
const AHEAD: usize = 10;

/// Buffers for chunks, lent and returned. Its lock is only ever tried.
#[derive(Default)]
pub(crate) struct Pool(Mutex<Vec<Vec<u8>>>);

impl Pool {
    pub(super) fn take(&self) -> Vec<u8> {
        let kept = self.0.try_lock().ok().and_then(|mut kept| kept.pop());
        kept.unwrap_or_else(|| Vec::with_capacity(CHUNK))
    }

    /// Whether there is memory that only a rush needed; there may be while others use the pool.
    pub(super) fn has_surplus(&self) -> bool {
        let kept = self.0.try_lock().map(|kept| kept.len());
        kept.map_or(true, |kept| kept > POOLED_IDLE)
    }

    /// Gives half of the memory back that only a rush needed: another one often follows soon, and
    /// the system's fresh pages are the dearest part of it.
    pub(super) fn cool(&self) {
        let surplus = self.0.try_lock().map(|mut kept| {
            let surplus = kept.len().saturating_sub(POOLED_IDLE);
            let stay = kept.len() - surplus.div_ceil(2);
            kept.split_off(stay)
        });
        // Freed when nobody waits for the list.
        drop(surplus);
    }

    pub(super) fn give_back(&self, mut buffer: Vec<u8>) {
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
    pub(super) fn new(bytes: Vec<u8>, pool: &Arc<Pool>) -> Self {
        let pool = Arc::clone(pool);
        Self { bytes, pool }
    }

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
pub(super) struct Chunk {
    /// The number of its beginning: of two chunks of a thread the later one has the higher.
    pub(super) number: u64,
    pub(super) bytes: Vec<u8>,
    /// Records in it, of which `counted` are complete ones.
    pub(super) records: usize,
    counted: usize,
    /// Where the last record begins, if something begins with it that may end next.
    begun_at: Option<usize>,
    /// The room that was taken for it.
    pub(super) reserved: Room,
    account: Arc<Account>,
}

impl Chunk {
    pub(super) fn new(number: u64, bytes: Vec<u8>, account: &Arc<Account>) -> Self {
        Self {
            number,
            bytes,
            records: 0,
            counted: 0,
            begun_at: None,
            reserved: Room::default(),
            account: Arc::clone(account),
        }
    }

    /// Room that is taken and not used.
    #[inline]
    pub(super) fn left(&self) -> Room {
        self.reserved.minus(Room {
            records: self.records,
            bytes: self.bytes.len(),
        })
    }

    /// Appends a record. A complete one takes the place of its own beginning where nothing was recorded
    /// between the two, as of most spans: nobody has seen that yet.
    #[inline]
    pub(super) fn push(&mut self, record: &[u8], length: u32, counted: usize) {
        let begun_at = self.begun_at.take();
        if counted == 0 {
            self.begun_at = Some(self.bytes.len());
        } else if let Some(at) = begun_at
            && let Some(begun) = self.bytes.get(at + size_of::<u32>()..)
            && crate::raw::is_of_same(begun, record)
        {
            self.bytes.truncate(at);
            self.records -= 1;
        }
        self.bytes.reserve(record.len() + size_of::<u32>());
        self.bytes.extend_from_slice(&length.to_le_bytes());
        self.bytes.extend_from_slice(record);
        self.records += 1;
        self.counted += counted;
    }

    /// Takes the records out: bytes, and how many of them are complete.
    pub(super) fn take(mut self) -> (Vec<u8>, usize) {
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

/// The records of a chunk, one after the other.
pub(crate) fn records(mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (record, rest) = rest.split_at_checked(length)?;
        fetch_ahead(rest);
        bytes = rest;
        Some(record)
    })
}

/// Asks for the memory of what comes next: another core wrote it, and it arrives while this record is
/// worked on.
#[inline]
fn fetch_ahead(bytes: &[u8]) {
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    for line in bytes.chunks(LINE).take(AHEAD) {
        if let Some(first) = line.first() {
            safe_arch::prefetch_t1(first);
        }
    }
    #[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
    let _ = bytes;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_keeps_what_a_rush_needs_and_little_when_idle() {
        let pool = Pool::default();
        let kept = || pool.0.lock().unwrap().len();
        for size in [1, CHUNK - 1, CHUNK + 1] {
            pool.give_back(Vec::with_capacity(size));
        }
        assert_eq!(kept(), 0, "of another size");
        let mut used = Vec::with_capacity(CHUNK);
        used.push(7);
        pool.give_back(used);
        assert!(pool.take().is_empty());
        for _ in 0..POOLED + 10 {
            pool.give_back(Vec::with_capacity(CHUNK));
        }
        assert_eq!(kept(), POOLED);
        assert!(pool.has_surplus());
        pool.cool();
        assert_eq!(kept(), POOLED_IDLE + (POOLED - POOLED_IDLE) / 2);
        while pool.has_surplus() {
            let before = kept();
            pool.cool();
            assert!(kept() < before);
        }
        assert_eq!(kept(), POOLED_IDLE);
        assert_eq!(pool.take().capacity(), CHUNK);
        pool.cool();
        assert_eq!(kept(), POOLED_IDLE - 1);
    }
}
