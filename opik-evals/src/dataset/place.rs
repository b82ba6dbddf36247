//! Where a record stands.

use std::fmt;
use std::sync::Arc;

/// A file and the line at which a record begins. It prints as `file:line`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Place {
    file: Arc<str>,
    line: u64,
}

impl Place {
    /// A line, counted from 1, of a file; 0 means the file as a whole.
    #[must_use]
    pub fn new(file: impl Into<Arc<str>>, line: u64) -> Self {
        Self {
            file: file.into(),
            line,
        }
    }

    /// The name of the file; `-` is standard input.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line, counted from 1; 0 when the file as a whole is meant.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line == 0 {
            f.write_str(&self.file)
        } else {
            write!(f, "{}:{}", self.file, self.line)
        }
    }
}
