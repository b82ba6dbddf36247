//! Sends a run to an Opik server as an experiment.
//!
//! What arrives is what the official Python SDK sends for `evaluate`: the dataset with its items
//! and a version, the experiment, for each trial a trace `evaluation_task` with the spans `task`,
//! `metrics_calculation` and two for each metric, its scores, and the link from the item to the trace.
//!
//! ```no_run
//! use opik_core::rest::{BaseUrl, OpikClient};
//! use opik_evals::submit::Submission;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let opik = OpikClient::builder(BaseUrl::LOCAL).project_name("checkout").build()?;
//! let report = Submission::new(opik).file("runs/nightly.jsonl").await?;
//! println!("{} trials, experiment {}", report.trials, report.experiment_id);
//! # Ok(())
//! # }
//! ```
//!
//! # Twice is the same as once
//!
//! Every identifier is made from the run: that of an item from the dataset and its content, those
//! of the experiment, its traces, spans and links from the run, the item and the repetition. So a
//! submission that broke off is simply done again, what is there is replaced by the same, and items
//! that the dataset has already make no new version of it. [`Submission::file`] notes its progress
//! in the file of the run and goes on after the last batch that arrived.
//!
//! # What is sent
//!
//! Everything: inputs, outputs, reasons, and the messages of failures. A dataset and its results
//! are content by nature; nothing is redacted here.
//!
//! A trial that failed has a trace with an error and without output, and no scores. A metric that
//! failed has a span with an error and no score. The server computes means from the scores that it
//! has; with failures they are not those of the local summary's rate of passing, which counts a
//! failure as not passed.

mod error;
mod ids;
mod rows;
mod setup;

pub use error::SubmitError;
pub use setup::{Submission, SubmissionReport};
