//! Several questions at once.

/// Probabilities corrected for the number of questions by Holm's method (1979), in the order in
/// which they were given. The chance of any false alarm stays below the level at which they are
/// read.
///
/// ```
/// let corrected = opik_evals::statistics::holm(&[0.01, 0.04, 0.03]);
/// assert_eq!(corrected, [0.03, 0.06, 0.06]);
/// ```
#[must_use]
pub fn holm(probabilities: &[f64]) -> Vec<f64> {
    let mut order: Vec<(usize, f64)> = probabilities.iter().copied().enumerate().collect();
    order.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    let mut left = probabilities.len() as f64;
    let mut floor = 0.0_f64;
    let mut corrected = probabilities.to_vec();
    for (index, probability) in order {
        floor = floor.max((probability * left).min(1.0));
        left -= 1.0;
        if let Some(place) = corrected.get_mut(index) {
            *place = floor;
        }
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn correction_never_lowers_and_keeps_the_order(ps in prop::collection::vec(0.0..=1.0f64, 0..20)) {
            let corrected = holm(&ps);
            prop_assert_eq!(corrected.len(), ps.len());
            for (i, (p, c)) in ps.iter().zip(&corrected).enumerate() {
                prop_assert!(c >= p && *c <= 1.0);
                for (q, d) in ps.iter().zip(&corrected).skip(i) {
                    prop_assert!((p <= q) <= (c <= d) || p == q);
                }
            }
        }
    }
}
