//! What BLEU does about orders without a match.

use std::str::FromStr;

use crate::MetricError;

/// How BLEU smooths orders without a match (Chen and Cherry 2014), by NLTK's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Smoothing {
    /// `method0`: not at all; the score is next to 0 when an order has no match.
    Off,
    /// `method1`: 0.1 matches instead of none.
    #[default]
    Epsilon,
    /// `method2`: one more match and one more gram, from order 2 on (Lin and Och 2004).
    AddOne,
    /// `method3`: 1/2, 1/4, 1/8 ... matches instead of none (NIST).
    Geometric,
    /// `method4`: as `method3`, less for shorter outputs.
    GeometricByLength,
    /// `method5`: the mean of the order and its neighbours.
    Average,
    /// `method7`: `method4`, then `method5`.
    GeometricAverage,
}

impl FromStr for Smoothing {
    type Err = MetricError;

    /// From NLTK's name. `method6` is not there: it fails for outputs with few matches.
    fn from_str(name: &str) -> Result<Self, MetricError> {
        Ok(match name {
            "method0" => Self::Off,
            "method1" => Self::Epsilon,
            "method2" => Self::AddOne,
            "method3" => Self::Geometric,
            "method4" => Self::GeometricByLength,
            "method5" => Self::Average,
            "method7" => Self::GeometricAverage,
            _ => {
                return Err(MetricError::parameter(
                    "the smoothing is one of method0 to method5 and method7",
                ));
            }
        })
    }
}

impl Smoothing {
    pub(super) fn reads_fifth_order(self) -> bool {
        matches!(self, Self::Average | Self::GeometricAverage)
    }

    /// The smoothed precisions of orders 1, 2, ... from matches and grams.
    pub(super) fn apply(self, counts: &[(f64, f64)], length: f64, fifth: f64) -> Vec<f64> {
        match self {
            Self::Off => fill(counts, |_, _| f64::MIN_POSITIVE),
            Self::Epsilon => fill(counts, |total, _| 0.1 / total),
            Self::AddOne => counts
                .iter()
                .enumerate()
                .map(|(i, (hits, total))| match i {
                    0 => hits / total,
                    _ => (hits + 1.0) / (total + 1.0),
                })
                .collect(),
            Self::Geometric => fill(counts, |total, power| 1.0 / (power * total)),
            Self::GeometricByLength => by_length(counts, length),
            Self::Average => average(&fill(counts, |_, _| 0.0), fifth),
            Self::GeometricAverage => average(&by_length(counts, length), fifth),
        }
    }
}

/// Precisions, where orders without a match get a value from their grams and the power of two of
/// how many of them there were.
fn fill(counts: &[(f64, f64)], missing: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let mut power = 1.0;
    counts
        .iter()
        .map(|(hits, total)| {
            if *hits == 0.0 {
                power *= 2.0;
                missing(*total, power)
            } else {
                hits / total
            }
        })
        .collect()
}

fn by_length(counts: &[(f64, f64)], length: f64) -> Vec<f64> {
    const K: f64 = 5.0;
    fill(counts, |total, power| {
        if length > 1.0 {
            length.ln() / (power * K) / total
        } else {
            0.0
        }
    })
}

fn average(precisions: &[f64], fifth: f64) -> Vec<f64> {
    let mut before = precisions.first().copied().unwrap_or(0.0) + 1.0;
    let after = precisions.iter().skip(1).chain(std::iter::once(&fifth));
    precisions
        .iter()
        .zip(after)
        .map(|(own, after)| {
            before = (before + own + after) / 3.0;
            before
        })
        .collect()
}
