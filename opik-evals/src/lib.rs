//! Evaluation of LLM programs over recorded traces and datasets.
//!
//! What is here so far is the statistics that every score needs before it may be quoted:
//! [`interval`] says how far a proportion or a mean can be trusted. There are no datasets, metrics,
//! judges, experiments or gates yet.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod interval;

pub use interval::{Interval, bootstrap_mean, wilson};
