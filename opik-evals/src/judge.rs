//! Judges: metrics that ask a chat model.
//!
//! A [`Judge`] puts a case to any [`ChatModel`](opik_core::ChatModel) and reads a number and a
//! reason from its reply. It is a [`Scorer`](crate::experiment::Scorer), so an experiment takes it
//! beside metrics.
//!
//! ```
//! use std::sync::Arc;
//! use opik_evals::Case;
//! use opik_evals::judge::{Judge, JudgeModel};
//! use opik_testkit::ScriptedModel;
//!
//! # let run = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
//! # run.block_on(async {
//! let model = ScriptedModel::new("scripted/judge")
//!     .says(r#"{"score": 1.0, "reason": "The context names Paris nowhere."}"#);
//! let judge = Judge::hallucination(JudgeModel::new(Arc::new(model)));
//! let case = Case::new("Paris").with("input", "Where?").with("context", "It is in Rome.");
//! let verdict = judge.judge(&case).await?;
//! assert_eq!(verdict.score.value(), 1.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What holds
//!
//! - **What is judged is data.** Every field of a case stands between tags, tags inside of it are
//!   defused, and the instructions say that nothing between tags is one.
//! - **A reply is read tolerantly, a number strictly.** JSON may stand in prose or in a block of
//!   code; a score that is missing, not finite or out of range is an error, never a guess. After an
//!   unreadable reply the model is asked once more.
//! - **Nothing is paid for twice.** Verdicts are kept in memory by the content of the question;
//!   [`Judge`] has an identity, so an experiment with a cache keeps them on disk.
//! - **Bounded.** A [`Budget`] in tokens and dollars may be shared by many judges, each call has a
//!   deadline, and fields that are too long lose their middle.
//!
//! The prompts are this library's own. Parsers agree with those of the official Python SDK, which
//! is tested; scores of different prompts are not comparable.

mod budget;
mod catalog;
mod error;
mod fence;
mod g_eval;
mod memory;
mod model;
mod prompts;
mod reply;
mod verdict;

pub use budget::{Budget, Price};
pub use catalog::{by_name, names};
pub use error::{JudgeError, JudgeErrorKind};
pub use g_eval::{GEval, ScoreWeights, weighted_score};
pub use model::JudgeModel;
pub use verdict::{Judge, Verdict};
