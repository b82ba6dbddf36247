//! How many syllables a word has.
//!
//! `hyphenation.dic.gz` holds the hyphenation patterns of American English and `syllables.tsv.gz` the
//! words of the CMU Pronouncing Dictionary whose number of syllables is not the number of parts that
//! the patterns see. Both are unpacked at first use, into a few MiB.
//! `tests/fixtures/syllables.py` makes them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Read as _;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use flate2::read::GzDecoder;

/// No hyphen stands this close to either end of a word.
const EDGE: usize = 2;

/// Words whose syllables a thread remembers; few texts have more different ones.
const REMEMBERED: usize = 10_000;
/// The longest word that is remembered, in bytes.
const SHORT: usize = 40;

thread_local! {
    static SEEN: RefCell<HashMap<Box<str>, usize, foldhash::fast::FixedState>> = RefCell::default();
}

/// The number of syllables of a word in lower case.
pub(super) fn of(word: &str) -> usize {
    static KNOWN: LazyLock<Known> = LazyLock::new(Known::read);
    static PATTERNS: LazyLock<Patterns> = LazyLock::new(Patterns::read);
    SEEN.with_borrow_mut(|seen| {
        if let Some(count) = seen.get(word) {
            return *count;
        }
        let known = KNOWN.0.get(word).copied();
        let count = known.map_or_else(|| PATTERNS.parts(word), usize::from);
        if seen.len() < REMEMBERED && word.len() <= SHORT {
            seen.insert(word.into(), count);
        }
        count
    })
}

/// Texts of this crate, which tests unpack.
fn unpacked(packed: &[u8]) -> String {
    let mut text = String::new();
    GzDecoder::new(packed)
        .read_to_string(&mut text)
        .unwrap_or_default();
    text
}

struct Known(HashMap<&'static str, u8, foldhash::fast::FixedState>);

impl Known {
    fn read() -> Self {
        static TEXT: LazyLock<String> =
            LazyLock::new(|| unpacked(include_bytes!("syllables.tsv.gz")));
        let rows = TEXT.lines().filter_map(|line| {
            let (word, count) = line.split_once('\t')?;
            Some((word, count.parse().ok()?))
        });
        Self(rows.collect())
    }
}

/// Patterns of letters with weights between them. An odd weight allows a hyphen; of several at one
/// place the highest counts (Liang 1983).
struct Patterns {
    letters: Option<AhoCorasick>,
    /// For each pattern the weights before its letters, and behind the last.
    weights: Vec<Vec<u8>>,
}

impl Patterns {
    fn read() -> Self {
        let text = unpacked(include_bytes!("hyphenation.dic.gz"));
        // Of two patterns of the same letters the last counts.
        let mut all: HashMap<String, Vec<u8>> = HashMap::new();
        for line in text.lines() {
            let mut letters = String::new();
            let mut weights = vec![0];
            for c in line.chars() {
                match (c.to_digit(10), weights.last_mut()) {
                    (Some(digit), Some(last)) => *last = u8::try_from(digit).unwrap_or(0),
                    _ => {
                        letters.push(c);
                        weights.push(0);
                    }
                }
            }
            if weights.iter().any(|weight| *weight > 0) {
                all.insert(letters, weights);
            }
        }
        let (letters, weights): (Vec<String>, Vec<Vec<u8>>) = all.into_iter().unzip();
        // Bounded by the file, so it is always made; without it a word is one part.
        let letters = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(&letters)
            .ok();
        Self { letters, weights }
    }

    /// The parts that hyphens may be put between.
    fn parts(&self, word: &str) -> usize {
        let Some(letters) = &self.letters else {
            return 1;
        };
        let marked = format!(".{word}.");
        let ascii = marked.is_ascii();
        let length = if ascii {
            marked.len()
        } else {
            marked.chars().count()
        };
        let mut places = vec![0_u8; length + 1];
        for found in letters.find_overlapping_iter(&marked) {
            let start = if ascii {
                found.start()
            } else {
                let before = marked.get(..found.start()).unwrap_or_default();
                before.chars().count()
            };
            let weights = self.weights.get(found.pattern().as_usize());
            for (place, weight) in places
                .iter_mut()
                .skip(start)
                .zip(weights.into_iter().flatten())
            {
                *place = (*place).max(*weight);
            }
        }
        // The first place of the word itself is behind the dot.
        let length = length - 2;
        let hyphens = places.iter().skip(1).enumerate().filter(|(at, weight)| {
            *weight % 2 == 1 && (EDGE..=length.saturating_sub(EDGE)).contains(at)
        });
        1 + hyphens.count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_read_whole() {
        assert_eq!(Known::read().0.len(), 48_237);
        assert!(Patterns::read().letters.is_some());
        for (word, count) in [
            ("readability", 5),
            ("jailbreak", 2),
            ("hm", 0),
            ("a", 1),
            ("", 1),
        ] {
            assert_eq!(of(word), count, "{word}");
        }
    }
}
