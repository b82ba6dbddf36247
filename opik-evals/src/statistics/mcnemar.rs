//! Passed and failed, before and after.

/// The exact two-sided probability of McNemar's test (1947): of the cases that changed sides,
/// `gained` now pass and `lost` no longer do; a coin would split them at least as unevenly with this
/// probability. 1 when no case changed sides.
///
/// ```
/// use opik_evals::statistics::mcnemar;
///
/// assert_eq!(mcnemar(3, 3), 1.0);
/// assert!((mcnemar(1, 9) - 0.021_484_375).abs() < 1e-12);
/// ```
#[must_use]
pub fn mcnemar(gained: u32, lost: u32) -> f64 {
    let (few, all) = (gained.min(lost), f64::from(gained) + f64::from(lost));
    // The lower tail of the binomial distribution, term by term in logarithms.
    let mut term = -all * std::f64::consts::LN_2;
    let mut tail = term.exp();
    for k in 0..few {
        term += ((all - f64::from(k)) / (f64::from(k) + 1.0)).ln();
        tail += term.exp();
    }
    (2.0 * tail).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_symmetric_and_never_above_one() {
        for (a, b) in [(0, 0), (1, 1), (5, 4), (0, 12), (700, 640)] {
            let p = mcnemar(a, b);
            assert!((0.0..=1.0).contains(&p) && (p - mcnemar(b, a)).abs() < 1e-15);
        }
        assert_eq!(mcnemar(0, 1), 1.0);
        // Beyond what a number can hold the answer is 0, not an error.
        assert_eq!(mcnemar(0, 5_000), 0.0);
    }
}
