//! The HTTP server: Opik's REST API over the embedded store, and the trace assistant.
//!
//! [`Server::bind`] takes a [`ServerConfig`] and an open [`Store`](opik_store::Store) and serves
//! on a socket until [`Running::shutdown`] is called. Any official Opik client works against it:
//! point its base URL at `http://127.0.0.1:5173/api/`.
//!
//! ```
//! use std::time::Duration;
//! use opik_server::{Server, ServerConfig};
//! use opik_store::Store;
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let config = ServerConfig::default().port(0);
//! let server = Server::bind(config, Store::open_in_memory()?).await?;
//! println!("http://{}/api/", server.local_addr());
//! let report = server.shutdown(Duration::from_secs(5)).await;
//! assert!(report.is_clean());
//! # Ok(())
//! # }
//! ```
//!
//! Handlers are thin: they read the request, call `opik-store`, and map what comes back. What they
//! share is in `http` (bodies, errors, pages, streams); `recorder` has one file per resource.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod app;
mod assist;
mod config;
mod http;
mod listening;
mod recorder;
mod server;
mod upkeep;

pub use assist::{AnsweringModel, AssistConfig, AssistServer, AssistServerError, Origins};
pub use config::{ConfigError, ServerConfig};
pub use http::{RateLimits, UnknownLimit};
pub use server::{Running, Server, ServerError, ShutdownReport};
