//! How a spool behaves.

use std::time::Duration;

/// What survives what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// No file is ever touched: the spool hands everything on, and what the exporter behind does
    /// not take is lost as without a spool.
    Memory,
    /// Records go straight to the exporter behind; those that it cannot take now go to disk.
    #[default]
    SpoolOnFailure,
    /// Records go to disk first, are synced, and are sent from there.
    WriteAhead,
}

/// Settings of a [`Spool`](super::Spool). The defaults suit a service on a server.
///
/// ```
/// use std::time::Duration;
/// use opik_observe::spool::{Durability, SpoolOptions};
///
/// let options = SpoolOptions::new()
///     .durability(Durability::WriteAhead)
///     .max_bytes(1 << 30)
///     .max_age(Duration::from_hours(48));
/// # let _ = options;
/// ```
#[derive(Debug, Clone)]
#[must_use = "options do nothing until a spool is opened with them"]
pub struct SpoolOptions {
    pub(super) durability: Durability,
    pub(super) project: Option<String>,
    pub(super) max_bytes: u64,
    pub(super) max_age: Duration,
    pub(super) segment_bytes: u64,
    pub(super) attempt_timeout: Duration,
    pub(super) replay_timeout: Duration,
    pub(super) first_wait: Duration,
    pub(super) longest_wait: Duration,
    pub(super) records_per_second: u32,
    pub(super) close_timeout: Duration,
}

impl Default for SpoolOptions {
    fn default() -> Self {
        Self {
            durability: Durability::default(),
            project: None,
            max_bytes: 512 << 20,
            max_age: Duration::from_hours(24 * 7),
            segment_bytes: 16 << 20,
            attempt_timeout: Duration::from_secs(2),
            replay_timeout: Duration::from_secs(30),
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(60),
            records_per_second: 10_000,
            close_timeout: Duration::from_secs(1),
        }
    }
}

impl SpoolOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// What survives what. Default: [`Durability::SpoolOnFailure`].
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// The project of records that name none, once they are on disk. Default: left to the server.
    /// Give it the project of the exporter behind.
    pub fn project(mut self, name: impl Into<String>) -> Self {
        self.project = Some(name.into());
        self
    }

    /// Most bytes on disk that this process answers for; beyond it the oldest segment goes.
    /// Default: 512 MiB.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// A segment goes this long after its first record came. Default: 7 days.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.max_age = age;
        self
    }

    /// A segment is closed at about this size: the step in which space is freed, and what may be sent
    /// again after a crash. Default: 16 MiB; at most an eighth of `max_bytes`.
    pub fn segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes.max(1);
        self
    }

    /// How long a batch that arrives may wait for the exporter behind before it goes to disk.
    /// Default: 2 s. When the recorder closes, it is half of the time that
    /// is left at most, so that a program that ends while its server hangs leaves its records on disk.
    pub fn attempt_timeout(mut self, timeout: Duration) -> Self {
        self.attempt_timeout = timeout;
        self
    }

    /// How long a batch that is sent from the spool may take. Default: 30 s. A server that is slow
    /// rather than gone gets its records this way.
    pub fn replay_timeout(mut self, timeout: Duration) -> Self {
        self.replay_timeout = timeout;
        self
    }

    /// The wait after the first failed attempt at sending from the spool, and the longest; waits
    /// double and are moved by chance into the upper half of themselves. Default: 0.5 s and 60 s.
    pub fn waits(mut self, first: Duration, longest: Duration) -> Self {
        self.first_wait = first;
        self.longest_wait = longest.max(first);
        self
    }

    /// How fast the spool is emptied, as long as it does not grow meanwhile: then it is emptied as fast
    /// as the server takes it. Default: 10,000 records a second.
    pub fn records_per_second(mut self, records: u32) -> Self {
        self.records_per_second = records.max(1);
        self
    }

    /// How long dropping the spool may wait for its thread. Default: 1 s.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    pub(super) fn segment_limit(&self) -> u64 {
        self.segment_bytes.min(self.max_bytes / 8).max(1)
    }

    /// A segment is closed at this age, so that age is not counted from long ago.
    pub(super) fn segment_age(&self) -> Duration {
        (self.max_age / 16).min(Duration::from_hours(1))
    }
}
