//! Chat models over HTTP: OpenAI-compatible servers, Opik's proxy, Anthropic and Google.
//!
//! Everything in here is an [`opik_core::ChatModel`]. A name and the settings make one:
//!
//! ```
//! use opik_core::Secret;
//! use opik_models::{ModelSettings, Models};
//!
//! let settings = ModelSettings::default().openai_key(Secret::new("key"));
//! let models = Models::new(settings)?;
//! let model = models.model("openai/gpt-4.1")?;
//! assert_eq!(model.name(), "openai/gpt-4.1");
//! let missing = models.model("anthropic/claude-sonnet-4-5").unwrap_err();
//! assert!(missing.to_string().contains("ANTHROPIC_API_KEY"));
//! # Ok::<(), opik_models::SetupError>(())
//! ```
//!
//! or a client is made directly: [`OpenAiModel`], [`OpikProxy`], [`AnthropicModel`],
//! [`GeminiModel`], all over one shared [`HttpClient`].
//!
//! # What holds for every client
//!
//! - The reply is read by an event decoder of our own that takes LF, CRLF and CR, bytes cut
//!   anywhere, comments, several `data` lines, and JSON without any frame (what older versions of
//!   Opik send). Events and replies have a bounded size.
//! - A reply without an end is an error of kind `Truncated`, and its tool calls are not given out.
//! - A failure before the first event is repeated as [`Retries`] says; afterwards never.
//! - Dropping the stream closes the connection. The first token's time is what
//!   `opik_observe::ObservedModel` records, around any model.
//! - Arguments of a tool call that are not JSON arrive as a JSON string that holds what the model
//!   wrote; valid arguments are an object, so the two cannot be mistaken. In a conversation that is
//!   sent back they travel as `{"invalid_arguments": …}`, because servers refuse anything else.
//! - An error names the model, the status and the provider's code. The provider's words are its
//!   source, a [`ProviderMessage`]: short, without control characters, markup and keys.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod anthropic;
mod arguments;
mod config;
mod failure;
mod gemini;
mod http;
mod message;
mod models;
mod name;
mod notes;
mod openai;
mod proxy;
mod reply;
mod setup;
mod usage;

pub use anthropic::AnthropicModel;
pub use config::ModelSettings;
pub use gemini::GeminiModel;
pub use http::{HttpClient, HttpClientBuilder, Retries};
pub use message::ProviderMessage;
pub use models::Models;
pub use name::{ModelName, Provider};
pub use openai::OpenAiModel;
pub use proxy::{Caller, OpikProxy};
pub use setup::SetupError;
