//! Why a dataset cannot be read or written.

use std::io;
use std::path::PathBuf;

use opik_core::SourceError;

use super::Place;

/// Why a dataset cannot be read or written. It never quotes a record.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// There is no such file or folder.
    #[error("there is no file {}", .path.display())]
    Missing {
        /// What was named.
        path: PathBuf,
    },
    /// Reading failed.
    #[error("cannot read {file}")]
    Read {
        /// What was read.
        file: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Writing failed.
    #[error("cannot write {}", .path.display())]
    Write {
        /// What was written.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The output is one of the inputs, which writing would destroy.
    #[error("{} is input and output at once; name another output", .path.display())]
    SameFile {
        /// The output.
        path: PathBuf,
    },
    /// A record cannot be used, and strict reading was asked for.
    #[error("{place}: {reason}")]
    Unusable {
        /// Where it begins.
        place: Place,
        /// Why it cannot be used.
        reason: String,
    },
    /// The lexicon cannot be used.
    #[error("the lexicon {file} cannot be used: {reason}")]
    Lexicon {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// The lexicon has no term, so every text would be neutral.
    #[error("the lexicon {file} has no term, so every text would be neutral")]
    EmptyLexicon {
        /// The file.
        file: String,
    },
    /// The recorded traces cannot be read.
    #[error("cannot read the recorded traces")]
    Source(#[from] SourceError),
}
