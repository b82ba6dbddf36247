//! Everything that a model was told, taken apart: its words with a digit and its numbers.

use std::collections::HashSet;

use super::head;
use super::number::{Numbers, Quantity};
use super::words::{Word, words};
use crate::finding;

/// What stands in texts and findings.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    /// Words with a digit, in lower case.
    words: HashSet<String>,
    numbers: Numbers,
}

impl Told {
    /// Adds texts, and the numbers of findings.
    pub(super) fn add<'a>(
        &mut self,
        texts: impl IntoIterator<Item = &'a str>,
        numbers: impl IntoIterator<Item = &'a finding::Quantity>,
    ) {
        for text in texts {
            self.collect(head(text));
        }
        for number in numbers {
            self.numbers.add_quantity(number);
        }
        self.numbers.sort();
    }

    fn collect(&mut self, text: &str) {
        let all: Vec<Word<'_>> = words(text).collect();
        for (place, word) in all.iter().enumerate() {
            if !word.has_digit() {
                continue;
            }
            let is_lower = |byte: u8| byte.is_ascii() && !byte.is_ascii_uppercase();
            if !word.text.bytes().all(is_lower) {
                self.words.insert(word.text.to_lowercase());
            } else if !self.words.contains(word.text) {
                self.words.insert(word.text.to_owned());
            }
            let before = place.checked_sub(1).and_then(|place| all.get(place));
            let after = all.get(place + 1..).unwrap_or_default();
            self.numbers.add_word(before, word, after);
        }
    }

    /// Whether any number can be written like this.
    pub(super) fn has(&self, wanted: &Quantity) -> bool {
        self.numbers.has(wanted)
    }

    /// Whether a word stands in what the model was told, as it is written. Plain numbers do not
    /// count: what they stand for is looked up with their unit.
    pub(super) fn has_word(&self, word: &str) -> bool {
        let is_plain = word
            .chars()
            .all(|letter| letter.is_ascii_digit() || matches!(letter, '.' | ','));
        !is_plain && self.words.contains(&word.to_lowercase())
    }
}
