//! Conversations about traces: computed evidence, and an assistant that explains it.
//!
//! The evidence (critical path, error origin, loops, hot spots, differences) is made of pure
//! functions over [`opik_core::TraceTree`]: no IO, no clock, no model. [`analysis::analyse`] computes
//! it once, [`answer::answer`] turns a question into a short text made of it, [`context::pack`] writes it
//! down for a model within a number of tokens.
//!
//! [`Assistant`] leads conversations that last: it loads a trace, computes the evidence, lets a
//! [`opik_core::ChatModel`] explain it with read-only [`tools`], checks the answer ([`check`]) and
//! stores what was said. Without a model it answers from the evidence. [`turn`] is the step machine
//! in it.
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
pub mod assistant;
pub mod cacheable;
pub mod check;
mod claims;
pub mod context;
pub mod context_growth;
pub mod critical_path;
pub mod culprit;
pub mod diff;
pub mod errors;
pub mod failure;
mod figures;
pub mod finding;
mod label;
pub mod localise;
mod message;
pub mod missing_output;
pub mod outliers;
pub mod peers;
mod per_node;
pub mod ping_pong;
mod prompt;
mod quote;
pub mod repetition;
pub mod self_time;
mod signature;
mod soft_error;
pub mod spend;
pub mod tools;
pub mod truncation;
pub mod turn;

pub use analysis::{Evidence, analyse};
pub use answer::{Answer, AnswerContext, answer};
pub use assistant::{Ask, Assistant};
pub use finding::{Finding, FindingId, FindingKind};
pub use per_node::PerNode;
