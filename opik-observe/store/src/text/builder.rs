//! The words of new documents, collected in memory.

use std::collections::HashMap;

use rusqlite::Connection;

use super::prefix::Prefix;
use super::segment::{Doc, Writer, number};
use crate::error::StoreError;
use crate::facet::Entity;
use crate::threads::Turns;

/// The words of documents, collected in memory.
///
/// Words get numbers as they come. Short ones are whole in their [`Prefix`], so that finding the
/// number touches one place in memory. Rows are written down as lists of numbers; sorting
/// them by word is a count and one pass at the end.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    docs: Vec<Doc>,
    /// The document of each row, and its number there.
    rows: Vec<(u32, u32)>,
    /// The words of the last row that are not numbered yet, with repetitions.
    waiting: Vec<Prefix>,
    /// Where the numbers of each row end.
    ends: Vec<usize>,
    /// Numbers of words, row by row, each once.
    numbers: Vec<u32>,
    /// The last row (from 1 on) that has a word, by number of the word.
    last: Vec<u32>,
    short: HashMap<Prefix, u32, foldhash::fast::RandomState>,
    long: HashMap<Box<[u8]>, u32, foldhash::fast::RandomState>,
}

impl Builder {
    /// Begins a document.
    pub(crate) fn begin(&mut self, doc: Doc) {
        self.end();
        self.docs.push(doc);
    }

    /// Begins a row of the document, by its number there.
    pub(crate) fn row(&mut self, row: usize) {
        self.end();
        let doc = self.docs.len().saturating_sub(1);
        self.rows.push((number(doc), number(row)));
    }

    /// Numbers the words of the last row. Most words are not in the processor's cache, so the
    /// look-ups follow each other closely: none needs the one before, and several are under way
    /// at once.
    fn end(&mut self) {
        if self.rows.len() == self.ends.len() {
            return;
        }
        for prefix in self.waiting.drain(..) {
            let next = number(self.last.len());
            let term = *self.short.entry(prefix).or_insert(next);
            if term == next {
                self.last.push(0);
            }
            self.numbers.push(term);
        }
        let row = number(self.rows.len());
        let begin = self.ends.last().copied().unwrap_or(0);
        let mut kept = begin;
        for at in begin..self.numbers.len() {
            if let Some(&term) = self.numbers.get(at)
                && let Some(last) = self.last.get_mut(term as usize)
                && std::mem::replace(last, row) != row
                && let Some(slot) = self.numbers.get_mut(kept)
            {
                *slot = term;
                kept += 1;
            }
        }
        self.numbers.truncate(kept);
        self.ends.push(kept);
    }

    /// How many documents there are.
    pub(super) fn len(&self) -> usize {
        self.docs.len()
    }

    /// How many words the rows have, all together.
    pub(super) fn words(&self) -> usize {
        self.numbers.len()
    }

    /// Says that the row has a word.
    pub(crate) fn add(&mut self, word: &[u8]) {
        let prefix = Prefix::of(word);
        if prefix.is_whole() {
            self.waiting.push(prefix);
            return;
        }
        let term = self.long.get(word).copied().unwrap_or_else(|| {
            let next = number(self.last.len());
            self.last.push(0);
            self.long.insert(word.into(), next);
            next
        });
        self.numbers.push(term);
    }

    /// The rows in the order of the segment, which is that of its documents, with their numbers
    /// there; and the documents.
    fn sorted(&mut self) -> (Vec<(u32, usize)>, Vec<Doc>) {
        let mut order: Vec<(Doc, usize)> = self.docs.drain(..).zip(0..).collect();
        order.sort_unstable_by(|a, b| b.cmp(a));
        let mut firsts = vec![0; order.len()];
        let mut next = 0u32;
        for (doc, at) in &order {
            if let Some(first) = firsts.get_mut(*at) {
                *first = next;
            }
            next = next.saturating_add(doc.rows);
        }
        let number =
            |(doc, row): &(u32, u32)| firsts.get(*doc as usize).copied().unwrap_or(0) + row;
        let mut rows: Vec<(u32, usize)> = self.rows.iter().map(number).zip(0..).collect();
        rows.sort_unstable();
        (rows, order.into_iter().map(|(doc, _)| doc).collect())
    }

    /// Writes what was collected as a segment.
    pub(super) fn store(mut self, text: &Connection, entity: Entity) -> Result<(), StoreError> {
        if self.docs.is_empty() {
            return Ok(());
        }
        self.end();
        let (rows, docs) = self.sorted();

        // Where the list of each word ends, once it is filled; before, where its next entry goes.
        let mut ends = vec![0u32; self.last.len()];
        for &term in &self.numbers {
            if let Some(count) = ends.get_mut(term as usize) {
                *count += 1;
            }
        }
        let mut all = 0u32;
        for end in &mut ends {
            all += std::mem::replace(end, all);
        }
        let mut lists = vec![0u32; all as usize];
        let mut turns = Turns::of(64);
        // In the order of the rows, so that every list comes out in order.
        for (row, at) in rows {
            let begin = at.checked_sub(1).and_then(|before| self.ends.get(before));
            let begin = begin.copied().unwrap_or(0);
            let end = self.ends.get(at).copied().unwrap_or(begin);
            for &term in self.numbers.get(begin..end).unwrap_or_default() {
                if let Some(end) = ends.get_mut(term as usize) {
                    if let Some(slot) = lists.get_mut(*end as usize) {
                        *slot = row;
                    }
                    *end += 1;
                }
            }
            turns.done();
        }

        let mut terms: Vec<(Prefix, &[u8], u32)> = Vec::with_capacity(ends.len());
        terms.extend(
            self.short
                .iter()
                .map(|(&prefix, &term)| (prefix, &[][..], term)),
        );
        terms.extend(
            self.long
                .iter()
                .map(|(word, &term)| (Prefix::of(word), &**word, term)),
        );
        terms.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        let mut segment = Writer::begin(text, entity, &docs)?;
        for (prefix, word, term) in terms {
            let term = term as usize;
            let begin = term.checked_sub(1).and_then(|before| ends.get(before));
            let begin = begin.copied().unwrap_or(0) as usize;
            let found = ends
                .get(term)
                .and_then(|&end| lists.get(begin..end as usize));
            let found = found.unwrap_or_default();
            let (bytes, len) = prefix.bytes();
            let word = bytes.get(..len).unwrap_or(word);
            segment.put(word, found)?;
            turns.done();
        }
        segment.finish()
    }
}
