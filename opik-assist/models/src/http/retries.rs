//! When a question is asked again.

use std::time::Duration;

/// How often and how long a question is repeated that failed before its reply began.
///
/// Repeated are failures that may pass: no connection, no answer in time, 408, 429, 5xx, and a
/// reply that breaks off or fails before its first event (Opik's proxy reports a provider's failure
/// in a reply with status 200). Once an event was given out nothing is repeated.
///
/// Waits double from `first_wait` up to `longest_wait`, and each is moved by chance into the upper
/// half of itself. A wait that the server names (`Retry-After`) is kept instead, plus up to a tenth.
/// When the next wait would end after `within`, the error is returned at once, with the server's
/// wait in [`ModelError::retry_after`](opik_core::ModelError::retry_after).
///
/// ```
/// use opik_models::Retries;
///
/// assert_ne!(Retries::default(), Retries::none());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    repetitions: u32,
    within: Duration,
    first_wait: Duration,
    longest_wait: Duration,
}

impl Default for Retries {
    /// 2 repetitions within 30 seconds, waits from half a second to 8 seconds.
    fn default() -> Self {
        Self {
            repetitions: 2,
            within: Duration::from_secs(30),
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(8),
        }
    }
}

impl Retries {
    /// No repetitions.
    #[must_use]
    pub fn none() -> Self {
        Self::default().repetitions(0)
    }

    /// Most repetitions, the first attempt not counted.
    #[must_use]
    pub fn repetitions(mut self, repetitions: u32) -> Self {
        self.repetitions = repetitions;
        self
    }

    /// How long after the first attempt began another one may begin.
    #[must_use]
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// The wait before the first repetition, and the longest wait.
    #[must_use]
    pub fn waits(mut self, first: Duration, longest: Duration) -> Self {
        self.first_wait = first;
        self.longest_wait = longest.max(first);
        self
    }

    /// How long to wait after this many failed attempts; `None` when the error has to be returned.
    pub(super) fn wait(
        &self,
        failed: u32,
        elapsed: Duration,
        named: Option<Duration>,
        random: u64,
    ) -> Option<Duration> {
        if failed > self.repetitions {
            return None;
        }
        let wait = match named {
            Some(named) => named.saturating_add(part(named / 10, random)),
            None => {
                let doubled = 2_u32.saturating_pow(failed.saturating_sub(1));
                let full = self
                    .first_wait
                    .saturating_mul(doubled)
                    .min(self.longest_wait);
                full / 2 + part(full / 2, random)
            }
        };
        (elapsed.saturating_add(wait) <= self.within).then_some(wait)
    }
}

/// A random part of a duration: 0 to all of it, in 1,024 steps.
fn part(of: Duration, random: u64) -> Duration {
    let steps = u32::try_from(random % 1_025).unwrap_or(0);
    of.checked_mul(steps).map_or(of, |product| product / 1_024)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_double_and_a_named_wait_is_kept() {
        let (zero, second) = (Duration::ZERO, Duration::from_secs(1));
        let retries = Retries::default().repetitions(9).waits(second, second * 5);
        let longest = |failed| retries.wait(failed, zero, None, 1_024);
        assert_eq!(
            [1, 2, 3, 4, 5].map(longest).map(Option::unwrap),
            [1, 2, 4, 5, 5].map(Duration::from_secs)
        );
        assert_eq!(retries.wait(1, zero, None, 0), Some(second / 2));
        assert_eq!(retries.wait(10, zero, None, 0), None);
        assert_eq!(retries.wait(1, zero, Some(second * 7), 0), Some(second * 7));
        assert_eq!(retries.wait(1, zero, Some(Duration::MAX), 1_024), None);
        assert_eq!(Retries::none().wait(1, zero, Some(zero), 0), None);
    }

    proptest! {
        #[test]
        fn no_wait_ends_after_the_bound_or_before_the_named_moment(
            failed in 1_u32..80,
            repetitions in 0_u32..80,
            elapsed in 0_u64..100_000,
            within in 0_u64..100_000,
            named in proptest::option::of(0_u64..u64::MAX),
            random: u64,
        ) {
            let bound = Duration::from_millis(within);
            let retries = Retries::default().repetitions(repetitions).within(bound);
            let elapsed = Duration::from_millis(elapsed);
            let named = named.map(Duration::from_millis);
            if let Some(wait) = retries.wait(failed, elapsed, named, random) {
                prop_assert!(failed <= repetitions && elapsed + wait <= bound);
                prop_assert!(wait >= named.unwrap_or_default());
            }
        }
    }
}
