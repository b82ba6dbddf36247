//! Drawing: everything here turns values into text with styles, and does no IO.
//!
//! Text from traces is recorded content: it goes through [`text::clean`], so that it can neither
//! move the cursor nor break a table.

pub(crate) mod changes;
pub(crate) mod critical;
pub(crate) mod folding;
pub(crate) mod glyphs;
pub(crate) mod json;
pub(crate) mod numbers;
#[cfg(test)]
pub(crate) mod sample;
pub(crate) mod span;
pub(crate) mod style;
pub(crate) mod table;
pub(crate) mod text;
pub(crate) mod trace;
pub(crate) mod tree;
pub(crate) mod waterfall;
