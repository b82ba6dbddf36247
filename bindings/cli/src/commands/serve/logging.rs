//! What a server that runs says to whoever looks after it: on standard error, one line each, without
//! content, queries, headers or secrets.

use std::str::FromStr as _;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;

use super::variables::Variables;
use crate::exit::{Code, Failure};

/// Everything of this project; nothing of the libraries below it.
const OURS: &str = "opik";
const VARIABLE: &str = "OPIK_SERVER_LOG";

/// Writes what the variable asks for, `info` by default.
pub(super) fn start(variables: &Variables, as_json: bool) -> Result<(), Failure> {
    let level = match variables.get(VARIABLE) {
        None => LevelFilter::INFO,
        Some(word) => LevelFilter::from_str(word.trim()).map_err(|_| {
            Failure::new(Code::Usage, format!("{VARIABLE} is no level"))
                .hint("off, error, warn, info or debug")
        })?,
    };
    let filter = Targets::new().with_target(OURS, level);
    let plain = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false);
    let registry = tracing_subscriber::registry().with(filter);
    let set = if as_json {
        tracing::subscriber::set_global_default(registry.with(plain.json()))
    } else {
        tracing::subscriber::set_global_default(registry.with(plain))
    };
    // There is one already in a program that embeds this one; it is told everything.
    set.or(Ok(()))
}
