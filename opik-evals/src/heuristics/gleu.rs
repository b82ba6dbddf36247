//! GLEU of one text.

use super::ngrams::{Ngrams, real};
use super::words;
use crate::{Case, Metric, MetricError, Score};

const NAME: &str = "gleu_metric";

/// Google's BLEU (Wu et al. 2016), from 0 to 1: the smaller of precision and recall over all
/// n-grams of orders 1 to 4 together, of the best reference. Words are those of `split()`; unlike
/// BLEU's, their case matters.
#[derive(Debug, Clone)]
pub struct Gleu {
    shortest: usize,
    longest: usize,
}

impl Default for Gleu {
    fn default() -> Self {
        Self {
            shortest: 1,
            longest: 4,
        }
    }
}

impl Gleu {
    /// Orders 1 to 4.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The shortest and the longest order.
    ///
    /// # Errors
    ///
    /// [`Parameter`](crate::MetricErrorKind::Parameter) for order 0, and when the shortest is the
    /// longer one.
    pub fn orders(mut self, shortest: usize, longest: usize) -> Result<Self, MetricError> {
        if shortest == 0 || longest < shortest {
            return Err(MetricError::parameter(
                "GLEU takes orders from 1 on, the shortest first",
            ));
        }
        (self.shortest, self.longest) = (shortest, longest);
        Ok(self)
    }
}

impl Metric for Gleu {
    fn name(&self) -> &str {
        NAME
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        let output = case.text("output")?;
        words::not_blank(output, "output")?;
        let references = case.texts("reference")?;
        words::none_blank(&references)?;

        let texts = std::iter::once(output).chain(references.iter().copied());
        let mut grams = Ngrams::new(texts.map(|text| words::split(text).collect()));
        let most = (0..=references.len()).map(|i| grams.total(i)).max();
        let mut written = 0;
        let mut tallies = vec![(0, 0); references.len()];
        for order in 1..=self.longest.min(most.unwrap_or(0)) {
            if order > 1 {
                grams.advance();
            }
            if order < self.shortest {
                continue;
            }
            written += grams.total(0);
            for (i, (common, expected)) in tallies.iter_mut().enumerate() {
                *common += grams.common(0, i + 1);
                *expected += grams.total(i + 1);
            }
        }
        let best = tallies
            .iter()
            .filter(|(_, expected)| written.max(*expected) > 0)
            .map(|(common, expected)| real(*common) / real(written.max(*expected)))
            .fold(0.0, f64::max);
        Ok(Score::fixed(NAME, best))
    }
}
