//! What went wrong in a trace or span.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An error as Opik stores it. `exception_type` and `traceback` are required and not empty on
/// the wire; a producer without a traceback repeats the message there.
///
/// `Debug` prints the type only, since messages and tracebacks quote content.
///
/// ```
/// use opik_core::ErrorInfo;
///
/// let error = ErrorInfo::new("TimeoutError", "no answer from the index within 5 s");
/// assert_eq!(error.traceback, "no answer from the index within 5 s");
/// ```
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ErrorInfo {
    /// Class or kind, for example `ValueError`.
    pub exception_type: String,
    /// What the program said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Where it happened; the whole text of the error where there is no stack.
    #[serde(default)]
    pub traceback: String,
}

impl ErrorInfo {
    /// An error with a kind and a message, which also stands in for the traceback.
    #[must_use]
    pub fn new(exception_type: impl Into<String>, message: impl Into<String>) -> Self {
        let (exception_type, message) = (exception_type.into(), message.into());
        let traceback = if message.is_empty() {
            exception_type.clone()
        } else {
            message.clone()
        };
        Self {
            exception_type,
            message: Some(message),
            traceback,
        }
    }

    /// An error of which only the kind is known, as the default redaction leaves it.
    #[must_use]
    pub fn of_type(exception_type: impl Into<String>) -> Self {
        let exception_type = exception_type.into();
        Self {
            traceback: exception_type.clone(),
            message: None,
            exception_type,
        }
    }
}

impl fmt::Debug for ErrorInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorInfo")
            .field("exception_type", &self.exception_type)
            .finish_non_exhaustive()
    }
}
