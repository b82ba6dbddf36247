//! The iterator over a file's batches and problems.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read};

use opik_core::Batch;

use crate::ReadOptions;
use crate::document::{self, State};
use crate::framing::{Frame, Framing};
use crate::input::Input;
use crate::problem::{Problem, ReadError};
use crate::sink::Sink;

/// A piece of the input, in its order. There is no third kind: what is not a record is a problem.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// Records. Those of one document are never spread over batches.
    Batch(Batch),
    /// A part that was left out.
    Problem(Problem),
}

/// What a reader has read so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Documents, good and bad.
    pub documents: u64,
    /// Traces in the batches.
    pub traces: u64,
    /// Spans in the batches.
    pub spans: u64,
    /// Parts that were left out.
    pub problems: u64,
}

/// Reads a stream of trace documents; see the [crate](crate) for what it accepts.
///
/// Iterate it to the end, also after problems: what an iterator was dropped before is not read.
pub struct Reader<R> {
    options: ReadOptions,
    source: Source<R>,
    framing: Framing,
    text: Vec<u8>,
    state: State,
    pending: Batch,
    items: VecDeque<Item>,
    summary: Summary,
}

enum Source<R> {
    Unopened(Option<R>),
    Open(Input<R>),
    /// At its end, after this many bytes.
    Done(u64),
}

impl<R: Read> Reader<R> {
    /// A reader that has not read yet. It buffers by itself.
    pub fn new(input: R, options: ReadOptions) -> Self {
        Self {
            framing: Framing::new(options.max_document_bytes),
            state: State::knowing(&options.starts),
            options,
            source: Source::Unopened(Some(input)),
            text: Vec::new(),
            pending: Batch::default(),
            items: VecDeque::new(),
            summary: Summary::default(),
        }
    }

    /// Bytes taken from the input so far, before decompression: for a progress bar.
    #[must_use]
    pub fn bytes_consumed(&self) -> u64 {
        match &self.source {
            Source::Unopened(_) => 0,
            Source::Open(input) => input.consumed(),
            Source::Done(bytes) => *bytes,
        }
    }

    /// What was read so far.
    #[must_use]
    pub fn summary(&self) -> Summary {
        self.summary
    }

    /// Reads until there is something to hand out or the input ends.
    fn advance(&mut self) -> Result<(), ReadError> {
        while self.items.is_empty() && !matches!(self.source, Source::Done(_)) {
            let bytes = self.bytes_consumed();
            match self.document() {
                Ok(true) => {}
                Ok(false) => self.end(None),
                Err(source) => {
                    let compressed =
                        matches!(&self.source, Source::Open(input) if input.is_compressed());
                    let reason = match source.kind() {
                        io::ErrorKind::UnexpectedEof if compressed => {
                            "the compressed data ends too early"
                        }
                        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData if compressed => {
                            "the compressed data is damaged; the rest is not read"
                        }
                        _ => {
                            self.source = Source::Done(bytes);
                            return Err(ReadError::Io { bytes, source });
                        }
                    };
                    self.end(Some(reason));
                }
            }
        }
        Ok(())
    }

    /// Reads one document; `false` at the end.
    fn document(&mut self) -> io::Result<bool> {
        if let Source::Unopened(input) = &mut self.source {
            let Some(input) = input.take() else {
                return Ok(false);
            };
            self.source = Source::Open(Input::open(input)?);
        }
        let Source::Open(input) = &mut self.source else {
            return Ok(false);
        };
        let (line, frame) = self.framing.next(input, &mut self.text)?;
        match frame {
            Frame::End => return Ok(false),
            Frame::TooLong => {
                let limit = self.options.max_document_bytes;
                let reason = format!("longer than {limit} bytes, the limit for one document");
                self.problem(line, reason);
            }
            Frame::Text => self.convert(line),
        }
        self.summary.documents += 1;
        Ok(true)
    }

    fn convert(&mut self, line: u64) {
        let text = match std::str::from_utf8(&self.text) {
            Ok(text) => text.trim(),
            Err(error) => {
                let at = error.valid_up_to() + 1;
                return self.problem(line, format!("not UTF-8 at byte {at}"));
            }
        };
        let mut problems = Vec::new();
        let project = self.options.project.as_deref();
        let mut sink = Sink::new((text, line), project, &mut self.pending, &mut problems);
        document::read(text, self.options.format, &mut self.state, &mut sink);
        sink.finish();
        let full = self.pending.len() >= self.options.batch_records;
        if full || !problems.is_empty() {
            self.hand_out_batch();
        }
        for problem in problems {
            self.problem(problem.line, problem.reason);
        }
    }

    fn end(&mut self, reason: Option<&str>) {
        self.source = Source::Done(self.bytes_consumed());
        let line = self.framing.line();
        let mut problems = Vec::new();
        let project = self.options.project.as_deref();
        let mut sink = Sink::new(("", line), project, &mut self.pending, &mut problems);
        self.state.jobs.finish(&mut sink);
        sink.finish();
        self.hand_out_batch();
        for problem in problems {
            self.problem(problem.line, problem.reason);
        }
        if let Some(reason) = reason {
            self.problem(line, reason.to_owned());
        } else if self.summary.documents == 0 {
            self.problem(line, "the input is empty".to_owned());
        }
    }

    fn hand_out_batch(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let batch = std::mem::take(&mut self.pending);
        self.summary.traces += batch.traces.len() as u64;
        self.summary.spans += batch.spans.len() as u64;
        self.items.push_back(Item::Batch(batch));
    }

    fn problem(&mut self, line: u64, reason: String) {
        self.summary.problems += 1;
        self.items
            .push_back(Item::Problem(Problem { line, reason }));
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Item, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Err(error) = self.advance() {
            return Some(Err(error));
        }
        match self.items.pop_front()? {
            Item::Problem(problem) if self.options.strict => {
                self.source = Source::Done(self.bytes_consumed());
                self.items.clear();
                self.pending.clear();
                Some(Err(ReadError::Strict(problem)))
            }
            item => Some(Ok(item)),
        }
    }
}

impl<R: Read> std::iter::FusedIterator for Reader<R> {}

impl<R> fmt::Debug for Reader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("options", &self.options)
            .field("summary", &self.summary)
            .finish_non_exhaustive()
    }
}
