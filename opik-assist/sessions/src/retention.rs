//! What may be deleted because it is old or too much.

use std::time::Duration;

/// Which sessions are deleted by a store's `prune`: those that any of the rules names.
///
/// Orphans are deleted whatever the rules say: events whose session is gone, which the Python program
/// leaves behind in SQLite.
///
/// ```
/// use std::time::Duration;
/// use opik_sessions::{MemorySessions, Retention};
///
/// let sessions = MemorySessions::new();
/// let month = Duration::from_secs(30 * 24 * 3_600);
/// let pruned = sessions.prune(&Retention::new().older_than(month).at_most_per_user(100));
/// assert_eq!(pruned.sessions, 0);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retention {
    pub(crate) older_than: Option<Duration>,
    pub(crate) at_most_per_user: Option<usize>,
    pub(crate) app: Option<String>,
}

impl Retention {
    /// Rules that name no session.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Deletes sessions that were last changed longer ago than this.
    #[must_use]
    pub fn older_than(mut self, age: Duration) -> Self {
        self.older_than = Some(age);
        self
    }

    /// Keeps this many sessions of each user in each application: those changed last.
    #[must_use]
    pub fn at_most_per_user(mut self, sessions: usize) -> Self {
        self.at_most_per_user = Some(sessions);
        self
    }

    /// Looks at the sessions of one application only; orphans are still deleted everywhere.
    #[must_use]
    pub fn app(mut self, app: impl Into<String>) -> Self {
        self.app = Some(app.into());
        self
    }
}

/// What a `prune` deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pruned {
    /// Sessions, with all their events.
    pub sessions: u64,
    /// Events whose session was gone already.
    pub orphans: u64,
}
