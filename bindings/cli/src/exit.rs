//! What the process ends with: the exit codes, and the failure that carries one.
//!
//! The codes are part of the interface; `opik-rs --help` lists them.

use std::error::Error;
use std::fmt;
use std::io;
use std::process::ExitCode;

use opik_core::exporter::ExportErrorKind;
use opik_core::source::SourceErrorKind;
use opik_core::{ExportError, SourceError};
use opik_store::StoreError;

/// Why a command did not succeed, as the shell sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    /// It failed for a reason of its own.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// The trace, span or file that was named does not exist.
    NotFound,
    /// The input cannot be used, or `--strict` found a bad line.
    Input,
    /// The store cannot be opened, read or written.
    Store,
    /// A command of `opik-rs evals` failed, which has codes of its own.
    Evals(Verdict),
}

/// Why a command of `opik-rs evals` did not succeed. Each has a code that scripts know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The input is missing or cannot be read.
    Input,
    /// Nothing of the input can be used, or there is no lexicon.
    Unusable,
    /// A record cannot be used, and `--strict` was given.
    Strict,
    /// The results could not be sent to Opik; they are kept.
    Submission,
    /// A threshold was not kept.
    Gate,
}

impl Verdict {
    fn number(self) -> u8 {
        match self {
            Self::Input => 1,
            Self::Unusable => 2,
            Self::Strict => 3,
            Self::Submission => 4,
            Self::Gate => 5,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Unusable => "unusable",
            Self::Strict => "strict",
            Self::Submission => "submission",
            Self::Gate => "gate",
        }
    }
}

impl Code {
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Input => 4,
            Self::Store => 5,
            Self::Evals(verdict) => verdict.number(),
        }
    }

    /// The word for it in JSON.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Usage => "usage",
            Self::NotFound => "not_found",
            Self::Input => "input",
            Self::Store => "store",
            Self::Evals(verdict) => verdict.word(),
        }
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code.number())
    }
}

/// A command's failure: a code, what was being done, the cause, and what to try next.
#[derive(Debug)]
pub(crate) struct Failure {
    code: Code,
    text: String,
    hint: Option<String>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

/// What a command returns.
pub(crate) type Outcome = Result<(), Failure>;

impl Failure {
    pub(crate) fn new(code: Code, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
            hint: None,
            source: None,
        }
    }

    /// Adds what to try next: a command or a short sentence.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the cause.
    #[must_use]
    pub(crate) fn cause(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn code(&self) -> Code {
        self.code
    }

    /// The same failure with a code of the family `evals`, in which 3, 4 and 5 mean something else.
    #[must_use]
    pub(crate) fn of_evals(mut self) -> Self {
        self.code = match self.code {
            Code::NotFound | Code::Store => Code::Evals(Verdict::Input),
            Code::Input => Code::Evals(Verdict::Unusable),
            code @ (Code::Failed | Code::Usage | Code::Evals(_)) => code,
        };
        self
    }

    pub(crate) fn next_step(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The texts of the causes, the nearest first, without repetitions.
    pub(crate) fn causes(&self) -> Vec<String> {
        let mut texts: Vec<String> = Vec::new();
        let mut next = self.source();
        while let Some(cause) = next {
            let text = cause.to_string();
            if texts.last() != Some(&text) && text != self.text {
                texts.push(text);
            }
            next = cause.source();
        }
        texts
    }

    /// Whether the reader of our output went away, which is its right.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        let mut next: Option<&(dyn Error + 'static)> = self.source();
        while let Some(cause) = next {
            if cause
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
            {
                return true;
            }
            next = cause.source();
        }
        false
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}

/// What helps when the store cannot be opened.
pub(crate) fn opening_hint(error: &StoreError) -> &'static str {
    match error {
        StoreError::NewerSchema { .. } => {
            "update opik-rs, or name another file with --db or OPIK_DB"
        }
        StoreError::Open { .. } | StoreError::Storage(_) => {
            "make the file and its folder writable, or name another file with --db or OPIK_DB"
        }
        StoreError::Busy(_) => "another process holds the store; run the command again",
        _ => "move the file away, or name another one with --db or OPIK_DB",
    }
}

/// Writing the output failed.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(Code::Failed, "cannot write the output").cause(error)
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        match error.kind() {
            SourceErrorKind::UnknownProject => {
                Self::new(Code::NotFound, "there is no such project")
                    .hint("opik-rs stats lists the projects")
                    .cause(error)
            }
            SourceErrorKind::InvalidQuery => {
                Self::new(Code::Usage, "the search cannot be run").cause(error)
            }
            _ => Self::new(Code::Store, "cannot read the store")
                .hint("opik-rs doctor")
                .cause(error),
        }
    }
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        let failure = Self::new(Code::Store, "cannot write to the store");
        let hint = match error.kind() {
            ExportErrorKind::Storage => "check free space and permissions with opik-rs doctor",
            ExportErrorKind::Unavailable | ExportErrorKind::Timeout => {
                "another process may hold the store; run the command again"
            }
            _ => "opik-rs doctor",
        };
        failure.hint(hint).cause(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_store_needs_a_newer_program_and_a_closed_folder_a_key() {
        let newer = StoreError::NewerSchema {
            found: 9,
            supported: 1,
        };
        assert!(opening_hint(&newer).starts_with("update opik-rs"));
        let closed = StoreError::Storage("read-only".into());
        assert!(opening_hint(&closed).contains("writable"));
    }

    #[test]
    fn causes_are_listed_once_and_a_closed_pipe_is_seen_below_them() {
        let broken = io::Error::from(io::ErrorKind::BrokenPipe);
        let failure = Failure::from(broken);
        assert!(failure.is_closed_pipe());
        assert_eq!(failure.causes().len(), 1);

        let refused = SourceError::new(SourceErrorKind::Corrupt, "page 3 is damaged")
            .with_source(io::Error::other("page 3 is damaged"));
        let failure = Failure::from(refused);
        assert!(!failure.is_closed_pipe());
        assert_eq!(failure.causes(), ["page 3 is damaged"]);
        assert_eq!(failure.code().number(), 5);
    }
}
