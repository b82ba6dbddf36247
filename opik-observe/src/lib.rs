//! Observe-only flight recorder for LLM applications: never changes, blocks or fails its host.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use opik_core::{SpanType, Usage};
//! use opik_observe::{Policy, Recorder};
//! # use opik_core::{Batch, ExportError, ExportReport, Exporter};
//! # #[derive(Debug)]
//! # struct Store;
//! # #[async_trait::async_trait]
//! # impl Exporter for Store {
//! #     async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
//! #         Ok(ExportReport::accepted(batch.len()))
//! #     }
//! #     async fn flush(&self) -> Result<(), ExportError> { Ok(()) }
//! # }
//! # let store: Arc<dyn Exporter> = Arc::new(Store);
//!
//! // Two branches could have two policies; this one keeps the texts because the store is local.
//! let (recorder, guard) = Recorder::builder()
//!     .project("support-bot")
//!     .branch("local", store, Policy::full_content())
//!     .start()?;
//!
//! let mut trace = recorder.trace("answer");
//! trace.input("why is my order late?").thread_id("chat-7");
//! {
//!     let mut call = trace.span("chat", SpanType::Llm);
//!     call.model("gpt-5-mini", "openai").input("why is my order late?");
//!     call.output("it left the warehouse today").usage(&Usage::of_tokens(12, 6));
//! } // a span ends when its guard is dropped
//! trace.output("it left the warehouse today");
//! trace.end();
//!
//! let report = guard.shutdown(Duration::from_secs(3));
//! assert!(report.complete);
//! assert_eq!(report.statistics.branches[0].exported, 2);
//! # Ok::<(), opik_observe::StartError>(())
//! ```
//!
//! # What it promises
//!
//! - Recording is synchronous, takes well under a microsecond and needs no runtime: it works in
//!   any, in none, in `Drop` and while unwinding. It never blocks, whatever the exporter does.
//! - Memory is bounded by [`RecorderBuilder::max_pending_records`] and
//!   [`RecorderBuilder::max_pending_bytes`]. What finds no room is counted by [`DropReason`], with one
//!   warning per reason through `tracing` (target `opik_observe`). For every branch,
//!   `recorded == exported + dropped + pending`.
//! - Each branch has its own [`Policy`] and its own thread. A slow, hanging, blocking or
//!   panicking exporter harms its own branch only.
//! - By default no text of input, output or error leaves the process; see [`Policy`].
//! - [`Recorder::flush`], [`Recorder::shutdown`] and dropping the [`RecorderGuard`] return within
//!   their timeout, whatever the exporter does.
//! - What runs on the recorder's own threads is not recorded, so an exporter may be made of code
//!   that records.
//! - A [disabled](Recorder::disabled) recorder starts no thread.
//!
//! After a `fork` the child has none of the recorder's threads: `flush` and `shutdown` return at once there,
//! and nothing is exported from it. Start a new recorder in the child.
//!
//! # Parents
//!
//! A span's parent is explicit: [`TraceGuard::span`], [`SpanGuard::child`], or a [`SpanHandle`]
//! taken along to another thread or task. Where handing it on is a burden, [`SpanGuard::enter`] and
//! [`FutureExt::in_span`] make a span the current one, and [`Recorder::span_in_context`] begins a
//! span below it. [`StreamExt::in_span`] does the same for a reply that arrives piece by piece, with
//! the time of its first item.
//!
//! # Features
//!
//! | feature | what it adds | default |
//! |---|---|---|
//! | `macros` | the attribute `#[observe]`: a span around every call of a function | off |
//! | `rest` | export to an Opik server, also as the environment says (`from_env`), and prompts from it | off |
//! | `tracing-layer` | `layer::OpikLayer`, which records the spans of the `tracing` crate | off |
//!
//! [`workflow`] is a surface for jobs that are worked off in nodes, [`prompts`] fetches prompts without
//! making anyone wait.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod active;
mod builder;
mod clock;
mod config;
mod context;
mod default;
mod flush;
#[cfg(feature = "rest")]
#[cfg_attr(docsrs, doc(cfg(feature = "rest")))]
mod from_env;
mod guard;
mod in_span;
mod in_stream;
mod intake;
mod kept;
#[cfg(feature = "tracing-layer")]
#[cfg_attr(docsrs, doc(cfg(feature = "tracing-layer")))]
pub mod layer;
mod model;
mod name;
#[cfg(feature = "macros")]
mod observed;
mod policy;
pub mod prompt_hash;
pub mod prompts;
mod raw;
mod recorder;
mod redact;
mod scope;
mod scores;
pub mod spool;
mod stats;
mod value;
mod worker;
pub mod workflow;

pub use builder::{Branch, RecorderBuilder, StartError};
pub use config::StartRows;
pub use context::{EnterGuard, SpanHandle};
pub use default::{default_recorder, set_default};
pub use flush::{Flush, FlushReport};
#[cfg(feature = "rest")]
pub use from_env::{OpikRecorder, from_env, from_settings, from_settings_with};
pub use guard::{SpanGuard, TraceGuard};
pub use in_span::{FutureExt, InSpan};
pub use in_stream::{StreamExt, StreamInSpan};
pub use model::ObservedModel;
pub use name::Name;
#[cfg(feature = "macros")]
#[cfg_attr(docsrs, doc(cfg(feature = "macros")))]
#[doc = include_str!("observe.md")]
pub use opik_observe_macros::observe;
pub use policy::{Field, Kinds, Names, Policy, PromptHash};
pub use recorder::{Recorder, RecorderGuard};
pub use scope::Scope;
pub use stats::{BranchStatistics, DropReason, Statistics};
pub use value::Value;

/// What `#[observe]` expands to. Not a part of the public API.
#[cfg(feature = "macros")]
#[doc(hidden)]
pub mod __macro {
    pub use crate::observed::*;
}
