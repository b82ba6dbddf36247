//! How a store behaves: waits, connections, layout.

use std::time::Duration;

/// Which layout of the tables a store uses.
///
/// Version 0 is what ADK up to about 1.21 makes, and with it the Python program of Opik's assistant:
/// one column per field, `actions` as a pickle. Version 1 is what newer ADKs make for a new
/// database: one JSON document per event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Layout {
    /// The layout that is there; version 0 for a new database.
    #[default]
    Auto,
    /// Version 0. A database of version 1 is refused.
    V0,
    /// Version 1. A database of version 0 is migrated in place when it is opened: stop the programs
    /// that use it and keep a copy. There is no way back.
    V1,
}

/// Waits, connections and layout of a store.
///
/// ```
/// use std::time::Duration;
/// use opik_sessions::SessionOptions;
///
/// let options = SessionOptions::new()
///     .timeout(Duration::from_secs(3))
///     .max_connections(4);
/// # let _ = options;
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionOptions {
    pub(crate) layout: Layout,
    pub(crate) timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) migration_timeout: Duration,
    pub(crate) max_connections: u32,
    pub(crate) max_lifetime: Duration,
    pub(crate) open_retries: u32,
    pub(crate) open_retry_delay: Duration,
    pub(crate) open_timeout: Duration,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self {
            layout: Layout::Auto,
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            migration_timeout: Duration::from_secs(120),
            max_connections: 10,
            max_lifetime: Duration::from_secs(3_600),
            open_retries: 10,
            open_retry_delay: Duration::from_secs(2),
            open_timeout: Duration::from_secs(120),
        }
    }
}

impl SessionOptions {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Which layout of the tables to use; [`Layout::Auto`] by default.
    #[must_use]
    pub fn layout(mut self, layout: Layout) -> Self {
        self.layout = layout;
        self
    }

    /// How long a call may take in all; 10 s by default. After it the call fails with
    /// [`Timeout`](opik_core::session::SessionErrorKind::Timeout) and its connection is closed, so
    /// that the database takes back what was not committed.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long a call may wait for a connection; 5 s by default.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long migrations may take, with the wait for other processes that make them; 120 s by
    /// default.
    #[must_use]
    pub fn migration_timeout(mut self, timeout: Duration) -> Self {
        self.migration_timeout = timeout;
        self
    }

    /// How many connections at most; 10 by default, at least 1.
    #[must_use]
    pub fn max_connections(mut self, connections: u32) -> Self {
        self.max_connections = connections.max(1);
        self
    }

    /// How old a connection may get before it is replaced; an hour by default.
    #[must_use]
    pub fn max_lifetime(mut self, lifetime: Duration) -> Self {
        self.max_lifetime = lifetime;
        self
    }

    /// How often opening is tried again when the database cannot be reached; 10 times by default.
    #[must_use]
    pub fn open_retries(mut self, retries: u32) -> Self {
        self.open_retries = retries;
        self
    }

    /// The wait before opening is tried again; 2 s by default, and half as long again each time, up
    /// to 30 s. The task waits, not its thread.
    #[must_use]
    pub fn open_retry_delay(mut self, delay: Duration) -> Self {
        self.open_retry_delay = delay;
        self
    }

    /// How long opening may take with all its retries, migrations aside; 120 s by default.
    #[must_use]
    pub fn open_timeout(mut self, timeout: Duration) -> Self {
        self.open_timeout = timeout;
        self
    }
}
