//! How records are laid out in bytes.
//!
//! Filterable columns of spans are in the *head* of their part ([`span`]), those of a trace in
//! its own head ([`trace`]); long content is in the *body* of each ([`body`]), which lives in a
//! compressed block. [`totals`] is what a trace knows about its spans.

pub(crate) mod body;
pub(crate) mod bytes;
pub(crate) mod span;
pub(crate) mod totals;
pub(crate) mod trace;

/// The first eight bytes of an identifier as a number that sorts like the bytes do, so that a
/// SQLite integer can stand for it. Of version 7 they are the moment of creation.
pub(crate) fn prefix(id: &[u8; 16]) -> i64 {
    let [a, b, c, d, e, f, g, h, ..] = *id;
    let high = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
    (high ^ (1 << 63)).cast_signed()
}
