//! Traces of workflows: jobs made of nodes, with model calls by experts, fallbacks and validations.
//!
//! A job is one trace. What happens in it is a tree of spans, each begun and ended by one guard, so
//! no start lacks its end and none is told twice:
//!
//! ```text
//! job                 trace      job_id, project_id, counts
//! └ node              general    node_name, node_type, attempt, counts, prompt_*
//!   ├ model call      llm        expert, path, attempt, fallback, prompt hashes, model, usage
//!   ├ validation      guardrail  validation_kind, validation_result, findings
//!   └ node …
//! ```
//!
//! ```
//! use opik_core::Usage;
//! use opik_observe::Recorder;
//! use opik_observe::workflow::{Counts, Job};
//! # let recorder = Recorder::disabled();
//!
//! let mut job = Job::begin(&recorder, "synthesis", "job-17", "project-3");
//! {
//!     let mut node = job.node("extract claims");
//!     let mut call = node.llm_call("logician");
//!     call.path("primary").attempt(1).model("qwen3-32b", "vllm");
//!     call.prompt(&serde_json::json!([{"role": "user", "content": "…"}]));
//!     call.usage(&Usage::of_tokens(1_200, 80));
//!     call.end();
//!     node.validation("citations").passed();
//!     node.counts(&Counts::new().claims(12));
//! } // a node ends when its guard is dropped
//! job.counts(&Counts::new().claims(12).conflicts(1));
//! ```
//!
//! # Where a step belongs
//!
//! A job is begun once, by whoever takes it on: a second [`Job`] of the same id is a second trace.
//!
//! [`Job::node`], [`Node::node`] and the like begin a step below the one they are called on.
//! [`Steps`] is the same as a handle: cheap to clone, and taken along to other threads and tasks. Code
//! deep below that has no handle begins its steps with [`Steps::in_context`]. A job, node or call
//! is a [`Scope`](crate::Scope), so a future can run in it and end it.
//!
//! # What leaves the process
//!
//! The guards record what they are given, and the branch's policy decides. [`policy`] is the one that
//! lets through the labels and numbers above ([`METADATA_KEYS`]), ids, times, models, token counts and
//! hashes of prompts, and no text. Labels are cut at 128 bytes: put no content there.

mod counts;
mod job;
mod llm_call;
mod node;
mod steps;
mod validation;

pub use counts::Counts;
pub use job::Job;
pub use llm_call::LlmCall;
pub use node::Node;
pub use steps::Steps;
pub use validation::Validation;

use crate::policy::{Names, Policy, PromptHash};

/// Metadata keys that the guards of this module write.
pub const METADATA_KEYS: [&str; 19] = [
    "attempt",
    "counts",
    "expert",
    "fallback",
    "fallback_from",
    "findings",
    "job_id",
    "node_name",
    "node_type",
    "path",
    "project_id",
    "prompt_commit",
    "prompt_name",
    "prompt_origin",
    "prompt_tag",
    "prompt_version",
    "rigor_level",
    "validation_kind",
    "validation_result",
];

/// What a workflow may send to a place that must not see its texts: the metadata of this module
/// and names that look like identifiers, besides what [`Policy::metadata_only`] lets through. Model
/// calls get both fingerprints of their prompt: `prompt_hash` (version 2), and `prompt_hash_v1`,
/// which is equal to Vyasa's.
///
/// ```
/// use opik_observe::workflow;
///
/// let remote = workflow::policy();
/// assert!(!remote.passes_content());
/// ```
#[must_use]
pub fn policy() -> Policy {
    Policy::metadata_only()
        .allow_metadata(METADATA_KEYS)
        .names(Names::Identifiers)
        .prompt_hash(PromptHash::Both)
}

/// Marks what is done again.
const RETRY: &str = "retry";
const LABEL_BYTES: usize = 128;

/// A label is a word or two: what is longer is content that came here by mistake.
fn label(text: &str) -> &str {
    text.get(..text.floor_char_boundary(LABEL_BYTES))
        .unwrap_or_default()
}

/// What the guards of steps have in common.
macro_rules! step_methods {
    ($($guard:ident: $inner:ident: $inner_type:ident);+ $(;)?) => {$(
        impl $guard {
            #[doc = concat!(
                "What is recorded of it, for whatever else there is to say: [`", stringify!($inner_type),
                "`](crate::", stringify!($inner_type), ")."
            )]
            pub fn $inner(&mut self) -> &mut crate::guard::$inner_type {
                &mut self.$inner
            }

            /// It as the place where steps begin, to take along to other threads and tasks.
            #[must_use]
            pub fn steps(&self) -> Steps {
                Steps::from(self.$inner.handle())
            }

            /// It failed with this error; see [`SpanGuard::error`](crate::SpanGuard::error).
            pub fn error<E: std::error::Error + ?Sized>(&mut self, error: &E) -> &mut Self {
                self.$inner.error(error);
                self
            }

            /// It failed: a kind such as `Timeout`, and what the program says about it.
            pub fn fail<'n>(
                &mut self,
                kind: impl Into<crate::Name<'n>>,
                message: &str,
            ) -> &mut Self {
                self.$inner.fail(kind, message);
                self
            }

            /// Makes this the span that the thread is in, until the guard is dropped; see
            /// [`Steps::in_context`].
            pub fn enter(&self) -> crate::EnterGuard {
                self.$inner.enter()
            }

            /// Ends it now; the same as dropping it.
            pub fn end(self) {}
        }

        impl crate::scope::sealed::Sealed for $guard {
            fn handle(&self) -> crate::SpanHandle {
                self.$inner.handle()
            }
            fn cancelled(&mut self) {
                self.$inner.cancelled();
            }
            fn first_token(&mut self) {
                self.$inner.first_token();
            }
            fn items(&mut self, count: u64) {
                self.$inner.metadata(crate::scope::ITEMS, count);
            }
            fn output_text(&mut self, text: &str) {
                self.$inner.output(text);
            }
            fn error<E: std::error::Error + ?Sized>(&mut self, error: &E) {
                self.$inner.error(error);
            }
        }
        impl crate::scope::Scope for $guard {}
    )+};
}
step_methods! {
    Job: trace: TraceGuard;
    Node: span: SpanGuard;
    LlmCall: span: SpanGuard;
    Validation: span: SpanGuard;
}
