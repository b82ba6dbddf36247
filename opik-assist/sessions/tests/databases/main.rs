//! The stores against real databases, which the tests start themselves.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod adk;
mod adk_program;
mod beside;
mod faults;
mod full;
mod keys;
mod layouts;
mod parallel;
mod place;
mod python;
mod retention;
mod servers;
mod suite;
