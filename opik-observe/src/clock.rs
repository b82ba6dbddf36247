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
        // `as_micros` would calculate in 128 bits.
        let elapsed = self.since.elapsed();
        let seconds = i64::try_from(elapsed.as_secs()).unwrap_or(i64::MAX);
        let micros = seconds.saturating_mul(1_000_000);
        self.wall
            .plus_micros(micros.saturating_add(i64::from(elapsed.subsec_micros())))
    }
}
