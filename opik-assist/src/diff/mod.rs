//! What is different between two spans, or between two traces.
#![doc = ""]
mod json;
mod text;

pub use json::{Excerpt, JsonChange, JsonDiff, JsonOp, MAX_CHANGES, diff_json};
pub use text::{Hunk, MAX_HUNKS, TextDiff, TextMethod, diff_texts};
