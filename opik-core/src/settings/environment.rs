//! Where variables come from.

use std::ffi::OsString;
use std::path::PathBuf;

/// Variables and the home directory, so that tests need not touch those of the process.
///
/// A function is one:
///
/// ```
/// use opik_core::settings::OpikSettings;
///
/// let variables = |name: &str| (name == "OPIK_ENABLED").then(|| "yes".into());
/// let settings = OpikSettings::builder().base_url("http://localhost:5173/api").load_from(&variables);
/// assert!(settings.is_on());
/// ```
pub trait Environment {
    /// The value of a variable, if it is set.
    fn variable(&self, name: &str) -> Option<OsString>;

    /// The directory that `~` means. By default what `HOME` says (on Windows `USERPROFILE`).
    fn home(&self) -> Option<PathBuf> {
        let name = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
        self.variable(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    }
}

impl<F: Fn(&str) -> Option<OsString>> Environment for F {
    fn variable(&self, name: &str) -> Option<OsString> {
        self(name)
    }
}

/// The environment of this process.
#[derive(Debug, Clone, Copy, Default)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the module that reads it"
    )]
    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn home(&self) -> Option<PathBuf> {
        std::env::home_dir().filter(|path| !path.as_os_str().is_empty())
    }
}
