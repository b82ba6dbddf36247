//! Datasets: reading, building, writing.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

mod builders;
mod items;
mod order;
mod properties;
mod vyasa;
