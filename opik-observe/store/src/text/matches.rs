//! Asking the index.

use std::collections::BinaryHeap;

use rusqlite::Connection;

use super::Words;
use super::segment::{self, Around, Doc, number};
use crate::error::StoreError;
use crate::facet::Entity;

/// A part or trace that has all words of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Match {
    pub(crate) doc: Doc,
    /// A bit for each row that has all of them; the highest one for all from there on.
    pub(crate) rows: u64,
}

/// Documents with a row that has all words of a question, newest first.
#[derive(Debug)]
pub(crate) struct Matches {
    entity: Entity,
    words: Vec<Vec<u8>>,
    project: Option<i64>,
    highest: i64,
    /// Segments that were not looked into, with the bound of their newest document; the one with
    /// the newest last.
    closed: Option<Vec<(i64, i64)>>,
    open: Vec<Found>,
    /// The next match of each open segment.
    heads: BinaryHeap<(Match, usize)>,
    last: Option<(i64, i64)>,
}

/// The matches within a segment.
#[derive(Debug)]
struct Found {
    segment: i64,
    /// Numbers of rows, the next one last.
    rows: Vec<u32>,
    /// Documents that were read.
    around: Around,
}

impl Matches {
    /// Matches in one project or all, up to a bound.
    pub(crate) fn new(entity: Entity, words: &Words, project: Option<i64>, highest: i64) -> Self {
        Self {
            entity,
            words: words.0.clone(),
            project,
            highest,
            closed: None,
            open: Vec::new(),
            heads: BinaryHeap::new(),
            last: None,
        }
    }

    /// The next match. A trace that changed may still be found by what it was: its version tells.
    pub(crate) fn next(&mut self, text: &Connection) -> Result<Option<Match>, StoreError> {
        loop {
            self.open_newer(text)?;
            let Some((found, number)) = self.heads.pop() else {
                return Ok(None);
            };
            self.push_head(text, number)?;
            let place = (found.doc.bound, found.doc.key);
            // A trace that changed is in several segments; the latest version comes first.
            if place.0 <= self.highest && self.last.replace(place) != Some(place) {
                return Ok(Some(found));
            }
        }
    }

    /// Looks into every segment that may have something as new as what is at hand.
    fn open_newer(&mut self, text: &Connection) -> Result<(), StoreError> {
        let mut closed = match self.closed.take() {
            Some(closed) => closed,
            None => text
                .prepare_cached(
                    "SELECT key, newest FROM segment WHERE entity = ?1 ORDER BY newest",
                )?
                .query_map([self.entity.code()], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect::<Result<Vec<(i64, i64)>, _>>()?,
        };
        loop {
            let at_hand = self.heads.peek().map(|(found, _)| found.doc.bound);
            let may_be_newer =
                |(_, newest): &mut (i64, i64)| at_hand.is_none_or(|at| *newest >= at);
            let Some((segment, _)) = closed.pop_if(may_be_newer) else {
                break;
            };
            let rows = self.in_segment(text, segment)?;
            if !rows.is_empty() {
                self.open.push(Found {
                    segment,
                    rows,
                    around: Vec::new(),
                });
                self.push_head(text, self.open.len() - 1)?;
            }
        }
        self.closed = Some(closed);
        Ok(())
    }

    /// The rows of a segment that have all words, the newest last.
    fn in_segment(&self, text: &Connection, segment: i64) -> Result<Vec<u32>, StoreError> {
        let mut all: Option<Vec<u32>> = None;
        for word in &self.words {
            let found = segment::lookup(text, segment, word)?;
            let both = match all {
                None => found,
                Some(known) => in_both(&known, &found),
            };
            if both.is_empty() {
                return Ok(both);
            }
            all = Some(both);
        }
        let mut rows = all.unwrap_or_default();
        rows.reverse();
        Ok(rows)
    }

    fn push_head(&mut self, text: &Connection, number: usize) -> Result<(), StoreError> {
        let Some(found) = self.open.get_mut(number) else {
            return Ok(());
        };
        while let Some(next) = found.next(text)? {
            if self
                .project
                .is_none_or(|project| next.doc.project == project)
            {
                self.heads.push((next, number));
                break;
            }
        }
        Ok(())
    }
}

impl Found {
    fn next(&mut self, text: &Connection) -> Result<Option<Match>, StoreError> {
        let Some(row) = self.rows.pop() else {
            return Ok(None);
        };
        let (first, doc) = match of_row(&self.around, row) {
            Some(doc) => doc,
            None => {
                self.around = segment::docs_around(text, self.segment, row)?;
                of_row(&self.around, row)
                    .ok_or(StoreError::Damaged("the text index lacks documents"))?
            }
        };
        let mut rows = bit(row - first);
        while let Some(row) = self.rows.pop_if(|row| row.saturating_sub(first) < doc.rows) {
            rows |= bit(row - first);
        }
        Ok(Some(Match { doc, rows }))
    }
}

/// The document of a row, if it is among them, with the number of its first row.
fn of_row(docs: &Around, row: u32) -> Option<(u32, Doc)> {
    let after = docs.partition_point(|(first, _)| *first <= row);
    let (first, doc) = *docs.get(after.checked_sub(1)?)?;
    (row - first < doc.rows).then_some((first, doc))
}

fn bit(row: u32) -> u64 {
    1 << row.min(u64::BITS - 1)
}

impl Match {
    /// Leaves out the rows whose bits are set.
    pub(crate) fn leave_out(&mut self, rows: &[u8]) {
        for (byte, place) in rows.iter().zip((0..u64::BITS).step_by(8)) {
            self.rows &= !(u64::from(*byte) << place);
        }
    }

    /// Whether a row has all words, as far as its bit tells.
    pub(crate) fn has(&self, row: usize) -> bool {
        self.rows & bit(number(row)) != 0
    }
}

/// What two lists in order have in common.
fn in_both(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut others = b.iter().peekable();
    let mut both = Vec::with_capacity(a.len().min(b.len()));
    for doc in a {
        while others.next_if(|other| *other < doc).is_some() {}
        if others.next_if_eq(&doc).is_some() {
            both.push(*doc);
        }
    }
    both
}
