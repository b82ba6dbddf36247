//! Computed evidence about traces: critical path, error origin, loops, hot spots, differences.
//!
//! Everything here is a pure function over [`opik_core::TraceTree`]: no IO, no clock, no model.
//! [`analysis::analyse`] computes the evidence once, [`answer::answer`] turns a question into a
//! short text made of it.
//!
//! ```
//! use opik_assist::analysis::analyse;
//! use opik_assist::answer::{AnswerContext, answer};
//! use opik_core::{Span, SpanId, Timestamp, TraceId, TraceTree};
//!
//! let id = TraceId::generate();
//! let mut root = Span::new(SpanId::generate(), id, Timestamp::from_micros(0));
//! root.end_time = Some(Timestamp::from_micros(2_000_000));
//! let tree = TraceTree::from_spans(id, vec![root]);
//!
//! let evidence = analyse(&tree);
//! let answer = answer("why is this trace slow?", &AnswerContext::new(&tree, &evidence));
//! assert!(answer.computed);
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod analysis;
pub mod answer;
pub mod critical_path;
pub mod diff;
pub mod finding;
pub mod localise;
mod per_node;
pub mod self_time;

pub use analysis::{Evidence, analyse};
pub use answer::{Answer, AnswerContext, answer};
pub use finding::{Finding, FindingId, FindingKind};
pub use per_node::PerNode;
