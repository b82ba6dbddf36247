//! The statistics that comparisons and gates stand on.
//!
//! All of them are pure functions of numbers. What draws at random takes a seed and gives the same
//! answer for the same seed on every machine.
//!
//! | question | answer |
//! |---|---|
//! | how large is the difference of two runs? | [`paired_bootstrap`] |
//! | could it be chance? | [`sign_flip`] for means, [`mcnemar`] for passed and failed |
//! | and with several metrics at once? | [`holm`] |
//! | what difference would have been seen at all? | [`minimum_detectable_effect`] |
//! | how sure is a mean, or a rate? | [`crate::bootstrap_mean`], [`crate::wilson`] |
//! | what if cases belong together? | [`clustered_error`], [`paired_bootstrap_clustered`] |
//! | does a case pass every time? | [`pass_at_k`], [`pass_all_k`] |

mod clustered;
mod mcnemar;
mod multiple;
mod normal;
mod paired;
mod power;
pub(crate) mod random;
mod repeats;
mod summary;

pub use clustered::{clustered_error, standard_error};
pub use mcnemar::mcnemar;
pub use multiple::holm;
pub use normal::normal_quantile;
pub use paired::{paired_bootstrap, paired_bootstrap_clustered, sign_flip};
pub use power::minimum_detectable_effect;
pub use repeats::{pass_all_k, pass_at_k};
pub use summary::{Summary, quantile};
