//! The server over real sockets.
#![expect(clippy::unwrap_used, reason = "tests")]

mod running;
mod system;
