//! Rows of the tables as records.

use std::ops::Range;

use opik_core::{Span, SpanId, Timestamp, Trace, TraceId};
use rusqlite::{Connection, Row};

use super::plan::Content;
use super::{Projects, Reader};
use crate::codec::body::Body;
use crate::codec::span::{self, SpanRow};
use crate::codec::totals::Totals;
use crate::codec::trace::TraceRow;
use crate::error::StoreError;
use crate::write::is_dead;

/// Where a body lies; nowhere when it is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Place {
    block: i64,
    range: Range<usize>,
    /// Whether it holds more than content.
    needed: bool,
}

/// A trace whose content has not been read yet.
#[derive(Debug)]
pub(super) struct TraceRecord {
    pub(super) trace: Box<Trace>,
    pub(super) key: i64,
    body: Place,
    filled: bool,
}

/// A span whose content has not been read yet.
#[derive(Debug)]
pub(super) struct SpanRecord {
    /// Boxed, as it is large and goes through many hands.
    pub(super) span: Box<Span>,
    body: Place,
    filled: bool,
}

impl TraceRecord {
    pub(super) fn body(&self) -> &Place {
        &self.body
    }
}

impl SpanRecord {
    pub(super) fn body(&self) -> &Place {
        &self.body
    }

    /// The block that holds the body.
    pub(super) fn block(&self) -> i64 {
        self.body.block
    }
}

/// A part of a trace, as it is stored.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) key: i64,
    pub(super) trace: TraceId,
    pub(super) project: i64,
    arrived: i64,
    pub(super) block: i64,
    at: usize,
    dead: Vec<u8>,
    head: Vec<u8>,
}

fn size(n: i64) -> Result<usize, StoreError> {
    usize::try_from(n).map_err(|_| StoreError::Damaged("an offset or length is negative"))
}

/// A statement that reads traces, with the columns that [`trace_record`] expects.
macro_rules! select_trace {
    ($condition:literal) => {
        concat!(
            "SELECT key, id, project, updated, arrived, block, at, len, totals, head
             FROM trace WHERE ",
            $condition
        )
    };
}

pub(super) const TRACE_BY_ID: &str = select_trace!("id = ?1 AND present");
pub(super) const TRACE_BY_KEY: &str = select_trace!("key = ?1 AND present");

impl Part {
    /// From the columns key, trace id, project, arrived, block, at, dead, head.
    pub(super) fn of(row: &Row<'_>) -> Result<Self, StoreError> {
        Ok(Self {
            key: row.get(0)?,
            trace: TraceId::from_bytes(row.get(1)?),
            project: row.get(2)?,
            arrived: row.get(3)?,
            block: row.get(4)?,
            at: size(row.get(5)?)?,
            dead: row.get::<_, Option<Vec<u8>>>(6)?.unwrap_or_default(),
            head: row.get(7)?,
        })
    }

    /// Its live rows with their numbers.
    pub(super) fn rows(&self) -> Result<Vec<(usize, SpanRow<'_>)>, StoreError> {
        let rows = span::decode(&self.head)?;
        Ok(rows
            .into_iter()
            .enumerate()
            .filter(|(n, _)| !is_dead(&self.dead, *n))
            .collect())
    }

    /// Where the body of a row lies in the block.
    pub(super) fn body(&self, row: &SpanRow<'_>) -> Range<usize> {
        let at = self.at.saturating_add(row.body_at);
        at..at.saturating_add(row.body_len)
    }

    pub(super) fn ids(&self) -> Result<Vec<SpanId>, StoreError> {
        Ok(self.rows()?.into_iter().map(|(_, row)| row.id).collect())
    }
}

/// Boxes for the traces of the next page: those of the last one, whose traces were taken out.
/// They are large for an allocator, which would merge and split its blocks for every list.
#[derive(Debug, Default)]
#[expect(clippy::vec_box, reason = "the boxes are what is kept")]
pub(super) struct Spare(Vec<Box<Trace>>);

impl Spare {
    /// About 100 KiB.
    const MOST: usize = 128;

    fn trace(&mut self, id: TraceId) -> Box<Trace> {
        match self.0.pop() {
            Some(mut trace) => {
                trace.id = id;
                trace
            }
            None => Box::new(Trace::new(id, Timestamp::EPOCH)),
        }
    }

    /// The trace of a box that is kept.
    pub(super) fn take(&mut self, mut trace: Box<Trace>) -> Trace {
        if self.0.len() >= Self::MOST {
            return *trace;
        }
        let empty = Trace::new(trace.id, Timestamp::EPOCH);
        let taken = std::mem::replace(&mut *trace, empty);
        self.0.push(trace);
        taken
    }
}

/// A trace with its totals, from the columns of [`TRACE_BY_ID`]. Its content is found again only
/// with `content`.
pub(super) fn trace_record(
    conn: &Connection,
    projects: &mut Projects,
    spare: &mut Spare,
    row: &Row<'_>,
    content: bool,
) -> Result<TraceRecord, StoreError> {
    let blob = |at| row.get_ref(at)?.as_blob().map_err(rusqlite::Error::from);
    let columns = TraceRow::decode(blob(9)?)?;
    let project = projects.get(conn, row.get(2)?)?;
    let mut trace = spare.trace(TraceId::from_bytes(row.get(1)?));
    columns.fill(&mut trace, project, row.get(3)?, row.get(4)?);
    Totals::fill(blob(8)?, &mut trace)?;
    let needed = columns.needs_body();
    let body = if content || needed {
        let at = size(row.get(6)?)?;
        Place {
            block: row.get(5)?,
            range: at..at.saturating_add(size(row.get(7)?)?),
            needed,
        }
    } else {
        Place::default()
    };
    Ok(TraceRecord {
        trace,
        key: row.get(0)?,
        body,
        filled: false,
    })
}

impl Reader {
    /// Whether content is as a search wants it.
    pub(super) fn has_content(
        &mut self,
        wanted: &Content,
        name: Option<&str>,
        place: &Place,
    ) -> Result<bool, StoreError> {
        if place.range.is_empty() {
            return Ok(wanted.is_in(name, &Body::default()));
        }
        let block = self.block(place.block)?;
        Ok(wanted.is_in(name, &body(&block, &place.range)?))
    }

    /// Reads what the columns lack: content, where it is wanted, and rare fields.
    pub(super) fn fill_trace(
        &mut self,
        record: &mut TraceRecord,
        content: bool,
    ) -> Result<(), StoreError> {
        if record.filled || record.body.range.is_empty() || !(content || record.body.needed) {
            return Ok(());
        }
        let block = self.block(record.body.block)?;
        body(&block, &record.body.range)?.fill_trace(&mut record.trace, content)?;
        record.filled = true;
        Ok(())
    }

    /// A span of a part.
    pub(super) fn span_record(
        &mut self,
        part: &Part,
        row: &SpanRow<'_>,
    ) -> Result<SpanRecord, StoreError> {
        let project = self.projects.get(&self.conn, part.project)?;
        Ok(SpanRecord {
            span: Box::new(row.to_span(part.trace, project, part.arrived)),
            body: Place {
                block: part.block,
                range: part.body(row),
                needed: row.needs_body(),
            },
            filled: false,
        })
    }

    /// Reads what the columns lack: content, where it is wanted, and rare fields.
    pub(super) fn fill_span(
        &mut self,
        record: &mut SpanRecord,
        content: bool,
    ) -> Result<(), StoreError> {
        if record.filled || record.body.range.is_empty() || !(content || record.body.needed) {
            return Ok(());
        }
        let block = self.block(record.body.block)?;
        body(&block, &record.body.range)?.fill_span(&mut record.span, content)?;
        record.filled = true;
        Ok(())
    }
}

fn body<'b>(block: &'b [u8], range: &Range<usize>) -> Result<Body<'b>, StoreError> {
    let bytes = block
        .get(range.clone())
        .ok_or(StoreError::Damaged("a body lies outside its block"))?;
    Body::parse(bytes)
}
