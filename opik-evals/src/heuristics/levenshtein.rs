//! Likeness of two texts, letter by letter.

use std::ops::BitOr;

use rapidfuzz::distance::indel;

use super::ngrams::real;
use super::{caseless, runs};
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
        let value = if runs::is_ascii(output) && runs::is_ascii(reference) {
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
    // A step for each letter of the one, a bit for each of the other: a step takes longer.
    let common = match (shorter.len(), longer.len()) {
        (0, _) => 0,
        (_, ..=64) => common::<u64>(longer, shorter, ignore_case),
        (..=64, _) => common::<u64>(shorter, longer, ignore_case),
        (_, ..=128) => common::<u128>(longer, shorter, ignore_case),
        (..=128, _) => common::<u128>(shorter, longer, ignore_case),
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
trait Places: Copy + Default + BitOr<Output = Self> {
    /// A set of the first 64 places.
    fn head(places: u64) -> Self;

    /// A set of the 64 places behind those.
    fn tail(places: u64) -> Self;

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
            fn head(places: u64) -> Self {
                places.into()
            }

            #[inline]
            fn tail(places: u64) -> Self {
                Self::from(places).unbounded_shl(64)
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
fn common<P: Places>(bits: &[u8], steps: &[u8], ignore_case: bool) -> usize {
    let mut places = [P::default(); 128];
    let (head, tail) = bits.split_at_checked(64).unwrap_or((bits, &[]));
    insert(&mut places, head, P::head);
    insert(&mut places, tail, P::tail);
    if ignore_case {
        share_cases(&mut places);
    }
    let next = |row: P, byte: &u8| {
        let places = places.get(usize::from(byte & 0x7f));
        row.step(places.copied().unwrap_or_default())
    };
    steps.iter().fold(P::all(), next).zeros()
}

/// Adds the places of up to 64 letters, one word of the processor at a time.
#[inline]
fn insert<P: Places>(places: &mut [P; 128], letters: &[u8], set: impl Fn(u64) -> P) {
    let mut place = 1;
    for letter in letters {
        if let Some(places) = places.get_mut(usize::from(letter & 0x7f)) {
            *places = *places | set(place);
        }
        place <<= 1;
    }
}

/// Gives each letter the places of both its cases, which takes less than to change the case of each
/// letter of two texts.
fn share_cases<P: Places>(places: &mut [P; 128]) {
    let [.., upper, lower] = places.as_chunks_mut::<32>().0 else {
        return;
    };
    let letters = 1..27;
    if let (Some(upper), Some(lower)) = (upper.get_mut(letters.clone()), lower.get_mut(letters)) {
        for (upper, lower) in upper.iter_mut().zip(lower) {
            *upper = *upper | *lower;
            *lower = *upper;
        }
    }
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
