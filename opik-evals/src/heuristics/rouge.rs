//! ROUGE of one text.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::str::FromStr;

use foldhash::{HashMap, HashMapExt};
use rapidfuzz::distance::lcs_seq;

use super::ngrams::{Ngrams, real};
use super::{porter, words};
use crate::{Case, Metric, MetricError, MetricErrorKind, Score};

const NAME: &str = "rouge_metric";

/// Which units of two texts ROUGE compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RougeKind {
    /// `rouge1`: words.
    #[default]
    One,
    /// `rouge2`: pairs of words.
    Two,
    /// `rougeL`: the longest common subsequence of words.
    Longest,
    /// `rougeLsum`: as `rougeL`, line by line, with the union of what the lines have in common.
    LongestByLine,
}

impl FromStr for RougeKind {
    type Err = MetricError;

    fn from_str(name: &str) -> Result<Self, MetricError> {
        match name {
            "rouge1" => Ok(Self::One),
            "rouge2" => Ok(Self::Two),
            "rougeL" => Ok(Self::Longest),
            "rougeLsum" => Ok(Self::LongestByLine),
            _ => Err(MetricError::parameter(
                "the kind of ROUGE is one of rouge1, rouge2, rougeL and rougeLsum",
            )),
        }
    }
}

/// F1 of what output and reference have in common (Lin 2004), from 0 to 1, of the best reference:
/// 2 · P · R / (P + R), where P is the share of the output and R that of the reference.
///
/// Words are runs of a to z and 0 to 9 after lower-casing, as in Google's `rouge-score`: texts in
/// other scripts have no words and score 0.
#[derive(Debug, Clone, Default)]
pub struct Rouge {
    kind: RougeKind,
    stem: bool,
}

/// The most cells of a table for two lines of `rougeLsum`, 64 MiB.
const MAX_CELLS: usize = 1 << 24;

impl Rouge {
    /// A metric of that kind, without stemming.
    #[must_use]
    pub fn new(kind: RougeKind) -> Self {
        Self { kind, stem: false }
    }

    /// Whether words of more than three letters are reduced to their stem (Porter 1980, with the
    /// extensions of NLTK). Default: they are not.
    #[must_use]
    pub fn stem(mut self, yes: bool) -> Self {
        self.stem = yes;
        self
    }

    fn words<'a>(&self, lower: &'a str) -> Vec<Cow<'a, str>> {
        lower
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(|word| match self.stem && word.len() > 3 {
                true => Cow::Owned(porter::stem(word)),
                false => Cow::Borrowed(word),
            })
            .collect()
    }

    fn f1(&self, output: &str, reference: &str) -> Result<f64, MetricError> {
        let (output, reference) = (output.to_lowercase(), reference.to_lowercase());
        if self.kind == RougeKind::LongestByLine {
            return self.by_line(&output, &reference);
        }
        let mut grams = Ngrams::new([self.words(&output), self.words(&reference)]);
        if self.kind == RougeKind::Two {
            grams.advance();
        }
        let common = match self.kind {
            RougeKind::Longest => lcs_seq::similarity(grams.symbols(0), grams.symbols(1)),
            _ => grams.common(0, 1),
        };
        Ok(f1(common, grams.total(0), grams.total(1)))
    }

    fn by_line(&self, output: &str, reference: &str) -> Result<f64, MetricError> {
        let written = output.split('\n').count();
        let lines = output.split('\n').chain(reference.split('\n'));
        let grams = Ngrams::new(lines.clone().map(|line| self.words(line)));
        let all: Vec<&[u32]> = (0..lines.count()).map(|i| grams.symbols(i)).collect();
        let (output, reference) = all.split_at(written.min(all.len()));

        // A word counts at most as often as the output has it; each place of the reference is seen
        // only once anyway.
        let mut left: HashMap<u32, usize> = HashMap::new();
        for word in output.iter().copied().flatten() {
            *left.entry(*word).or_insert(0) += 1;
        }
        let mut hits = 0;
        for expected in reference {
            let mut union = BTreeSet::new();
            for line in output {
                union.extend(common_places(expected, line)?);
            }
            for place in union {
                let left = expected.get(place).and_then(|word| left.get_mut(word));
                if let Some(left) = left.filter(|left| **left > 0) {
                    hits += 1;
                    *left -= 1;
                }
            }
        }
        let words = |lines: &[&[u32]]| lines.iter().map(|line| line.len()).sum();
        Ok(f1(hits, words(output), words(reference)))
    }
}

fn f1(common: usize, written: usize, expected: usize) -> f64 {
    if common == 0 {
        return 0.0;
    }
    let precision = real(common) / real(written);
    let recall = real(common) / real(expected);
    2.0 * precision * recall / (precision + recall)
}

/// The places in `expected` of one longest common subsequence. Of several it is the one that
/// `rouge-score` finds: from the end, a step in `expected` goes before one in `line`.
fn common_places(expected: &[u32], line: &[u32]) -> Result<Vec<usize>, MetricError> {
    let width = line.len() + 1;
    if (expected.len() + 1).saturating_mul(width) > MAX_CELLS {
        return Err(MetricError::new(
            MetricErrorKind::TooLarge,
            "two lines are too long to be compared by rougeLsum",
        ));
    }
    // One row for each word of `expected`, after a row of zeros.
    let mut rows: Vec<Vec<u32>> = Vec::with_capacity(expected.len() + 1);
    let mut above = vec![0; width];
    for word in expected {
        let mut row = Vec::with_capacity(width);
        let mut best = 0;
        row.push(best);
        for (other, pair) in line.iter().zip(above.windows(2)) {
            if let [diagonal, up] = pair {
                best = if word == other {
                    diagonal + 1
                } else {
                    best.max(*up)
                };
            }
            row.push(best);
        }
        rows.push(std::mem::replace(&mut above, row));
    }
    rows.push(above);

    let cell = |i: usize, j: usize| rows.get(i).and_then(|row| row.get(j)).copied();
    let (mut i, mut j) = (expected.len(), line.len());
    let mut places = Vec::new();
    while i > 0 && j > 0 {
        if expected.get(i - 1) == line.get(j - 1) {
            places.push(i - 1);
            i -= 1;
            j -= 1;
        } else if cell(i, j - 1) > cell(i - 1, j) {
            j -= 1;
        } else {
            i -= 1;
        }
    }
    Ok(places)
}

impl Metric for Rouge {
    fn name(&self) -> &str {
        NAME
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        let output = case.text("output")?;
        words::not_blank(output, "output")?;
        let references = case.texts("reference")?;
        words::none_blank(&references)?;
        let mut best: f64 = 0.0;
        for reference in references {
            best = best.max(self.f1(output, reference)?);
        }
        Ok(Score::fixed(NAME, best))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The table and the bit-parallel way find subsequences of equal length.
        #[test]
        fn a_common_subsequence_is_a_longest_one(
            a in prop::collection::vec(0_u32..4, 0..20),
            b in prop::collection::vec(0_u32..4, 0..20),
        ) {
            let places = common_places(&a, &b).unwrap();
            prop_assert_eq!(places.len(), lcs_seq::similarity(&a, &b));
        }
    }

    #[test]
    fn a_word_of_the_output_counts_once() {
        let case = Case::new("a").with_reference("a\na");
        let score = Rouge::new(RougeKind::LongestByLine).score(&case).unwrap();
        assert!((score.value() - 2.0 / 3.0).abs() < 1e-12);
    }

    #[test]
    fn of_two_longest_subsequences_the_first_in_the_reference_counts() {
        assert_eq!(common_places(&[0, 1], &[1, 0]).unwrap(), [0]);
    }

    #[test]
    fn a_table_that_would_not_fit_is_an_error() {
        let line = vec!["word"; 5_000].join(" ");
        let case = Case::new(line.clone()).with_reference(line);
        let score = |kind| Rouge::new(kind).score(&case);
        assert_eq!(
            score(RougeKind::LongestByLine).unwrap_err().kind(),
            MetricErrorKind::TooLarge
        );
        assert_eq!(score(RougeKind::Longest).unwrap().value(), 1.0);
    }
}
