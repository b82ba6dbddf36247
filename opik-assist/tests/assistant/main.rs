//! Conversations through the public interface.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on stops"
)]

mod basics;
mod cuts;
mod deletion;
mod failures;
mod first_event;
mod hostile;
mod large;
mod limits;
mod listeners;
mod sessions;
mod siblings;
mod turns;
mod world;
