//! Segments: which of some documents have which words.
//!
//! A segment covers what one step of the index took in, or a merge of smaller segments. Its
//! documents are numbered from the newest on, so every list of documents is a list of the newest
//! matches first. A list is written as gaps. Words are in order, each without what it shares with
//! the word before, and cut into pages that a query finds by their first word:
//!
//! ```text
//! page = (shared:varint length:varint rest of the word, length:varint gap:varint*)*
//! ```

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use crate::codec::bytes::{Reader, put_len, put_u64};
use crate::error::StoreError;
use crate::facet::Entity;

/// Size from which a page is closed.
const PAGE: usize = 3_800;
/// Documents in a row of the table `doc`.
const CHUNK: usize = 240;
/// Rows of `doc` that a segment may have.
const CHUNKS: i64 = 1 << 24;

/// A document: the bound of a part or trace, and its key.
pub(super) type Doc = (i64, i64);

/// The words of documents, collected in memory.
///
/// Words get numbers as they come. Short ones are whole in their [`Prefix`], so that finding the
/// number touches one place in memory. Documents are written down as lists of numbers; sorting
/// them by word is a count and one pass at the end.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    docs: Vec<Doc>,
    /// The words of the last document that are not numbered yet, with repetitions.
    waiting: Vec<Prefix>,
    /// Where the numbers of each document end.
    ends: Vec<usize>,
    /// Numbers of words, document by document, each once.
    numbers: Vec<u32>,
    /// The last document (from 1 on) that has a word, by number of the word.
    last: Vec<u32>,
    short: HashMap<Prefix, u32, foldhash::fast::RandomState>,
    long: HashMap<Box<[u8]>, u32, foldhash::fast::RandomState>,
}

impl Builder {
    /// Begins a document.
    pub(crate) fn begin(&mut self, bound: i64, key: i64) {
        self.end();
        self.docs.push((bound, key));
    }

    /// Numbers the words of the last document. Most words are not in the processor's cache, so the
    /// look-ups follow each other closely: none needs the one before, and several are under way
    /// at once.
    fn end(&mut self) {
        for prefix in self.waiting.drain(..) {
            let next = number(self.last.len());
            let term = *self.short.entry(prefix).or_insert(next);
            if term == next {
                self.last.push(0);
            }
            self.numbers.push(term);
        }
        if self.docs.is_empty() {
            return;
        }
        let doc = number(self.docs.len());
        let begin = self.ends.last().copied().unwrap_or(0);
        let mut kept = begin;
        for at in begin..self.numbers.len() {
            if let Some(&term) = self.numbers.get(at)
                && let Some(last) = self.last.get_mut(term as usize)
                && std::mem::replace(last, doc) != doc
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

    /// Says that the document has a word.
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

    /// Writes what was collected as a segment.
    pub(super) fn store(mut self, text: &Connection, entity: Entity) -> Result<(), StoreError> {
        if self.docs.is_empty() {
            return Ok(());
        }
        self.end();
        let mut order: Vec<(Doc, usize)> = self.docs.iter().copied().zip(0..).collect();
        order.sort_unstable_by(|a, b| b.cmp(a));

        // Where the list of each word ends, once it is filled; before, where its next entry goes.
        let mut ends = vec![0usize; self.last.len()];
        for &term in &self.numbers {
            if let Some(count) = ends.get_mut(term as usize) {
                *count += 1;
            }
        }
        let mut all = 0;
        for end in &mut ends {
            all += std::mem::replace(end, all);
        }
        let mut lists = vec![0u32; all];
        // From the newest document on, so that every list comes out in order.
        for (rank, (_, doc)) in (0..).zip(&order) {
            let begin = doc.checked_sub(1).and_then(|before| self.ends.get(before));
            let begin = begin.copied().unwrap_or(0);
            let end = self.ends.get(*doc).copied().unwrap_or(begin);
            for &term in self.numbers.get(begin..end).unwrap_or_default() {
                if let Some(end) = ends.get_mut(term as usize) {
                    if let Some(slot) = lists.get_mut(*end) {
                        *slot = rank;
                    }
                    *end += 1;
                }
            }
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
        let docs: Vec<Doc> = order.into_iter().map(|(doc, _)| doc).collect();
        let mut segment = Writer::begin(text, entity, &docs)?;
        for (prefix, word, term) in terms {
            let term = term as usize;
            let begin = term.checked_sub(1).and_then(|before| ends.get(before));
            let begin = begin.copied().unwrap_or(0);
            let found = ends.get(term).and_then(|&end| lists.get(begin..end));
            let found = found.unwrap_or_default();
            let (bytes, len) = prefix.bytes();
            let word = bytes.get(..len).unwrap_or(word);
            segment.put(word, found)?;
        }
        segment.finish()
    }
}

/// The first bytes of a word as a number that sorts as they do; the lowest byte tells how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Prefix(u128);

impl Prefix {
    /// Bytes of a word that fit.
    const MOST: usize = 15;
    /// In place of the length of a longer word.
    const CUT: u128 = 0xff;

    fn of(word: &[u8]) -> Self {
        let len = word.len() as u128;
        let wide = |bytes: u64| u128::from(bytes) << 64;
        if let Some((first, rest)) = word.split_first_chunk() {
            let high = wide(u64::from_be_bytes(*first));
            if rest.is_empty() {
                return Self(high | len);
            }
            // The last eight bytes overlap the first ones; the overlap is shifted out.
            if rest.len() <= Self::MOST - 8
                && let Some(last) = word.last_chunk()
            {
                let low = u64::from_be_bytes(*last) << (8 * (8 - rest.len()));
                return Self(high | u128::from(low) | len);
            }
            let low = rest.first_chunk().copied().map_or(0, u64::from_be_bytes) & !0xff;
            return Self(high | u128::from(low) | Self::CUT);
        }
        if let (Some((first, rest)), Some(last)) = (word.split_first_chunk(), word.last_chunk()) {
            let high = u64::from(u32::from_be_bytes(*first)) << 32;
            // Of four bytes nothing is left.
            let low =
                (u64::from(u32::from_be_bytes(*last)) << (8 * (4 - rest.len()))) & 0xffff_ffff;
            return Self(wide(high | low) | len);
        }
        let mut high = 0;
        for (byte, place) in word.iter().zip([56, 48, 40]) {
            high |= u64::from(*byte) << place;
        }
        Self(wide(high) | len)
    }

    /// Whether all of the word is in it.
    fn is_whole(self) -> bool {
        self.0 & 0xff != Self::CUT
    }

    /// The bytes, and the length of the whole word if that is known.
    fn bytes(self) -> ([u8; 16], usize) {
        let bytes = self.0.to_be_bytes();
        let [.., len] = bytes;
        (bytes, usize::from(len))
    }
}

/// Numbers of documents; a segment is far from four billion of them.
pub(super) fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Writes a segment, word by word in their order.
pub(super) struct Writer<'c> {
    text: &'c Connection,
    segment: i64,
    first: Vec<u8>,
    previous: Vec<u8>,
    page: Vec<u8>,
    list: Vec<u8>,
}

impl<'c> Writer<'c> {
    /// Begins a segment with these documents, newest first.
    pub(super) fn begin(
        text: &'c Connection,
        entity: Entity,
        docs: &[Doc],
    ) -> Result<Self, StoreError> {
        let newest = docs.first().map_or(i64::MIN, |doc| doc.0);
        let count = i64::from(number(docs.len()));
        text.prepare_cached("INSERT INTO segment(entity, docs, newest) VALUES (?1, ?2, ?3)")?
            .execute(params![entity.code(), count, newest])?;
        let segment = text.last_insert_rowid();
        let mut statement = text.prepare_cached("INSERT INTO doc(key, list) VALUES (?1, ?2)")?;
        let mut list = Vec::with_capacity(CHUNK * 16);
        for (chunk, docs) in (segment * CHUNKS..).zip(docs.chunks(CHUNK)) {
            list.clear();
            for (bound, key) in docs {
                list.extend_from_slice(&bound.to_le_bytes());
                list.extend_from_slice(&key.to_le_bytes());
            }
            statement.execute(params![chunk, list])?;
        }
        Ok(Self {
            text,
            segment,
            first: Vec::new(),
            previous: Vec::new(),
            page: Vec::with_capacity(2 * PAGE),
            list: Vec::new(),
        })
    }

    /// Adds a word with the numbers of its documents, in order and without repetition.
    pub(super) fn put(&mut self, word: &[u8], docs: &[u32]) -> Result<(), StoreError> {
        if self.page.is_empty() {
            self.first.clear();
            self.first.extend_from_slice(word);
            self.previous.clear();
        }
        let pairs = word.iter().zip(&self.previous);
        let shared = pairs.take_while(|(a, b)| a == b).count();
        let rest = word.get(shared..).unwrap_or_default();
        put_len(&mut self.page, shared);
        put_len(&mut self.page, rest.len());
        self.page.extend_from_slice(rest);
        self.list.clear();
        let mut before = 0;
        for &doc in docs {
            put_u64(&mut self.list, u64::from(doc.wrapping_sub(before)));
            before = doc;
        }
        put_len(&mut self.page, self.list.len());
        self.page.extend_from_slice(&self.list);
        self.previous.clear();
        self.previous.extend_from_slice(word);
        if self.page.len() >= PAGE {
            self.close()?;
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), StoreError> {
        if !self.page.is_empty() {
            self.text
                .prepare_cached("INSERT INTO page(segment, first, data) VALUES (?1, ?2, ?3)")?
                .execute(params![self.segment, self.first, self.page])?;
            self.page.clear();
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<(), StoreError> {
        self.close()
    }
}

/// Removes a segment.
pub(super) fn remove(text: &Connection, segment: i64) -> Result<(), StoreError> {
    text.prepare_cached("DELETE FROM page WHERE segment = ?1")?
        .execute([segment])?;
    text.prepare_cached("DELETE FROM doc WHERE key >= ?1 AND key < ?2")?
        .execute([segment * CHUNKS, (segment + 1) * CHUNKS])?;
    text.prepare_cached("DELETE FROM segment WHERE key = ?1")?
        .execute([segment])?;
    Ok(())
}

/// The words of a page, one after the other.
#[derive(Debug)]
pub(super) struct Words<'p> {
    rest: Reader<'p>,
    pub(super) word: Vec<u8>,
    list: &'p [u8],
}

impl<'p> Words<'p> {
    pub(super) fn of(page: &'p [u8]) -> Self {
        Self {
            rest: Reader::new(page),
            word: Vec::new(),
            list: &[],
        }
    }

    /// Goes to the next word. Tells whether there is one.
    pub(super) fn advance(&mut self) -> Result<bool, StoreError> {
        if self.rest.is_empty() {
            return Ok(false);
        }
        let shared = self.rest.len()?;
        let own = self.rest.len()?;
        self.word.truncate(shared);
        self.word.extend_from_slice(self.rest.bytes(own)?);
        let list = self.rest.len()?;
        self.list = self.rest.bytes(list)?;
        Ok(true)
    }

    /// The numbers of the documents that have the word.
    pub(super) fn docs(&self) -> Result<Vec<u32>, StoreError> {
        let mut reader = Reader::new(self.list);
        let mut docs = Vec::with_capacity(self.list.len());
        let mut before = 0u32;
        while !reader.is_empty() {
            let gap = u32::try_from(reader.u64()?);
            let next = gap.ok().and_then(|gap| before.checked_add(gap));
            before = next.ok_or(StoreError::Damaged("a list of the text index is broken"))?;
            docs.push(before);
        }
        Ok(docs)
    }
}

/// The documents of a segment that have a word, newest first.
pub(super) fn lookup(text: &Connection, segment: i64, word: &[u8]) -> Result<Vec<u32>, StoreError> {
    let mut statement = text.prepare_cached(
        "SELECT data FROM page WHERE segment = ?1 AND first <= ?2 ORDER BY first DESC LIMIT 1",
    )?;
    let mut rows = statement.query(params![segment, word])?;
    let Some(row) = rows.next()? else {
        return Ok(Vec::new());
    };
    let mut words = Words::of(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?);
    while words.advance()? {
        match words.word.as_slice().cmp(word) {
            std::cmp::Ordering::Less => {}
            std::cmp::Ordering::Equal => return words.docs(),
            std::cmp::Ordering::Greater => break,
        }
    }
    Ok(Vec::new())
}

/// Some documents of a segment: those from the number that comes back on.
pub(super) fn docs_around(
    text: &Connection,
    segment: i64,
    doc: u32,
) -> Result<(u32, Vec<Doc>), StoreError> {
    let chunk = doc as usize / CHUNK;
    let list: Option<Vec<u8>> = text
        .prepare_cached("SELECT list FROM doc WHERE key = ?1")?
        .query_row([segment * CHUNKS + i64::from(number(chunk))], |row| {
            row.get(0)
        })
        .optional()?;
    let list = list.ok_or(StoreError::Damaged("the text index lacks documents"))?;
    Ok((number(chunk * CHUNK), decode_docs(&list)?))
}

/// Every document of a segment, newest first.
pub(super) fn all_docs(text: &Connection, segment: i64) -> Result<Vec<Doc>, StoreError> {
    let mut statement =
        text.prepare_cached("SELECT list FROM doc WHERE key >= ?1 AND key < ?2 ORDER BY key")?;
    let mut rows = statement.query([segment * CHUNKS, (segment + 1) * CHUNKS])?;
    let mut docs = Vec::new();
    while let Some(row) = rows.next()? {
        let list = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
        docs.extend(decode_docs(list)?);
    }
    Ok(docs)
}

fn decode_docs(list: &[u8]) -> Result<Vec<Doc>, StoreError> {
    let mut reader = Reader::new(list);
    let mut docs = Vec::with_capacity(list.len() / 16);
    while !reader.is_empty() {
        let (bound, key) = (reader.array()?, reader.array()?);
        docs.push((i64::from_le_bytes(bound), i64::from_le_bytes(key)));
    }
    Ok(docs)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn prefixes_sort_as_words_do_and_short_words_are_whole(
            a in "[a-c0-9]{0,18}",
            b in "[a-c0-9]{0,18}",
            shared in "[a-z]{0,16}",
        ) {
            for (a, b) in [(a.clone(), b.clone()), (format!("{shared}{a}"), format!("{shared}{b}"))] {
                let (first, second) = (Prefix::of(a.as_bytes()), Prefix::of(b.as_bytes()));
                let whole = first.is_whole() || second.is_whole();
                if whole || first != second {
                    prop_assert_eq!(first.cmp(&second), a.cmp(&b), "{} {}", a, b);
                }
                prop_assert_eq!(first.is_whole(), a.len() <= Prefix::MOST);
                if first.is_whole() {
                    let (bytes, len) = first.bytes();
                    prop_assert_eq!(bytes.get(..len), Some(a.as_bytes()));
                }
            }
        }
    }
}
