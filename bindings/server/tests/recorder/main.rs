//! The server over real sockets.
#![expect(clippy::unwrap_used, reason = "tests")]

mod catalog_replay;
mod catalog_sdk;
mod running;
mod system;
