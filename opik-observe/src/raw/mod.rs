//! Records as the caller's thread writes them: compact, unredacted, unreadable to anything but
//! the worker.
//!
//! A record is a head of fixed size, a name and a list of fields:
//!
//! ```text
//! kind u8 | flags u8 | span type u8 | 0 u8 | length of the name u32 | id 16 | trace id 16 | parent id 16
//!   | start i64 | end i64
//! name
//! field*: tag u8 | form u8 | length of the key u16 | length of the value u32 | key | value
//! ```
//!
//! Numbers are little-endian, times microseconds. Only fields of some tags have a key. Values keep
//! the form in which they are cheapest to write: texts are copied and escaped by the worker.
//!
//! No type in here implements `Debug` or `Display`: what it holds may be a prompt. Only
//! [`redact`](crate::redact) reads it.

use opik_core::SpanType;

mod read;
mod top;
mod write;

pub(crate) use read::{Payload, RawView};
pub(crate) use write::{Head, Raw};

/// Types of spans that the head has room for, counted from 1; any other is a field.
const SPAN_TYPES: [SpanType; 4] = [
    SpanType::General,
    SpanType::Tool,
    SpanType::Llm,
    SpanType::Guardrail,
];

/// What a record is.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) enum Kind {
    Trace = 1,
    Span = 2,
    Score = 3,
}

/// The record is a row of something that is still open.
const FLAG_OPEN: u8 = 1;
/// It has a parent span; or, for a score, it is given to a span.
const FLAG_PARENT: u8 = 2;
/// The name is a literal of the program.
const FLAG_DECLARED: u8 = 4;

const HEAD: usize = 8 + 16 * 3 + 8 * 2;
const ID_AT: usize = 8;
const TRACE_AT: usize = 24;
const PARENT_AT: usize = 40;
const START_AT: usize = 56;
const END_AT: usize = 64;
/// Bytes of a field before its key.
const FIELD: usize = 8;

/// Tags of fields.
#[derive(Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Debug))]
pub(crate) enum Tag {
    SpanType = 1,
    Input = 2,
    Output = 3,
    Metadata = 4,
    Label = 5,
    Model = 6,
    Provider = 7,
    Usage = 8,
    Cost = 9,
    ErrorType = 10,
    ErrorText = 11,
    ThreadId = 12,
    FirstToken = 13,
    ScoreValue = 14,
    ScoreReason = 15,
    ScoreCategory = 16,
}

impl Tag {
    pub(crate) const ALL: [Self; 16] = [
        Self::SpanType,
        Self::Input,
        Self::Output,
        Self::Metadata,
        Self::Label,
        Self::Model,
        Self::Provider,
        Self::Usage,
        Self::Cost,
        Self::ErrorType,
        Self::ErrorText,
        Self::ThreadId,
        Self::FirstToken,
        Self::ScoreValue,
        Self::ScoreReason,
        Self::ScoreCategory,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        // In the order of their numbers, which begin at 1.
        Self::ALL.get(usize::from(byte).checked_sub(1)?).copied()
    }
}

/// Form of a value, the first byte of its payload.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// UTF-8 text, not escaped.
    Text = 1,
    /// JSON text.
    Json = 2,
    Int = 3,
    Float = 4,
    Bool = 5,
    /// The beginning of a JSON text that was too long, as a text.
    Cut = 6,
    /// UTF-8 text that is a literal of the program.
    Declared = 7,
}

impl Form {
    const ALL: [Self; 7] = [
        Self::Text,
        Self::Json,
        Self::Int,
        Self::Float,
        Self::Bool,
        Self::Cut,
        Self::Declared,
    ];

    fn from_byte(byte: u8) -> Option<Self> {
        // In the order of their numbers, which begin at 1.
        Self::ALL.get(usize::from(byte).checked_sub(1)?).copied()
    }
}

/// Whether a record is a row of something that is still open.
pub(crate) fn is_open(record: &[u8]) -> bool {
    record.get(1).is_some_and(|flags| flags & FLAG_OPEN != 0)
}

/// Whether two records are of the same trace or span.
#[inline]
pub(crate) fn is_of_same(one: &[u8], other: &[u8]) -> bool {
    match (one.first_chunk::<HEAD>(), other.first_chunk::<HEAD>()) {
        (Some(one), Some(other)) => {
            one[0] == other[0] && one[ID_AT..TRACE_AT] == other[ID_AT..TRACE_AT]
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests;
