//! The counts of a text of ASCII, word by word.

use super::{Counts, contracts, syllables};
use crate::heuristics::runs;

/// What the general way counts, for a text that is ASCII.
pub(super) fn counts(text: &str) -> Counts {
    let lower = text.to_ascii_lowercase();
    let mut sentences = Sentences::default();
    let mut words = Words::default();
    let mut runs = runs::words(&lower);
    let mut before = 0;
    while let Some((start, end)) = runs.next_place() {
        let gap = text.get(before..start).unwrap_or_default();
        if gap == " " {
            words.end();
            sentences.in_word = false;
        } else {
            for (at, byte) in gap.bytes().enumerate() {
                match byte {
                    b'\t'..=b'\r' | 0x1c..=b' ' => {
                        words.end();
                        sentences.in_word = false;
                    }
                    b'.' | b'!' | b'?' => sentences.end(),
                    b'\'' if contracts(text.get(before + at + 1..).unwrap_or_default()) => {
                        words.push("'");
                    }
                    _ => {}
                }
            }
        }
        words.push(lower.get(start..end).unwrap_or_default());
        sentences.word();
        before = end;
    }
    words.end();
    sentences.end();
    Counts {
        sentences: sentences.count.max(1),
        words: words.count,
        syllables: words.syllables,
    }
}

/// Words are what is between white space, without punctuation.
#[derive(Default)]
struct Words<'a> {
    count: usize,
    syllables: usize,
    /// The word as it is so far: most are of one part.
    first: &'a str,
    /// The word when it is of several.
    joined: String,
}

impl<'a> Words<'a> {
    fn push(&mut self, part: &'a str) {
        if self.first.is_empty() {
            self.first = part;
            return;
        }
        if self.joined.is_empty() {
            self.joined.push_str(self.first);
        }
        self.joined.push_str(part);
    }

    fn end(&mut self) {
        if self.first.is_empty() {
            return;
        }
        self.count += 1;
        self.syllables += if self.joined.is_empty() {
            syllables::of(self.first)
        } else {
            syllables::of(&self.joined)
        };
        self.first = "";
        self.joined.clear();
    }
}

/// Sentences are what is between their ends, when it has more than two words.
#[derive(Default)]
struct Sentences {
    count: usize,
    words: usize,
    in_word: bool,
}

impl Sentences {
    fn word(&mut self) {
        self.words += usize::from(!self.in_word);
        self.in_word = true;
    }

    fn end(&mut self) {
        self.count += usize::from(self.words > 2);
        self.words = 0;
        self.in_word = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against the way of any text.
        #[test]
        fn counts_are_those_of_the_general_way(
            text in "([a-cTS' .!?,-]|'t|'ll|'VE|\\t| the | 3\\.5|_){0,40}|[\\x00-\\x7f]{0,60}",
        ) {
            prop_assert_eq!(counts(&text), Counts::of_letters(&text), "{:?}", text);
        }
    }
}
