//! Cases that are run several times.

/// The chance that at least one of `k` runs passes, when `passed` of `runs` did: the unbiased
/// estimate 1 - C(runs - passed, k) / C(runs, k) (Chen et al. 2021). `None` when `k` is 0 or above
/// `runs`, or more passed than ran.
///
/// ```
/// use opik_evals::statistics::{pass_all_k, pass_at_k};
///
/// assert_eq!(pass_at_k(3, 4, 2), Some(1.0));
/// assert_eq!(pass_all_k(3, 4, 2), Some(0.5));
/// ```
#[must_use]
pub fn pass_at_k(passed: u32, runs: u32, k: u32) -> Option<f64> {
    chosen_from(runs.checked_sub(passed)?, runs, k).map(|none| 1.0 - none)
}

/// The chance that all of `k` runs pass (pass^k): C(passed, k) / C(runs, k). `None` as for
/// [`pass_at_k`].
#[must_use]
pub fn pass_all_k(passed: u32, runs: u32, k: u32) -> Option<f64> {
    (passed <= runs).then_some(())?;
    chosen_from(passed, runs, k)
}

/// C(part, k) / C(all, k).
fn chosen_from(part: u32, all: u32, k: u32) -> Option<f64> {
    if k == 0 || k > all {
        return None;
    }
    let factors = (0..k).map(|i| f64::from(part.saturating_sub(i)) / f64::from(all - i));
    Some(factors.product())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nonsense_has_no_chance() {
        assert_eq!(pass_at_k(1, 2, 0), None);
        assert_eq!(pass_at_k(1, 2, 3), None);
        assert_eq!(pass_all_k(3, 2, 1), None);
    }

    proptest! {
        #[test]
        fn all_pass_is_rarer_than_any_and_one_run_is_the_rate(runs in 1..40u32, passed in 0..40u32, k in 1..40u32) {
            prop_assume!(passed <= runs && k <= runs);
            let (any, all) = (pass_at_k(passed, runs, k).unwrap(), pass_all_k(passed, runs, k).unwrap());
            prop_assert!((0.0..=1.0).contains(&any) && (0.0..=1.0).contains(&all) && all <= any + 1e-12);
            let rate = f64::from(passed) / f64::from(runs);
            prop_assert!((pass_at_k(passed, runs, 1).unwrap() - rate).abs() < 1e-12);
            prop_assert!((pass_all_k(passed, runs, 1).unwrap() - rate).abs() < 1e-12);
        }
    }
}
