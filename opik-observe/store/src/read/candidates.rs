//! Candidates of a search, newest first: parts or traces that may hold a match.
//!
//! Each has a *bound*: no identifier in it sorts above the first half that the bound stands for.
//! Bounds fall, so a search can stop as soon as its page is full of records above the next bound.

use std::collections::VecDeque;

use opik_core::TraceId;
use rusqlite::{Connection, params};

use super::Reader;
use crate::codec::prefix;
use crate::error::StoreError;
use crate::facet::{Entity, Facet, Kind};
use crate::text::{self, Words};

/// How many postings are fetched at a time.
const FIRST: usize = 64;
const MORE: usize = 512;
/// How many rows that the text index does not know are looked at.
const TAIL: i64 = 1_000;

/// A part or trace that may hold a match. Candidates are in the order of bound and key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub(super) bound: i64,
    pub(super) key: i64,
    /// What the text index knows of it, where words are looked for. It is of the project that was
    /// asked for.
    pub(super) indexed: Option<text::Match>,
}

impl Candidate {
    pub(super) fn new(bound: i64, key: i64) -> Self {
        Self {
            bound,
            key,
            indexed: None,
        }
    }

    /// Whether a row may match, by its number.
    pub(super) fn may_have(&self, row: usize) -> bool {
        self.indexed.is_none_or(|found| found.has(row))
    }

    fn place(&self) -> (i64, i64) {
        (self.bound, self.key)
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.place() == other.place()
    }
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.place().cmp(&other.place())
    }
}

/// The postings of one facet of one project.
#[derive(Debug)]
pub(super) struct Stream {
    fid: i64,
    /// The last one that was fetched.
    last: Candidate,
    ready: VecDeque<Candidate>,
    size: usize,
    /// How many were fetched so far.
    fetched: usize,
    done: bool,
}

/// Where candidates come from.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a question has one of them")]
pub(super) enum Candidates {
    /// Known beforehand, newest first.
    List(VecDeque<Candidate>),
    /// Postings, merged over projects.
    Postings(Vec<Stream>),
    /// Matches of the text index, and what is so new that it is not in there.
    Text {
        matches: text::Matches,
        next_match: Option<Candidate>,
        tail: VecDeque<Candidate>,
    },
}

impl Candidates {
    /// The rows that have a facet, in one project or all.
    pub(super) fn with_facet(
        reader: &Reader,
        entity: Entity,
        project: Option<i64>,
        (kind, value): &Facet,
        highest: i64,
    ) -> Result<Self, StoreError> {
        let mut statement = reader.conn.prepare_cached(
            "SELECT fid FROM facet_name
             WHERE entity = ?1 AND kind = ?2 AND value = ?3 AND (?4 IS NULL OR project = ?4)",
        )?;
        let fids = statement
            .query_map(params![entity.code(), kind.code(), value, project], |row| {
                row.get(0)
            })?
            .collect::<Result<Vec<i64>, _>>()?;
        let streams = fids.into_iter().map(|fid| Stream::new(fid, highest));
        Ok(Self::Postings(streams.collect()))
    }

    /// The rows one of whose tags contains a text, in one project or all. There may be more than
    /// match.
    pub(super) fn with_tag_part(
        reader: &Reader,
        entity: Entity,
        project: Option<i64>,
        part: &str,
        highest: i64,
    ) -> Result<Self, StoreError> {
        let mut statement = reader.conn.prepare_cached(
            "SELECT fid, value FROM facet_name
             WHERE entity = ?1 AND kind = ?2 AND (?3 IS NULL OR project = ?3)",
        )?;
        let tags = statement
            .query_map(params![entity.code(), Kind::Tag.code(), project], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<Result<Vec<(i64, String)>, _>>()?;
        let fits = tags
            .into_iter()
            .filter(|(_, tag)| tag.to_lowercase().contains(part));
        Ok(Self::Postings(
            fits.map(|(fid, _)| Stream::new(fid, highest)).collect(),
        ))
    }

    /// The parts of one trace.
    pub(super) fn of_trace(reader: &Reader, trace: TraceId) -> Result<Self, StoreError> {
        let mut statement = reader.conn.prepare_cached(
            "SELECT part.hi, part.key FROM trace JOIN part ON part.trace = trace.key
             WHERE trace.id = ?1 ORDER BY part.hi DESC, part.key DESC",
        )?;
        let list = statement
            .query_map([trace.as_bytes()], |row| {
                Ok(Candidate::new(row.get(0)?, row.get(1)?))
            })?
            .collect::<Result<_, _>>()?;
        Ok(Self::List(list))
    }

    /// The one trace with an identifier.
    pub(super) fn one_trace(reader: &Reader, id: &[u8; 16]) -> Result<Self, StoreError> {
        let mut statement = reader
            .conn
            .prepare_cached("SELECT key FROM trace WHERE id = ?1")?;
        let bound = prefix(id);
        let list = statement
            .query_map([id], |row| Ok(Candidate::new(bound, row.get(0)?)))?
            .collect::<Result<_, _>>()?;
        Ok(Self::List(list))
    }

    /// The rows that have all words, according to the text index, and the latest ones that it does
    /// not know yet.
    pub(super) fn with_words(
        reader: &Reader,
        entity: Entity,
        words: &Words,
        project: Option<i64>,
        highest: i64,
    ) -> Result<Self, StoreError> {
        let Some(text) = &reader.text else {
            return Ok(Self::List(VecDeque::new()));
        };
        let known = text::progress(text)?;
        let (sql, after) = match entity {
            Entity::Part => (
                "SELECT hi, key FROM part WHERE key > ?1 ORDER BY key DESC LIMIT ?2",
                known.part,
            ),
            Entity::Trace => (
                "SELECT id, key FROM trace WHERE seq > ?1 AND row_seq > ?1
                 ORDER BY seq DESC LIMIT ?2",
                known.seq,
            ),
        };
        let mut statement = reader.conn.prepare_cached(sql)?;
        let mut tail: Vec<Candidate> = statement
            .query_map([after, TAIL], |row| {
                let bound = match entity {
                    Entity::Part => row.get(0)?,
                    Entity::Trace => prefix(&row.get(0)?),
                };
                Ok(Candidate::new(bound, row.get(1)?))
            })?
            .collect::<Result<_, _>>()?;
        tail.retain(|candidate| candidate.bound <= highest);
        tail.sort_unstable_by(|a, b| b.cmp(a));
        let mut matches = text::Matches::new(entity, words, project, highest);
        let next_match = next_match(&mut matches, text)?;
        Ok(Self::Text {
            matches,
            next_match,
            tail: tail.into(),
        })
    }

    /// The facet, if all candidates come from one list.
    pub(super) fn only_list(&self) -> Option<i64> {
        match self {
            Self::Postings(streams) => match streams.as_slice() {
                [stream] => Some(stream.fid),
                _ => None,
            },
            _ => None,
        }
    }

    pub(super) fn next(&mut self, reader: &Reader) -> Result<Option<Candidate>, StoreError> {
        match self {
            Self::List(list) => Ok(list.pop_front()),
            Self::Text {
                matches,
                next_match: matched,
                tail,
            } => {
                if tail.front().copied() > *matched {
                    return Ok(tail.pop_front());
                }
                let Some(text) = &reader.text else {
                    return Ok(None);
                };
                let found = matched.take();
                if found.is_some() {
                    *matched = next_match(matches, text)?;
                }
                // A trace that changed may be in both; what the index knows is old then.
                if found.is_some() && found == tail.front().copied() {
                    return Ok(tail.pop_front());
                }
                Ok(found)
            }
            Self::Postings(streams) => {
                let mut best: Option<Candidate> = None;
                for stream in streams.iter_mut() {
                    best = best.max(stream.head(reader)?);
                }
                if best.is_none() {
                    return Ok(None);
                }
                // A row may have several of the facets.
                for stream in streams {
                    if stream.ready.front().copied() == best {
                        stream.ready.pop_front();
                    }
                }
                Ok(best)
            }
        }
    }
}

fn next_match(
    matches: &mut text::Matches,
    text: &Connection,
) -> Result<Option<Candidate>, StoreError> {
    Ok(matches.next(text)?.map(|found| Candidate {
        indexed: Some(found),
        ..Candidate::new(found.doc.bound, found.doc.key)
    }))
}

impl Stream {
    fn new(fid: i64, highest: i64) -> Self {
        Self {
            fid,
            last: Candidate::new(highest, i64::MAX),
            ready: VecDeque::new(),
            size: FIRST,
            fetched: 0,
            done: false,
        }
    }

    fn head(&mut self, reader: &Reader) -> Result<Option<Candidate>, StoreError> {
        if self.ready.is_empty() && !self.done {
            let mut statement = reader.conn.prepare_cached(
                "SELECT hi, ref FROM facet WHERE fid = ?1 AND (hi, ref) < (?2, ?3)
                 ORDER BY hi DESC, ref DESC LIMIT ?4",
            )?;
            let size = i64::try_from(self.size).unwrap_or(i64::MAX);
            let rows = statement.query_map(
                params![self.fid, self.last.bound, self.last.key, size],
                |row| Ok(Candidate::new(row.get(0)?, row.get(1)?)),
            )?;
            for row in rows {
                self.ready.push_back(row?);
            }
            self.done = self.ready.len() < self.size;
            self.fetched += self.ready.len();
            // A page mostly ends within the second time.
            self.size = self.fetched.clamp(FIRST, MORE);
            if let Some(last) = self.ready.back() {
                self.last = *last;
            }
        }
        Ok(self.ready.front().copied())
    }
}
