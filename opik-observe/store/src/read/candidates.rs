//! Candidates of a search, newest first: parts or traces that may hold a match.
//!
//! Each has a *bound*: no identifier in it sorts above the first half that the bound stands for.
//! Bounds fall, so a search can stop as soon as its page is full of records above the next bound.

use std::collections::VecDeque;

use opik_core::TraceId;
use rusqlite::params;

use super::Reader;
use crate::error::StoreError;
use crate::facet::{Entity, Facet};
use crate::text::{self, Words};

/// How many postings are fetched at a time.
const FIRST: usize = 64;
const MORE: usize = 512;

/// A part or trace that may hold a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    pub(super) bound: i64,
    pub(super) key: i64,
}

/// The postings of one facet of one project.
#[derive(Debug)]
pub(super) struct Stream {
    fid: i64,
    /// The last one that was fetched.
    last: Candidate,
    ready: VecDeque<Candidate>,
    size: usize,
    done: bool,
}

/// Where candidates come from.
#[derive(Debug)]
pub(super) enum Candidates {
    /// Known beforehand, newest first.
    List(VecDeque<Candidate>),
    /// Postings, merged over projects.
    Postings(Vec<Stream>),
    /// Matches of the text index.
    Text(text::Matches),
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
            .query_map(params![entity.code(), kind.code(), value, project], |row| row.get(0))?
            .collect::<Result<Vec<i64>, _>>()?;
        let stream = |fid| Stream {
            fid,
            last: Candidate { bound: highest, key: i64::MAX },
            ready: VecDeque::new(),
            size: FIRST,
            done: false,
        };
        Ok(Self::Postings(fids.into_iter().map(stream).collect()))
    }

    /// The parts of one trace.
    pub(super) fn of_trace(reader: &Reader, trace: TraceId) -> Result<Self, StoreError> {
        let mut statement = reader.conn.prepare_cached(
            "SELECT part.hi, part.key FROM trace JOIN part ON part.trace = trace.key
             WHERE trace.id = ?1 ORDER BY part.hi DESC, part.key DESC",
        )?;
        let list = statement
            .query_map([trace.as_bytes()], |row| {
                Ok(Candidate { bound: row.get(0)?, key: row.get(1)? })
            })?
            .collect::<Result<_, _>>()?;
        Ok(Self::List(list))
    }

    /// The one trace with an identifier.
    pub(super) fn one_trace(reader: &Reader, id: &[u8; 16]) -> Result<Self, StoreError> {
        let mut statement = reader.conn.prepare_cached("SELECT key FROM trace WHERE id = ?1")?;
        let bound = crate::codec::prefix(id);
        let list = statement
            .query_map([id], |row| Ok(Candidate { bound, key: row.get(0)? }))?
            .collect::<Result<_, _>>()?;
        Ok(Self::List(list))
    }

    /// The rows that have all words, according to the text index.
    pub(super) fn with_words(entity: Entity, words: &Words, highest: i64) -> Self {
        Self::Text(text::Matches::new(entity, words, highest))
    }

    pub(super) fn next(&mut self, reader: &Reader) -> Result<Option<Candidate>, StoreError> {
        match self {
            Self::List(list) => Ok(list.pop_front()),
            Self::Text(matches) => match &reader.text {
                Some(text) => {
                    Ok(matches.next(text)?.map(|(bound, key)| Candidate { bound, key }))
                }
                None => Ok(None),
            },
            Self::Postings(streams) => {
                let mut best: Option<(Candidate, usize)> = None;
                for (number, stream) in streams.iter_mut().enumerate() {
                    if let Some(head) = stream.head(reader)? {
                        if best.is_none_or(|(known, _)| head > known) {
                            best = Some((head, number));
                        }
                    }
                }
                let Some((candidate, number)) = best else { return Ok(None) };
                if let Some(stream) = streams.get_mut(number) {
                    stream.ready.pop_front();
                }
                Ok(Some(candidate))
            }
        }
    }
}

impl Stream {
    fn head(&mut self, reader: &Reader) -> Result<Option<Candidate>, StoreError> {
        if self.ready.is_empty() && !self.done {
            let mut statement = reader.conn.prepare_cached(
                "SELECT hi, ref FROM facet WHERE fid = ?1 AND (hi, ref) < (?2, ?3)
                 ORDER BY hi DESC, ref DESC LIMIT ?4",
            )?;
            let size = i64::try_from(self.size).unwrap_or(i64::MAX);
            let rows = statement
                .query_map(params![self.fid, self.last.bound, self.last.key, size], |row| {
                    Ok(Candidate { bound: row.get(0)?, key: row.get(1)? })
                })?;
            for row in rows {
                self.ready.push_back(row?);
            }
            self.done = self.ready.len() < self.size;
            self.size = MORE;
            if let Some(last) = self.ready.back() {
                self.last = *last;
            }
        }
        Ok(self.ready.front().copied())
    }
}
