//! Opik over HTTP: the REST client.
//!
//! [`OpikClient`] talks to one server and workspace. It is an [`Exporter`](crate::Exporter) and a
//! [`TraceSource`](crate::TraceSource), and has typed calls for what those two do not cover:
//! projects, threads, scores, comments, attachments, prompts, datasets and experiments.
//!
//! ```no_run
//! use opik_core::query::{ProjectSelector, TraceQuery};
//! use opik_core::rest::OpikClient;
//! use opik_core::TraceSource;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let opik = OpikClient::builder("https://www.comet.com/opik/api")
//!     .api_key("my key")
//!     .workspace("my-team")
//!     .build()?;
//! let mut query = TraceQuery::default();
//! query.project = ProjectSelector::Name("checkout".to_owned());
//! for trace in opik.search_traces(&query).await?.items {
//!     println!("{} {:?}", opik.trace_url(trace.id), trace.duration);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # How calls behave
//!
//! - **Bounded.** Each attempt has a time limit and each answer a size limit; repetitions are
//!   bounded by [`RetryPolicy`], in number and in time.
//! - **Harmless twice.** Rows carry their identifiers and `last_updated_at`, so a call whose answer
//!   got lost is sent again. The few calls that would make two of something (a comment, a prompt
//!   version) are repeated only when the server certainly did not act.
//! - **Complete rows.** Traces and spans are written whole and never patched: a patch can overtake
//!   the row that it changes, and the server then loses one of them.
//! - **Compressed.** JSON of 256 bytes and more travels as gzip.
//! - **Discreet.** The key goes to the server's own origin only, redirects are not followed, and
//!   errors name endpoints, identifiers and statuses; what the server said, which may quote
//!   content, is in [`RestError::body`] and nowhere else.
//! - **Suspicious.** A success that Opik did not send (the page of a proxy or of the web front end)
//!   is an error, and so is an error line inside a stream that began with 200.
//!
//! # What Opik cannot answer
//!
//! As a [`TraceSource`](crate::TraceSource) the client refuses what it has no exact answer for with
//! [`InvalidQuery`](crate::source::SourceErrorKind::InvalidQuery): search words, an order over more
//! than 10,000 matches, and what the server itself refuses. See
//! [`OpikClient`'s implementation](OpikClient#impl-TraceSource-for-OpikClient).

/// Writes the `Debug` of a type that holds content: these fields, and a sign that there are more.
macro_rules! debug_only {
    ($type:ident: $($field:ident),+) => {
        impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($type))
                    $(.field(stringify!($field), &self.$field))+
                    .finish_non_exhaustive()
            }
        }
    };
}

mod added;
mod attachments;
mod base_url;
mod bodies;
mod call;
mod client;
mod comments;
mod datasets;
mod deliver;
mod error;
mod experiments;
mod export;
mod filters;
mod limited;
mod listing;
mod ndjson;
mod projects;
mod prompts;
mod rate_limit;
mod retry;
mod scores;
mod search;
mod source;
mod spans;
mod system;
mod threads;
mod traces;
mod transport;
mod uploaded;

pub use attachments::{Attachment, AttachmentTarget, NewAttachment};
pub use base_url::{BaseUrl, BaseUrlError};
pub use client::{ClientError, DEFAULT_WORKSPACE, MAX_ITEMS, OpikClient, OpikClientBuilder};
pub use comments::CommentTarget;
pub use datasets::{Dataset, DatasetItem, DatasetRef, DatasetVersion, NewDataset};
pub use error::{ErrorBody, RestError, RestErrorKind};
pub use experiments::{
    Experiment, ExperimentItem, ExperimentScore, ExperimentUpdate, NewExperiment, PromptVersionLink,
};
pub use listing::{Listing, PageNumber};
pub use prompts::{NewPromptVersion, Prompt, PromptSelector, PromptVersion};
pub use retry::RetryPolicy;
pub use threads::ThreadQuery;
