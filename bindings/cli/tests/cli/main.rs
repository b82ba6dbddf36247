//! Black-box tests: they drive the built binary in scratch folders.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod assist;
mod chat;
mod command;
mod configure;
mod doctor;
mod evals;
mod experiments;
mod export;
mod help;
mod hostile;
mod import;
mod judges;
mod keep;
mod limits;
mod provider;
mod serve;
mod server;
mod show;
#[cfg(unix)]
mod stack;
mod tail;
mod talks;
mod vyasa;
