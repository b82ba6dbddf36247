//! Runs sent to an Opik server.
#![cfg(feature = "rest")]
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod again;
mod flow;
mod official_sdk;
mod scene;
