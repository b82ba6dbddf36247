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
    /// Words of the page that is open, with their rows; the next one last.
    ready: Vec<(Vec<u8>, Vec<u32>)>,
    /// The first word of that page.
    page: Option<Vec<u8>>,
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
            ready: Vec::new(),
            page: None,
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
            source.open_next(text)?;
        }
        let least = |sources: &[Source]| {
            let words = sources.iter().filter_map(|source| source.ready.last());
            words.map(|(word, _)| word).min().cloned()
        };
        while let Some(word) = least(&sources) {
            let mut found = Vec::new();
            for source in &mut sources {
                let Some((_, list)) = source.ready.pop_if(|(next, _)| *next == word) else {
                    continue;
                };
                let numbers = &source.numbers;
                let renumbered = list.into_iter().filter_map(|row| numbers.get(row as usize));
                found.extend(renumbered.filter(|row| **row != LEFT_OUT));
                if source.ready.is_empty() {
                    source.open_next(text)?;
                }
            }
            if !found.is_empty() {
                found.sort_unstable();
                new.put(&word, &found)?;
            }
        }
        new.finish()?;
    }
    for &segment in segments {
        segment::remove(text, segment)?;
    }
    Ok(())
}

impl Source {
    /// Reads the next page of words.
    fn open_next(&mut self, text: &Connection) -> Result<(), StoreError> {
        let mut statement = text.prepare_cached(
            "SELECT first, data FROM page WHERE segment = ?1 AND (?2 IS NULL OR first > ?2)
             ORDER BY first LIMIT 1",
        )?;
        let mut rows = statement.query(rusqlite::params![self.segment, self.page])?;
        let Some(row) = rows.next()? else {
            return Ok(());
        };
        let mut words = Words::of(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?);
        while words.advance()? {
            self.ready.push((words.word.clone(), words.rows()?));
        }
        self.ready.reverse();
        self.page = Some(row.get(0)?);
        Ok(())
    }
}
