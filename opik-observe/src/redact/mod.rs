//! From what the caller gave to what may leave: the only place that reads raw records.
//!
//! ```text
//! raw record -> Cleared: what the branch's Policy lets through, borrowed from the record
//!                 -> rows:   JSON text, straight into a WireBatch
//!                 -> values: records of opik-core, for exporters that take no rows
//! ```
//!
//! There is one decision and two ways to write it down, so a branch sees the same whatever its
//! exporter takes. Whatever follows (batches, exporters, errors, logs) never sees a raw record.

mod cleared;
mod clearing;
mod json;
mod limited;
mod moments;
mod rows;
mod shape;
mod values;

use opik_core::wire::FieldLimits;

pub(crate) use cleared::Cleared;
pub(crate) use json::{hex_byte, push_text};
pub(crate) use moments::Moments;
pub(crate) use rows::push_row;
pub(crate) use values::push_value;

/// Set to `true` on a span whose future was dropped before it was done.
pub(crate) const CANCELLED: &str = "cancelled";

/// What all records of one recorder have in common.
#[derive(Debug, Clone, Default)]
pub(crate) struct Common {
    pub(crate) project: Option<String>,
    pub(crate) environment: Option<String>,
    /// What rows carry inline.
    pub(crate) limits: FieldLimits,
}

#[cfg(test)]
mod scrub_tests;
#[cfg(test)]
mod tests;
