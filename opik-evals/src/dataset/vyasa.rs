//! What the evaluation scripts of Vyasa do, to the byte.
//!
//! The first user of this library has datasets that its own scripts made, and has to be able to make
//! them again. Everything here follows those scripts also where they are odd; the rest of
//! [`dataset`](super) is what one would want instead. What the scripts lose data by is not
//! followed: output appears whole or not at all, and never replaces its own input.
//!
//! - [`build_tone`] and [`build_precision`]: the two builders, records and counts.
//! - [`VyasaSummary`]: what `run_evals.py` says about a dataset.
//! - `VyasaServer` (feature `rest`): where that script sends a dataset.
//! - [`scan_text`], [`check_table_precision`], [`validate_table_precision`], [`format_number`] and
//!   [`Numeric`]: the functions below them.

mod build;
pub(super) mod decimal;
mod numeric;
mod precision;
mod records;
mod scan;
#[cfg(feature = "rest")]
mod send;
mod summary;

pub use build::{build_precision, build_tone};
pub use decimal::{Rounding, format_number};
pub use numeric::Numeric;
pub use precision::{
    Contract, PrecisionFlag, Validated, check_table_precision, validate_table_precision,
};
pub use scan::{VyasaTerms, VyasaToneFlag, scan_text};
#[cfg(feature = "rest")]
#[cfg_attr(docsrs, doc(cfg(feature = "rest")))]
pub use send::{VyasaSendError, VyasaServer};
pub use summary::VyasaSummary;

/// What one of Vyasa's functions ends with where Python raises. It quotes nothing of the data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {message}")]
#[non_exhaustive]
pub struct Raised {
    /// The name of the exception, for example `TypeError`.
    pub kind: &'static str,
    /// What was wrong.
    pub message: &'static str,
}

impl Raised {
    fn new(kind: &'static str, message: &'static str) -> Self {
        Self { kind, message }
    }
}
