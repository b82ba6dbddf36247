//! Words by number: equal words have equal numbers, counted in the order in which they first come.
//!
//! What a `HashMap<&str, u32>` does, for the many short words of a text. A word of up to eight bytes
//! is one number together with its length, so it is found and compared without looking at the text;
//! longer ones go by their hash and are then compared. The place in the table is the top of the
//! product with a random odd number, so that no text can be made to crowd it.

use std::hash::BuildHasher as _;
use std::sync::LazyLock;

use foldhash::fast::RandomState;

use super::{runs, words};

/// Places of the first table, which lies in the numbering itself: to ask for memory takes longer
/// than to number a few words. A place is a byte.
const FEW: usize = 256;

/// For each length of a short word the bits of its bytes among eight.
const SHORT: [u64; 9] = [
    0,
    0xff,
    0xffff,
    0x00ff_ffff,
    0xffff_ffff,
    0x00ff_ffff_ffff,
    0xffff_ffff_ffff,
    0x00ff_ffff_ffff_ffff,
    u64::MAX,
];

/// Different words, and the table that finds them.
pub(super) struct Numbering<'a> {
    words: Vec<(u64, &'a str)>,
    /// The number of the word of a place plus 1; 0 is free. At most half of the places are taken.
    few: [u8; FEW],
    /// The same once there are more words; empty before.
    many: Vec<u32>,
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
            words: Vec::with_capacity(40),
            few: [0; FEW],
            many: Vec::new(),
            bits: FEW.trailing_zeros(),
            random: &RANDOM,
        }
    }

    /// The numbers of the words of `str.split()`, one after the other.
    pub(super) fn split(&mut self, text: &'a str, mut each: impl FnMut(u32)) {
        if runs::is_ascii(text) {
            self.places(text, runs::between_spaces(text), each);
        } else {
            words::split(text).for_each(|word| each(self.number(word)));
        }
    }

    /// The numbers of the words of `\w+`, one after the other.
    pub(super) fn word_runs(&mut self, text: &'a str, mut each: impl FnMut(u32)) {
        if runs::is_ascii(text) {
            self.places(text, runs::words(text), each);
        } else {
            words::word_runs(text).for_each(|word| each(self.number(word)));
        }
    }

    fn places<P: Fn(u64) -> u64>(
        &mut self,
        text: &'a str,
        mut runs: runs::Runs<'a, P>,
        mut each: impl FnMut(u32),
    ) {
        while let Some((start, end)) = runs.next_place() {
            let word = || text.get(start..end).unwrap_or_default();
            let bytes = text.as_bytes().get(start..).and_then(<[u8]>::first_chunk);
            each(match (bytes, SHORT.get(end - start)) {
                // The key without a look at each byte: what is behind the word is cut off.
                (Some(bytes), Some(own)) => {
                    let key = u64::from_le_bytes(*bytes) & own;
                    match self.look(key, end - start, word) {
                        Ok(number) => number,
                        Err(place) => self.insert(place, key, word()),
                    }
                }
                _ => self.number(word()),
            });
        }
    }

    /// The number of a word, which is the next one when it is new.
    pub(super) fn number(&mut self, word: &'a str) -> u32 {
        self.number_of(self.key(word), word)
    }

    /// The number of a word with its [`key`](Self::key).
    pub(super) fn number_of(&mut self, key: u64, word: &'a str) -> u32 {
        match self.look(key, word.len(), || word) {
            Ok(number) => number,
            Err(place) => self.insert(place, key, word),
        }
    }

    /// A new word, at a place that is free.
    fn insert(&mut self, place: usize, key: u64, word: &'a str) -> u32 {
        // A text of more than 2^32 words does not fit in memory together with its numbers.
        let number = u32::try_from(self.words.len()).unwrap_or(u32::MAX - 1);
        self.words.push((key, word));
        if let Some(place) = self.many.get_mut(place) {
            *place = number + 1;
        } else if let (Some(place), Ok(number)) = (self.few.get_mut(place), u8::try_from(number)) {
            *place = number + 1;
        }
        if self.words.len() * 2 > 1 << self.bits {
            self.grow();
        }
        number
    }

    /// The number of a word that has one, by its [`key`](Self::key).
    pub(super) fn find(&self, key: u64, word: &str) -> Option<usize> {
        let found = self.look(key, word.len(), || word).ok()?;
        usize::try_from(found).ok()
    }

    /// How many different words there are.
    pub(super) fn len(&self) -> usize {
        self.words.len()
    }

    /// How many different words two texts have in common.
    pub(super) fn common(&self, other: &Numbering<'_>) -> usize {
        let own = self.words.iter();
        own.filter(|(key, word)| other.look(*key, word.len(), || word).is_ok())
            .count()
    }

    /// What tells words of the same length apart, exactly up to eight bytes: their bytes as a number.
    pub(super) fn key(&self, word: &str) -> u64 {
        let bytes = word.as_bytes();
        if bytes.len() > 8 {
            return self.random.long.hash_one(bytes);
        }
        if let (Some(head), Some(tail)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
            let (head, tail) = (u32::from_le_bytes(*head), u32::from_le_bytes(*tail));
            return u64::from(head) | u64::from(tail) << (8 * (bytes.len() - 4));
        }
        let place = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        bytes.iter().rev().fold(0, place)
    }

    #[inline]
    fn hash(&self, key: u64) -> u64 {
        key.wrapping_mul(self.random.factor)
    }

    /// The place in the larger table at which a word is looked for first.
    fn start(&self, key: u64) -> usize {
        usize::try_from(self.hash(key) >> (64 - self.bits)).unwrap_or(0)
    }

    /// The number of a word, or the free place for it.
    #[inline]
    fn look<'w>(&self, key: u64, length: usize, word: impl Fn() -> &'w str) -> Result<u32, usize> {
        let is_word = |number: usize| {
            self.words.get(number).is_some_and(|(own, text)| {
                *own == key && text.len() == length && (length <= 8 || *text == word())
            })
        };
        if !self.many.is_empty() {
            return self.look_among_many(key, is_word);
        }
        let [mut place, ..] = self.hash(key).to_be_bytes();
        loop {
            let taken = self.few.get(usize::from(place)).copied();
            match taken.and_then(|taken| taken.checked_sub(1)) {
                None => return Err(usize::from(place)),
                Some(number) if is_word(usize::from(number)) => return Ok(u32::from(number)),
                Some(_) => place = place.wrapping_add(1),
            }
        }
    }

    fn look_among_many(&self, key: u64, is_word: impl Fn(usize) -> bool) -> Result<u32, usize> {
        let mask = self.many.len() - 1;
        let mut place = self.start(key);
        loop {
            let taken = self.many.get(place).copied();
            match taken.and_then(|taken| taken.checked_sub(1)) {
                None => return Err(place),
                Some(number) if is_word(number as usize) => return Ok(number),
                Some(_) => place = (place + 1) & mask,
            }
        }
    }

    #[cold]
    fn grow(&mut self) {
        self.bits += 1;
        self.many = vec![0; 1 << self.bits];
        let mask = self.many.len() - 1;
        for (number, (key, _)) in (1..).zip(&self.words) {
            let mut place = self.start(*key);
            while self.many.get(place).is_some_and(|taken| *taken != 0) {
                place = (place + 1) & mask;
            }
            if let Some(place) = self.many.get_mut(place) {
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
            // The same words as places of a text.
            let text = words.join(" ");
            let (mut of_text, mut apart) = (Numbering::new(), Numbering::new());
            let (mut own, mut expected) = (Vec::new(), Vec::new());
            of_text.split(&text, |number| own.push(number));
            expected.extend(words::split(&text).map(|word| apart.number(word)));
            prop_assert_eq!(&own, &expected);
            let (mut of_text, mut apart) = (Numbering::new(), Numbering::new());
            own.clear();
            expected.clear();
            of_text.word_runs(&text, |number| own.push(number));
            expected.extend(words::word_runs(&text).map(|word| apart.number(word)));
            prop_assert_eq!(&own, &expected);
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
