//! Traces of one list of postings, read in the statement that reads the postings.
//!
//! A list of the latest traces is mostly made of all that is proposed; a statement for each of
//! them would cost as much as reading it.

use std::collections::VecDeque;

use rusqlite::params;
use rusqlite::types::ValueRef;

use super::Reader;
use super::candidates::Candidate;
use super::records::{TraceRecord, trace_record};
use crate::error::StoreError;

/// How many postings are read at a time.
const FIRST: usize = 64;
const MORE: usize = 512;

/// The traces of one facet of one project, newest first.
#[derive(Debug)]
pub(super) struct Together {
    fid: i64,
    /// The last posting that was read.
    last: Candidate,
    ready: VecDeque<(Candidate, TraceRecord)>,
    size: usize,
    read: usize,
    done: bool,
    content: bool,
}

impl Together {
    /// `page` are as many as are wanted when all of them match, `content` is whether their content
    /// may be asked for.
    pub(super) fn new(fid: i64, highest: i64, page: usize, content: bool) -> Self {
        Self {
            fid,
            content,
            last: Candidate::new(highest, i64::MAX),
            ready: VecDeque::new(),
            // One more tells that there is a next page, and another that this one is complete.
            size: page.saturating_add(2).min(MORE),
            read: 0,
            done: false,
        }
    }

    pub(super) fn next(
        &mut self,
        reader: &mut Reader,
    ) -> Result<Option<(Candidate, TraceRecord)>, StoreError> {
        while self.ready.is_empty() && !self.done {
            self.read(reader)?;
        }
        Ok(self.ready.pop_front())
    }

    fn read(&mut self, reader: &mut Reader) -> Result<(), StoreError> {
        let conn = &reader.conn;
        let mut statement = conn.prepare_cached(
            "SELECT ref, id, project, updated, arrived, block, at, len, totals, head, hi
             FROM facet LEFT JOIN trace ON trace.key = facet.ref AND present
             WHERE fid = ?1 AND (hi, ref) < (?2, ?3) ORDER BY hi DESC, ref DESC LIMIT ?4",
        )?;
        let size = i64::try_from(self.size).unwrap_or(i64::MAX);
        let mut rows = statement.query(params![self.fid, self.last.bound, self.last.key, size])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            count += 1;
            self.last = Candidate::new(row.get(10)?, row.get(0)?);
            if row.get_ref(1)? != ValueRef::Null {
                let record = trace_record(
                    conn,
                    &mut reader.projects,
                    &mut reader.spare,
                    row,
                    self.content,
                )?;
                self.ready.push_back((self.last, record));
            }
        }
        self.done = count < self.size;
        self.read += count;
        self.size = self.read.clamp(FIRST, MORE);
        Ok(())
    }
}
