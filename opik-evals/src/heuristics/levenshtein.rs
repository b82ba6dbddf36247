//! Likeness of two texts, letter by letter.

use rapidfuzz::distance::indel;

use super::caseless;
use super::ngrams::real;
use crate::{Case, Metric, MetricError, Score};

const NAME: &str = "levenshtein_ratio_metric";

/// How alike output and reference are, letter by letter: 2 · LCS / (n + m), from 0 to 1.
///
/// The name is Opik's, the formula is the Indel similarity: insertions and deletions count, a
/// replacement is one of each. LCS is the longest common subsequence in code points. Two empty
/// texts are alike. Case is ignored by default. Time grows with the product of the lengths, divided
/// by 64; what both texts have in common at beginning and end costs next to nothing.
#[derive(Debug, Clone, Default)]
pub struct LevenshteinRatio {
    case_sensitive: bool,
}

impl LevenshteinRatio {
    /// A metric that ignores case.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether upper and lower case differ. Default: they do not.
    #[must_use]
    pub fn case_sensitive(mut self, yes: bool) -> Self {
        self.case_sensitive = yes;
        self
    }
}

impl Metric for LevenshteinRatio {
    fn name(&self) -> &str {
        NAME
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        let (output, reference) = (case.text("output")?, case.text("reference")?);
        // Letters of ASCII are their bytes.
        let value = if output.is_ascii() && reference.is_ascii() {
            ascii(
                output.as_bytes(),
                reference.as_bytes(),
                !self.case_sensitive,
            )
        } else if self.case_sensitive {
            indel::normalized_similarity(output.chars(), reference.chars())
        } else {
            let (output, reference) = (output.to_lowercase(), reference.to_lowercase());
            indel::normalized_similarity(output.chars(), reference.chars())
        };
        Ok(Score::fixed(NAME, value))
    }
}

/// The likeness of two texts of ASCII.
fn ascii(output: &[u8], reference: &[u8], ignore_case: bool) -> f64 {
    let total = output.len() + reference.len();
    let start = caseless::prefix(output, reference, ignore_case);
    let rest = |text| <[u8]>::get(text, start..).unwrap_or_default();
    let (one, other) = (rest(output), rest(reference));
    let end = caseless::suffix(one, other, ignore_case);
    let middle = |text| <[u8]>::get(text, ..<[u8]>::len(text) - end).unwrap_or_default();
    let (one, other) = (middle(one), middle(other));
    let (shorter, longer) = match one.len() <= other.len() {
        true => (one, other),
        false => (other, one),
    };
    let common = match shorter.len() {
        0 => 0,
        1..=64 => common::<u64>(shorter, longer, ignore_case),
        65..=128 => common::<u128>(shorter, longer, ignore_case),
        _ if ignore_case => {
            let (shorter, longer) = (shorter.to_ascii_lowercase(), longer.to_ascii_lowercase());
            let apart = indel::distance(shorter.iter().copied(), longer.iter().copied());
            (shorter.len() + longer.len() - apart) / 2
        }
        _ => {
            let apart = indel::distance(shorter.iter().copied(), longer.iter().copied());
            (shorter.len() + longer.len() - apart) / 2
        }
    };
    let apart = total - 2 * (start + end + common);
    if total == 0 {
        return 1.0;
    }
    1.0 - real(apart) / real(total)
}

/// A set of places in a text, one bit each.
trait Places: Copy + Default {
    fn insert(&mut self, place: usize);

    /// All that are in no set yet.
    fn all() -> Self;

    /// The next row of the table of the longest common subsequence, whose steps are the zeros, after
    /// a letter at these places (Hyyrö 2004).
    #[must_use]
    fn step(self, places: Self) -> Self;

    fn zeros(self) -> usize;
}

macro_rules! places {
    ($bits:ty) => {
        impl Places for $bits {
            #[inline]
            fn insert(&mut self, place: usize) {
                *self |= 1 << place;
            }

            #[inline]
            fn all() -> Self {
                Self::MAX
            }

            #[inline]
            fn step(self, places: Self) -> Self {
                self.wrapping_add(self & places) | (self & !places)
            }

            #[inline]
            fn zeros(self) -> usize {
                self.count_zeros() as usize
            }
        }
    };
}

places!(u64);
places!(u128);

/// The length of the longest common subsequence of two texts of ASCII, of which the first has a
/// bit for each letter.
fn common<P: Places>(short: &[u8], long: &[u8], ignore_case: bool) -> usize {
    let mut places = [P::default(); 128];
    let letter = |byte: &u8| {
        let byte = if ignore_case {
            byte.to_ascii_lowercase()
        } else {
            *byte
        };
        usize::from(byte & 0x7f)
    };
    for (place, byte) in short.iter().enumerate() {
        if let Some(places) = places.get_mut(letter(byte)) {
            places.insert(place);
        }
    }
    let next = |row: P, byte| row.step(places.get(letter(byte)).copied().unwrap_or_default());
    long.iter().fold(P::all(), next).zeros()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against the general way, to the last bit, over the lengths at which words are full.
        #[test]
        fn ascii_gets_the_scores_of_any_letters(
            shared in "[a-cA]{0,80}", one in "[a-cA-C]{0,150}", other in "[a-cA-C]{0,150}", end in "[ab]{0,80}",
        ) {
            let (one, other) = (format!("{shared}{one}{end}"), format!("{shared}{other}{end}"));
            for ignore_case in [true, false] {
                let fold = |text: &str| if ignore_case { text.to_lowercase() } else { text.to_owned() };
                let expected = indel::normalized_similarity(fold(&one).chars(), fold(&other).chars());
                prop_assert_eq!(ascii(one.as_bytes(), other.as_bytes(), ignore_case).to_bits(), expected.to_bits());
            }
        }
    }
}
