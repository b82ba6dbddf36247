//! The statistics that comparisons need: robust scores, exact tests, intervals.

use crate::figures::number;

/// The least deviation of durations: 5 % of the value, as a logarithm.
const FLOOR: f64 = 0.048_79;
/// A normal distribution has this share of its deviation at its quartile.
const QUARTILE: f64 = 0.6745;
/// The 97.5 % quantile of the normal distribution.
const Z95: f64 = 1.959_964;

/// Middle and spread of logarithms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Robust {
    pub(super) middle: f64,
    spread: f64,
}

impl Robust {
    /// Of positive values; smaller ones count as the least positive `least`.
    pub(super) fn of(values: impl Iterator<Item = f64>, least: f64) -> Option<Self> {
        let mut logs: Vec<f64> = values.map(|value| value.max(least).ln()).collect();
        let middle = median(&mut logs)?;
        let mut deviations: Vec<f64> = logs.iter().map(|log| (log - middle).abs()).collect();
        let spread = median(&mut deviations)?.max(FLOOR);
        Some(Self { middle, spread })
    }

    /// The robust score of a value.
    pub(super) fn score(self, value: f64, least: f64) -> f64 {
        QUARTILE * (value.max(least).ln() - self.middle) / self.spread
    }

    /// The median as a value.
    pub(super) fn median(self) -> f64 {
        self.middle.exp()
    }
}

/// The middle value, or the mean of the two in the middle; `None` of nothing.
pub(super) fn median(values: &mut [f64]) -> Option<f64> {
    let half = values.len() / 2;
    if values.is_empty() {
        return None;
    }
    let even = values.len().is_multiple_of(2);
    let (below, &mut middle, _) = values.select_nth_unstable_by(half, f64::total_cmp);
    if !even {
        return Some(middle);
    }
    let before = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    Some(f64::midpoint(before, middle))
}

/// The 95 % interval of a share, after Wilson.
pub(super) fn wilson(hits: usize, of: usize) -> (f64, f64) {
    if of == 0 {
        return (0.0, 1.0);
    }
    let (n, p) = (number(of), number(hits) / number(of));
    let z2 = Z95 * Z95;
    let middle = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z95 / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    ((middle - half).max(0.0), (middle + half).min(1.0))
}

/// The probability of a number at least as far from the mean, on the same side, in a Poisson
/// distribution, doubled for both sides.
pub(super) fn poisson(count: usize, mean: f64) -> f64 {
    if mean <= 0.0 {
        return if count == 0 { 1.0 } else { 0.0 };
    }
    // Sum of probabilities from 0 to k, in logarithms where they begin, so that nothing underflows.
    let up_to = |last: usize| {
        let mut log = -mean;
        let mut sum = log.exp();
        for k in 1..=last {
            log += (mean / number(k)).ln();
            sum += log.exp();
        }
        sum.min(1.0)
    };
    let side = if number(count) <= mean {
        up_to(count)
    } else {
        // The upper tail by itself: one minus nearly one has no digits left.
        let mut log = -mean;
        for k in 1..=count {
            log += (mean / number(k)).ln();
        }
        let (mut sum, mut k) = (0.0, count);
        loop {
            let part = log.exp();
            sum += part;
            k += 1;
            log += (mean / number(k)).ln();
            if part <= sum * 1e-12 {
                break sum;
            }
        }
    };
    (2.0 * side).min(1.0)
}

/// Logarithms of factorials.
#[derive(Debug)]
pub(super) struct Factorials(Vec<f64>);

impl Factorials {
    /// Up to a number.
    pub(super) fn up_to(most: usize) -> Self {
        let mut logs = vec![0.0];
        let mut sum = 0.0;
        for k in 1..=most {
            sum += number(k).ln();
            logs.push(sum);
        }
        Self(logs)
    }

    fn of(&self, k: usize) -> f64 {
        self.0.get(k).copied().unwrap_or(f64::INFINITY)
    }

    fn choose(&self, n: usize, k: usize) -> f64 {
        self.of(n) - self.of(k) - self.of(n - k)
    }

    /// Fisher's exact test, one-sided: the probability that at least `with` of `of` bad ones have
    /// what `all_with` of `all` have.
    pub(super) fn fisher(&self, with: usize, of: usize, all_with: usize, all: usize) -> f64 {
        if of > all || all_with > all {
            return 1.0;
        }
        let most = of.min(all_with);
        let total = self.choose(all, of);
        let parts = (with..=most).filter(|k| of - k <= all - all_with).map(|k| {
            (self.choose(all_with, k) + self.choose(all - all_with, of - k) - total).exp()
        });
        parts.sum::<f64>().min(1.0)
    }
}

/// Pearson's chi-square of the same table, without correction.
pub(super) fn chi_square(with: usize, of: usize, all_with: usize, all: usize) -> f64 {
    let (a, n1, m, n) = (number(with), number(of), number(all_with), number(all));
    let (b, c) = (n1 - a, m - a);
    let d = n - n1 - c;
    let product = n1 * (n - n1) * m * (n - m);
    if product <= 0.0 {
        return 0.0;
    }
    let difference = a * d - b * c;
    n * difference * difference / product
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-4 * b.abs().max(1e-4), "{a} is not {b}");
    }

    #[test]
    fn medians_of_even_and_odd_numbers() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 8.0]), Some(3.0));
        assert_eq!(median(&mut []), None);
    }

    #[test]
    fn scores_are_those_of_iglewicz_and_hoaglin() {
        let e = std::f64::consts::E;
        // Logarithms 0, 1, 2, 3, 4: median 2, MAD 1.
        let values = [1.0, e, e * e, e.powi(3), e.powi(4)];
        let robust = Robust::of(values.into_iter(), 1e-9).unwrap();
        near(robust.score(e.powi(4), 1e-9), 0.6745 * 2.0);
        // Equal values: the floor of 5 % counts.
        let equal = Robust::of([100.0; 30].into_iter(), 1e-9).unwrap();
        near(equal.score(105.0, 1e-9), 0.6745 * 1.05f64.ln() / 0.048_79);
    }

    #[test]
    fn wilson_of_known_tables() {
        let (low, high) = wilson(6, 7);
        near(low, 0.486_87);
        near(high, 0.974_31);
        let (low, high) = wilson(0, 10);
        near(low, 0.0);
        near(high, 0.277_533);
    }

    #[test]
    fn poisson_tails() {
        // P(X >= 5 | 1) = 0.0036598, P(X <= 0 | 5) = 0.0067379.
        near(poisson(5, 1.0), 2.0 * 0.003_659_8);
        near(poisson(0, 5.0), 2.0 * 0.006_737_9);
        assert_eq!(poisson(3, 3.0), 1.0);
        assert!(poisson(5_000, 1_000.0) < 1e-100);
        assert!(poisson(100_000, 99_990.0) > 0.9);
    }

    #[test]
    fn fisher_and_chi_square_of_the_tea_lady() {
        let table = Factorials::up_to(8);
        near(table.fisher(4, 4, 4, 8), 1.0 / 70.0);
        near(table.fisher(3, 4, 4, 8), 17.0 / 70.0);
        near(table.fisher(0, 4, 4, 8), 1.0);
        near(chi_square(3, 4, 4, 8), 2.0);
        assert_eq!(chi_square(4, 4, 8, 8), 0.0);
    }
}
