//! What can go wrong with a run as a whole.

use std::io;
use std::path::PathBuf;

/// Why an experiment could not be run. Failed trials are no such reason.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExperimentError {
    /// No task was set.
    #[error("the experiment has no task")]
    NoTask,
    /// There is nothing to run.
    #[error("the dataset has no items")]
    NoItems,
    /// Two items have one identifier, so that results could not be told apart.
    #[error("two items have the identifier `{0}`")]
    SameItem(String),
    /// Two metrics have one name.
    #[error("two metrics have the name `{0}`; give one of them another name")]
    SameMetric(String),
    /// A metric without a name.
    #[error("a metric has a blank name")]
    BlankMetric,
    /// A number of the settings makes no sense.
    #[error("{0}")]
    Setting(&'static str),
    /// A cache needs to know when the task changes.
    #[error("a cache needs the version of the task, or it would keep answers of an old one")]
    CacheNeedsVersion,
    /// The file of the run.
    #[error(transparent)]
    File(#[from] RunFileError),
}

/// What is wrong with the file of a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunFileError {
    /// It cannot be opened, read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process writes it.
    #[error("another process is writing {}", .0.display())]
    Busy(PathBuf),
    /// It is not the file of a run.
    #[error("{} is not the file of a run: line {line} {problem}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// It holds another experiment.
    #[error("{} holds a run with {what}; use another file", path.display())]
    Different {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
}

impl RunFileError {
    pub(crate) fn io(action: &'static str, path: &std::path::Path, source: io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    /// Whether there is no such file.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}
