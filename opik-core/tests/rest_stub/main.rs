//! The REST client against the stub of Opik's server, which is started for each test.
#![cfg(feature = "rest")]
#![expect(clippy::unwrap_used, reason = "tests")]

mod records;
mod resources;
mod stub;
mod suites;
