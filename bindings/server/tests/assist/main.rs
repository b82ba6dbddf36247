//! The assistant beside a made-up Opik, over real sockets.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::result_large_err,
    reason = "tests"
)]

mod address;
mod defects;
mod deploy;
mod exchange;
mod golden;
mod model;
mod monitoring;
mod nginx;
mod opik;
mod reader;
mod receiver;
mod schemathesis;
mod stores;
mod tools;
mod world;
