//! Experiments, what is made of them, and the statistics behind it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod command;
mod compared;
mod gates;
mod killed;
mod reports;
mod runs;
mod statistics;
