//! Asking the index.

use std::collections::BinaryHeap;

use rusqlite::Connection;

use super::Words;
use super::segment::{self, Doc};
use crate::error::StoreError;
use crate::facet::Entity;

/// Rows that have all words of a question, newest first.
#[derive(Debug)]
pub(crate) struct Matches {
    entity: Entity,
    words: Vec<Vec<u8>>,
    highest: i64,
    /// Segments that were not looked into, with the bound of their newest document; the one with
    /// the newest last.
    closed: Option<Vec<(i64, i64)>>,
    open: Vec<Found>,
    /// The next document of each open segment.
    heads: BinaryHeap<(Doc, usize)>,
    last: Option<Doc>,
}

/// The matches within a segment.
#[derive(Debug)]
struct Found {
    segment: i64,
    /// Numbers of documents, the next one last.
    docs: Vec<u32>,
    /// Documents that were read, from a number on.
    around: (u32, Vec<Doc>),
}

impl Matches {
    pub(crate) fn new(entity: Entity, words: &Words, highest: i64) -> Self {
        Self {
            entity,
            words: words.0.clone(),
            highest,
            closed: None,
            open: Vec::new(),
            heads: BinaryHeap::new(),
            last: None,
        }
    }

    /// The next row's bound and key.
    pub(crate) fn next(&mut self, text: &Connection) -> Result<Option<Doc>, StoreError> {
        loop {
            self.open_newer(text)?;
            let Some((doc, number)) = self.heads.pop() else {
                return Ok(None);
            };
            self.push_head(text, number)?;
            // A trace that changed is in several segments.
            if doc.0 <= self.highest && self.last.replace(doc) != Some(doc) {
                return Ok(Some(doc));
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
            let at_hand = self.heads.peek().map(|((bound, _), _)| *bound);
            let may_be_newer =
                |(_, newest): &mut (i64, i64)| at_hand.is_none_or(|at| *newest >= at);
            let Some((segment, _)) = closed.pop_if(may_be_newer) else {
                break;
            };
            let docs = self.in_segment(text, segment)?;
            if !docs.is_empty() {
                self.open.push(Found {
                    segment,
                    docs,
                    around: (0, Vec::new()),
                });
                self.push_head(text, self.open.len() - 1)?;
            }
        }
        self.closed = Some(closed);
        Ok(())
    }

    /// The documents of a segment that have all words, the newest last.
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
        let mut docs = all.unwrap_or_default();
        docs.reverse();
        Ok(docs)
    }

    fn push_head(&mut self, text: &Connection, number: usize) -> Result<(), StoreError> {
        let Some(found) = self.open.get_mut(number) else {
            return Ok(());
        };
        let Some(next) = found.docs.pop() else {
            return Ok(());
        };
        let at = |(from, docs): &(u32, Vec<Doc>)| {
            let at = next.checked_sub(*from)?;
            docs.get(at as usize).copied()
        };
        let doc = match at(&found.around) {
            Some(doc) => doc,
            None => {
                found.around = segment::docs_around(text, found.segment, next)?;
                at(&found.around).ok_or(StoreError::Damaged("the text index lacks documents"))?
            }
        };
        self.heads.push((doc, number));
        Ok(())
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
