//! How the waits between attempts go.

use serde::Serialize;

/// Waits shorter than this, in microseconds, are none.
const NONE: i64 = 1_000;
/// Each wait is at least this many times the one before where they grow, in tenths.
const GROWS: i64 = 14;
/// The longest wait is at most this many times the shortest where they are constant, in quarters.
const CONSTANT: i64 = 5;

/// A pattern of waits between attempts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Backoff {
    /// No wait of a millisecond or more.
    None,
    /// A single wait.
    Single,
    /// About the same each time: the longest is at most a quarter longer than the shortest.
    Constant,
    /// Each at least 1.4 times the one before; with the mean factor.
    Growing(f64),
    /// Anything else.
    Irregular,
}

impl Backoff {
    /// The pattern of waits in microseconds, in order.
    ///
    /// ```
    /// use opik_assist::repetition::Backoff;
    ///
    /// assert_eq!(Backoff::of(&[100_000, 200_000, 400_000]), Backoff::Growing(2.0));
    /// assert_eq!(Backoff::of(&[100_000, 101_000]), Backoff::Constant);
    /// assert_eq!(Backoff::of(&[]), Backoff::None);
    /// ```
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a ratio of waits")]
    pub fn of(waits: &[i64]) -> Self {
        let (Some(&least), Some(&most)) = (waits.iter().min(), waits.iter().max()) else {
            return Self::None;
        };
        if most < NONE {
            return Self::None;
        }
        let (Some(&first), Some(&last)) = (waits.first(), waits.last()) else {
            return Self::None;
        };
        let grows = |&[a, b]: &[i64; 2]| a > 0 && b.saturating_mul(10) >= a.saturating_mul(GROWS);
        match waits.len() {
            1 => Self::Single,
            _ if waits.array_windows().all(grows) => {
                let steps = (waits.len() - 1) as f64;
                let factor = (last as f64 / first as f64).powf(1.0 / steps);
                Self::Growing((factor * 100.0).round() / 100.0)
            }
            _ if most <= least.saturating_mul(CONSTANT) / 4 => Self::Constant,
            _ => Self::Irregular,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_of_waits() {
        for (waits, pattern) in [
            (&[0, 0, 999][..], Backoff::None),
            (&[5_000], Backoff::Single),
            (&[1_000_000, 2_100_000, 3_900_000], Backoff::Growing(1.97)),
            (&[1_000, 1_200, 1_100], Backoff::Constant),
            (&[1_000, 5_000, 2_000], Backoff::Irregular),
            (&[0, 5_000], Backoff::Irregular),
        ] {
            assert_eq!(Backoff::of(waits), pattern, "{waits:?}");
        }
    }
}
