//! Gates: thresholds that a run has to keep, and one answer, passed or not.
//!
//! Thresholds stand in a small file, TOML or JSON:
//!
//! ```
//! use opik_evals::gate::Gates;
//!
//! let gates = Gates::from_toml(r#"
//!     [metrics.equals_metric]
//!     min_pass_rate = 0.9
//!     sure = true              # the lower bound of the interval, not the rate
//!     max_drop = 0.02          # against the baseline
//!
//!     [cases]
//!     max_failed = 0
//!     max_cost = 0.01          # US dollars a trial, in the mean
//!     max_p95_ms = 2000
//!
//!     [traces]
//!     max_new_error_origins = 0
//!     max_new_loops = 0
//! "#)?;
//! # drop(gates);
//! # Ok::<(), opik_evals::gate::GateFileError>(())
//! ```
//!
//! A threshold that is not in the file is not checked. A threshold that cannot be checked (the
//! metric gave no score, nothing to compare with) **fails**: a gate that cannot tell does not open.
//! A name that does not exist is an error, so that a misspelt threshold is not one that is kept.
//!
//! # Thresholds
//!
//! `confidence` (0.95) is that of all intervals. For a metric, under `[metrics.NAME]`:
//!
//! | name | what has to hold |
//! |---|---|
//! | `min_mean`, `max_mean` | the mean of the scores |
//! | `min_pass_rate` | the share of trials that pass; failed ones do not |
//! | `pass_at` | the score that passes, where the run does not say |
//! | `min_pass_all` | with repetitions, the share of items that pass every time (pass^k) |
//! | `max_unscored` | trials with an output and without a score |
//! | `sure` | the four before `pass_at` hold at the near end of the interval |
//! | `max_drop` | the mean is not worse than the baseline's by more; with `sure` at the far end |
//! | `no_regression` | not worse than the baseline beyond chance (means and who passes, corrected) |
//! | `max_regressed` | items that are worse than in the baseline |
//!
//! For the run as a whole, under `[cases]`: `min_trials`, `max_failed`, `max_failed_rate`,
//! `max_not_run` (0 unless stated), `max_cost` (a trial, in the mean), `max_total_cost`,
//! `max_p95_ms`, `max_mean_ms`, `max_tokens` (a trial, in the mean).
//!
//! For what deterministic analysis finds in recorded traces, under `[traces]`; see [`TraceFacts`]:
//! `max_new_error_origins`, `max_new_loops` (kinds that no trace of the baseline has; without a
//! baseline, every kind is new), `max_error_traces_rate`, `max_loop_traces_rate`,
//! `max_critical_path_p95_ms`, `max_cost` (a trace, in the mean).

mod check;
mod file;
mod traces;

pub use check::{Check, GateInput, GateReport};
pub use file::{CaseGates, GateFileError, Gates, MetricGates, TraceGates};
pub use traces::{TraceAnalysis, TraceFacts, trace_facts};
