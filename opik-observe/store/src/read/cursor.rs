//! Cursors: where the next page of a search begins.
//!
//! In the default order a cursor is the last identifier that was given out, and the bound of the
//! first candidate that may still have something. In other orders it is the last identifier and
//! the number of records before the page, which serves when that record has been deleted.

use opik_core::{Cursor, SpanId, TraceId};

use crate::error::StoreError;

const FOREIGN: StoreError =
    StoreError::InvalidQuery("the cursor is not of this search; begin with the first page");

/// Sixteen bytes of an identifier.
pub(crate) type Id = [u8; 16];

fn number<T: std::str::FromStr>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| FOREIGN)
}

fn id(text: &str) -> Result<Id, StoreError> {
    let id: TraceId = number(text)?;
    Ok(*id.as_bytes())
}

/// A place in the default order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Newest {
    /// Candidates above this have nothing left.
    pub(crate) bound: i64,
    /// Records from this one on were given out.
    pub(crate) before: Id,
}

impl Newest {
    pub(super) fn start(cursor: Option<&Cursor>) -> Result<Option<Self>, StoreError> {
        let Some(cursor) = cursor else {
            return Ok(None);
        };
        let text = cursor.as_str().strip_prefix("n.").ok_or(FOREIGN)?;
        let (bound, before) = text.split_once('.').ok_or(FOREIGN)?;
        Ok(Some(Self {
            bound: number(bound)?,
            before: id(before)?,
        }))
    }

    pub(crate) fn to_cursor(self) -> Cursor {
        Cursor::new(format!(
            "n.{}.{}",
            self.bound,
            SpanId::from_bytes(self.before)
        ))
    }
}

/// A place in another order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sorted {
    /// How many records come before.
    pub(super) skip: usize,
    /// The last of them.
    pub(super) after: Id,
}

impl Sorted {
    pub(super) fn start(cursor: Option<&Cursor>) -> Result<Option<Self>, StoreError> {
        let Some(cursor) = cursor else {
            return Ok(None);
        };
        let text = cursor.as_str().strip_prefix("s.").ok_or(FOREIGN)?;
        let (skip, after) = text.split_once('.').ok_or(FOREIGN)?;
        Ok(Some(Self {
            skip: number(skip)?,
            after: id(after)?,
        }))
    }

    pub(super) fn to_cursor(self) -> Cursor {
        Cursor::new(format!(
            "s.{}.{}",
            self.skip,
            SpanId::from_bytes(self.after)
        ))
    }
}

/// A place among the parts of a trace.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct InTrace {
    pub(super) part: i64,
    /// Number of the next row.
    pub(super) row: usize,
}

impl InTrace {
    pub(super) fn start(cursor: Option<&Cursor>) -> Result<Self, StoreError> {
        let Some(cursor) = cursor else {
            return Ok(Self::default());
        };
        let text = cursor.as_str().strip_prefix("p.").ok_or(FOREIGN)?;
        let (part, row) = text.split_once('.').ok_or(FOREIGN)?;
        Ok(Self {
            part: number(part)?,
            row: number(row)?,
        })
    }

    pub(super) fn to_cursor(self) -> Cursor {
        Cursor::new(format!("p.{}.{}", self.part, self.row))
    }
}
