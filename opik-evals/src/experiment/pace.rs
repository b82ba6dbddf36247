//! How fast trials may begin.

use std::time::Duration;

use tokio::time::Instant;

/// Spaces the beginnings of trials evenly.
#[derive(Debug)]
pub(super) struct Pace {
    gap: Option<Duration>,
    next: Instant,
}

impl Pace {
    /// At most this many a second; without a limit where there is none.
    pub(super) fn new(per_second: Option<f64>) -> Self {
        let gap = per_second.and_then(|rate| Duration::try_from_secs_f64(1.0 / rate).ok());
        Self {
            gap,
            next: Instant::now(),
        }
    }

    /// When the next may begin, if that is not now.
    pub(super) fn wait_until(&self) -> Option<Instant> {
        (self.gap.is_some() && self.next > Instant::now()).then_some(self.next)
    }

    /// One begins now.
    pub(super) fn begun(&mut self) {
        if let Some(gap) = self.gap {
            // Time that went by unused is not made up for: a limit is a limit.
            self.next = self.next.max(Instant::now()) + gap;
        }
    }
}
