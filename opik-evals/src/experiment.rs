//! Experiments: a task over the items of a dataset, scored by metrics.
//!
//! ```
//! use opik_evals::dataset::Item;
//! use opik_evals::experiment::{Experiment, FnTask};
//! use opik_evals::heuristics::Equals;
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let items = [
//!     Item::from_value(json!({ "question": "2 + 2", "expected_output": "4" }))?,
//!     Item::from_value(json!({ "question": "3 + 3", "expected_output": "6" }))?,
//! ];
//! let task = FnTask::new(|call| async move {
//!     let sum = call.text("question")?.split(" + ").filter_map(|n| n.parse::<i64>().ok()).sum::<i64>();
//!     Ok(sum.to_string().into())
//! });
//! let run = Experiment::new("sums", items).task(task).metric(Equals::new()).run().await?;
//! assert_eq!(run.mean("equals_metric"), Some(1.0));
//! # Ok(())
//! # }
//! ```
//!
//! # What holds
//!
//! - **Nothing is dropped in silence.** Each item and repetition ends as a [`Trial`]: with an
//!   output, or with an error and its kind. A metric that fails is a failed score, not a 0. What was
//!   not run because the run was stopped is counted.
//! - **The same, however many at once.** Trials are ordered by item and repetition, and each is told
//!   a seed of its own that depends on nothing else. Only times differ.
//! - **A killed run goes on.** With a [file](Experiment::file) each trial is written when it is
//!   done; the same experiment on the same file runs what is missing. A last line that was cut off
//!   is thrown away. A file of another experiment is refused.
//! - **Bounded.** At most [`concurrency`](Experiment::concurrency) trials at once, each within
//!   [`timeout`](Experiment::timeout), begun no faster than [`rate`](Experiment::rate), and none
//!   after [`budget`](Experiment::budget) is spent.
//!
//! # The file
//!
//! One line of JSON each, in this order of first appearance:
//!
//! | line | what it is |
//! |---|---|
//! | `{"run": …}` | what was run: [`RunInfo`] |
//! | `{"item": …}` | the items, in order |
//! | `{"trial": …}` | a finished trial; of several for one item and repetition the last counts |
//! | `{"end": …}` | the run ended, and why it ended early if it did |
//! | `{"submitted": …}` | progress of a submission to Opik |
//!
//! The file is the result as well: reports, comparisons, gates and submissions read it. One process
//! writes it at a time. Lines are handed to the system as trials finish, and to the disk at the
//! end: a killed process loses nothing, a machine that loses power may lose the last seconds.

mod cache;
mod canonical;
mod command;
mod error;
mod field;
mod journal;
mod pace;
mod progress;
mod recorded;
mod run;
mod runner;
mod score;
mod setup;
mod stop;
mod task;
mod trial;

pub use cache::Cache;
pub use command::CommandTask;
pub use error::{ExperimentError, RunFileError};
pub use field::FieldTask;
pub use progress::Progress;
pub use recorded::{RecordedTask, recorded_items};
pub use run::{DatasetInfo, Run, RunInfo, ScorerInfo, Stopped};
pub use score::{MetricScorer, Scored, Scorer, ScoringError};
pub use setup::Experiment;
pub use stop::Stop;
pub use task::{Call, FnTask, Task, TaskError, TaskErrorKind, TaskOutput};
pub use trial::{FailedScore, Trial, TrialScore};

pub(crate) use canonical::{canonical, digest, number};
#[cfg(feature = "rest")]
pub(crate) use journal::{RunFile, Submitted};
pub(crate) use recorded::trace_of;
pub(crate) use runner::visible;
