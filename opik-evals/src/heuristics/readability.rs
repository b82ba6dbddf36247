//! Readability by Flesch's formulas (Flesch 1948, Kincaid et al. 1975), as `textstat` 0.7.13 counts.

mod ascii;
mod syllables;

use super::runs::is_ascii;
use super::words::{is_blank, is_letter_or_number, is_space};
use crate::{Case, Metric, MetricError, Score};

const NAME: &str = "readability_metric";

/// How easily English text is read: Flesch's reading ease from 0 to 100, divided by 100 and cut off at
/// both ends. High is easy.
///
/// A sentence ends with `.`, `!` or `?`; those of at most two words are not counted, but one sentence
/// is. Words are what white space separates, without punctuation. Syllables are those of the CMU
/// Pronouncing Dictionary (1.1.3), and of other words the parts that the hyphenation patterns of
/// LibreOffice see.
///
/// With [`bounds`](Self::bounds) the score is 1 when the Flesch-Kincaid grade, about the years of
/// school that it takes, is within them, and 0 otherwise.
///
/// ```
/// use opik_evals::heuristics::Readability;
/// use opik_evals::{Case, Metric};
///
/// let case = Case::new("The readability of this paragraph is approximately intermediate.");
/// let easy = Readability::new().score(&case)?.value();
/// let plain = Readability::new().score(&Case::new("The cat sat on the mat."))?.value();
/// assert!(easy < 0.1 && plain == 1.0);
/// # Ok::<(), opik_evals::MetricError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Readability {
    least: Option<f64>,
    most: Option<f64>,
    enforced: bool,
}

impl Readability {
    /// The metric without bounds.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Scores 1 or 0: whether the Flesch-Kincaid grade is from one number to the other, where there
    /// are any.
    #[must_use]
    pub fn bounds(mut self, least: Option<f64>, most: Option<f64>) -> Self {
        (self.least, self.most, self.enforced) = (least, most, true);
        self
    }
}

impl Metric for Readability {
    fn name(&self) -> &str {
        NAME
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        let text = case.text("output")?;
        if is_blank(text) {
            return Err(MetricError::input("the output is blank"));
        }
        let text = text.trim_matches(is_space);
        let counts = Counts::of(text);
        if counts.words == 0 {
            return Err(MetricError::input("the output has no words"));
        }
        let (ease, grade) = counts.flesch();
        if self.enforced {
            let within = self.least.is_none_or(|least| grade >= least)
                && self.most.is_none_or(|most| grade <= most);
            let value = f64::from(u8::from(within));
            let reason = format!("Flesch-Kincaid grade {grade:.2}");
            return Ok(Score::fixed(NAME, value).because(reason));
        }
        let reason = format!("Flesch reading ease {ease:.2}, Flesch-Kincaid grade {grade:.2}");
        Ok(Score::fixed(NAME, ease.clamp(0.0, 100.0) / 100.0).because(reason))
    }
}

/// What the formulas stand on.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    sentences: usize,
    words: usize,
    syllables: usize,
}

impl Counts {
    fn of(text: &str) -> Self {
        if is_ascii(text) {
            return ascii::counts(text);
        }
        Self::of_letters(text)
    }

    /// The counts of any text, letter by letter.
    fn of_letters(text: &str) -> Self {
        let mut counts = Self {
            sentences: sentences(text),
            words: 0,
            syllables: 0,
        };
        each_word(text, &mut String::new(), |word| {
            counts.words += 1;
            if word.is_ascii() {
                word.make_ascii_lowercase();
            } else {
                *word = word.to_lowercase();
            }
            counts.syllables += syllables::of(word);
        });
        counts
    }

    /// The reading ease and the grade.
    #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
    fn flesch(&self) -> (f64, f64) {
        let words = self.words as f64 / self.sentences as f64;
        let syllables = self.syllables as f64 / self.words as f64;
        if syllables == 0.0 {
            return (0.0, 0.0);
        }
        (
            206.835 - 1.015 * words - 84.6 * syllables,
            (0.39 * words) + (11.8 * syllables) - 15.59,
        )
    }
}

/// Python's `\w`: `str.isalnum` or `_`. Combining marks are none, unlike in Rust's tables.
fn is_word(c: char) -> bool {
    c == '_' || is_letter_or_number(c)
}

/// Whether a contraction goes on behind an apostrophe.
fn contracts(after: &str) -> bool {
    after.starts_with(['t', 's', 'd'])
        || ["ve", "ll", "re"].iter().any(|end| after.starts_with(end))
}

/// The words between white space, without punctuation but for apostrophes of contractions. What is
/// nothing but punctuation is none.
fn each_word(text: &str, word: &mut String, mut call: impl FnMut(&mut String)) {
    word.clear();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if is_space(c) {
            if !word.is_empty() {
                call(word);
                word.clear();
            }
        } else if is_word(c) || (c == '\'' && contracts(rest.as_str())) {
            word.push(c);
        }
    }
    if !word.is_empty() {
        call(word);
    }
}

/// Sentences of more than two words; at least 1. One begins where a word begins or ends, and has at
/// least one letter that ends none.
fn sentences(text: &str) -> usize {
    let is_end = |c: char| matches!(c, '.' | '!' | '?');
    let mut count = 0;
    let mut rest = text;
    let mut before = false;
    let mut word = String::new();
    loop {
        // Where the next one begins.
        let mut chars = rest.chars();
        let begin = loop {
            let from = chars.as_str();
            let Some(c) = chars.next() else {
                return count.max(1);
            };
            let now = is_word(c);
            if now != before && !is_end(c) {
                break from;
            }
            before = now;
        };
        let body = begin.find(is_end).unwrap_or(begin.len());
        let (body, after) = begin.split_at_checked(body).unwrap_or((begin, ""));
        let mut words = 0;
        each_word(body, &mut word, |_| words += 1);
        count += usize::from(words > 2);
        rest = after.trim_start_matches(is_end);
        // What ends a sentence is no part of a word; without an end there is nothing left.
        before = false;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;
    use serde_json::Value;

    #[test]
    fn texts_are_counted_as_the_python_sdk_counts_them() {
        let packed = &include_bytes!("../../tests/fixtures/readability.jsonl.gz")[..];
        let mut rows = String::new();
        flate2::read::GzDecoder::new(packed)
            .read_to_string(&mut rows)
            .unwrap();
        let mut checked = 0;
        for row in rows.lines() {
            let row: Value = serde_json::from_str(row).unwrap();
            let text = row["text"].as_str().unwrap();
            let case = Case::new(text);
            let found = Readability::new().score(&case);
            checked += 1;
            if row.get("error").is_some() {
                assert!(found.is_err(), "{text:?}");
                continue;
            }
            let number = |name: &str| usize::try_from(row[name].as_u64().unwrap()).unwrap();
            let expected = Counts {
                sentences: number("sentences"),
                words: number("words"),
                syllables: number("syllables"),
            };
            assert_eq!(
                Counts::of(text.trim_matches(is_space)),
                expected,
                "{text:?}"
            );
            let difference = found.unwrap().value() - row["score"].as_f64().unwrap();
            assert!(difference.abs() < 1e-9, "{text:?}");
            let bounded = Readability::new().bounds(Some(3.0), Some(9.0));
            assert_eq!(
                bounded.score(&case).unwrap().value(),
                row["bounded"].as_f64().unwrap()
            );
        }
        assert_eq!(checked, 600);
    }
}
