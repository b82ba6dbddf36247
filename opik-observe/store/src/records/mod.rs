//! What a server keeps beside traces and spans, one file per subject: types, the functions of
//! [`Store`](crate::Store), and the SQL.
//!
//! All of it belongs to Opik's domain: projects with their details, changes to single fields of
//! records, threads, comments, guardrails, assertions, attachments. Functions that write are
//! committed when they return, in the order in which they were called.

pub(crate) mod projects;

pub use projects::{ProjectChange, ProjectOutcome};
