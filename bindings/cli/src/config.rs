//! What the environment says. Nothing else in this crate reads it (clap does, for `OPIK_DB`).

use std::env;
use std::path::PathBuf;
use std::time::Duration;

use etcetera::{AppStrategy, AppStrategyArgs};
use opik_core::Secret;
use opik_evals::dataset::vyasa::VyasaServer;

use crate::exit::{Code, Failure};

/// File name of the store in the data directory.
const STORE_FILE: &str = "traces.db";

/// Where the store is unless `--db` or `OPIK_DB` says otherwise: the platform's data directory.
pub(crate) fn default_store() -> Result<PathBuf, Failure> {
    let names = AppStrategyArgs {
        top_level_domain: "io.github".to_owned(),
        author: "opik-rs".to_owned(),
        app_name: "opik-rs".to_owned(),
    };
    etcetera::app_strategy::choose_native_strategy(names)
        .map(|strategy| strategy.in_data_dir(STORE_FILE))
        .map_err(|error| {
            Failure::new(Code::Store, "cannot tell where the store should be")
                .hint("name a file with --db or OPIK_DB")
                .cause(error)
        })
}

/// Whether the locale can show more than ASCII.
#[expect(clippy::disallowed_methods, reason = "this is config.rs")]
pub(crate) fn locale_is_utf8() -> bool {
    if cfg!(windows) || cfg!(target_os = "macos") {
        return true;
    }
    ["LC_ALL", "LC_CTYPE", "LANG"]
        .into_iter()
        .filter_map(env::var_os)
        .find(|value| !value.is_empty())
        .is_some_and(|value| {
            let value = value.to_string_lossy().to_ascii_lowercase();
            value.contains("utf-8") || value.contains("utf8")
        })
}

/// Width that the shell states, when standard output is not a terminal.
#[expect(clippy::disallowed_methods, reason = "this is config.rs")]
pub(crate) fn stated_width() -> Option<usize> {
    env::var("COLUMNS").ok()?.trim().parse().ok()
}

/// A variable, for the server's own configuration.
#[expect(clippy::disallowed_methods, reason = "this is config.rs")]
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

/// What `OPIK_DB` says.
#[expect(clippy::disallowed_methods, reason = "this is config.rs")]
pub(crate) fn stated_store() -> Option<PathBuf> {
    env::var_os("OPIK_DB").map(PathBuf::from)
}

/// The server that Vyasa's scripts send to: `OPIK_ENABLED` is one of the words that they take for
/// yes, and there is an address. With it, what was wrong about the variables.
#[expect(clippy::disallowed_methods, reason = "this is config.rs")]
pub(crate) fn vyasa_server() -> (Option<VyasaServer>, Option<&'static str>) {
    let enabled = env::var("OPIK_ENABLED").unwrap_or_default();
    let address = env::var("OPIK_BASE_URL").unwrap_or_default();
    if !matches!(enabled.to_lowercase().as_str(), "true" | "1" | "yes") || address.is_empty() {
        return (None, None);
    }
    let mut server = VyasaServer::new(address);
    if let Ok(key) = env::var("OPIK_API_KEY") {
        server = server.key(Secret::from(key));
    }
    if let Ok(project) = env::var("OPIK_PROJECT_NAME") {
        server = server.project(project);
    }
    let stated = env::var("OPIK_TIMEOUT_SECONDS").ok();
    let stated = stated
        .as_deref()
        .map(str::trim)
        .filter(|text| !text.is_empty());
    let seconds = stated.map(|text| text.parse::<f64>().ok());
    let timeout = seconds.map(|seconds| {
        let timeout = Duration::try_from_secs_f64(seconds?).ok();
        timeout.filter(|timeout| !timeout.is_zero())
    });
    match timeout {
        None => (Some(server), None),
        Some(Some(timeout)) => (Some(server.timeout(timeout)), None),
        Some(None) => (
            Some(server),
            Some("OPIK_TIMEOUT_SECONDS is no number of seconds; 2 are waited"),
        ),
    }
}

/// Names of the `OPIK_*` variables that are set, in order. Values are not looked at.
pub(crate) fn opik_variables() -> Vec<String> {
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("OPIK_")).collect();
    names.sort();
    names
}
