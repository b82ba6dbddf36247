//! The vocabulary of Opik for Rust: what a trace is, and what its providers promise.
//!
//! Everything else in the workspace speaks in the types of this crate and meets only through its
//! four provider traits:
//!
//! | trait | what it promises |
//! |---|---|
//! | [`Exporter`] | takes a batch of redacted records |
//! | [`TraceSource`] | one trace, its spans page by page, a search |
//! | [`SessionStore`] | an append-only event log per session, with an expected position |
//! | [`ChatModel`] | one streamed reply to a list of messages and tools |
//!
//! A fifth, [`Catalog`](catalog::Catalog), keeps what is not a trace: datasets with their versions, experiments, prompts and
//! the rest of what Opik lists.
//!
//! The errors of all of them have one shape: a kind, what was being done, how long to wait, a cause;
//! `is_retryable()` says whether the same call may succeed later. Their texts name identifiers,
//! sizes and status codes, never content. The same goes for `Debug` of everything that holds content.
//!
//! `opik-testkit` has a conformance suite for each trait: an implementation is one that passes it.
//!
//! With the feature `rest`, `rest::OpikClient` talks to an Opik server: it is an exporter, a trace
//! source and the rest of Opik's API.
//!
//! [`wire`] holds records as the rows of Opik's write API, for whoever sends or keeps them as they are.
//!
//! [`settings`] reads how to reach a server from the environment and the file of the official
//! clients, without ever failing.
//!
//! [`model`] holds the records exactly as they travel on Opik's wire, [`query`] the filters and
//! the sorting that everyone who searches shares, and [`tree`] a trace with its spans indexed once.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod catalog;
pub mod chat;
mod error;
pub mod exporter;
pub mod id;
pub mod json;
mod link;
pub mod model;
pub mod prices;
pub mod query;
#[cfg(feature = "rest")]
#[cfg_attr(docsrs, doc(cfg(feature = "rest")))]
pub mod rest;
mod secret;
pub mod series;
pub mod session;
pub mod settings;
pub mod source;
pub mod time;
pub mod tree;
pub mod wire;

pub use chat::{ChatEvent, ChatModel, ChatRequest, ChatStream, ModelError};
pub use exporter::{Batch, ExportError, ExportReport, Exporter};
pub use id::{EntityId, ProjectId, SpanId, TraceId};
pub use json::Json;
pub use link::trace_url;
pub use model::{
    Comment, ErrorInfo, FeedbackScore, Project, ScoreRecord, Span, SpanType, Thread, Trace, Usage,
};
pub use secret::Secret;
pub use session::{Event, Message, Part, Role, Session, SessionError, SessionKey, SessionStore};
pub use source::{Cursor, Page, PageRequest, SourceError, TraceSource};
pub use time::Timestamp;
pub use tree::TraceTree;
