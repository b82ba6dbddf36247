//! N-grams by number: sequences over one alphabet, whose n-grams are counted order by order.
//!
//! A gram of order n is the pair of a gram of order n - 1 and the symbol after it. Numbering those
//! pairs makes equal grams equal numbers, exactly and for any order, without building or hashing a
//! list of symbols per position.

use foldhash::{HashMap, HashMapExt};
use std::hash::Hash;

/// Cells of a table for each gram, up to which it is quicker than hashing.
const CELLS: usize = 64;

/// Sequences of symbols, and the numbers of their grams of the current order.
pub(super) struct Ngrams {
    symbols: Vec<Vec<u32>>,
    grams: Vec<Vec<u32>>,
    alphabet: usize,
    distinct: usize,
    order: usize,
}

impl Ngrams {
    /// Numbers the symbols of each sequence: grams of order 1.
    pub(super) fn new<T: Hash + Eq>(sequences: impl IntoIterator<Item = Vec<T>>) -> Self {
        let sequences: Vec<Vec<T>> = sequences.into_iter().collect();
        let longest = sequences.iter().map(Vec::len).max().unwrap_or(0);
        // Most texts have fewer different symbols than that, and a map that grows hashes again.
        let mut numbers = HashMap::with_capacity(longest.min(256));
        let symbols: Vec<Vec<u32>> = sequences
            .into_iter()
            .map(|sequence| {
                sequence
                    .into_iter()
                    .map(|symbol| number(&mut numbers, symbol))
                    .collect()
            })
            .collect();
        Self::numbered(symbols, numbers.len())
    }

    /// Of symbols that are numbers below `alphabet` already.
    pub(super) fn numbered(symbols: Vec<Vec<u32>>, alphabet: usize) -> Self {
        Self {
            grams: symbols.clone(),
            symbols,
            alphabet,
            distinct: alphabet,
            order: 1,
        }
    }

    /// Goes on to the next order.
    pub(super) fn advance(&mut self) {
        let cells = self.distinct.saturating_mul(self.alphabet);
        let length: usize = self.grams.iter().map(Vec::len).sum();
        if cells <= length.saturating_mul(CELLS) {
            self.advance_by_table(cells);
        } else {
            self.advance_by_hash();
        }
        self.order += 1;
    }

    /// A small alphabet: there is a cell for each pair, which holds its number plus 1.
    fn advance_by_table(&mut self, cells: usize) {
        let mut numbers = vec![0_u32; cells];
        let mut last = 0;
        for (grams, symbols) in self.grams.iter_mut().zip(&self.symbols) {
            grams.truncate(symbols.len().saturating_sub(self.order));
            for (gram, next) in grams.iter_mut().zip(symbols.iter().skip(self.order)) {
                let cell = *gram as usize * self.alphabet + *next as usize;
                if let Some(number) = numbers.get_mut(cell) {
                    if *number == 0 {
                        last += 1;
                        *number = last;
                    }
                    *gram = *number - 1;
                }
            }
        }
        self.distinct = last as usize;
    }

    fn advance_by_hash(&mut self) {
        let mut numbers = HashMap::new();
        for (grams, symbols) in self.grams.iter_mut().zip(&self.symbols) {
            *grams = grams
                .iter()
                .zip(symbols.iter().skip(self.order))
                .map(|(gram, next)| number(&mut numbers, (*gram, *next)))
                .collect();
        }
        self.distinct = numbers.len();
    }

    /// Goes back to order 1.
    pub(super) fn restart(&mut self) {
        self.grams.clone_from(&self.symbols);
        self.distinct = self.alphabet;
        self.order = 1;
    }

    /// How many grams a sequence has.
    pub(super) fn total(&self, sequence: usize) -> usize {
        self.grams.get(sequence).map_or(0, Vec::len)
    }

    /// How often each gram occurs in a sequence, by the number of the gram.
    pub(super) fn counts(&self, sequence: usize) -> Vec<usize> {
        let mut counts = vec![0; self.distinct];
        for gram in self.grams.get(sequence).into_iter().flatten() {
            if let Some(count) = counts.get_mut(*gram as usize) {
                *count += 1;
            }
        }
        counts
    }

    /// The grams that two sequences have in common, as multisets.
    pub(super) fn common(&self, one: usize, other: usize) -> usize {
        overlap(&self.counts(one), &self.counts(other))
    }

    /// The numbers of the symbols of a sequence.
    pub(super) fn symbols(&self, sequence: usize) -> &[u32] {
        self.symbols.get(sequence).map_or(&[], Vec::as_slice)
    }
}

/// The sum of the smaller counts.
pub(super) fn overlap(one: &[usize], other: &[usize]) -> usize {
    one.iter().zip(other).map(|(a, b)| *a.min(b)).sum()
}

fn number<K: Hash + Eq>(numbers: &mut HashMap<K, u32>, key: K) -> u32 {
    // A text of more than 2^32 symbols does not fit in memory together with its numbers.
    let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
    *numbers.entry(key).or_insert(next)
}

/// A count as a number to calculate with.
#[expect(
    clippy::cast_precision_loss,
    reason = "counts of symbols in memory are below 2^52"
)]
pub(super) fn real(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap as Counter;

    fn counter(text: &[char], n: usize) -> Counter<&[char], usize> {
        let mut counts = Counter::new();
        for gram in text.windows(n) {
            *counts.entry(gram).or_insert(0) += 1;
        }
        counts
    }

    proptest! {
        /// Against the plain way: a map from the list of symbols to its count.
        #[test]
        fn numbered_grams_count_as_listed_ones(
            a in "[ab]{0,12}|\\PC{0,90}",
            b in "[abc]{0,12}|\\PC{0,90}",
        ) {
            let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
            let mut grams = Ngrams::new([a.clone(), b.clone()]);
            for n in 1..=5 {
                let (left, right) = (counter(&a, n), counter(&b, n));
                let common: usize = left
                    .iter()
                    .map(|(gram, count)| *count.min(right.get(gram).unwrap_or(&0)))
                    .sum();
                prop_assert_eq!(grams.common(0, 1), common);
                prop_assert_eq!(grams.total(0), left.values().sum::<usize>());
                grams.advance();
            }
        }
    }
}
