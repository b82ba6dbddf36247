//! Words by number: equal words have equal numbers, counted in the order in which they first come.
//!
//! What a `HashMap<&str, u32>` does, for the many short words of a text. A word of up to eight bytes
//! is one number together with its length, so it is found and compared without looking at the text;
//! longer ones go by their hash and are then compared. The place in the table is the top of the
//! product with a random odd number, so that no text can be made to crowd it.

use std::hash::BuildHasher as _;
use std::sync::LazyLock;

use foldhash::fast::RandomState;

/// Places of a new table, as a power of two.
const BITS: u32 = 7;

/// Different words, and the table that finds them.
pub(super) struct Numbering<'a> {
    words: Vec<(u64, &'a str)>,
    /// The number of the word of a place plus 1; 0 is free. At most half of the places are taken.
    places: Vec<u32>,
    bits: u32,
    random: &'static Random,
}

/// What the places of words depend on, the same for all tables of a process.
struct Random {
    factor: u64,
    long: RandomState,
}

impl<'a> Numbering<'a> {
    pub(super) fn new() -> Self {
        static RANDOM: LazyLock<Random> = LazyLock::new(|| {
            let long = RandomState::default();
            Random {
                factor: long.hash_one(0_u64) | 1,
                long,
            }
        });
        Self {
            words: Vec::with_capacity(32),
            places: vec![0; 1 << BITS],
            bits: BITS,
            random: &RANDOM,
        }
    }

    /// The number of a word, which is the next one when it is new.
    pub(super) fn number(&mut self, word: &'a str) -> u32 {
        self.number_of(self.key(word), word)
    }

    /// The number of a word with its [`key`](Self::key).
    pub(super) fn number_of(&mut self, key: u64, word: &'a str) -> u32 {
        let place = match self.look(key, word) {
            Ok(number) => return number,
            Err(place) => place,
        };
        // A text of more than 2^32 words does not fit in memory together with its numbers.
        let number = u32::try_from(self.words.len()).unwrap_or(u32::MAX - 1);
        self.words.push((key, word));
        if let Some(place) = self.places.get_mut(place) {
            *place = number + 1;
        }
        if self.words.len() * 2 > self.places.len() {
            self.grow();
        }
        number
    }

    /// The number of a word that has one, by its [`key`](Self::key).
    pub(super) fn find(&self, key: u64, word: &str) -> Option<usize> {
        let found = self.look(key, word).ok()?;
        usize::try_from(found).ok()
    }

    /// How many different words there are.
    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    /// How many different words two texts have in common.
    pub(super) fn common(&self, other: &Numbering<'_>) -> usize {
        let own = self.words.iter();
        own.filter(|(key, word)| other.look(*key, word).is_ok())
            .count()
    }

    /// What tells words of the same length apart, exactly up to eight bytes.
    pub(super) fn key(&self, word: &str) -> u64 {
        let bytes = word.as_bytes();
        if bytes.len() > 8 {
            return self.random.long.hash_one(bytes);
        }
        if let (Some(head), Some(tail)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            let (head, tail) = (u32::from_le_bytes(*head), u32::from_le_bytes(*tail));
            return u64::from(head) | u64::from(tail) << 32;
        }
        // Of up to three bytes the first, the middle and the last are all.
        let byte = |at: usize| u64::from(bytes.get(at).copied().unwrap_or_default());
        byte(0) | byte(bytes.len() / 2) << 8 | byte(bytes.len().saturating_sub(1)) << 16
    }

    fn start(&self, key: u64) -> usize {
        usize::try_from(key.wrapping_mul(self.random.factor) >> (64 - self.bits)).unwrap_or(0)
    }

    /// The number of a word, or the free place for it.
    fn look(&self, key: u64, word: &str) -> Result<u32, usize> {
        let mask = self.places.len() - 1;
        let mut place = self.start(key);
        while let Some(next) = self
            .places
            .get(place)
            .and_then(|taken| taken.checked_sub(1))
        {
            if let Some((own, text)) = self.words.get(next as usize)
                && *own == key
                && text.len() == word.len()
                && (word.len() <= 8 || *text == word)
            {
                return Ok(next);
            }
            place = (place + 1) & mask;
        }
        Err(place)
    }

    fn grow(&mut self) {
        self.bits += 1;
        self.places = vec![0; 1 << self.bits];
        let mask = self.places.len() - 1;
        for (number, (key, _)) in (1..).zip(&self.words) {
            let mut place = self.start(*key);
            while self.places.get(place).is_some_and(|taken| *taken != 0) {
                place = (place + 1) & mask;
            }
            if let Some(place) = self.places.get_mut(place) {
                *place = number;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{HashMap, HashSet};

    proptest! {
        /// Against a map. Few letters make words that share beginnings, ends and keys.
        #[test]
        fn words_have_the_numbers_of_a_map(
            words in prop::collection::vec("[ab]{0,10}|[a\\x00]{0,9}|\\PC{0,6}", 0..400),
            others in prop::collection::vec("[ab]{0,10}|\\PC{0,3}", 0..40),
        ) {
            let (mut numbering, mut map) = (Numbering::new(), HashMap::new());
            for word in &words {
                let next = u32::try_from(map.len()).unwrap();
                let expected = *map.entry(word.as_str()).or_insert(next);
                prop_assert_eq!(numbering.number(word), expected);
            }
            prop_assert_eq!(numbering.len(), map.len());
            for word in words.iter().chain(&others) {
                let expected = map.get(word.as_str()).map(|number| *number as usize);
                prop_assert_eq!(numbering.find(numbering.key(word), word), expected);
            }
            let mut second = Numbering::new();
            for word in &others {
                second.number(word);
            }
            let different: HashSet<&String> = others.iter().collect();
            let common = different.iter().filter(|word| map.contains_key(word.as_str())).count();
            prop_assert_eq!(numbering.common(&second), common);
            prop_assert_eq!(second.common(&numbering), common);
        }
    }
}
