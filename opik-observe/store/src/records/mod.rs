//! What a server keeps beside traces and spans, one file per subject: types, the functions of
//! [`Store`](crate::Store), and the SQL.
//!
//! All of it belongs to Opik's domain: projects with their details, changes to single fields of
//! records, threads, comments, guardrails, assertions, attachments. Functions that write are
//! committed when they return, in the order in which they were called.

pub(crate) mod attachments;
pub(crate) mod checks;
pub(crate) mod comments;
mod lists;
mod otlp;
pub(crate) mod patches;
pub(crate) mod projects;
mod scores;
pub(crate) mod threads;

pub use attachments::{Attachment, AttachmentKey};
pub use checks::{Assertion, Guardrail};
pub use comments::Target;
pub use patches::{FieldsPatch, RecordOutcome, SpanPatch, TracePatch};
pub use projects::{ProjectChange, ProjectOutcome};
pub use scores::ScoredKind;
pub use threads::ThreadQuery;
