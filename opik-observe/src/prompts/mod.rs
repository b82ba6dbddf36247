//! Prompts from a registry, without ever waiting for it.
//!
//! [`PromptRegistry::get`] answers at once, whatever the registry's server does: with what was
//! fetched before, or else with the default that the program brings. A thread of its own
//! (`opik-prompts`) fetches in the background, so the next call has the answer.
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use opik_observe::prompts::{Origin, PromptRegistry};
//! # use opik_observe::prompts::{FetchedPrompt, PromptSource, PromptSourceError};
//! # #[derive(Debug)]
//! # struct Client;
//! # #[async_trait::async_trait]
//! # impl PromptSource for Client {
//! #     async fn fetch(&self, _: &str, _: &str) -> Result<Option<FetchedPrompt>, PromptSourceError> {
//! #         Ok(Some(FetchedPrompt::new("You are strict.").version("v3")))
//! #     }
//! # }
//! # let client = Client;
//!
//! // With the feature `rest` an `opik_core::rest::OpikClient` is such a source.
//! let prompts = PromptRegistry::builder(Arc::new(client)).start()?;
//! prompts.warm_up(&[("critic", "production")], Duration::from_secs(2));
//!
//! let prompt = prompts.get("critic", "production", "You are a critic.");
//! assert_eq!((prompt.text(), prompt.origin()), ("You are strict.", Origin::Cached));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # What an answer is
//!
//! | what is known | answer | in the background |
//! |---|---|---|
//! | fetched less than [`ttl`](PromptRegistryBuilder::ttl) ago (300 s) | [`Origin::Cached`] | nothing |
//! | fetched before that | [`Origin::Stale`]: the same, for as long as no newer one comes | one fetch |
//! | the server says that there is none | [`Origin::Default`] | one fetch after the ttl |
//! | nothing yet | [`Origin::Default`] | one fetch |
//!
//! After a failed fetch the next waits for [`retry_after`](PromptRegistryBuilder::retry_after) (30 s),
//! after each further failure twice as long, at most the ttl: a server that is down costs its callers
//! nothing and is asked seldom.
//!
//! # Bounds
//!
//! A fetch ends after [`fetch_timeout`](PromptRegistryBuilder::fetch_timeout) (2 s), four run at the
//! same time, and one per prompt and tag. At most [`max_prompts`](PromptRegistryBuilder::max_prompts)
//! (1,000) are known; further ones get their default and are counted. A source that panics or sends
//! more than 1 MiB has failed. The thread ends when the last handle is dropped; nobody waits for it.
//! What runs on it is not recorded by any recorder.

mod cache;
#[cfg(feature = "rest")]
mod opik;
mod refresh;
mod registry;
mod source;
#[cfg(test)]
mod tests;
mod text;

pub use registry::{PromptRegistry, PromptRegistryBuilder, PromptStatistics, WarmUp};
pub use source::{FetchedPrompt, PromptSource, PromptSourceError};
pub use text::{Origin, PromptText};
