//! Figures of a list of numbers.

use serde::Serialize;

/// What a list of scores looks like.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Summary {
    /// How many values there are; at least one.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// The sample's standard deviation; absent for one value.
    pub deviation: Option<f64>,
    /// The smallest.
    pub min: f64,
    /// The middle one.
    pub median: f64,
    /// 95 % lie at or below it.
    pub p95: f64,
    /// The largest.
    pub max: f64,
}

impl Summary {
    /// The figures of these values; `None` when there is none.
    #[must_use]
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            count: values.len(),
            mean,
            deviation: (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt()),
            min: *sorted.first()?,
            median: quantile(&sorted, 0.5)?,
            p95: quantile(&sorted, 0.95)?,
            max: *sorted.last()?,
        })
    }
}

/// The value below which this part of a sorted list lies, between neighbours in proportion (the
/// default of NumPy). `None` for an empty list or a part outside of 0 to 1.
#[must_use]
pub fn quantile(sorted: &[f64], part: f64) -> Option<f64> {
    if !(0.0..=1.0).contains(&part) {
        return None;
    }
    let place = part * (sorted.len().checked_sub(1)? as f64);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and the length"
    )]
    let index = place.floor() as usize;
    let low = *sorted.get(index)?;
    let high = *sorted.get(index + 1).unwrap_or(&low);
    Some(low + (high - low) * (place - place.floor()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_a_short_list() {
        let summary = Summary::of(&[3.0, 1.0, 2.0, 4.0]).unwrap();
        assert_eq!((summary.count, summary.mean, summary.median), (4, 2.5, 2.5));
        assert_eq!((summary.min, summary.max), (1.0, 4.0));
        assert!((summary.deviation.unwrap() - 1.290_994_448_735_805_6).abs() < 1e-15);
        assert!((summary.p95 - 3.85).abs() < 1e-12);
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[5.0]).unwrap().deviation, None);
        assert_eq!(quantile(&[1.0], 1.5), None);
    }
}
