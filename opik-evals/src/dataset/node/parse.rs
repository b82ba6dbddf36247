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
        python,
        tape,
        why: NodeError::Open,
    };
    let end = parser.value(0, DEPTH).map(|at| parser.token(at));
    if end.is_some_and(|at| at >= text.len() || parser.fail(at).is_some()) {
        return Ok(());
    }
    Err(parser.why)
}

/// Places are handed from part to part by value, so that they stay in a register: each step begins
/// where the one before ended, and through memory that takes several times as long.
struct Parser<'a> {
    text: &'a str,
    python: bool,
    tape: &'a mut Tape,
    /// Why there is no place behind a part.
    why: NodeError,
}

impl Parser<'_> {
    #[inline]
    fn peek(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// The grammar has something else at a place.
    #[cold]
    fn fail(&mut self, at: usize) -> Option<usize> {
        self.why = if at >= self.text.len() {
            NodeError::Open
        } else {
            NodeError::Syntax { at: at + 1 }
        };
        None
    }

    #[cold]
    fn fail_as(&mut self, why: NodeError) -> Option<usize> {
        self.why = why;
        None
    }

    /// The place of the next byte that is not white space.
    #[inline]
    fn token(&self, mut at: usize) -> usize {
        if self.peek(at).is_some_and(|byte| byte > b' ') {
            return at;
        }
        while matches!(self.peek(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            at += 1;
        }
        at
    }

    /// The place behind a byte, if it stands there.
    #[inline]
    fn take(&self, at: usize, byte: u8) -> Option<usize> {
        (self.peek(at) == Some(byte)).then_some(at + 1)
    }

    fn word(&self, at: usize, word: &str) -> Option<usize> {
        let rest = self.text.as_bytes().get(at..).unwrap_or_default();
        rest.starts_with(word.as_bytes()).then_some(at + word.len())
    }

    #[inline]
    fn push(&mut self, kind: Kind, start: usize, end: usize) {
        self.tape.entries.push(Entry {
            kind,
            unescaped: false,
            start,
            end,
        });
    }

    /// The place behind a value. Bounded by `depth`. Texts and numbers, which are most values, are
    /// read without a call that could go deeper.
    #[inline]
    fn value(&mut self, at: usize, depth: usize) -> Option<usize> {
        let at = self.token(at);
        match self.peek(at) {
            Some(b'"') => self.string(at + 1),
            Some(open @ (b'{' | b'[')) => match depth.checked_sub(1) {
                Some(depth) if open == b'{' => self.object(at + 1, depth),
                Some(depth) => self.list(at + 1, depth),
                None => self.fail_as(NodeError::TooDeep),
            },
            Some(b'0'..=b'9' | b'-') => self.number(at),
            _ => self.name(at),
        }
    }

    /// A value that is a word.
    #[inline(never)]
    fn name(&mut self, at: usize) -> Option<usize> {
        let (kind, word) = match self.peek(at) {
            Some(b't') => (Kind::True, "true"),
            Some(b'f') => (Kind::False, "false"),
            Some(b'n') => (Kind::Null, "null"),
            Some(b'N') => (Kind::Float, "NaN"),
            Some(b'I') => (Kind::Float, "Infinity"),
            _ => return self.fail(at),
        };
        let Some(behind) = self.word(at, word) else {
            return self.fail(at);
        };
        match word {
            "NaN" => self.special(f64::NAN, behind),
            "Infinity" => self.special(f64::INFINITY, behind),
            _ => {
                self.push(kind, 0, 0);
                Some(behind)
            }
        }
    }

    fn special(&mut self, number: f64, behind: usize) -> Option<usize> {
        if !self.python {
            return self.fail_as(NodeError::NotFinite);
        }
        self.float(number);
        Some(behind)
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

    /// The rest of a list behind its bracket.
    #[inline(never)]
    fn list(&mut self, at: usize, depth: usize) -> Option<usize> {
        let start = self.tape.entries.len();
        self.push(Kind::List, 0, start + 1);
        let mut at = self.token(at);
        if let Some(behind) = self.take(at, b']') {
            return Some(behind);
        }
        loop {
            at = self.value(at, depth)?;
            let (behind, ends) = self.ends(at, b']')?;
            if ends {
                self.close(start);
                return Some(behind);
            }
            at = behind;
        }
    }

    /// The rest of an object behind its brace.
    #[inline(never)]
    fn object(&mut self, at: usize, depth: usize) -> Option<usize> {
        let start = self.tape.entries.len();
        self.push(Kind::Object, 0, start + 1);
        let mut at = self.token(at);
        if let Some(behind) = self.take(at, b'}') {
            return Some(behind);
        }
        let mut fields = 0;
        loop {
            at = self.expect(at, b'"')?;
            let key = self.tape.entries.len();
            at = self.string(at)?;
            if fields < MANY {
                self.tape.repeated |= self.has(start + 1, key);
            }
            fields += 1;
            at = self.expect(at, b':')?;
            at = self.value(at, depth)?;
            let (behind, ends) = self.ends(at, b'}')?;
            if ends {
                if fields > MANY {
                    self.tape.repeated |= self.repeats(start + 1);
                }
                self.close(start);
                return Some(behind);
            }
            at = behind;
        }
    }

    /// The place behind a byte behind white space.
    #[inline]
    fn expect(&mut self, at: usize, byte: u8) -> Option<usize> {
        let at = self.token(at);
        self.take(at, byte).or_else(|| self.fail(at))
    }

    /// Whether a list or an object ends here, or goes on behind a comma; and the place behind that.
    #[inline]
    fn ends(&mut self, at: usize, byte: u8) -> Option<(usize, bool)> {
        let at = self.token(at);
        let found = self.peek(at);
        if found != Some(b',') && found != Some(byte) {
            self.fail(at);
            return None;
        }
        Some((at + 1, found == Some(byte)))
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
        let part = |entry| self.tape.bytes(self.text, entry);
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
