//! One file per command: its arguments, its help, and how its result is shown.

pub(crate) mod ask;
pub(crate) mod chat;
pub(crate) mod completions;
pub(crate) mod configure;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod evals;
pub(crate) mod export;
pub(crate) mod import;
mod input;
pub(crate) mod keep;
pub(crate) mod man;
mod selection;
pub(crate) mod serve;
pub(crate) mod show;
pub(crate) mod stack;
pub(crate) mod stats;
pub(crate) mod tail;
pub(crate) mod traces;
mod words;
