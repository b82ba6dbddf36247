//! The variables of the Python program, read in one place.

use std::time::Duration;

use opik_core::Secret;

use crate::SessionOptions;

/// Where sessions are kept and how, by the environment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Configured {
    /// The address; a secret, because it may hold a password.
    pub uri: Secret,
    /// Waits and retries.
    pub options: SessionOptions,
}

/// A variable whose value cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct ConfigError {
    name: &'static str,
    problem: &'static str,
}

impl ConfigError {
    /// The variable.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }
}

/// Reads `SESSION_SERVICE_URI`, `SESSION_SERVICE_MAX_RETRIES` (10), `SESSION_SERVICE_RETRY_DELAY`
/// (seconds, 2) and `SESSION_POOL_RECYCLE` (seconds, 3600) from the environment; `None` when no
/// address is set.
///
/// # Errors
/// [`ConfigError`] with the name of the variable whose value is no number.
pub fn from_env() -> Result<Option<Configured>, ConfigError> {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the module that reads the environment"
    )]
    from_variables(|name| std::env::var(name).ok())
}

/// The same with the variables from anywhere.
///
/// ```
/// let variables = |name: &str| match name {
///     "SESSION_SERVICE_URI" => Some("sqlite:///sessions.db".to_owned()),
///     "SESSION_SERVICE_MAX_RETRIES" => Some("3".to_owned()),
///     _ => None,
/// };
/// let configured = opik_sessions::from_variables(variables)?.ok_or("no address")?;
/// assert_eq!(configured.uri.expose(), "sqlite:///sessions.db");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`ConfigError`] with the name of the variable whose value is no number.
pub fn from_variables(
    read: impl Fn(&str) -> Option<String>,
) -> Result<Option<Configured>, ConfigError> {
    let set = |name| read(name).filter(|value| !value.trim().is_empty());
    let Some(uri) = set("SESSION_SERVICE_URI") else {
        return Ok(None);
    };
    let mut options = SessionOptions::new();
    let name = "SESSION_SERVICE_MAX_RETRIES";
    if let Some(value) = set(name) {
        let retries = value.trim().parse().map_err(|_| ConfigError {
            name,
            problem: "a whole number is expected",
        })?;
        options = options.open_retries(retries);
    }
    let seconds = |name: &'static str| -> Result<Option<Duration>, ConfigError> {
        let Some(value) = set(name) else {
            return Ok(None);
        };
        let seconds = value.trim().parse::<f64>().ok();
        let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let problem = "a number of seconds is expected";
        duration.map(Some).ok_or(ConfigError { name, problem })
    };
    if let Some(delay) = seconds("SESSION_SERVICE_RETRY_DELAY")? {
        options = options.open_retry_delay(delay);
    }
    if let Some(lifetime) = seconds("SESSION_POOL_RECYCLE")? {
        options = options.max_lifetime(lifetime);
    }
    let uri = Secret::new(uri);
    Ok(Some(Configured { uri, options }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(variables: &[(&str, &str)]) -> Result<Option<Configured>, ConfigError> {
        from_variables(|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn the_variables_of_the_python_program_are_understood() {
        assert!(with(&[("SESSION_POOL_RECYCLE", "1")]).unwrap().is_none());
        assert!(with(&[("SESSION_SERVICE_URI", " ")]).unwrap().is_none());
        let uri = ("SESSION_SERVICE_URI", "mysql://u:hunter2@h/d");
        let plain = with(&[uri]).unwrap().unwrap();
        assert_eq!(plain.options, SessionOptions::new());
        assert!(!format!("{plain:?}").contains("hunter2"));
        let set = with(&[
            uri,
            ("SESSION_SERVICE_MAX_RETRIES", "0"),
            ("SESSION_SERVICE_RETRY_DELAY", "0.5"),
            ("SESSION_POOL_RECYCLE", "60"),
        ]);
        let expected = SessionOptions::new()
            .open_retries(0)
            .open_retry_delay(Duration::from_millis(500))
            .max_lifetime(Duration::from_secs(60));
        assert_eq!(set.unwrap().unwrap().options, expected);
        for (name, value) in [
            ("SESSION_SERVICE_MAX_RETRIES", "-1"),
            ("SESSION_SERVICE_RETRY_DELAY", "soon"),
            ("SESSION_POOL_RECYCLE", "-1"),
        ] {
            assert_eq!(with(&[uri, (name, value)]).unwrap_err().name(), name);
        }
    }
}
