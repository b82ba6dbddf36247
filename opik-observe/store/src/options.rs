//! How a store is opened, and what it may forget.

use std::time::Duration;

use opik_core::Timestamp;

/// What an acknowledged batch survives.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// A crash or `kill -9` of the process, at any moment (SQLite's `synchronous=NORMAL`). After a
    /// loss of power the store is whole, but the batches since the last
    /// [`flush`](opik_core::Exporter::flush) or checkpoint may be gone.
    #[default]
    Process,
    /// A loss of power too (`synchronous=FULL`): one more flush of the disk per commit.
    PowerLoss,
}

/// How to open a [`Store`](crate::Store).
///
/// ```
/// use std::time::Duration;
/// use opik_store::{Durability, StoreOptions};
///
/// let options = StoreOptions::new()
///     .durability(Durability::PowerLoss)
///     .busy_timeout(Duration::from_secs(30));
/// # let _ = options;
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct StoreOptions {
    pub(crate) durability: Durability,
    pub(crate) busy_timeout: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) readers: usize,
    pub(crate) index_text: bool,
    pub(crate) create: bool,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Process,
            busy_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            readers: 3,
            index_text: true,
            create: true,
        }
    }
}

impl StoreOptions {
    /// The defaults: survives the death of the process, waits 10 s for other processes, 3 reading
    /// connections, text index on, the file is created when it is missing.
    pub fn new() -> Self {
        Self::default()
    }

    /// What an acknowledged batch survives.
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How long to wait for another process that writes.
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// How long [`Store::close`](crate::Store::close) and dropping the last handle may take.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// Number of reading connections, each with its thread: 1 to 64.
    pub fn readers(mut self, readers: usize) -> Self {
        self.readers = readers.clamp(1, 64);
        self
    }

    /// Whether this process works on the text index. When off, searches by text see what other
    /// processes indexed.
    pub fn index_text(mut self, on: bool) -> Self {
        self.index_text = on;
        self
    }

    /// Whether a missing file is created; when off, it is an error.
    pub fn create(mut self, create: bool) -> Self {
        self.create = create;
        self
    }
}

/// What [`Store::prune`](crate::Store::prune) keeps.
///
/// ```
/// use std::time::Duration;
/// use opik_store::Retention;
///
/// let keep = Retention::new().max_age(Duration::from_secs(30 * 24 * 3600)).max_bytes(1 << 30);
/// # let _ = keep;
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[must_use]
pub struct Retention {
    pub(crate) started_after: Option<Timestamp>,
    pub(crate) max_bytes: Option<u64>,
}

impl Retention {
    /// Keeps everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Forgets traces that started longer ago than this.
    pub fn max_age(self, age: Duration) -> Self {
        let micros = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        self.started_after(Timestamp::now().plus_micros(micros.saturating_neg()))
    }

    /// Forgets traces that started before this moment.
    pub fn started_after(mut self, moment: Timestamp) -> Self {
        self.started_after = Some(moment);
        self
    }

    /// Forgets the oldest traces until the store's file is no larger than this. The text index has
    /// a file of its own, which is not counted.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }
}

/// What [`Store::vacuum`](crate::Store::vacuum) did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VacuumReport {
    /// Size of the file before, in bytes.
    pub bytes_before: u64,
    /// Size of the file after, in bytes.
    pub bytes_after: u64,
}

/// What [`Store::prune`](crate::Store::prune) did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PruneReport {
    /// Traces that are gone.
    pub traces: u64,
    /// Spans that are gone.
    pub spans: u64,
    /// Size of the file before, in bytes.
    pub bytes_before: u64,
    /// Size of the file after, in bytes.
    pub bytes_after: u64,
}
