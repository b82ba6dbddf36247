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

/// A word, and the documents that have it.
#[derive(Debug, Default)]
struct Term {
    last: u32,
    docs: Vec<u32>,
}

/// The words of documents, collected in memory.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    docs: Vec<Doc>,
    terms: HashMap<Box<str>, Term, foldhash::fast::RandomState>,
}

impl Builder {
    /// Begins a document.
    pub(crate) fn begin(&mut self, bound: i64, key: i64) {
        self.docs.push((bound, key));
    }

    /// Says that the document has a word.
    pub(crate) fn add(&mut self, word: &str) {
        let doc = number(self.docs.len());
        match self.terms.get_mut(word) {
            Some(term) if term.last == doc => {}
            Some(term) => {
                term.last = doc;
                term.docs.push(doc - 1);
            }
            None => {
                let docs = vec![doc - 1];
                self.terms.insert(word.into(), Term { last: doc, docs });
            }
        }
    }

    /// Writes what was collected as a segment.
    pub(super) fn store(self, text: &Connection, entity: Entity) -> Result<(), StoreError> {
        if self.docs.is_empty() {
            return Ok(());
        }
        let mut order: Vec<(Doc, usize)> = self.docs.into_iter().zip(0..).collect();
        order.sort_unstable_by(|a, b| b.cmp(a));
        let mut ranks = vec![0; order.len()];
        for (rank, (_, doc)) in order.iter().enumerate() {
            if let Some(slot) = ranks.get_mut(*doc) {
                *slot = number(rank);
            }
        }
        let docs: Vec<Doc> = order.into_iter().map(|(doc, _)| doc).collect();
        let mut terms: Vec<(Box<str>, Vec<u32>)> = self
            .terms
            .into_iter()
            .map(|(word, term)| (word, term.docs))
            .collect();
        terms.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let mut segment = Writer::begin(text, entity, &docs)?;
        for (word, mut found) in terms {
            for doc in &mut found {
                *doc = ranks.get(*doc as usize).copied().unwrap_or(0);
            }
            found.sort_unstable();
            segment.put(word.as_bytes(), &found)?;
        }
        segment.finish()
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
pub(super) fn lookup(text: &Connection, segment: i64, word: &str) -> Result<Vec<u32>, StoreError> {
    let mut statement = text.prepare_cached(
        "SELECT data FROM page WHERE segment = ?1 AND first <= ?2 ORDER BY first DESC LIMIT 1",
    )?;
    let mut rows = statement.query(params![segment, word.as_bytes()])?;
    let Some(row) = rows.next()? else {
        return Ok(Vec::new());
    };
    let mut words = Words::of(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?);
    while words.advance()? {
        match words.word.as_slice().cmp(word.as_bytes()) {
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
