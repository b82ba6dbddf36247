//! Evaluation of LLM programs: metrics of what was written, and how far their scores can be trusted.
//!
//! - [`compare`]: two runs, what changed, and whether it could be chance.
//! - [`gate`]: thresholds that a run has to keep.
//! - [`report`]: results as text, JSON, JUnit, Markdown and HTML.
//! - [`summary`]: what a run came to.
//! - [`dataset`]: examples, read as a stream from files, folders and pipes.
//! - [`metric`]: the [`Metric`] trait, the [`Case`] it scores, metrics from closures and the
//!   [`conformance`](metric::conformance) suite that every metric has to pass.
//! - [`heuristics`]: metrics computed without a model, equal to those of the official Python SDK.
//! - [`judge`]: metrics that ask a chat model.
//! - [`trace_metrics`]: metrics of how an answer came about, from its recorded trace.
//! - [`experiment`]: a task over the items of a dataset, scored by metrics.
//! - [`statistics`]: what comparisons and gates stand on.
//! - [`interval`]: how far a proportion or a mean can be trusted.
//!
//! Metrics are pure: they read no clock, no file, no network. Nothing here reads the environment.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod compare;
pub mod dataset;
pub mod experiment;
pub mod gate;
pub mod heuristics;
pub mod interval;
pub mod judge;
pub mod metric;
pub mod report;
pub mod statistics;
#[cfg(feature = "rest")]
#[cfg_attr(docsrs, doc(cfg(feature = "rest")))]
pub mod submit;
pub mod summary;
pub mod trace_metrics;

pub use interval::{Interval, bootstrap_mean, wilson, wilson_at};
pub use metric::{Case, Metric, MetricError, MetricErrorKind, Score};
