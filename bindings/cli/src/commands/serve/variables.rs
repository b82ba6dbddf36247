//! Variables of the environment, and of a file `.env` beside the program.

use std::collections::HashMap;

use crate::config;
use crate::exit::{Code, Failure};

/// What the environment says, else the file.
#[derive(Debug)]
pub(super) struct Variables {
    file: HashMap<String, String>,
}

impl Variables {
    /// Reads `.env` in the working directory, where there is one. Names that nobody knows are
    /// nobody's business.
    pub(super) fn read() -> Result<Self, Failure> {
        let lines = match dotenvy::from_filename_iter(".env") {
            Ok(lines) => lines,
            Err(error) if error.not_found() => {
                return Ok(Self {
                    file: HashMap::new(),
                });
            }
            Err(_) => return Err(unusable()),
        };
        let file = lines.collect::<Result<HashMap<_, _>, _>>();
        Ok(Self {
            // The error would quote the line, which may hold a key.
            file: file.map_err(|_| unusable())?,
        })
    }

    pub(super) fn get(&self, name: &str) -> Option<String> {
        config::variable(name).or_else(|| self.file.get(name).cloned())
    }

    pub(super) fn is_set(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| !value.trim().is_empty())
    }
}

fn unusable() -> Failure {
    Failure::new(Code::Usage, ".env in the working directory cannot be read")
        .hint("a line is NAME=value; comments begin with #")
}
