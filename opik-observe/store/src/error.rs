//! What can go wrong with a store, and how it reads through the provider traits.

use std::path::PathBuf;

use opik_core::exporter::ExportErrorKind;
use opik_core::source::SourceErrorKind;
use opik_core::{ExportError, SourceError};

/// A cause whose type is not part of this crate's interface.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a store could not be opened or used. The texts name paths, versions and sizes, never content.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The file or its directory cannot be opened.
    #[error("cannot open the trace store {path}; check that the directory exists and is writable")]
    Open {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Cause,
    },
    /// The file holds something else.
    #[error("{path} is not a trace store; name another file")]
    NotAStore {
        /// The file.
        path: PathBuf,
    },
    /// A newer version of this library wrote the file.
    #[error(
        "the store has schema version {found}, this library reads up to {supported}; \
         update it or use another file"
    )]
    NewerSchema {
        /// Version in the file.
        found: u32,
        /// Newest version that this library knows.
        supported: u32,
    },
    /// Another process held the file for longer than the busy timeout.
    #[error("the trace store is locked by another process; try again")]
    Busy(#[source] Cause),
    /// No room left, read-only, or an IO failure.
    #[error("the trace store cannot be read or written; check free space and permissions")]
    Storage(#[source] Cause),
    /// What is in the file is not what the format says.
    #[error("the trace store is damaged: {0}")]
    Damaged(&'static str),
    /// SQLite says that the file is malformed.
    #[error("the trace store is damaged")]
    Corrupt(#[source] Cause),
    /// There is a file already where one was to be made.
    #[error("{path} exists already")]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Somebody uses the store that was to be replaced.
    #[error("the store {path} is in use; stop what uses it first")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The store was closed.
    #[error("the trace store is closed")]
    Closed,
    /// The project that was asked for is not in the store.
    #[error("the project does not exist")]
    UnknownProject,
    /// A query or cursor that makes no sense here.
    #[error("{0}")]
    InvalidQuery(&'static str),
    /// A defect of this library.
    #[error("unexpected failure of the trace store")]
    Internal(#[source] Cause),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy(error.into()),
            Some(
                ErrorCode::DiskFull
                | ErrorCode::ReadOnly
                | ErrorCode::SystemIoFailure
                | ErrorCode::CannotOpen
                | ErrorCode::PermissionDenied,
            ) => Self::Storage(error.into()),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::Corrupt(error.into())
            }
            _ => Self::Internal(error.into()),
        }
    }
}

impl StoreError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::Storage(_))
    }

    pub(crate) fn into_export(self) -> ExportError {
        let kind = match &self {
            Self::Busy(_) => ExportErrorKind::Unavailable,
            Self::Storage(_) | Self::Open { .. } => ExportErrorKind::Storage,
            Self::Closed => ExportErrorKind::Closed,
            _ => ExportErrorKind::Internal,
        };
        ExportError::new(kind, "write to the trace store").with_source(self)
    }

    pub(crate) fn into_source(self) -> SourceError {
        let kind = match &self {
            Self::Busy(_) | Self::Storage(_) | Self::Closed | Self::Open { .. } => {
                SourceErrorKind::Unavailable
            }
            Self::UnknownProject => SourceErrorKind::UnknownProject,
            Self::InvalidQuery(_) => SourceErrorKind::InvalidQuery,
            Self::Damaged(_) | Self::Corrupt(_) => SourceErrorKind::Corrupt,
            _ => SourceErrorKind::Internal,
        };
        SourceError::new(kind, "read from the trace store").with_source(self)
    }
}
