//! The normal distribution.

/// The value below which a standard normal variable lies with this probability: algorithm AS 241
/// (Wichura 1988), good to about 1 in 10^16. `None` outside of the open interval from 0 to 1.
///
/// ```
/// let z = opik_evals::statistics::normal_quantile(0.975).ok_or("no probability")?;
/// assert!((z - 1.959_963_984_540_054).abs() < 1e-12);
/// # Ok::<(), &str>(())
/// ```
#[must_use]
pub fn normal_quantile(probability: f64) -> Option<f64> {
    if !(probability > 0.0 && probability < 1.0) {
        return None;
    }
    let q = probability - 0.5;
    if q.abs() <= 0.425 {
        let r = 0.180_625 - q * q;
        return Some(q * ratio(r, &CENTRE));
    }
    let tail = if q < 0.0 {
        probability
    } else {
        1.0 - probability
    };
    let r = (-tail.ln()).sqrt();
    let value = if r <= 5.0 {
        ratio(r - 1.6, &MIDDLE)
    } else {
        ratio(r - 5.0, &FAR)
    };
    Some(if q < 0.0 { -value } else { value })
}

/// Coefficients of a numerator and a denominator, the highest power first.
struct Ratio([f64; 8], [f64; 8]);

fn ratio(x: f64, of: &Ratio) -> f64 {
    let horner = |coefficients: &[f64; 8]| coefficients.iter().fold(0.0, |sum, c| sum * x + c);
    horner(&of.0) / horner(&of.1)
}

static CENTRE: Ratio = Ratio(
    [
        2.509_080_928_730_122_6e3,
        3.343_057_558_358_813e4,
        6.726_577_092_700_87e4,
        4.592_195_393_154_987e4,
        1.373_169_376_550_946e4,
        1.971_590_950_306_551_4e3,
        1.331_416_678_917_843_7e2,
        3.387_132_872_796_366_5,
    ],
    [
        5.226_495_278_852_854e3,
        2.872_908_573_572_194_3e4,
        3.930_789_580_009_271e4,
        2.121_379_430_158_659_7e4,
        5.394_196_021_424_751e3,
        6.871_870_074_920_579e2,
        4.231_333_070_160_091e1,
        1.0,
    ],
);

static MIDDLE: Ratio = Ratio(
    [
        7.745_450_142_783_414e-4,
        2.272_384_498_926_918_4e-2,
        2.417_807_251_774_506e-1,
        1.270_458_252_452_368_4,
        3.647_848_324_763_204_5,
        5.769_497_221_460_691,
        4.630_337_846_156_546,
        1.423_437_110_749_683_5,
    ],
    [
        1.050_750_071_644_416_9e-9,
        5.475_938_084_995_345e-4,
        1.519_866_656_361_645_7e-2,
        1.481_039_764_274_800_8e-1,
        6.897_673_349_851e-1,
        1.676_384_830_183_803_8,
        2.053_191_626_637_759,
        1.0,
    ],
);

static FAR: Ratio = Ratio(
    [
        2.010_334_399_292_288_1e-7,
        2.711_555_568_743_487_6e-5,
        1.242_660_947_388_078_4e-3,
        2.653_218_952_657_612_4e-2,
        2.965_605_718_285_048_7e-1,
        1.784_826_539_917_291_3,
        5.463_784_911_164_114,
        6.657_904_643_501_103,
    ],
    [
        2.044_263_103_389_939_8e-15,
        1.421_511_758_316_446e-7,
        1.846_318_317_510_054_8e-5,
        7.868_691_311_456_133e-4,
        1.487_536_129_085_061_5e-2,
        1.369_298_809_227_358e-1,
        5.998_322_065_558_88e-1,
        1.0,
    ],
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_odd_about_one_half_and_has_no_value_outside() {
        assert_eq!(normal_quantile(0.5), Some(0.0));
        for p in [1e-12, 1e-4, 0.01, 0.074, 0.2, 0.4] {
            let (low, high) = (
                normal_quantile(p).unwrap(),
                normal_quantile(1.0 - p).unwrap(),
            );
            // 1 - p is not exact for small p.
            assert!((low + high).abs() < 1e-4 && low < 0.0, "{p}: {low} {high}");
        }
        for p in [0.0, 1.0, -0.1, 1.1, f64::NAN] {
            assert_eq!(normal_quantile(p), None);
        }
    }
}
