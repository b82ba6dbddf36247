//! BLEU of one text and of a corpus, as NLTK computes it.

mod smoothing;

use serde_json::Value;

const SENTENCE_NAME: &str = "sentence_bleu_metric";
const CORPUS_NAME: &str = "corpus_bleu_metric";

pub use smoothing::Smoothing;

use super::ngrams::{Ngrams, overlap, real};
use super::words;
use crate::metric::value_texts;
use crate::{Case, Metric, MetricError, Score};

/// The settings that both BLEU metrics share: orders, weights and smoothing.
///
/// BLEU (Papineni et al. 2002) is bp · exp(Σ wₙ ln pₙ), where pₙ is the share of the output's
/// n-grams that a reference has, each at most as often as there, and bp = exp(1 - r/c) punishes an
/// output of c words that is shorter than the closest reference of r words. Words are those of
/// `lower().split()`. Orders longer than the output are left out and the weights of the others
/// scaled to 1.
#[derive(Debug, Clone)]
pub struct Bleu {
    weights: Vec<f64>,
    smoothing: Smoothing,
}

impl Default for Bleu {
    fn default() -> Self {
        Self {
            weights: vec![0.25; 4],
            smoothing: Smoothing::default(),
        }
    }
}

impl Bleu {
    /// Orders 1 to 4 of equal weight, smoothed by [`Smoothing::Epsilon`].
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Orders 1 to `orders` of equal weight.
    ///
    /// # Errors
    ///
    /// [`Parameter`](crate::MetricErrorKind::Parameter) for 0 and for more than 1,000.
    pub fn orders(mut self, orders: usize) -> Result<Self, MetricError> {
        if orders == 0 || orders > 1_000 {
            return Err(MetricError::parameter("BLEU takes orders from 1 to 1000"));
        }
        self.weights = vec![1.0 / real(orders); orders];
        Ok(self)
    }

    /// One order for each weight.
    ///
    /// # Errors
    ///
    /// [`Parameter`](crate::MetricErrorKind::Parameter) when a weight is negative or they do not sum
    /// to 1.
    pub fn weights(mut self, weights: impl Into<Vec<f64>>) -> Result<Self, MetricError> {
        let weights = weights.into();
        let sum: f64 = weights.iter().sum();
        if weights.iter().any(|weight| *weight < 0.0) || !(1.0 - 1e-6..=1.0 + 1e-6).contains(&sum) {
            return Err(MetricError::parameter(
                "the weights are not from 0 on, or do not sum to 1",
            ));
        }
        self.weights = weights;
        Ok(self)
    }

    /// How orders without a match are smoothed.
    #[must_use]
    pub fn smoothing(mut self, smoothing: Smoothing) -> Self {
        self.smoothing = smoothing;
        self
    }

    /// The metric of one text.
    #[must_use]
    pub fn sentence(self) -> SentenceBleu {
        SentenceBleu(self)
    }

    /// The metric of a corpus.
    #[must_use]
    pub fn corpus(self) -> CorpusBleu {
        CorpusBleu(self)
    }

    fn compute(&self, pairs: &[(&str, Vec<&str>)]) -> f64 {
        let mut pairs: Vec<Pair> = pairs.iter().map(|(a, b)| Pair::new(a, b)).collect();
        let longest = pairs.iter().map(|pair| pair.words).max().unwrap_or(0);
        let used = self.weights.get(..longest).unwrap_or(&self.weights);
        let length: usize = pairs.iter().map(|pair| pair.words).sum();
        let closest: usize = pairs.iter().map(|pair| pair.closest).sum();

        let mut precisions = Vec::with_capacity(used.len());
        for order in 1..=used.len() {
            let (mut hits, mut total) = (0, 0);
            for pair in &mut pairs {
                let (h, t) = pair.precision(order);
                hits += h;
                total += t;
            }
            precisions.push((real(hits), real(total)));
        }
        if precisions.first().is_none_or(|(hits, _)| *hits == 0.0) {
            return 0.0;
        }
        // NLTK takes the next order of averages from the last text alone, and always order 5.
        let fifth = if self.smoothing.reads_fifth_order() {
            pairs.last_mut().map_or(0.0, |pair| {
                let (hits, total) = pair.precision_at(5, used.len());
                real(hits) / real(total)
            })
        } else {
            0.0
        };
        let smoothed = self.smoothing.apply(&precisions, real(length), fifth);
        let sum: f64 = used.iter().sum();
        let scale = if sum == 0.0 { 1.0 } else { sum };
        let logs: f64 = used
            .iter()
            .zip(&smoothed)
            .filter(|(_, p)| **p > 0.0)
            .map(|(weight, p)| weight / scale * p.ln())
            .sum();
        let penalty = if length > closest {
            1.0
        } else {
            (1.0 - real(closest) / real(length)).exp()
        };
        penalty * logs.exp()
    }
}

/// An output and its references as numbered grams; the output is sequence 0.
struct Pair {
    grams: Ngrams,
    references: usize,
    words: usize,
    closest: usize,
    order: usize,
}

impl Pair {
    fn new(output: &str, references: &[&str]) -> Self {
        let texts: Vec<String> = std::iter::once(output)
            .chain(references.iter().copied())
            .map(str::to_lowercase)
            .collect();
        let grams = Ngrams::new(texts.iter().map(|text| words::split(text).collect()));
        let words = grams.total(0);
        let closest = (1..=references.len())
            .map(|reference| grams.total(reference))
            .min_by_key(|length| (length.abs_diff(words), *length))
            .unwrap_or(0);
        Self {
            grams,
            references: references.len(),
            words,
            closest,
            order: 1,
        }
    }

    /// Matches and grams of an order, which must not be below the last one asked for.
    fn precision(&mut self, order: usize) -> (usize, usize) {
        while self.order < order {
            self.grams.advance();
            self.order += 1;
        }
        let counts = self.grams.counts(0);
        let mut most = vec![0; counts.len()];
        for reference in 1..=self.references {
            for (best, count) in most.iter_mut().zip(self.grams.counts(reference)) {
                *best = count.max(*best);
            }
        }
        (overlap(&counts, &most), self.grams.total(0).max(1))
    }

    /// As [`precision`](Self::precision) for any order when `reached` orders were counted.
    fn precision_at(&mut self, order: usize, reached: usize) -> (usize, usize) {
        if reached > order {
            self.grams.restart();
            self.order = 1;
        }
        self.precision(order)
    }
}

/// BLEU of one text against one or more references, from 0 to 1. See [`Bleu`] for the formula.
#[derive(Debug, Clone, Default)]
pub struct SentenceBleu(Bleu);

impl SentenceBleu {
    /// Orders 1 to 4 of equal weight; [`Bleu::sentence`] for others.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Metric for SentenceBleu {
    fn name(&self) -> &str {
        SENTENCE_NAME
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        let output = case.text("output")?;
        words::not_blank(output, "output")?;
        let references = case.texts("reference")?;
        words::none_blank(&references)?;
        Ok(Score::fixed(
            SENTENCE_NAME,
            self.0.compute(&[(output, references)]),
        ))
    }
}

/// BLEU of a list of outputs against a list of references, from 0 to 1: matches and lengths are
/// summed over the texts before they are divided. A reference is a text or a list of texts. See
/// [`Bleu`] for the formula.
#[derive(Debug, Clone, Default)]
pub struct CorpusBleu(Bleu);

impl CorpusBleu {
    /// Orders 1 to 4 of equal weight; [`Bleu::corpus`] for others.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Metric for CorpusBleu {
    fn name(&self) -> &str {
        CORPUS_NAME
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        let (Value::Array(outputs), Value::Array(references)) =
            (case.require("output")?, case.require("reference")?)
        else {
            return Err(MetricError::input(
                "corpus BLEU takes a list of outputs and a list of references",
            ));
        };
        if outputs.len() != references.len() {
            return Err(MetricError::input(
                "there are not as many outputs as references",
            ));
        }
        if outputs.is_empty() {
            return Err(MetricError::input("there are no outputs"));
        }
        let mut pairs = Vec::with_capacity(outputs.len());
        for (output, reference) in outputs.iter().zip(references) {
            let Value::String(output) = output else {
                return Err(MetricError::input("an output is not text"));
            };
            words::not_blank(output, "output")?;
            let texts = value_texts(reference, "reference")?;
            words::none_blank(&texts)?;
            pairs.push((output.as_str(), texts));
        }
        Ok(Score::fixed(CORPUS_NAME, self.0.compute(&pairs)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_of_the_closest_length_counts_and_of_two_the_shorter() {
        let words = Bleu::new().orders(1).unwrap().sentence();
        let score = |references: [&str; 2]| {
            let case = Case::new("a a a a a").with_reference(references.to_vec());
            words.score(&case).unwrap().value()
        };
        let six = "a a a a a a";
        assert!((score([six, "a a"]) - (-0.2_f64).exp()).abs() < 1e-12);
        assert_eq!(score([six, "a a a a"]), 1.0);
    }
}
