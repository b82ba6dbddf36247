//! Segments: which rows of some documents have which words.
//!
//! A segment covers what one step of the index took in, or a merge of smaller segments. Its
//! documents are in order from the newest on, and the rows of all documents are numbered in that
//! order, so every list of rows is a list of the newest matches first. Words are in order, each
//! without what it shares with the word before, and cut into pages that a query finds by their
//! first word. Documents are found by the number of a row:
//!
//! ```text
//! page = (shared:varint length:varint rest of the word, list of rows)*
//! doc = (bound:difference key:difference version:difference project:varint rows:varint)*
//! ```

use rusqlite::{Connection, OptionalExtension, params};

use super::lists::{Bits, List};
use crate::codec::bytes::{Reader, put_i64, put_len, put_u64};
use crate::error::StoreError;
use crate::facet::Entity;

/// Size from which a page is closed.
const PAGE: usize = 3_800;
/// Documents in a row of the table `doc`.
const CHUNK: usize = 150;
/// Numbers of rows that a segment may have.
const ROWS: i64 = 1 << 32;
/// Rows of a document at most; parts have far fewer.
const MOST_ROWS: u32 = 1 << 16;

/// A part, with its spans as rows, or a trace, which is one row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Doc {
    /// No identifier in it sorts above this.
    pub(crate) bound: i64,
    pub(crate) key: i64,
    /// The number of the change that made a trace what it is; parts have none.
    pub(crate) version: i64,
    pub(crate) project: i64,
    pub(crate) rows: u32,
}

/// Numbers of documents and rows; a segment is far from four billion of them.
pub(crate) fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// Writes a segment, word by word in their order.
pub(super) struct Writer<'c> {
    text: &'c Connection,
    segment: i64,
    first: Vec<u8>,
    previous: Vec<u8>,
    page: Vec<u8>,
    bits: Bits,
}

impl<'c> Writer<'c> {
    /// Begins a segment with these documents, newest first.
    pub(super) fn begin(
        text: &'c Connection,
        entity: Entity,
        docs: &[Doc],
    ) -> Result<Self, StoreError> {
        let newest = docs.first().map_or(i64::MIN, |doc| doc.bound);
        let count = i64::from(number(docs.len()));
        text.prepare_cached("INSERT INTO segment(entity, docs, newest) VALUES (?1, ?2, ?3)")?
            .execute(params![entity.code(), count, newest])?;
        let segment = text.last_insert_rowid();
        let mut statement = text.prepare_cached("INSERT INTO doc(key, list) VALUES (?1, ?2)")?;
        let mut list = Vec::with_capacity(CHUNK * 16);
        let mut first = segment * ROWS;
        for docs in docs.chunks(CHUNK) {
            list.clear();
            put_docs(&mut list, docs);
            statement.execute(params![first, list])?;
            first += docs.iter().map(|doc| i64::from(doc.rows)).sum::<i64>();
        }
        Ok(Self {
            text,
            segment,
            first: Vec::new(),
            previous: Vec::new(),
            page: Vec::with_capacity(2 * PAGE),
            bits: Bits::default(),
        })
    }

    /// Adds a word with the numbers of its rows, in order and without repetition.
    pub(super) fn put(&mut self, word: &[u8], rows: &[u32]) -> Result<(), StoreError> {
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
        self.bits.put_list(&mut self.page, rows);
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
        .execute([segment * ROWS, (segment + 1) * ROWS])?;
    text.prepare_cached("DELETE FROM segment WHERE key = ?1")?
        .execute([segment])?;
    Ok(())
}

/// The words of a page, one after the other.
#[derive(Debug)]
pub(super) struct Words<'p> {
    rest: Reader<'p>,
    pub(super) word: Vec<u8>,
    list: List<'p>,
}

impl<'p> Words<'p> {
    pub(super) fn of(page: &'p [u8]) -> Self {
        Self {
            rest: Reader::new(page),
            word: Vec::new(),
            list: List::default(),
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
        self.list = List::take(&mut self.rest)?;
        Ok(true)
    }

    /// Appends the numbers of the rows that have the word.
    pub(super) fn rows(&self, to: &mut Vec<u32>) -> Result<(), StoreError> {
        self.list.read(to)
    }
}

/// The rows of a segment that have a word, newest first.
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
            std::cmp::Ordering::Equal => {
                let mut found = Vec::new();
                words.rows(&mut found)?;
                return Ok(found);
            }
            std::cmp::Ordering::Greater => break,
        }
    }
    Ok(Vec::new())
}

/// Some documents of a segment, each with the number of its first row.
pub(super) type Around = Vec<(u32, Doc)>;

/// The documents around a row.
pub(super) fn docs_around(text: &Connection, segment: i64, row: u32) -> Result<Around, StoreError> {
    let mut statement = text.prepare_cached(
        "SELECT key, list FROM doc WHERE key <= ?1 AND key >= ?2 ORDER BY key DESC LIMIT 1",
    )?;
    let first = segment * ROWS;
    let found = statement
        .query_row([first + i64::from(row), first], |row| {
            let list: Vec<u8> = row.get(1)?;
            Ok((row.get::<_, i64>(0)?, list))
        })
        .optional()?;
    let (key, list) = found.ok_or(StoreError::Damaged("the text index lacks documents"))?;
    let mut next = u32::try_from(key - first).unwrap_or(u32::MAX);
    let docs = decode_docs(&list)?.into_iter().map(|doc| {
        let first = next;
        next = next.saturating_add(doc.rows);
        (first, doc)
    });
    Ok(docs.collect())
}

/// Every document of a segment, newest first.
pub(super) fn all_docs(text: &Connection, segment: i64) -> Result<Vec<Doc>, StoreError> {
    let mut statement =
        text.prepare_cached("SELECT list FROM doc WHERE key >= ?1 AND key < ?2 ORDER BY key")?;
    let mut rows = statement.query([segment * ROWS, (segment + 1) * ROWS])?;
    let mut docs = Vec::new();
    while let Some(row) = rows.next()? {
        let list = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
        docs.extend(decode_docs(list)?);
    }
    Ok(docs)
}

fn put_docs(out: &mut Vec<u8>, docs: &[Doc]) {
    let mut before = Doc::default();
    for doc in docs {
        put_i64(out, doc.bound.wrapping_sub(before.bound));
        put_i64(out, doc.key.wrapping_sub(before.key));
        put_i64(out, doc.version.wrapping_sub(before.version));
        put_u64(out, doc.project.cast_unsigned());
        put_u64(out, u64::from(doc.rows));
        before = *doc;
    }
}

fn decode_docs(list: &[u8]) -> Result<Vec<Doc>, StoreError> {
    let mut reader = Reader::new(list);
    let mut docs = Vec::with_capacity(CHUNK);
    let mut before = Doc::default();
    while !reader.is_empty() {
        before = Doc {
            bound: before.bound.wrapping_add(reader.i64()?),
            key: before.key.wrapping_add(reader.i64()?),
            version: before.version.wrapping_add(reader.i64()?),
            project: reader.u64()?.cast_signed(),
            rows: u32::try_from(reader.u64()?).unwrap_or(u32::MAX),
        };
        if before.rows > MOST_ROWS {
            return Err(StoreError::Damaged(
                "a document of the text index is too long",
            ));
        }
        docs.push(before);
    }
    Ok(docs)
}
