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

/// When a branch gets rows of spans and traces that are still open, for live views.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartRows {
    /// Never: one row per record.
    #[default]
    Off,
    /// When one has been open for this long.
    After(Duration),
    /// As soon as one begins.
    Immediately,
}
