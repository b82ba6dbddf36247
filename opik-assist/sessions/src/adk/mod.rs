//! Events as ADK's tables hold them, and what those tables cannot hold.
//!
//! An event is written twice where once is not enough: in ADK's form, which the Python program reads,
//! and as `exact` beside it, with only those fields that reading ADK's form would not give back equal.
//! Most events need no `exact` at all.

mod content;
mod document;
mod event;
mod exact;
mod pickle;
#[cfg(test)]
mod tests;

pub(crate) use document::document_of_columns;
pub(crate) use event::{Found, Limits, Written, read, write};

/// What ADK stores for an event's `actions` when there are none: an empty dictionary, pickled.
pub(crate) const NO_ACTIONS: &[u8] = &[0x80, 0x05, 0x7d, 0x94, 0x2e];
