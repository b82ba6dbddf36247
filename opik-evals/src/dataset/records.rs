//! The records of several inputs, one after the other, and what is left out of them.

use std::fmt;
use std::io::BufRead;
use std::sync::{Arc, LazyLock};

use super::frames::{Frame, Frames};
use super::node::{Document, View};
use super::{DatasetError, Input, NodeError, Place, Skipped};

/// The largest record by default: 64 MiB.
const LIMIT: usize = 64 * 1024 * 1024;

/// How records are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadOptions {
    strict: bool,
    limit: usize,
}

impl ReadOptions {
    /// Unusable records are counted and passed over; a record has at most 64 MiB.
    #[must_use]
    pub fn new() -> Self {
        Self {
            strict: false,
            limit: LIMIT,
        }
    }

    /// Whether the first unusable record is an error. Default: it is counted and passed over.
    #[must_use]
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// The most bytes that a record may have; the memory that reading takes.
    #[must_use]
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }
}

impl Default for ReadOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// What is being read.
struct Open {
    name: Arc<str>,
    frames: Frames<Box<dyn BufRead + Send>>,
}

/// Cuts inputs into records; the caller parses them and says which cannot be used.
pub(crate) struct Records {
    options: ReadOptions,
    /// What is still to be read, the next one last.
    waiting: Vec<Input>,
    current: Option<Open>,
    line: u64,
    skipped: Skipped,
}

impl Records {
    pub(crate) fn new(inputs: impl IntoIterator<Item = Input>, options: ReadOptions) -> Self {
        let mut waiting: Vec<_> = inputs.into_iter().collect();
        waiting.reverse();
        Self {
            options,
            waiting,
            current: None,
            line: 0,
            skipped: Skipped::default(),
        }
    }

    /// Goes to the next record that is whole; `false` at the end.
    pub(crate) fn advance(&mut self) -> Result<bool, DatasetError> {
        while let Some(frame) = self.cut()? {
            match frame.damage {
                None => return Ok(true),
                Some(damage) => self.skip(damage)?,
            }
        }
        Ok(false)
    }

    /// Goes to the next record, which may be damaged; `None` at the end.
    pub(crate) fn cut(&mut self) -> Result<Option<Frame>, DatasetError> {
        loop {
            let Some(open) = &mut self.current else {
                if !self.open_next()? {
                    return Ok(None);
                }
                continue;
            };
            let frame = open.frames.advance().map_err(|source| DatasetError::Read {
                file: open.name.to_string(),
                source,
            })?;
            match frame {
                Some(frame) => {
                    self.line = frame.line;
                    return Ok(Some(frame));
                }
                None => self.current = None,
            }
        }
    }

    fn open_next(&mut self) -> Result<bool, DatasetError> {
        let Some(next) = self.waiting.pop() else {
            return Ok(false);
        };
        let mut files = next.files()?;
        if files.len() == 1
            && let Some(file) = files.pop()
        {
            let (name, reader) = file.open()?;
            self.current = Some(Open {
                name,
                frames: Frames::new(reader, self.options.limit),
            });
        } else {
            self.waiting.extend(files.into_iter().rev());
        }
        Ok(true)
    }

    /// The record as it stands in the input.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.current
            .as_ref()
            .map_or(&[], |open| open.frames.bytes())
    }

    /// Hands over the record in exchange for the memory of another.
    pub(crate) fn take(&mut self, record: &mut Vec<u8>) {
        record.clear();
        if let Some(open) = &mut self.current {
            open.frames.swap(record);
        }
    }

    /// The name of the file that the record is in.
    pub(crate) fn file(&self) -> &Arc<str> {
        static NONE: LazyLock<Arc<str>> = LazyLock::new(|| Arc::from(""));
        self.current.as_ref().map_or(&NONE, |open| &open.name)
    }

    /// Where the record begins.
    pub(crate) fn place(&self) -> Place {
        Place::new(Arc::clone(self.file()), self.line)
    }

    /// Whether the first unusable record is an error.
    pub(crate) fn is_strict(&self) -> bool {
        self.options.strict
    }

    /// Counts the record as left out; an error when reading is strict.
    pub(crate) fn skip(&mut self, reason: impl Into<String>) -> Result<(), DatasetError> {
        let (place, reason) = (self.place(), reason.into());
        if self.options.strict {
            return Err(DatasetError::Unusable { place, reason });
        }
        self.skipped.add(place, reason);
        Ok(())
    }

    /// What was left out so far.
    pub(crate) fn skipped(&self) -> &Skipped {
        &self.skipped
    }
}

/// A record as JSON, or why it is none.
pub(crate) fn view<'a>(document: &'a mut Document, record: &'a [u8]) -> Result<View<'a>, String> {
    let text = simdutf8::basic::from_utf8(record).map_err(|_| "not UTF-8".to_owned())?;
    document.read(text).map_err(|error| match error {
        // The place differs from record to record, and reports count equal reasons.
        NodeError::Syntax { .. } => "not JSON".to_owned(),
        other => other.to_string(),
    })
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Records")
            .field("options", &self.options)
            .field("place", &self.place())
            .field("skipped", &self.skipped.count())
            .finish_non_exhaustive()
    }
}
