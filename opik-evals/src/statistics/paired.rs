//! Differences of two runs over the same cases.

use super::random::SplitMix;
use crate::Interval;

/// Most differences for which every assignment of signs is tried.
const EXACT_UP_TO: usize = 16;

/// The percentile bootstrap interval of the mean of paired differences: the middle part, as large
/// as `confidence` says, of the means of `resamples` draws with replacement (Efron 1979). `None`
/// without a difference or a resample, or with a confidence outside of the open interval 0 to 1.
///
/// ```
/// use opik_evals::statistics::paired_bootstrap;
///
/// let gains = [0.2, 0.0, 0.1, 0.3, 0.1, 0.0, 0.2, 0.1];
/// let interval = paired_bootstrap(&gains, 10_000, 0.95, 7).ok_or("nothing to compare")?;
/// assert!(interval.low > 0.0);
/// # Ok::<(), &str>(())
/// ```
#[must_use]
pub fn paired_bootstrap(
    differences: &[f64],
    resamples: usize,
    confidence: f64,
    seed: u64,
) -> Option<Interval> {
    let single: Vec<(f64, f64)> = differences.iter().map(|value| (*value, 1.0)).collect();
    resample(&single, resamples, confidence, seed)
}

/// As [`paired_bootstrap`], where differences with the same key belong together: whole groups are
/// drawn, so that ten questions about one document do not count as ten independent cases.
#[must_use]
pub fn paired_bootstrap_clustered<K: Ord>(
    differences: &[(K, f64)],
    resamples: usize,
    confidence: f64,
    seed: u64,
) -> Option<Interval> {
    let mut groups = std::collections::BTreeMap::<&K, (f64, f64)>::new();
    for (key, value) in differences {
        let (sum, count) = groups.entry(key).or_default();
        *sum += value;
        *count += 1.0;
    }
    let groups: Vec<(f64, f64)> = groups.into_values().collect();
    resample(&groups, resamples, confidence, seed)
}

/// Draws groups of (sum, count) with replacement and takes the mean of what they hold.
fn resample(
    groups: &[(f64, f64)],
    resamples: usize,
    confidence: f64,
    seed: u64,
) -> Option<Interval> {
    if groups.is_empty() || resamples == 0 || !(confidence > 0.0 && confidence < 1.0) {
        return None;
    }
    let mean_of = |(sum, count): (f64, f64)| sum / count;
    let add = |(a, b): (f64, f64), (c, d): &(f64, f64)| (a + c, b + d);
    let mut random = SplitMix::new(seed);
    let mut means: Vec<f64> = (0..resamples)
        .map(|_| {
            let drawn = (0..groups.len()).filter_map(|_| random.pick(groups));
            mean_of(drawn.fold((0.0, 0.0), add))
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let outside = (1.0 - confidence) / 2.0;
    Some(Interval {
        low: super::quantile(&means, outside)?,
        value: mean_of(groups.iter().fold((0.0, 0.0), add)),
        high: super::quantile(&means, 1.0 - outside)?,
    })
}

/// The probability of a mean at least as far from 0, if the sign of each difference were decided by
/// a coin (two-sided). Up to 16 differences other than 0 all assignments are tried and the
/// probability is exact; beyond that `draws` of them are, and the observed one is counted with
/// them, so that the answer is never 0. `None` without a difference, or without a draw where one
/// is needed.
#[must_use]
pub fn sign_flip(differences: &[f64], draws: usize, seed: u64) -> Option<f64> {
    if differences.is_empty() {
        return None;
    }
    // The sign of 0 does not matter.
    let values: Vec<f64> = differences.iter().copied().filter(|d| *d != 0.0).collect();
    let observed = values.iter().sum::<f64>().abs();
    let scale: f64 = values.iter().map(|value| value.abs()).sum();
    // Sums of the same numbers in another order differ in their last bits.
    let reached = |sum: f64| sum.abs() >= observed - scale * 1e-12;
    if values.len() <= EXACT_UP_TO {
        let assignments = 1_u32 << values.len();
        let extreme =
            (0..assignments).filter(|signs| reached(signed_sum(&values, u64::from(*signs))));
        return Some(count(extreme) / f64::from(assignments));
    }
    if draws == 0 {
        return None;
    }
    let mut random = SplitMix::new(seed);
    let extreme = (0..draws).filter(|_| {
        let sum = values
            .chunks(64)
            .map(|chunk| signed_sum(chunk, random.next()))
            .sum();
        reached(sum)
    });
    Some((count(extreme) + 1.0) / (draws as f64 + 1.0))
}

/// The sum with the sign of each value decided by a bit.
fn signed_sum(values: &[f64], mut signs: u64) -> f64 {
    let mut sum = 0.0;
    for value in values {
        sum += if signs & 1 == 0 { *value } else { -value };
        signs >>= 1;
    }
    sum
}

fn count<T>(items: impl Iterator<Item = T>) -> f64 {
    items.count() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_case_is_never_evidence_and_no_difference_is_none() {
        assert_eq!(sign_flip(&[0.7], 100, 1), Some(1.0));
        assert_eq!(sign_flip(&[0.0, 0.0], 100, 1), Some(1.0));
        assert_eq!(sign_flip(&[], 100, 1), None);
        // All of one sign: both extremes of 2^n.
        assert_eq!(sign_flip(&[0.1; 5], 100, 1), Some(2.0 / 32.0));
    }

    #[test]
    fn draws_agree_with_all_assignments() {
        let values: Vec<f64> = (0..16).map(|i| f64::from(i * 7 % 11) - 3.0).collect();
        let exact = sign_flip(&values, 0, 1).unwrap();
        // The same and one difference that is too small to matter.
        let mut longer = values;
        longer.extend([1e-9; 4]);
        let drawn = sign_flip(&longer, 40_000, 5).unwrap();
        assert!((exact - drawn).abs() < 0.02, "{exact} {drawn}");
        assert_eq!(sign_flip(&longer, 0, 5), None);
    }

    #[test]
    fn groups_of_one_are_no_groups_and_large_ones_widen() {
        let values: Vec<f64> = (0..60).map(|i| f64::from(i / 10 % 2) - 0.3).collect();
        let own: Vec<(usize, f64)> = values.iter().copied().enumerate().collect();
        let plain = paired_bootstrap(&values, 2_000, 0.95, 3).unwrap();
        assert_eq!(
            paired_bootstrap_clustered(&own, 2_000, 0.95, 3),
            Some(plain)
        );
        let by_ten: Vec<(usize, f64)> = own.iter().map(|(i, value)| (i / 10, *value)).collect();
        let grouped = paired_bootstrap_clustered(&by_ten, 2_000, 0.95, 3).unwrap();
        assert!(grouped.high - grouped.low > 2.0 * (plain.high - plain.low));
        assert!((grouped.value - plain.value).abs() < 1e-12);
    }

    #[test]
    fn nonsense_has_no_interval() {
        assert_eq!(paired_bootstrap(&[], 10, 0.95, 1), None);
        assert_eq!(paired_bootstrap(&[1.0], 0, 0.95, 1), None);
        assert_eq!(paired_bootstrap(&[1.0], 10, 1.0, 1), None);
    }
}
