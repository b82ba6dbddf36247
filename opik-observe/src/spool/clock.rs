//! What time it is, for the age of records.

use std::fmt;
use std::time::Instant;

use opik_core::Timestamp;

/// A clock that never goes back and takes no part in steps of the system's clock.
pub(super) trait SpoolClock: Send + Sync + fmt::Debug {
    fn now(&self) -> Timestamp;
}

/// The system's wall clock read once, and its monotonic clock since then.
#[derive(Debug)]
pub(super) struct SteadyClock {
    wall: Timestamp,
    since: Instant,
}

impl SteadyClock {
    pub(super) fn start() -> Self {
        Self {
            wall: Timestamp::now(),
            since: Instant::now(),
        }
    }
}

impl SpoolClock for SteadyClock {
    fn now(&self) -> Timestamp {
        let micros = self.since.elapsed().as_micros();
        let micros = i64::try_from(micros).unwrap_or(i64::MAX);
        self.wall.plus_micros(micros)
    }
}
