//! The promises of the provider traits as named cases.
//!
//! A suite takes a factory that makes a fresh, empty instance for each case. A case that an
//! implementation cannot fulfil is declared as a [`Skip`](crate::Skip) with a reason; a skip that
//! names no case is a failure. Nothing in here waits for a clock or needs a certain runtime; what
//! hangs, hangs, so a test gives the suite the time limit that its runtime has.

mod exporter;
mod exporter_scores;
mod model;
mod place;
mod reading;
mod scenario;
mod session;
mod session_log;
mod source;
mod source_filters;
mod source_totals;
mod wire;

pub use exporter::exporter_suite;
pub use model::{ModelUnderTest, model_suite};
pub use place::Place;
pub use scenario::{Piece, Scenario};
pub use session::{SessionPlace, session_suite};
pub use source::source_suite;
pub use wire::wire_suite;
