//! The fault table of the book: what goes wrong, and what becomes of what was recorded.
//!
//! Every test drives the whole path, from a recorder through a spool and the REST client to a server
//! that fails. The host sees nothing in any of them: recording returns, nothing panics, and shutting down
//! ends in time.
#![cfg(feature = "rest")]
#![expect(clippy::unwrap_used, reason = "tests")]

mod connection;
mod refusal;
mod replay;
mod server;
mod stack;
mod status;
