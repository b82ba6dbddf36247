//! chrF of one text.

use super::ngrams::{Ngrams, real};
use super::words;
use crate::{Case, Metric, MetricError, Score};

const NAME: &str = "chrf_metric";

/// The F-score of letter n-grams (Popović 2015), from 0 to 1: the mean over orders 1 to 6 of
/// (1 + β²) · P · R / (β² · P + R), of the best reference. β is 2. White space does not count by
/// default, case does. An order that a text is too short for counts as 0.
#[derive(Debug, Clone)]
pub struct ChrF {
    beta: f64,
    orders: usize,
    ignore_whitespace: bool,
    lowercase: bool,
}

impl Default for ChrF {
    fn default() -> Self {
        Self {
            beta: 2.0,
            orders: 6,
            ignore_whitespace: true,
            lowercase: false,
        }
    }
}

impl ChrF {
    /// Orders 1 to 6, β 2, without white space, with case.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How much more recall counts than precision.
    ///
    /// # Errors
    ///
    /// [`Parameter`](crate::MetricErrorKind::Parameter) when it is negative or not finite, or its
    /// square is not finite.
    pub fn beta(mut self, beta: f64) -> Result<Self, MetricError> {
        if beta.is_sign_negative() || !(beta * beta).is_finite() {
            return Err(MetricError::parameter("beta is a number from 0 on"));
        }
        self.beta = beta;
        Ok(self)
    }

    /// Orders 1 to `orders`.
    ///
    /// # Errors
    ///
    /// [`Parameter`](crate::MetricErrorKind::Parameter) for 0.
    pub fn orders(mut self, orders: usize) -> Result<Self, MetricError> {
        if orders == 0 {
            return Err(MetricError::parameter("chrF takes at least order 1"));
        }
        self.orders = orders;
        Ok(self)
    }

    /// Whether white space is left out. Default: it is.
    #[must_use]
    pub fn ignore_whitespace(mut self, yes: bool) -> Self {
        self.ignore_whitespace = yes;
        self
    }

    /// Whether upper and lower case are the same. Default: they are not.
    #[must_use]
    pub fn lowercase(mut self, yes: bool) -> Self {
        self.lowercase = yes;
        self
    }

    fn letters(&self, text: &str) -> Vec<char> {
        let keep = |c: &char| !(self.ignore_whitespace && words::is_space(*c));
        if self.lowercase {
            text.to_lowercase().chars().filter(keep).collect()
        } else {
            text.chars().filter(keep).collect()
        }
    }

    fn f_score(&self, common: usize, written: usize, expected: usize) -> f64 {
        if common == 0 {
            return 0.0;
        }
        let precision = real(common) / real(written);
        let recall = real(common) / real(expected);
        let factor = self.beta * self.beta;
        (1.0 + factor) * (precision * recall) / (factor * precision + recall)
    }
}

impl Metric for ChrF {
    fn name(&self) -> &str {
        NAME
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        let output = case.text("output")?;
        words::not_blank(output, "output")?;
        let references = case.texts("reference")?;
        words::none_blank(&references)?;

        let texts = std::iter::once(output).chain(references.iter().copied());
        let mut grams = Ngrams::new(texts.map(|text| self.letters(text)));
        let mut sums = vec![0.0; references.len()];
        for order in 1..=self.orders.min(grams.total(0)) {
            if order > 1 {
                grams.advance();
            }
            for (i, sum) in sums.iter_mut().enumerate() {
                let common = grams.common(0, i + 1);
                *sum += self.f_score(common, grams.total(0), grams.total(i + 1));
            }
        }
        let best = sums.into_iter().fold(0.0, f64::max) / real(self.orders);
        Ok(Score::fixed(NAME, best))
    }
}
