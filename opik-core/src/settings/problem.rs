//! What was wrong with a setting, and what is done instead.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where a value comes from. Prints as a user would look for it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The program set it.
    Argument,
    /// An environment variable.
    Variable(&'static str),
    /// A line of the configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1; 0 is the file as a whole.
        line: usize,
    },
    /// Nobody set it.
    Default,
}

impl Origin {
    pub(super) fn file(path: &Path, line: usize) -> Self {
        Self::File {
            path: path.to_owned(),
            line,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argument => f.write_str("the program"),
            Self::Variable(name) => f.write_str(name),
            Self::File { path, line: 0 } => write!(f, "{}", path.display()),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Default => f.write_str("default"),
        }
    }
}

/// Something that cannot be used as it stands. It never fails anything: it says what is done
/// instead. No value is repeated, as any may be a misplaced secret.
///
/// ```
/// use opik_core::settings::OpikSettings;
///
/// let variables = |name: &str| (name == "OPIK_TIMEOUT_SECONDS").then(|| "soon".into());
/// let settings = OpikSettings::builder().load_from(&variables);
/// assert_eq!(
///     settings.problems()[0].to_string(),
///     "OPIK_TIMEOUT_SECONDS: not a number of seconds from 0.01 to 600; the default is used"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    origin: Origin,
    what: Cow<'static, str>,
    instead: Cow<'static, str>,
}

impl Problem {
    /// A problem with a value from somewhere. Neither text may repeat the value.
    #[must_use]
    pub fn new(
        origin: Origin,
        what: impl Into<Cow<'static, str>>,
        instead: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            origin,
            what: what.into(),
            instead: instead.into(),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// What is wrong.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }

    /// What is done instead.
    #[must_use]
    pub fn instead(&self) -> &str {
        &self.instead
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.origin, self.what, self.instead)
    }
}
