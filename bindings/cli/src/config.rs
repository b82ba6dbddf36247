//! What the environment says. Nothing else in this crate reads it (clap does, for `OPIK_DB`).

use std::env;
use std::path::PathBuf;

use etcetera::{AppStrategy, AppStrategyArgs};

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

/// A variable that configures Opik's clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    /// Its name.
    pub(crate) name: String,
    /// Its value, unless it may hold a secret.
    pub(crate) value: Option<String>,
}

/// Variables whose values hold no secret. Of all others only the name is shown.
const PLAIN: [&str; 6] = [
    "OPIK_DB",
    "OPIK_PROJECT_NAME",
    "OPIK_WORKSPACE",
    "OPIK_TRACK_DISABLE",
    "OPIK_ENVIRONMENT",
    "OPIK_CONFIG_PATH",
];

/// The `OPIK_*` variables that are set, by name. Values of keys are not even kept.
pub(crate) fn opik_variables() -> Vec<Variable> {
    let mut found: Vec<Variable> = env::vars_os()
        .filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            name.starts_with("OPIK_")
                .then(|| variable(name, &value.to_string_lossy()))
        })
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found
}

fn variable(name: String, value: &str) -> Variable {
    let plain = PLAIN.contains(&name.as_str());
    Variable {
        value: plain.then(|| value.to_owned()),
        name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_kept_only_where_they_cannot_be_secret() {
        assert_eq!(
            variable("OPIK_DB".to_owned(), "/a").value.as_deref(),
            Some("/a")
        );
        for name in ["OPIK_API_KEY", "OPIK_URL_OVERRIDE", "OPIK_SOMETHING_NEW"] {
            assert_eq!(variable(name.to_owned(), "s3cret").value, None, "{name}");
        }
    }
}
