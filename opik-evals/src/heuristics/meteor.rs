//! METEOR of one text, without synonyms.

use std::borrow::Cow;

use foldhash::{HashMap, HashMapExt};

use super::ngrams::real;
use super::{porter, words};
use crate::{Case, Metric, MetricError, Score};

const NAME: &str = "meteor_metric";

/// METEOR (Banerjee and Lavie 2005) without WordNet, from 0 to 1: words match when they are equal,
/// or else have the same stem.
///
/// The value is (1 - γ (c/m)^β) · P R / (α P + (1 - α) R) of the best reference, where m words match
/// in c runs, P is their share of the output and R that of the reference; α is 0.9, β 3 and γ 0.5.
/// The Python SDK also matches synonyms of WordNet, so texts with synonyms score lower here. Words
/// are those of `lower().split()`.
#[derive(Debug, Clone)]
pub struct Meteor {
    alpha: f64,
    beta: f64,
    gamma: f64,
}

impl Default for Meteor {
    fn default() -> Self {
        Self {
            alpha: 0.9,
            beta: 3.0,
            gamma: 0.5,
        }
    }
}

impl Meteor {
    /// With α 0.9, β 3 and γ 0.5.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The weight of recall, the exponent of fragmentation, and the most that fragmentation takes.
    ///
    /// # Errors
    ///
    /// [`Parameter`](crate::MetricErrorKind::Parameter) unless α and γ lie between 0 and 1 and β is
    /// a number from 0 on.
    pub fn weights(mut self, alpha: f64, beta: f64, gamma: f64) -> Result<Self, MetricError> {
        let share = 0.0..=1.0;
        if !share.contains(&alpha) || !share.contains(&gamma) || !(0.0..f64::MAX).contains(&beta) {
            return Err(MetricError::parameter(
                "METEOR takes alpha and gamma from 0 to 1 and beta from 0 on",
            ));
        }
        (self.alpha, self.beta, self.gamma) = (alpha, beta, gamma);
        Ok(self)
    }

    fn value(&self, output: &str, reference: &str) -> f64 {
        let (output, reference) = (words::lower(output), words::lower(reference));
        let mut written: Vec<_> = place(words::split(&output));
        let mut expected: Vec<_> = place(words::split(&reference));
        let lengths = (real(written.len()), real(expected.len()));

        let mut pairs = matches(&mut written, &mut expected);
        for (_, word) in written.iter_mut().chain(&mut expected) {
            *word = Cow::Owned(porter::stem(word));
        }
        pairs.append(&mut matches(&mut written, &mut expected));
        if pairs.is_empty() {
            return 0.0;
        }
        pairs.sort_unstable();
        let joints = pairs
            .iter()
            .zip(pairs.iter().skip(1))
            .filter(|(a, b)| a.0 + 1 == b.0 && a.1 + 1 == b.1)
            .count();

        let count = real(pairs.len());
        let (precision, recall) = (count / lengths.0, count / lengths.1);
        let mean = precision * recall / (self.alpha * precision + (1.0 - self.alpha) * recall);
        let fragments = (count - real(joints)) / count;
        (1.0 - self.gamma * fragments.powf(self.beta)) * mean
    }
}

type Placed<'a> = (usize, Cow<'a, str>);

fn place<'a>(words: impl Iterator<Item = &'a str>) -> Vec<Placed<'a>> {
    words.map(Cow::Borrowed).enumerate().collect()
}

/// Takes equal words out of both lists, from the last ones on, and returns their places.
fn matches(written: &mut Vec<Placed<'_>>, expected: &mut Vec<Placed<'_>>) -> Vec<(usize, usize)> {
    let mut places: HashMap<&str, Vec<usize>> = HashMap::with_capacity(expected.len());
    for (place, word) in expected.iter() {
        places.entry(word).or_default().push(*place);
    }
    let mut pairs = Vec::new();
    for (place, word) in written.iter().rev() {
        if let Some(other) = places.get_mut(word.as_ref()).and_then(Vec::pop) {
            pairs.push((*place, other));
        }
    }
    // The places of `written` were found in descending order; those of `expected` have to be sorted.
    let mut used: Vec<usize> = pairs.iter().map(|(_, other)| *other).collect();
    used.sort_unstable();
    expected.retain(|(place, _)| used.binary_search(place).is_err());
    written.retain(|(place, _)| pairs.binary_search_by(|(own, _)| place.cmp(own)).is_err());
    pairs
}

impl Metric for Meteor {
    fn name(&self) -> &str {
        NAME
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        let output = case.text("output")?;
        words::not_blank(output, "output")?;
        let references = case.texts("reference")?;
        words::none_blank(&references)?;
        let best = references
            .iter()
            .map(|reference| self.value(output, reference))
            .fold(0.0, f64::max);
        Ok(Score::fixed(NAME, best))
    }
}
