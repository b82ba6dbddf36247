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

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Null,
    True,
    False,
    Int,
    Float,
    Text,
    Torn,
    List,
    Object,
}

/// A value; the parts of a list or an object follow it. A key is a text before its value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub(super) kind: Kind,
    /// Whether a text lies among those that were unescaped.
    pub(super) unescaped: bool,
    /// Where a text or a whole number lies; which number of those with a point it is.
    pub(super) start: usize,
    /// Where it ends; of a list or an object the place behind its last part.
    pub(super) end: usize,
}

impl Entry {
    /// The place behind a value at a place.
    pub(super) fn behind(&self, at: usize) -> usize {
        match self.kind {
            Kind::List | Kind::Object => self.end,
            _ => at + 1,
        }
    }

    /// How many bytes a text has.
    pub(super) fn length(&self) -> usize {
        self.end.wrapping_sub(self.start)
    }
}

/// The values of a document, one after the other.
#[derive(Debug, Default)]
pub(super) struct Tape {
    pub(super) entries: Vec<Entry>,
    pub(super) unescaped: String,
    pub(super) floats: Vec<f64>,
    /// An object has a key twice.
    pub(super) repeated: bool,
    /// A whole number is written `-0`, and stands as `0`.
    pub(super) negative_zero: bool,
}

impl Tape {
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.entries.shrink_to(KEPT);
        self.unescaped.clear();
        self.unescaped.shrink_to(KEPT_BYTES);
        self.floats.clear();
        self.floats.shrink_to(KEPT);
        self.repeated = false;
        self.negative_zero = false;
    }

    /// The bytes of [`part`](Self::part), which need no look at where characters begin.
    #[inline]
    pub(super) fn bytes<'a>(&'a self, text: &'a str, entry: &Entry) -> &'a [u8] {
        let whole = if entry.unescaped {
            &self.unescaped
        } else {
            text
        };
        let bytes = whole.as_bytes().get(entry.start..entry.end);
        bytes.unwrap_or_default()
    }

    /// What an entry covers, of a text or of what was unescaped of it.
    pub(super) fn part<'a>(&'a self, text: &'a str, entry: &Entry) -> &'a str {
        let whole = if entry.unescaped {
            &self.unescaped
        } else {
            text
        };
        whole.get(entry.start..entry.end).unwrap_or_default()
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

    /// Whether a whole number of the document is written `-0`, and stands as `0`.
    pub(super) fn has_negative_zero(&self) -> bool {
        self.tape.negative_zero
    }

    pub(super) fn is_empty(&self) -> bool {
        self.from >= self.to
    }

    fn take(&mut self) -> Option<&'a Entry> {
        let entry = self.tape.entries.get(self.from)?;
        self.from = entry.behind(self.from);
        Some(entry)
    }

    /// The next key of an object.
    pub(super) fn next_key(&mut self) -> &'a str {
        let key = self.take();
        key.map_or("", |key| self.tape.part(self.text, key))
    }

    /// The next value; null at the end.
    pub(super) fn next_value(&mut self) -> View<'a> {
        let from = self.from + 1;
        let Some(entry) = self.take() else {
            return View::Null;
        };
        let part = || self.tape.part(self.text, entry);
        let inner = || Self {
            from,
            to: entry.end,
            ..*self
        };
        match entry.kind {
            Kind::Null => View::Null,
            Kind::True => View::Bool(true),
            Kind::False => View::Bool(false),
            Kind::Int => View::Int(part()),
            Kind::Float => {
                let number = self.tape.floats.get(entry.start).copied();
                number.map_or(View::Null, View::Float)
            }
            Kind::Text => View::Text(part()),
            Kind::Torn => View::Torn(part()),
            Kind::List => View::List(inner().into()),
            Kind::Object => View::Object(inner().into()),
        }
    }

    /// The value of a key of an object.
    pub(super) fn find(mut self, name: &str) -> Option<View<'a>> {
        while self.from < self.to {
            let key = self.take()?;
            if key.length() == name.len() && self.tape.bytes(self.text, key) == name.as_bytes() {
                return Some(self.next_value());
            }
            self.take();
        }
        None
    }
}
