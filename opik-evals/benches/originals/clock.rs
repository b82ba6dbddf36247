//! Time that this thread had the processor.

use std::time::{Duration, Instant};

/// A moment.
pub(crate) struct Clock {
    processor: Option<Duration>,
    wall: Instant,
}

/// How long this thread ran so far, where the system tells.
fn processor() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanos = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanos))
}

impl Clock {
    pub(crate) fn now() -> Self {
        Self {
            processor: processor(),
            wall: Instant::now(),
        }
    }

    /// Seconds of the processor since then, or seconds of the clock.
    pub(crate) fn seconds(&self) -> f64 {
        let spent = self
            .processor
            .zip(processor())
            .map(|(then, now)| now - then);
        spent.unwrap_or_else(|| self.wall.elapsed()).as_secs_f64()
    }
}
