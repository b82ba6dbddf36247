//! What is different between two spans, or between two traces.
//!
//! [`diff_spans`] compares everything that two spans carry: time, status, model, tokens, cost, and
//! their contents by JSON path and word by word. [`diff_traces`] first finds out which span of one
//! trace is which of the other, then compares the pairs:
//!
//! - the **difference of the durations is decomposed exactly**: the critical path of a trace is a
//!   partition of its duration, so the changes of the shares of the pairs, plus the shares of what
//!   was added, minus those of what was removed, add up to the whole difference;
//! - the **first divergence** is the span that was given the same and answered differently before
//!   any other did, or a span that only one trace has and that began before that.
//!
//! Everything is iterative, the results are bounded but for the lists of spans, and equal traces
//! give equal results. Only the comparison of very long, very different texts is cut short by a
//! clock; the result is then coarser and still correct.
//!
//! Results serialise to JSON, and tell their story through [`SpanDiff::findings`] and
//! [`TraceDiff::findings`]. They quote recorded content.

mod align;
mod content;
mod divergence;
mod findings;
mod json;
mod span;
mod span_findings;
#[cfg(test)]
mod tests;
mod text;
mod trace;

pub use align::MatchKind;
pub use content::{ContentDiff, ContentState};
pub use divergence::Divergence;
pub use json::{Excerpt, JsonChange, JsonDiff, JsonOp, MAX_CHANGES, diff_json};
pub use span::{CountChange, Delta, FieldChange, SpanDiff, SpanRef, diff_spans};
pub use text::{Hunk, MAX_HUNKS, TextDiff, TextMethod, diff_texts};
pub use trace::{Recorded, SpanPair, Subtree, TimeDecomposition, TraceDiff, diff_traces};
