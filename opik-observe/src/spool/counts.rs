//! What became of every record that the spool took: counters and their snapshot.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use opik_core::Timestamp;

/// What the spool did since it was opened. All figures but the last four count records.
///
/// `appended + recovered == replayed + rejected + evicted_by_size + evicted_by_age + unreadable +
/// pending_records`, whenever no call is under way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpoolStatistics {
    /// Went straight to the exporter behind and were accepted; they are in no other figure.
    pub direct: u64,
    /// Were written to the spool and synced.
    pub appended: u64,
    /// Were found in what an earlier process, or one that died, had left.
    pub recovered: u64,
    /// Were sent from the spool and accepted.
    pub replayed: u64,
    /// Were sent from the spool and refused for good.
    pub rejected: u64,
    /// Were thrown away, oldest first, because the spool was full. One that was being sent at that
    /// moment may have arrived all the same.
    pub evicted_by_size: u64,
    /// Were thrown away because they were too old.
    pub evicted_by_age: u64,
    /// Were written and cannot be read back: damaged, torn, or their file was taken away.
    pub unreadable: u64,
    /// Could not be written because there was no room: the caller was told, and they are its to
    /// keep or to count. Repeated calls count again.
    pub refused_no_space: u64,
    /// Could not be written for another reason: read-only, no permission, a broken disk.
    /// Repeated calls count again.
    pub refused_failed: u64,
    /// Wait in the spool.
    pub pending_records: u64,
    /// Bytes of the segments on disk, those already sent included.
    pub pending_bytes: u64,
    /// Places at which a segment was damaged or ended within a frame, and was read on behind it.
    pub damaged_places: u64,
    /// Attempts at sending from the spool that failed.
    pub failed_attempts: u64,
    /// When the oldest segment was begun.
    pub oldest: Option<Timestamp>,
}

impl SpoolStatistics {
    /// Records that the spool took and lost.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.evicted_by_size + self.evicted_by_age + self.unreadable
    }
}

/// A counter that anyone may read while disks are slow.
#[derive(Debug, Default)]
pub(super) struct Count(AtomicU64);

impl Count {
    pub(super) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(super) fn sub(&self, less: u64) {
        self.0.fetch_sub(less, Ordering::Relaxed);
    }

    fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) direct: Count,
    pub(super) appended: Count,
    pub(super) recovered: Count,
    pub(super) replayed: Count,
    pub(super) rejected: Count,
    pub(super) evicted_by_size: Count,
    pub(super) evicted_by_age: Count,
    pub(super) unreadable: Count,
    pub(super) refused_no_space: Count,
    pub(super) refused_failed: Count,
    pub(super) pending_records: Count,
    pub(super) pending_bytes: Count,
    pub(super) damaged_places: Count,
    pub(super) failed_attempts: Count,
    /// Microseconds; 0 when there is no segment.
    oldest: AtomicI64,
    warned: [AtomicBool; Trouble::COUNT],
    /// For messages.
    directory: PathBuf,
    /// The server did not take something, and nothing since.
    outage: AtomicBool,
    /// What had been written and what had failed when that began.
    before_outage: [Count; 2],
    said_back: AtomicBool,
}

impl Counts {
    pub(super) fn of(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            ..Self::default()
        }
    }

    /// The server does not take something.
    pub(super) fn begin_outage(&self) {
        if !self.outage.swap(true, Ordering::Relaxed) {
            let [appended, failed] = &self.before_outage;
            appended.set(self.appended.get());
            failed.set(self.failed_attempts.get());
        }
    }

    /// The server takes something: says so if it did not before, the first time for all to see.
    pub(super) fn end_outage(&self) {
        // Read first: the usual case writes nothing that another thread reads.
        if !self.outage.load(Ordering::Relaxed) || !self.outage.swap(false, Ordering::Relaxed) {
            return;
        }
        let [appended, failed] = &self.before_outage;
        let written = self.appended.get().saturating_sub(appended.get());
        let failed_attempts = self.failed_attempts.get().saturating_sub(failed.get());
        let waiting = self.pending_records.get();
        let directory = self.directory.display();
        let text = "spool: the server is back";
        if self.said_back.swap(true, Ordering::Relaxed) {
            tracing::debug!(target: "opik_observe", %directory, written, waiting, failed_attempts, "{text}");
        } else {
            tracing::info!(target: "opik_observe", %directory, written, waiting, failed_attempts, "{text}");
        }
    }

    pub(super) fn set_oldest(&self, oldest: Option<Timestamp>) {
        let micros = oldest.map_or(0, Timestamp::as_micros);
        self.oldest.store(micros, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> SpoolStatistics {
        let oldest = self.oldest.load(Ordering::Relaxed);
        SpoolStatistics {
            direct: self.direct.get(),
            appended: self.appended.get(),
            recovered: self.recovered.get(),
            replayed: self.replayed.get(),
            rejected: self.rejected.get(),
            evicted_by_size: self.evicted_by_size.get(),
            evicted_by_age: self.evicted_by_age.get(),
            unreadable: self.unreadable.get(),
            refused_no_space: self.refused_no_space.get(),
            refused_failed: self.refused_failed.get(),
            pending_records: self.pending_records.get(),
            pending_bytes: self.pending_bytes.get(),
            damaged_places: self.damaged_places.get(),
            failed_attempts: self.failed_attempts.get(),
            oldest: (oldest > 0).then(|| Timestamp::from_micros(oldest)),
        }
    }

    /// Says the first trouble of a kind as a warning and the others at debug.
    pub(super) fn warn(&self, trouble: Trouble, detail: &dyn std::fmt::Debug) {
        let first = self
            .warned
            .get(trouble as usize)
            .is_some_and(|warned| !warned.swap(true, Ordering::Relaxed));
        let (text, directory) = (trouble.text(), self.directory.display());
        if first {
            tracing::warn!(target: "opik_observe", %directory, ?detail, "spool: {text}");
        } else {
            tracing::debug!(target: "opik_observe", %directory, ?detail, "spool: {text}");
        }
    }
}

/// Kinds of trouble that are worth one warning each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trouble {
    NoSpace,
    NotWritable,
    EvictedBySize,
    EvictedByAge,
    Unreadable,
    NotRemovable,
    Outage,
    KeyRefused,
    Rejected,
}

impl Trouble {
    const COUNT: usize = 9;

    const fn text(self) -> &'static str {
        match self {
            Self::NoSpace => "no room on the disk, batches stay in memory: free some space",
            Self::NotWritable => "the directory is not writable, batches stay in memory",
            Self::EvictedBySize => "full, the oldest records go: raise `max_bytes` to keep more",
            Self::EvictedByAge => "records were older than `max_age` and are gone",
            Self::Unreadable => "damaged or missing records were skipped",
            Self::NotRemovable => "a segment that was sent cannot be removed",
            Self::Outage => "the server cannot be reached, records wait on disk",
            Self::KeyRefused => "the server refuses the key, records wait on disk: check the key",
            Self::Rejected => "the server refused records for good",
        }
    }
}
