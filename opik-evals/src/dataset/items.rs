//! A stream of examples.

use std::io::BufRead;
use std::sync::Arc;

use serde_json::Value;

use super::records::{ReadOptions, Records};
use super::{DatasetError, Input, Item, Skipped};

/// Streams [`Item`]s from files, folders, standard input or any reader, one at a time.
///
/// After an error the stream is at its end. See the [module](super) for the layouts.
#[derive(Debug)]
pub struct ItemReader {
    records: Records,
    failed: bool,
}

impl ItemReader {
    /// Reads inputs one after the other.
    #[must_use]
    pub fn new(inputs: impl IntoIterator<Item = Input>, options: ReadOptions) -> Self {
        Self {
            records: Records::new(inputs, options),
            failed: false,
        }
    }

    /// Reads one reader, under the name by which reports call it.
    #[must_use]
    pub fn from_reader(
        name: impl Into<Arc<str>>,
        reader: impl BufRead + Send + 'static,
        options: ReadOptions,
    ) -> Self {
        Self::new([Input::reader(name, reader)], options)
    }

    /// What was left out so far.
    #[must_use]
    pub fn skipped(&self) -> &Skipped {
        self.records.skipped()
    }

    fn read(&mut self) -> Result<Option<Item>, DatasetError> {
        while self.records.advance()? {
            match parse(self.records.bytes()) {
                Ok(item) => return Ok(Some(item)),
                Err(reason) => self.records.skip(reason)?,
            }
        }
        Ok(None)
    }
}

impl Iterator for ItemReader {
    type Item = Result<Item, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let next = self.read();
        self.failed = next.is_err();
        next.transpose()
    }
}

/// An item, or why it is none; the reason quotes nothing.
pub(super) fn parse(bytes: &[u8]) -> Result<Item, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "not UTF-8".to_owned())?;
    let value: Value = serde_json::from_str(text).map_err(|error| {
        // The message of the parser may quote what it found.
        match error.classify() {
            serde_json::error::Category::Eof => "it ends in the middle".to_owned(),
            _ => "not JSON".to_owned(),
        }
    })?;
    Item::from_value(value).map_err(str::to_owned)
}
