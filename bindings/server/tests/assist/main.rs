//! The assistant beside a made-up Opik, over real sockets.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::result_large_err,
    reason = "tests"
)]

mod defects;
mod exchange;
mod golden;
mod model;
mod monitoring;
mod opik;
mod reader;
mod receiver;
mod stores;
mod world;
