//! One clock per trace.

use std::time::Instant;

use opik_core::Timestamp;

/// The wall clock read once and a monotonic clock since then, so that a step of the wall clock
/// within a trace makes no span negative.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    wall: Timestamp,
    since: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self {
            wall: Timestamp::now(),
            since: Instant::now(),
        }
    }

    /// The moment at which it was started.
    pub(crate) fn origin(self) -> Timestamp {
        self.wall
    }

    pub(crate) fn now(self) -> Timestamp {
        let micros = i64::try_from(self.since.elapsed().as_micros()).unwrap_or(i64::MAX);
        self.wall.plus_micros(micros)
    }
}
