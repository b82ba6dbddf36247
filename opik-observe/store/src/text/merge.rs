//! Merging segments, so that a question has to look into few of them.
//!
//! Eight segments of about one size become one, up to a size where a merge takes too long; what
//! was removed is left out. When an eighth of the documents was removed, every segment is written
//! again, so that removed words do not stay for ever.

use std::collections::{HashMap, HashSet};

use rusqlite::Connection;

use super::segment::{self, Doc, Words, Writer};
use crate::error::StoreError;
use crate::facet::Entity;
use crate::threads::Turns;

/// How many segments are merged at a time.
const FAN_IN: usize = 8;
/// Segments with as many documents are not merged with others.
const LARGE: i64 = 16_384;
/// One of so many documents may be a removed one.
const REMOVED: i64 = 8;

/// Merges one group of segments, if there is one. Tells whether there was.
pub(super) fn merge_some(text: &Connection) -> Result<bool, StoreError> {
    for entity in [Entity::Part, Entity::Trace] {
        let segments: Vec<(i64, i64)> = text
            .prepare_cached("SELECT key, docs FROM segment WHERE entity = ?1 ORDER BY key")?
            .query_map([entity.code()], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()?;
        let removed: i64 = text
            .prepare_cached("SELECT count(*) FROM removed WHERE entity = ?1")?
            .query_row([entity.code()], |row| row.get(0))?;
        let docs: i64 = segments.iter().map(|segment| segment.1).sum();
        if removed * REMOVED > docs {
            for (segment, _) in segments {
                merge(text, entity, &[segment])?;
            }
            text.prepare_cached("DELETE FROM removed WHERE entity = ?1")?
                .execute([entity.code()])?;
            return Ok(true);
        }
        let mut tiers: HashMap<u32, Vec<i64>> = HashMap::new();
        for (segment, docs) in segments {
            if docs < LARGE {
                let tier = tiers.entry(docs.max(1).ilog2() / 3).or_default();
                tier.push(segment);
                if tier.len() == FAN_IN {
                    merge(text, entity, tier)?;
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

/// In place of the number of a row that goes.
const LEFT_OUT: u32 = u32::MAX;

/// A segment that is being merged.
struct Source {
    segment: i64,
    /// The number of each of its rows in the new segment, or [`LEFT_OUT`].
    numbers: Vec<u32>,
    /// The first of them, when the others follow it one by one.
    first: Option<u32>,
    page: Page,
}

/// The words of a page with their rows, one after the other in memory that the next page uses again.
#[derive(Default)]
struct Page {
    /// The first word of it; of none before the first page.
    key: Option<Vec<u8>>,
    bytes: Vec<u8>,
    rows: Vec<u32>,
    /// Where each word ends in `bytes`, and its rows in `rows`.
    ends: Vec<(usize, usize)>,
    /// How many words were passed.
    passed: usize,
}

fn merge(text: &Connection, entity: Entity, segments: &[i64]) -> Result<(), StoreError> {
    let removed: HashSet<i64> = text
        .prepare_cached("SELECT key FROM removed WHERE entity = ?1")?
        .query_map([entity.code()], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    // Of a document that is in several segments, the latest one is the one to keep.
    let mut places: HashMap<(i64, i64), (Doc, usize, usize)> = HashMap::new();
    let mut sources = Vec::with_capacity(segments.len());
    for (source, &segment) in segments.iter().enumerate() {
        let mut first = 0;
        for doc in segment::all_docs(text, segment)? {
            if !removed.contains(&doc.key) {
                places.insert((doc.bound, doc.key), (doc, source, first));
            } else if entity == Entity::Part {
                // A part is in one segment only.
                text.prepare_cached("DELETE FROM removed WHERE entity = ?1 AND key = ?2")?
                    .execute([entity.code(), doc.key])?;
            }
            first += doc.rows as usize;
        }
        sources.push(Source {
            segment,
            numbers: vec![LEFT_OUT; first],
            first: None,
            page: Page::default(),
        });
    }
    let mut kept: Vec<(Doc, usize, usize)> = places.into_values().collect();
    kept.sort_unstable_by(|a, b| b.cmp(a));
    let mut next = 0;
    for &(doc, source, first) in &kept {
        let rows = first..first + doc.rows as usize;
        let slots = sources.get_mut(source);
        for slot in slots
            .and_then(|it| it.numbers.get_mut(rows))
            .unwrap_or_default()
        {
            *slot = next;
            next += 1;
        }
    }
    let docs: Vec<Doc> = kept.into_iter().map(|(doc, ..)| doc).collect();
    if !docs.is_empty() {
        let mut new = Writer::begin(text, entity, &docs)?;
        for source in &mut sources {
            source.first = first_of_run(&source.numbers);
            source.open_next(text)?;
        }
        // What was written at one time is mostly newer than all that was written before, and then
        // rows come out in order.
        sources.sort_by_key(|source| source.numbers.iter().copied().min());
        let (mut word, mut found) = (Vec::new(), Vec::new());
        let mut turns = Turns::of(16);
        while let Some(least) = sources.iter().filter_map(|it| it.page.word()).min() {
            word.clear();
            word.extend_from_slice(least);
            found.clear();
            for source in &mut sources {
                if source.page.word() == Some(&word) {
                    source.take_rows(&mut found);
                    if source.page.word().is_none() {
                        source.open_next(text)?;
                    }
                }
            }
            if !found.is_sorted() {
                // The stable sort finds the runs, one of each source.
                found.sort();
            }
            if !found.is_empty() {
                new.put(&word, &found)?;
            }
            turns.done();
        }
        new.finish()?;
    }
    for &segment in segments {
        segment::remove(text, segment)?;
    }
    Ok(())
}

/// The first number, when the others follow it one by one.
fn first_of_run(numbers: &[u32]) -> Option<u32> {
    let first = *numbers.first()?;
    let last = first.checked_add(segment::number(numbers.len()))?;
    (first..last).eq(numbers.iter().copied()).then_some(first)
}

impl Source {
    /// Adds the rows of the next word, by their numbers in the new segment, and passes the word.
    fn take_rows(&mut self, found: &mut Vec<u32>) {
        let rows = self.page.next_rows();
        if let Some(first) = self.first
            && rows
                .last()
                .is_none_or(|last| (*last as usize) < self.numbers.len())
        {
            found.extend(rows.iter().map(|row| first.saturating_add(*row)));
            return;
        }
        found.reserve(rows.len());
        for row in rows {
            if let Some(number) = self
                .numbers
                .get(*row as usize)
                .filter(|it| **it != LEFT_OUT)
            {
                found.push(*number);
            }
        }
    }

    /// Reads the next page of words.
    fn open_next(&mut self, text: &Connection) -> Result<(), StoreError> {
        let mut statement = text.prepare_cached(
            "SELECT first, data FROM page WHERE segment = ?1 AND (?2 IS NULL OR first > ?2)
             ORDER BY first LIMIT 1",
        )?;
        let mut rows = statement.query(rusqlite::params![self.segment, self.page.key])?;
        self.page.clear();
        if let Some(row) = rows.next()? {
            self.page
                .read(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?)?;
            self.page.key = Some(row.get(0)?);
        }
        Ok(())
    }
}

impl Page {
    fn clear(&mut self) {
        self.bytes.clear();
        self.rows.clear();
        self.ends.clear();
        self.passed = 0;
    }

    fn read(&mut self, page: &[u8]) -> Result<(), StoreError> {
        let mut words = Words::of(page);
        while words.advance()? {
            self.bytes.extend_from_slice(&words.word);
            words.rows(&mut self.rows)?;
            self.ends.push((self.bytes.len(), self.rows.len()));
        }
        Ok(())
    }

    /// Where the next word begins, and its rows.
    fn begin(&self) -> (usize, usize) {
        let before = self.passed.checked_sub(1);
        let before = before.and_then(|before| self.ends.get(before));
        before.copied().unwrap_or_default()
    }

    /// The next word, unless all were passed.
    fn word(&self) -> Option<&[u8]> {
        let (end, _) = *self.ends.get(self.passed)?;
        self.bytes.get(self.begin().0..end)
    }

    /// The rows of the next word, which is passed.
    fn next_rows(&mut self) -> &[u32] {
        let (_, begin) = self.begin();
        let end = self.ends.get(self.passed).map_or(begin, |end| end.1);
        self.passed += 1;
        self.rows.get(begin..end).unwrap_or_default()
    }
}
