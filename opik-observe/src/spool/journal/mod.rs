//! The segments that this process answers for: its own and those it took over.
//!
//! Everything here is plain calls on [`Files`]: no thread, no future, no waiting. Whatever a call of
//! it answers with, the books add up and the next call works on.

mod adopt;
mod append;
mod read;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

pub(super) use append::AppendError;
pub(super) use read::scan;

use super::clock::SpoolClock;
use super::counts::{Count, Counts, Trouble};
use super::files::{Appending, Files, Lock};
use super::name::{Run, SegmentName};
use super::options::SpoolOptions;

/// Begins every segment.
const SEGMENT_KIND: &[u8; 10] = b"OPIKSPOOL\n";

/// The byte after it.
const SEGMENT_VERSION: u8 = 1;

/// Both, filled up.
const SEGMENT_MAGIC: [u8; 16] = *b"OPIKSPOOL\n\x01\0\0\0\0\0";

/// Bytes before the first frame.
const SEGMENT_HEADER: u64 = SEGMENT_MAGIC.len() as u64;

/// The lock of the one process that takes over what others left.
pub(super) const LEADER_LOCK: &str = "replay.lock";

/// Reads of one segment that may fail in a row before it is left alone.
const MAX_FAILURES: u8 = 5;

/// One segment on disk.
#[derive(Debug)]
struct Segment {
    name: SegmentName,
    /// Bytes that hold whole frames, as far as this process knows.
    bytes: u64,
    /// Bytes that were sent, or skipped.
    read: u64,
    /// Records that were not.
    records: u64,
    failures: u8,
}

/// The segment that is being written.
#[derive(Debug)]
struct Active {
    name: SegmentName,
    file: Box<dyn Appending>,
}

#[derive(Debug)]
pub(super) struct Journal {
    files: Arc<dyn Files>,
    clock: Arc<dyn SpoolClock>,
    counts: Arc<Counts>,
    options: SpoolOptions,
    run: Run,
    number: u32,
    own_lock: Option<Box<dyn Lock>>,
    leader: Option<Box<dyn Lock>>,
    /// Runs that are over and whose segments are ours now.
    adopted: BTreeMap<Run, Option<Box<dyn Lock>>>,
    /// In the order in which they are sent.
    segments: VecDeque<Segment>,
    active: Option<Active>,
    /// Sent or given up, and still on disk because removing failed.
    leftovers: Vec<SegmentName>,
}

impl Journal {
    pub(super) fn new(
        files: Arc<dyn Files>,
        clock: Arc<dyn SpoolClock>,
        counts: Arc<Counts>,
        options: SpoolOptions,
    ) -> Self {
        Self {
            files,
            clock,
            counts,
            options,
            run: Run::new(),
            number: 0,
            own_lock: None,
            leader: None,
            adopted: BTreeMap::new(),
            segments: VecDeque::new(),
            active: None,
            leftovers: Vec::new(),
        }
    }

    /// The run whose files this process writes.
    pub(super) fn run(&self) -> Run {
        self.run
    }

    /// Makes this what a forked child has: a copy of the state of another process.
    #[cfg(test)]
    pub(super) fn fork(&mut self) {
        self.run = self.run.of_another_process();
    }

    /// Whether records of this run wait.
    pub(super) fn has_own_backlog(&self) -> bool {
        self.segments
            .iter()
            .any(|segment| segment.name.run == self.run && segment.records > 0)
    }

    /// Removes what was sent in full, the segment being written included.
    pub(super) fn retire(&mut self) {
        let unread = |name| {
            let segment = self.segments.iter().find(|segment| segment.name == name);
            segment.is_some_and(|segment| segment.read < segment.bytes)
        };
        if self
            .active
            .as_ref()
            .is_some_and(|active| !unread(active.name))
        {
            self.active = None;
        }
        self.remove_read();
        for name in std::mem::take(&mut self.leftovers) {
            self.remove_file(name);
            self.release(name.run);
        }
    }

    /// Throws away segments that are older than records may be.
    pub(super) fn evict_old(&mut self) {
        let most = i64::try_from(self.options.max_age.as_micros()).unwrap_or(i64::MAX);
        let now = self.clock.now();
        while let Some(oldest) = self.segments.front()
            && now.micros_since(oldest.name.created()) > most
        {
            self.evict_oldest(Trouble::EvictedByAge);
        }
    }

    /// Throws away the oldest segments until so many more bytes fit.
    fn make_room(&mut self, bytes: u64) {
        let most = self.options.max_bytes.saturating_sub(bytes);
        while self.counts.pending_bytes.get() > most && !self.segments.is_empty() {
            self.evict_oldest(Trouble::EvictedBySize);
        }
    }

    fn evict_oldest(&mut self, why: Trouble) {
        let Some(segment) = self.segments.pop_front() else {
            return;
        };
        if segment.records > 0 {
            self.counts.warn(why, &segment.records);
        }
        let counts = Arc::clone(&self.counts);
        let count = match why {
            Trouble::EvictedByAge => &counts.evicted_by_age,
            _ => &counts.evicted_by_size,
        };
        self.forget(&segment, count);
        self.remove_file(segment.name);
        self.release(segment.name.run);
    }

    /// Removes the segments of which everything was sent or skipped.
    fn remove_read(&mut self) {
        let active = self.active.as_ref().map(|active| active.name);
        let mut index = 0;
        while let Some(segment) = self.segments.get(index) {
            if segment.read < segment.bytes || Some(segment.name) == active {
                index += 1;
                continue;
            }
            self.give_up(index);
        }
    }

    /// Removes a segment; what was not sent of it counts as unreadable.
    fn give_up(&mut self, index: usize) {
        if let Some(segment) = self.segments.remove(index) {
            let counts = Arc::clone(&self.counts);
            self.forget(&segment, &counts.unreadable);
            self.remove_file(segment.name);
            self.release(segment.name.run);
        }
    }

    /// Takes a segment out of the books.
    fn forget(&mut self, segment: &Segment, count: &Count) {
        if self
            .active
            .as_ref()
            .is_some_and(|active| active.name == segment.name)
        {
            self.active = None;
        }
        count.add(segment.records);
        self.counts.pending_records.sub(segment.records);
        self.counts.pending_bytes.sub(segment.bytes);
        self.note_oldest();
    }

    fn remove_file(&mut self, name: SegmentName) {
        match self.files.remove(&name.to_string()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                self.counts.warn(Trouble::NotRemovable, &error.kind());
                self.leftovers.push(name);
            }
            _ => {}
        }
    }

    /// Gives a run back when the last of its segments is gone.
    fn release(&mut self, run: Run) {
        let remains = self.segments.iter().any(|segment| segment.name.run == run)
            || self.leftovers.iter().any(|name| name.run == run);
        if !remains && self.adopted.contains_key(&run) {
            // First the file, then the lock: nobody may lock a file that is about to go.
            self.files.remove(&run.lock_name()).ok();
            self.adopted.remove(&run);
        }
    }

    fn insert(&mut self, segment: Segment) {
        self.counts.pending_bytes.add(segment.bytes);
        self.counts.pending_records.add(segment.records);
        let place = self
            .segments
            .partition_point(|other| other.name < segment.name);
        self.segments.insert(place, segment);
        self.note_oldest();
    }

    fn note_oldest(&self) {
        let oldest = self.segments.front().map(|segment| segment.name.created());
        self.counts.set_oldest(oldest);
    }
}

impl Drop for Journal {
    /// What was sent need not be sent again, and a run without segments leaves nothing behind.
    fn drop(&mut self) {
        // In a forked child this is a copy: the files are its parent's.
        if !self.run.is_here() {
            return;
        }
        self.retire();
        let own = |name: &SegmentName| name.run == self.run;
        let remains = self.segments.iter().any(|segment| own(&segment.name))
            || self.leftovers.iter().any(own);
        if !remains && self.own_lock.is_some() {
            self.files.remove(&self.run.lock_name()).ok();
        }
    }
}
