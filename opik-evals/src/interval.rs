//! Intervals of confidence: how far a score over some cases can be trusted.

use serde::Serialize;

use crate::statistics::random::SplitMix;

/// A value with the bounds between which it lies with the stated confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// The lower bound.
    pub low: f64,
    /// The value that was observed.
    pub value: f64,
    /// The upper bound.
    pub high: f64,
}

/// The Wilson score interval of a proportion at 95 % confidence (Wilson 1927, without correction
/// for continuity). `None` without a trial, or with more successes than trials.
///
/// ```
/// let rate = opik_evals::wilson(8, 10).ok_or("no trials")?;
/// assert!(rate.low > 0.49 && rate.high < 0.95);
/// # Ok::<(), &str>(())
/// ```
#[must_use]
pub fn wilson(successes: u32, trials: u32) -> Option<Interval> {
    wilson_at(successes, trials, 0.95)
}

/// As [`wilson`], at another confidence. `None` also outside of the open interval from 0 to 1.
#[must_use]
pub fn wilson_at(successes: u32, trials: u32, confidence: f64) -> Option<Interval> {
    let z = crate::statistics::normal_quantile((1.0 + confidence) / 2.0)?;
    if confidence <= 0.0 || trials == 0 || successes > trials {
        return None;
    }
    let (n, p) = (f64::from(trials), f64::from(successes) / f64::from(trials));
    let scale = 1.0 + z * z / n;
    let middle = (p + z * z / (2.0 * n)) / scale;
    let half = z / scale * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
    Some(Interval {
        low: (middle - half).max(0.0),
        value: p,
        high: (middle + half).min(1.0),
    })
}

/// The percentile bootstrap interval of a mean at 95 % confidence (Efron 1979): the middle 95 % of
/// the means of `resamples` draws with replacement. The same seed gives the same interval. `None`
/// without a value or a resample.
#[must_use]
pub fn bootstrap_mean(values: &[f64], resamples: usize, seed: u64) -> Option<Interval> {
    if values.is_empty() || resamples == 0 {
        return None;
    }
    #[expect(
        clippy::cast_precision_loss,
        reason = "counts of cases are far below 2^52"
    )]
    let count = values.len() as f64;
    let mut random = SplitMix::new(seed);
    let mut means: Vec<f64> = (0..resamples)
        .map(|_| {
            values
                .iter()
                .filter_map(|_| random.pick(values))
                .sum::<f64>()
                / count
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let last = resamples - 1;
    Some(Interval {
        low: *means.get(last * 25 / 1_000)?,
        value: values.iter().sum::<f64>() / count,
        high: *means.get((last * 975).div_ceil(1_000))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-4
    }

    #[test]
    fn wilson_agrees_with_published_values() {
        // Newcombe 1998, table I, method 3: 81 of 263, 15 of 148, 0 of 20 and 1 of 29.
        for (x, n, low, high) in [
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
        ] {
            let found = wilson(x, n).unwrap();
            assert!(
                close(found.low, low) && close(found.high, high),
                "{x} of {n}: {found:?}"
            );
        }
        assert_eq!(wilson(0, 0), None);
        assert_eq!(wilson(2, 1), None);
    }

    #[test]
    fn bootstrap_is_reproducible_and_brackets_the_mean() {
        let values: Vec<f64> = (0..50).map(|i| f64::from(i % 2)).collect();
        let a = bootstrap_mean(&values, 2_000, 7).unwrap();
        assert_eq!(Some(a), bootstrap_mean(&values, 2_000, 7));
        assert!(a.low < 0.5 && 0.5 < a.high && close(a.value, 0.5));
        // The normal approximation: 0.5 -+ 1.96 * 0.5 / sqrt(50).
        assert!(
            (a.low - 0.3614).abs() < 0.05 && (a.high - 0.6386).abs() < 0.05,
            "{a:?}"
        );
    }

    #[test]
    fn a_constant_has_no_width_and_nothing_has_no_interval() {
        let sure = bootstrap_mean(&[2.0; 9], 100, 1).unwrap();
        assert_eq!((sure.low, sure.value, sure.high), (2.0, 2.0, 2.0));
        assert_eq!(bootstrap_mean(&[], 100, 1), None);
    }
}
