//! Limits of a recorder, with their defaults.

use std::time::Duration;

/// What a recorder may hold and how long it may wait.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Records and bytes between the callers and the worker, and again per branch.
    pub(crate) pending_records: usize,
    pub(crate) pending_bytes: usize,
    pub(crate) record_bytes: usize,
    pub(crate) field_bytes: usize,
    pub(crate) batch_records: usize,
    pub(crate) batch_bytes: usize,
    pub(crate) batch_delay: Duration,
    pub(crate) export_timeout: Duration,
    pub(crate) export_attempts: u32,
    pub(crate) drop_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pending_records: 65_536,
            pending_bytes: 64 << 20,
            record_bytes: 16 << 20,
            field_bytes: 4 << 20,
            batch_records: 1_000,
            batch_bytes: 4 << 20,
            batch_delay: Duration::from_millis(200),
            export_timeout: Duration::from_secs(10),
            export_attempts: 5,
            drop_timeout: Duration::from_secs(3),
        }
    }
}

/// What somebody set, over what is so by itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chosen {
    pub(crate) project: Option<String>,
    pub(crate) environment: Option<String>,
    pub(crate) record_bytes: Option<usize>,
    pub(crate) field_bytes: Option<usize>,
    pub(crate) export_timeout: Option<Duration>,
    pub(crate) drop_timeout: Option<Duration>,
}

impl Chosen {
    /// Each value from here, else from there.
    pub(crate) fn or(self, other: Self) -> Self {
        Self {
            project: self.project.or(other.project),
            environment: self.environment.or(other.environment),
            record_bytes: self.record_bytes.or(other.record_bytes),
            field_bytes: self.field_bytes.or(other.field_bytes),
            export_timeout: self.export_timeout.or(other.export_timeout),
            drop_timeout: self.drop_timeout.or(other.drop_timeout),
        }
    }
}

/// When a branch gets rows of spans and traces that are still open, for live views.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartRows {
    /// Never: one row per record.
    #[default]
    Off,
    /// When one has been open for this long.
    After(Duration),
    /// As soon as one begins, unless it ends before the recorder's thread sees it.
    Immediately,
}
