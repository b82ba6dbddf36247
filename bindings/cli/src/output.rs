//! Standard output: text with colour where it is wanted, JSON where it is asked for.
//!
//! Text always comes with its styles; they are taken out here unless the output is a terminal.
//! JSON is one pretty document per command (one line per event in `tail`).

use std::io::{self, Write};

use anstream::{AutoStream, ColorChoice};
use serde::Serialize;

use crate::args::ColorWhen;

/// How to write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    choice: ColorChoice,
    json: bool,
}

impl Output {
    pub(crate) fn new(color: ColorWhen, json: bool) -> Self {
        let choice = match color {
            ColorWhen::Auto => AutoStream::choice(&io::stdout()),
            ColorWhen::Always => ColorChoice::Always,
            ColorWhen::Never => ColorChoice::Never,
        };
        Self { choice, json }
    }

    /// Whether the user asked for JSON.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Writes text as it is but for its styles.
    pub(crate) fn text(self, text: &str) -> io::Result<()> {
        let mut out = AutoStream::new(io::stdout().lock(), self.choice);
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Writes text exactly as it is: scripts and pages for other programs.
    pub(crate) fn plain(self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Writes a value as a JSON document.
    pub(crate) fn json<T: Serialize + ?Sized>(self, value: &T) -> io::Result<()> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        serde_json::to_writer_pretty(&mut out, value).map_err(into_io)?;
        out.write_all(b"\n")?;
        out.flush()
    }

    /// Writes a value as one line of JSON.
    pub(crate) fn json_line<T: Serialize + ?Sized>(self, value: &T) -> io::Result<()> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        serde_json::to_writer(&mut out, value).map_err(into_io)?;
        out.write_all(b"\n")?;
        out.flush()
    }

    /// Writes text to standard error, with colour where that is a terminal.
    pub(crate) fn notice(self, text: &str) {
        let choice = match self.choice {
            ColorChoice::Never => ColorChoice::Never,
            _ => AutoStream::choice(&io::stderr()),
        };
        let mut out = AutoStream::new(io::stderr().lock(), choice);
        // Nobody is left to tell when standard error itself is gone.
        drop(out.write_all(text.as_bytes()));
    }
}

/// The IO error inside a JSON error, so that a closed pipe is seen as one.
fn into_io(error: serde_json::Error) -> io::Error {
    error.into()
}
