//! The words of new documents, collected in memory.

use std::collections::HashMap;

use rusqlite::Connection;

use super::prefix::Prefix;
use super::segment::{Doc, Writer, number};
use crate::error::StoreError;
use crate::facet::Entity;
use crate::threads::Turns;

/// Rows in the lists that are made at once, give or take those of one word: 16 MiB. Each round looks at
/// all that was collected.
const LISTED: u32 = 4 << 20;
/// From so many numbers on a list has room for all that a step collects, so that it is not copied
/// every time there are twice as many. Memory that is not used costs nothing, and allocators give
/// pieces of more than 32 MiB back at once.
const MANY: usize = 1 << 20;
const ROOM: usize = 9 << 20;

fn make_room(list: &mut Vec<u32>, len: usize) {
    if len >= MANY && list.capacity() < ROOM {
        list.reserve_exact(ROOM - list.len());
    }
}

/// Where the next row of a word goes.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    at: u32,
    /// 0 for a word whose list is not made now.
    step: u32,
}

/// The words of documents, collected in memory.
///
/// Words get numbers as they come. Short ones are whole in their [`Prefix`], and what is known of a
/// word lies beside it, so that meeting a word touches one place in memory. Rows are written down as
/// lists of numbers; sorting them by word is one pass at the end.
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
    /// How many words have a number.
    terms: u32,
    short: HashMap<Prefix, Word, foldhash::fast::RandomState>,
    long: HashMap<Box<[u8]>, Word, foldhash::fast::RandomState>,
}

/// What is known of a word.
#[derive(Debug, Clone, Copy)]
struct Word {
    term: u32,
    /// The last row that has it, from 1 on.
    last: u32,
    /// How many rows have it.
    rows: u32,
}

impl Word {
    /// A word with the next number, in no row yet.
    fn new(terms: &mut u32) -> Self {
        let term = *terms;
        *terms = terms.saturating_add(1);
        Self {
            term,
            last: 0,
            rows: 0,
        }
    }

    /// Its number, unless the row is known to have it.
    fn meet(&mut self, row: u32) -> Option<u32> {
        (std::mem::replace(&mut self.last, row) != row).then(|| {
            self.rows += 1;
            self.term
        })
    }
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
        let collected = self.numbers.len();
        make_room(&mut self.numbers, collected);
        let row = number(self.rows.len());
        for prefix in self.waiting.drain(..) {
            let word = self.short.entry(prefix);
            let word = word.or_insert_with(|| Word::new(&mut self.terms));
            if let Some(term) = word.meet(row) {
                self.numbers.push(term);
            }
        }
        self.ends.push(self.numbers.len());
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
        let row = number(self.rows.len());
        let known = match self.long.get_mut(word) {
            Some(known) => known,
            None => {
                let new = Word::new(&mut self.terms);
                self.long.entry(word.into()).or_insert(new)
            }
        };
        if let Some(term) = known.meet(row) {
            self.numbers.push(term);
        }
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

    /// The numbers of the words of a row.
    fn numbers_of(&self, row: usize) -> &[u32] {
        let before = row.checked_sub(1).and_then(|before| self.ends.get(before));
        let begin = before.copied().unwrap_or(0);
        let end = self.ends.get(row).copied().unwrap_or(begin);
        self.numbers.get(begin..end).unwrap_or_default()
    }

    /// Every word in its order. Short ones are in their prefix.
    fn terms(&self) -> Vec<(Prefix, &[u8], Word)> {
        let short = self.short.iter();
        let short = short.map(|(&prefix, &known)| (prefix, &[][..], known));
        let long = self.long.iter();
        let long = long.map(|(word, &known)| (Prefix::of(word), &**word, known));
        let mut terms = Vec::with_capacity(self.terms as usize);
        terms.extend(short.chain(long));
        terms.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
        terms
    }

    /// Writes what was collected as a segment.
    pub(super) fn store(self, text: &Connection, entity: Entity) -> Result<(), StoreError> {
        self.store_in_rounds(text, entity, LISTED)
    }

    /// Makes the lists of so many rows at once, or of one word.
    fn store_in_rounds(
        mut self,
        text: &Connection,
        entity: Entity,
        most: u32,
    ) -> Result<(), StoreError> {
        if self.docs.is_empty() {
            return Ok(());
        }
        self.end();
        let (rows, docs) = self.sorted();

        let terms = self.terms();
        let mut segment = Writer::begin(text, entity, &docs)?;
        let mut places = vec![Place::default(); self.terms as usize];
        let mut lists = Vec::new();
        let mut turns = Turns::of(64);
        let mut rest = terms.as_slice();
        while !rest.is_empty() {
            // The words whose lists are made in this round. All others write over one entry.
            let mut room = 1u32;
            let mut taken = 0;
            for (.., word) in rest {
                if taken > 0 && room.saturating_add(word.rows) > most {
                    break;
                }
                if let Some(place) = places.get_mut(word.term as usize) {
                    *place = Place { at: room, step: 1 };
                }
                room = room.saturating_add(word.rows);
                taken += 1;
            }
            lists.clear();
            make_room(&mut lists, room as usize);
            lists.resize(room as usize, 0u32);
            // In the order of the rows, so that every list comes out in order.
            for &(row, at) in &rows {
                for &term in self.numbers_of(at) {
                    if let Some(place) = places.get_mut(term as usize) {
                        if let Some(slot) = lists.get_mut(place.at as usize) {
                            *slot = row;
                        }
                        place.at += place.step;
                    }
                }
                turns.done();
            }
            let (now, later) = rest.split_at(taken);
            for &(prefix, long, word) in now {
                let place = places.get_mut(word.term as usize).map(std::mem::take);
                let end = place.unwrap_or_default().at;
                let begin = end.saturating_sub(word.rows);
                let found = lists.get(begin as usize..end as usize);
                let (bytes, len) = prefix.bytes();
                let text = bytes.get(..len).unwrap_or(long);
                segment.put(text, found.unwrap_or_default())?;
                turns.done();
            }
            rest = later;
        }
        segment.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is written about so many documents, when so many rows are listed at once.
    fn written(most: u32) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut text = Connection::open_in_memory().unwrap();
        super::super::index::make(&mut text).unwrap();
        let mut builder = Builder::default();
        for document in 0..99i64 {
            builder.begin(Doc {
                bound: document * 7 % 99,
                key: document,
                rows: 2,
                ..Doc::default()
            });
            for row in 0..2 {
                builder.row(row);
                for word in 0..400i64 {
                    if (document * 31 + word * 17) % 11 == 0 {
                        builder.add(format!("word{word}").as_bytes());
                        builder.add(format!("aVeryLongBeginning{word}").as_bytes());
                    }
                }
            }
        }
        builder.store_in_rounds(&text, Entity::Part, most).unwrap();
        let mut pages = text
            .prepare("SELECT first, data FROM page ORDER BY first")
            .unwrap();
        let pages = pages.query_map([], |row| Ok((row.get(0)?, row.get(1)?)));
        pages.unwrap().collect::<Result<_, _>>().unwrap()
    }

    #[test]
    fn lists_are_the_same_in_however_many_rounds_they_are_made() {
        let once = written(LISTED);
        assert!(once.len() > 1, "{}", once.len());
        for most in [1, 100, 5_000] {
            assert_eq!(written(most), once, "{most}");
        }
    }
}
