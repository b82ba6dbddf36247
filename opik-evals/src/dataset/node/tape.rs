//! A document as a flat list, which lies in the text that was read and is used again for the next.
//!
//! A tree of owned values takes an allocation for each text and list, which was most of the time of
//! reading a record. Here a text without escapes stays where it is.

use super::parse::fill;
use super::{Node, NodeError, View};

/// Entries that are kept from one document to the next; a larger one gives its memory back.
const KEPT: usize = 64 * 1024;
/// Bytes of unescaped texts that are kept.
const KEPT_BYTES: usize = 1024 * 1024;

/// A part of the text that was read, or of what was unescaped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) unescaped: bool,
}

/// A value; the parts of a list or an object follow it. A key is a text before its value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Entry {
    Null,
    Bool(bool),
    Int(Span),
    Float(f64),
    Text(Span),
    Torn(Span),
    /// With the place behind its last part.
    List(usize),
    Object(usize),
}

/// The values of a document, one after the other.
#[derive(Debug, Default)]
pub(super) struct Tape {
    pub(super) entries: Vec<Entry>,
    pub(super) unescaped: String,
    /// An object has a key twice.
    pub(super) repeated: bool,
}

impl Tape {
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.entries.shrink_to(KEPT);
        self.unescaped.clear();
        self.unescaped.shrink_to(KEPT_BYTES);
        self.repeated = false;
    }
}

/// Reads documents one after the other; its memory is that of one.
#[derive(Debug, Default)]
pub(crate) struct Document {
    tape: Tape,
    /// The same, where an object has a key twice: the last value stands at the first place.
    merged: Option<Node>,
}

impl Document {
    /// As [`Node::parse`].
    pub(crate) fn read<'a>(&'a mut self, text: &'a str) -> Result<View<'a>, NodeError> {
        self.fill(text, false)
    }

    /// As [`Node::parse_python`].
    pub(crate) fn read_python<'a>(&'a mut self, text: &'a str) -> Result<View<'a>, NodeError> {
        self.fill(text, true)
    }

    fn fill<'a>(&'a mut self, text: &'a str, python: bool) -> Result<View<'a>, NodeError> {
        self.merged = None;
        fill(&mut self.tape, text, python)?;
        if self.tape.repeated {
            let merged = Stretch::all(&self.tape, text).next_value().to_node();
            return Ok(self.merged.insert(merged).view());
        }
        Ok(Stretch::all(&self.tape, text).next_value())
    }
}

/// Neighbouring values of a document.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretch<'a> {
    tape: &'a Tape,
    text: &'a str,
    from: usize,
    to: usize,
}

impl<'a> Stretch<'a> {
    fn all(tape: &'a Tape, text: &'a str) -> Self {
        Self {
            tape,
            text,
            from: 0,
            to: tape.entries.len(),
        }
    }

    /// Whether an object of the document has a key twice.
    pub(super) fn is_repeated(&self) -> bool {
        self.tape.repeated
    }

    pub(super) fn is_empty(&self) -> bool {
        self.from >= self.to
    }

    fn part(&self, span: Span) -> &'a str {
        let whole = if span.unescaped {
            &self.tape.unescaped
        } else {
            self.text
        };
        whole.get(span.start..span.end).unwrap_or_default()
    }

    fn take(&mut self) -> Option<Entry> {
        let entry = *self.tape.entries.get(self.from)?;
        self.from = match entry {
            Entry::List(end) | Entry::Object(end) => end,
            _ => self.from + 1,
        };
        Some(entry)
    }

    /// Goes past a key or a value.
    pub(super) fn skip(&mut self) {
        self.take();
    }

    /// The next key of an object.
    pub(super) fn next_key(&mut self) -> &'a str {
        match self.take() {
            Some(Entry::Text(span)) => self.part(span),
            _ => "",
        }
    }

    /// The next value; null at the end.
    pub(super) fn next_value(&mut self) -> View<'a> {
        let inner = |to| Self {
            from: self.from + 1,
            to,
            ..*self
        };
        let view = match self.tape.entries.get(self.from) {
            None | Some(Entry::Null) => View::Null,
            Some(Entry::Bool(truth)) => View::Bool(*truth),
            Some(Entry::Int(span)) => View::Int(self.part(*span)),
            Some(Entry::Float(number)) => View::Float(*number),
            Some(Entry::Text(span)) => View::Text(self.part(*span)),
            Some(Entry::Torn(span)) => View::Torn(self.part(*span)),
            Some(Entry::List(end)) => View::List(inner(*end).into()),
            Some(Entry::Object(end)) => View::Object(inner(*end).into()),
        };
        self.take();
        view
    }
}
