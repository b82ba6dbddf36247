//! What could have been seen at all.

use super::normal_quantile;

/// The smallest true difference of means that a comparison with this standard error finds with
/// probability `power`, when differences are called significant at `level` (two-sided):
/// (z(1 - level/2) + z(power)) · error. `None` for probabilities outside of the open interval 0
/// to 1.
///
/// An improvement below it may be real and go unseen: then more cases help, not another model.
#[must_use]
pub fn minimum_detectable_effect(standard_error: f64, level: f64, power: f64) -> Option<f64> {
    let (seen, found) = (normal_quantile(1.0 - level / 2.0)?, normal_quantile(power)?);
    Some((seen + found) * standard_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_textbook_factor_is_two_point_eight() {
        let effect = minimum_detectable_effect(1.0, 0.05, 0.8).unwrap();
        assert!((effect - 2.801_585).abs() < 1e-6, "{effect}");
        assert_eq!(minimum_detectable_effect(1.0, 0.05, 1.0), None);
    }
}
