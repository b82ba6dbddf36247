//! Reading.

mod scalars;

use foldhash::HashSet;

use super::tape::{Document, Entry, Kind, Tape};
use super::{MANY, Node};

/// Deepest nesting: what Python's reader takes is a little more, what people write is far less.
const DEPTH: usize = 500;

/// Why a text is no JSON; it quotes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeError {
    /// The text ends in the middle of a value.
    #[error("it ends in the middle")]
    Open,
    /// Something else than the grammar has at this byte.
    #[error("not JSON (at byte {at})")]
    Syntax {
        /// The byte, counted from 1.
        at: usize,
    },
    /// It is nested deeper than 500 levels.
    #[error("nested deeper than 500 levels")]
    TooDeep,
    /// A number that is not finite.
    #[error("a number that is not finite, which JSON does not have")]
    NotFinite,
    /// A text with half a surrogate pair.
    #[error("a text with half a surrogate pair, which UTF-8 cannot hold")]
    Torn,
}

impl Node {
    /// Reads JSON as RFC 8259 has it.
    ///
    /// # Errors
    ///
    /// What is wrong with the text, without quoting it.
    pub fn parse(text: &str) -> Result<Self, NodeError> {
        Document::default().read(text).map(super::View::to_node)
    }

    /// Reads JSON as Python's `json.loads` does: `NaN`, `Infinity` and halves of surrogate pairs too.
    ///
    /// # Errors
    ///
    /// What is wrong with the text, without quoting it.
    pub fn parse_python(text: &str) -> Result<Self, NodeError> {
        Document::default()
            .read_python(text)
            .map(super::View::to_node)
    }
}

/// Reads a document in place of the last one.
pub(super) fn fill(tape: &mut Tape, text: &str, python: bool) -> Result<(), NodeError> {
    tape.clear();
    let mut parser = Parser {
        text,
        at: 0,
        python,
        tape,
    };
    parser.value(DEPTH)?;
    match parser.token() {
        None => Ok(()),
        Some(_) => Err(parser.wrong()),
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    python: bool,
    tape: &'a mut Tape,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn wrong(&self) -> NodeError {
        if self.at >= self.text.len() {
            NodeError::Open
        } else {
            NodeError::Syntax { at: self.at + 1 }
        }
    }

    /// The next byte that is not white space.
    #[inline]
    fn token(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        if byte > b' ' {
            return Some(byte);
        }
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.peek()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Goes past a byte behind white space.
    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), NodeError> {
        if self.token() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(self.wrong())
        }
    }

    fn word(&mut self, word: &str) -> bool {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let found = rest.starts_with(word.as_bytes());
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn push(&mut self, kind: Kind, start: usize, end: usize) {
        self.tape.entries.push(Entry {
            kind,
            unescaped: false,
            start,
            end,
        });
    }

    /// Bounded by `depth`. Texts and numbers, which are most values, are read without a call that
    /// could go deeper.
    #[inline]
    fn value(&mut self, depth: usize) -> Result<(), NodeError> {
        match self.token() {
            Some(b'"') => {
                self.at += 1;
                self.string()
            }
            Some(b'{') => self.object(depth.checked_sub(1).ok_or(NodeError::TooDeep)?),
            Some(b'[') => self.list(depth.checked_sub(1).ok_or(NodeError::TooDeep)?),
            Some(b'0'..=b'9' | b'-') => self.number(),
            _ => self.name(),
        }
    }

    /// A value that is a word.
    #[inline(never)]
    fn name(&mut self) -> Result<(), NodeError> {
        let kind = match self.peek() {
            Some(b't') if self.word("true") => Kind::True,
            Some(b'f') if self.word("false") => Kind::False,
            Some(b'n') if self.word("null") => Kind::Null,
            Some(b'N') if self.word("NaN") => return self.special(f64::NAN),
            Some(b'I') if self.word("Infinity") => return self.special(f64::INFINITY),
            _ => return Err(self.wrong()),
        };
        self.push(kind, 0, 0);
        Ok(())
    }

    fn special(&mut self, number: f64) -> Result<(), NodeError> {
        if !self.python {
            return Err(NodeError::NotFinite);
        }
        self.float(number);
        Ok(())
    }

    fn float(&mut self, number: f64) {
        self.push(Kind::Float, self.tape.floats.len(), 0);
        self.tape.floats.push(number);
    }

    /// Says where a list or an object ends that began at a place of the tape.
    fn close(&mut self, start: usize) {
        let end = self.tape.entries.len();
        if let Some(open) = self.tape.entries.get_mut(start) {
            open.end = end;
        }
    }

    #[inline(never)]
    fn list(&mut self, depth: usize) -> Result<(), NodeError> {
        let start = self.tape.entries.len();
        self.push(Kind::List, 0, start + 1);
        self.at += 1;
        if self.token() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.value(depth)?;
            if self.ends(b']')? {
                self.close(start);
                return Ok(());
            }
        }
    }

    #[inline(never)]
    fn object(&mut self, depth: usize) -> Result<(), NodeError> {
        let start = self.tape.entries.len();
        self.push(Kind::Object, 0, start + 1);
        self.at += 1;
        if self.token() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        let mut fields = 0;
        loop {
            self.expect(b'"')?;
            let key = self.tape.entries.len();
            self.string()?;
            if fields < MANY {
                self.tape.repeated |= self.has(start + 1, key);
            }
            fields += 1;
            self.expect(b':')?;
            self.value(depth)?;
            if self.ends(b'}')? {
                if fields > MANY {
                    self.tape.repeated |= self.repeats(start + 1);
                }
                self.close(start);
                return Ok(());
            }
        }
    }

    /// Whether a list or an object ends here, or goes on behind a comma.
    #[inline]
    fn ends(&mut self, byte: u8) -> Result<bool, NodeError> {
        let found = self.token();
        if found != Some(b',') && found != Some(byte) {
            return Err(self.wrong());
        }
        self.at += 1;
        Ok(found == Some(byte))
    }

    /// The keys of an object that is not closed, up to a place of the tape.
    fn keys(&self, first: usize, end: usize) -> impl Iterator<Item = &Entry> {
        let mut at = first;
        std::iter::from_fn(move || {
            let key = self.tape.entries.get(at).filter(|_| at < end)?;
            let value = self.tape.entries.get(at + 1)?;
            at = value.behind(at + 1);
            Some(key)
        })
    }

    /// Whether an object has a key already.
    fn has(&self, first: usize, key: usize) -> bool {
        let Some(own) = self.tape.entries.get(key) else {
            return false;
        };
        let part = |entry| self.tape.part(self.text, entry);
        self.keys(first, key)
            .any(|known| known.length() == own.length() && part(known) == part(own))
    }

    /// Whether an object of many fields has a key twice.
    fn repeats(&self, first: usize) -> bool {
        let mut known = HashSet::default();
        let mut keys = self.keys(first, self.tape.entries.len());
        keys.any(|key| !known.insert(self.tape.part(self.text, key)))
    }
}
