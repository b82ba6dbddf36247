//! The trace assistant over HTTP: what OpikAssist serves, and what its users asked for.
//!
//! | file | what |
//! |---|---|
//! | [`config`] | the variables of the Python program, and ours |
//! | [`state`] | what handlers share |
//! | [`caller`] | who asks: session cookie and workspace |
//! | [`backend`] | where traces are read: an Opik server, or the embedded store |
//! | [`chat`], [`history`], [`feedback`], [`health`], [`metrics`] | the endpoints |
//! | [`stream`], [`frame`], [`python`] | events of a turn as the stream that the page reads |
//! | [`detail`], [`fields`], [`scan`] | errors as FastAPI words them |
//! | [`cors`], [`routes`] | origins, paths, redirects |
//! | [`internal`] | the server that conversations are recorded to |
//! | [`monitor`] | who is told about the assistant's own work |
//! | [`server`] | beside a real Opik, without the recorder |
//!
//! With an address of an Opik server ([`AssistConfig::opik_url`]) traces are read there, with the
//! cookie and workspace of whoever asks. Without one the same endpoints answer about the traces of
//! the embedded store.

mod backend;
mod caller;
mod chat;
mod config;
mod cors;
mod detail;
mod feedback;
mod fields;
mod frame;
mod health;
mod history;
mod internal;
mod metrics;
mod monitor;
mod python;
mod routes;
mod scan;
mod server;
mod state;
mod stream;

pub use config::{AssistConfig, Origins};
pub use server::{AssistServer, AssistServerError};
pub use state::AnsweringModel;

pub(crate) use routes::standalone;
pub(crate) use server::over_source;
pub(crate) use state::Assist;
