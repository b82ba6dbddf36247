//! When a call is tried again.

use std::time::Duration;

/// How often and how long a call is repeated before its error is returned.
///
/// Repeated are failures that may pass: no connection, no answer in time, a broken answer, 408,
/// 429 and the 5xx except 501. Waits double from `first_wait` up to `longest_wait`, and each is
/// moved by chance into the upper half of itself, so that clients that failed together do not come
/// back together. A wait that the server names (`RateLimit-Reset`, `Retry-After`) is kept instead,
/// plus up to a tenth.
///
/// Both bounds hold: once `attempts` are used, or when the next wait would end after `within`, the
/// error is returned at once, with the server's wait in
/// [`RestError::retry_after`](super::RestError::retry_after).
///
/// ```
/// use std::time::Duration;
/// use opik_core::rest::RetryPolicy;
///
/// let patient = RetryPolicy::default().attempts(6).within(Duration::from_secs(300));
/// assert_ne!(patient, RetryPolicy::none());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    attempts: u32,
    within: Duration,
    first_wait: Duration,
    longest_wait: Duration,
}

impl Default for RetryPolicy {
    /// 3 attempts within 30 seconds, waits from half a second to 10 seconds.
    fn default() -> Self {
        Self {
            attempts: 3,
            within: Duration::from_secs(30),
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(10),
        }
    }
}

impl RetryPolicy {
    /// One attempt, for callers that repeat on their own.
    #[must_use]
    pub fn none() -> Self {
        Self::default().attempts(1)
    }

    /// One repetition within a second, for callers that repeat on their own, such as a recorder:
    /// enough for a connection that broke while it was idle, and every longer wait, also the one that
    /// a server names, is left to the caller.
    #[must_use]
    pub fn brief() -> Self {
        let wait = Duration::from_millis(200);
        Self::default()
            .attempts(2)
            .within(Duration::from_secs(1))
            .waits(wait, wait)
    }

    /// Most attempts, the first included; 0 counts as 1.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// How long after the first attempt began another one may begin.
    #[must_use]
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// The wait before the second attempt, and the longest wait.
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
        if failed >= self.attempts {
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

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn waits_double_up_to_the_longest() {
        let policy = RetryPolicy::default().attempts(9).waits(SECOND, SECOND * 5);
        let highest: Vec<u64> = (1..=5)
            .map(|failed| {
                policy
                    .wait(failed, Duration::ZERO, None, 1_024)
                    .unwrap()
                    .as_secs()
            })
            .collect();
        assert_eq!(highest, [1, 2, 4, 5, 5]);
        assert_eq!(policy.wait(1, Duration::ZERO, None, 0), Some(SECOND / 2));
        assert_eq!(policy.wait(9, Duration::ZERO, None, 0), None);
    }

    #[test]
    fn a_named_wait_is_kept_and_bounded() {
        let policy = RetryPolicy::default();
        assert_eq!(
            policy.wait(1, Duration::ZERO, Some(SECOND * 7), 0),
            Some(SECOND * 7)
        );
        assert_eq!(policy.wait(1, SECOND * 24, Some(SECOND * 7), 0), None);
        assert_eq!(policy.wait(1, SECOND, Some(Duration::MAX), 1_024), None);
        assert_eq!(
            RetryPolicy::none().wait(1, Duration::ZERO, Some(Duration::ZERO), 0),
            None
        );
        let brief = RetryPolicy::brief();
        assert!(brief.wait(1, Duration::ZERO, None, 0).is_some());
        assert_eq!(brief.wait(2, Duration::ZERO, None, 0), None);
        assert_eq!(brief.wait(1, Duration::ZERO, Some(SECOND * 2), 0), None);
    }

    proptest! {
        #[test]
        fn no_wait_ends_after_the_bound_or_before_the_named_moment(
            failed in 1_u32..80,
            attempts in 0_u32..80,
            elapsed in 0_u64..100_000,
            within in 0_u64..100_000,
            named in proptest::option::of(0_u64..u64::MAX),
            random: u64,
        ) {
            let policy = RetryPolicy::default()
                .attempts(attempts)
                .within(Duration::from_millis(within));
            let elapsed = Duration::from_millis(elapsed);
            let named = named.map(Duration::from_millis);
            if let Some(wait) = policy.wait(failed, elapsed, named, random) {
                prop_assert!(failed < attempts.max(1));
                prop_assert!(elapsed + wait <= Duration::from_millis(within));
                prop_assert!(wait >= named.unwrap_or_default());
                prop_assert!(named.is_some() || wait <= Duration::from_secs(10));
            }
        }
    }
}
