//! Standard errors of means.

use std::collections::BTreeMap;

/// The standard error of the mean of independent values: s / √n with the sample's deviation.
/// `None` with fewer than two values.
#[must_use]
pub fn standard_error(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    super::Summary::of(values)?.deviation.map(|s| s / n.sqrt())
}

/// The standard error of a mean whose values come in groups (Liang and Zeger 1986), with the usual
/// correction G / (G - 1) for few groups. `None` with fewer than two groups.
///
/// Ten questions about one document tend to go right or wrong together; counting them as ten
/// independent ones makes a mean look surer than it is.
#[must_use]
pub fn clustered_error<K: Ord>(values: &[(K, f64)]) -> Option<f64> {
    let n = values.len() as f64;
    let mean = values.iter().map(|(_, value)| value).sum::<f64>() / n;
    let mut groups = BTreeMap::<&K, f64>::new();
    for (key, value) in values {
        *groups.entry(key).or_default() += value - mean;
    }
    let count = groups.len() as f64;
    if count < 2.0 {
        return None;
    }
    let squares: f64 = groups.values().map(|sum| sum * sum).sum();
    Some((squares * count / (count - 1.0)).sqrt() / n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_one_are_independent_values() {
        let values = [0.2, 0.9, 0.4, 0.4, 1.0];
        let own: Vec<(usize, f64)> = values.into_iter().enumerate().collect();
        let (a, b) = (
            standard_error(&values).unwrap(),
            clustered_error(&own).unwrap(),
        );
        assert!((a - b).abs() < 1e-15, "{a} {b}");
        assert_eq!(standard_error(&[1.0]), None);
        assert_eq!(clustered_error(&[("a", 1.0), ("a", 2.0)]), None);
    }
}
