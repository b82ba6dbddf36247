//! Reading.

use foldhash::HashSet;

use super::special::special;
use super::tape::{Document, Entry, Span, Tape};
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
    parser.blank();
    parser.value(DEPTH)?;
    parser.blank();
    match parser.peek() {
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

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), NodeError> {
        if self.take(byte) {
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

    fn push(&mut self, entry: Entry) {
        self.tape.entries.push(entry);
    }

    /// Bounded by `depth`.
    fn value(&mut self, depth: usize) -> Result<(), NodeError> {
        let entry = match self.peek() {
            Some(b'"') => {
                self.at += 1;
                let (span, torn) = self.string()?;
                if torn {
                    Entry::Torn(span)
                } else {
                    Entry::Text(span)
                }
            }
            Some(b'{') => return self.object(depth.checked_sub(1).ok_or(NodeError::TooDeep)?),
            Some(b'[') => return self.list(depth.checked_sub(1).ok_or(NodeError::TooDeep)?),
            Some(b'0'..=b'9' | b'-') => self.number()?,
            Some(b't') if self.word("true") => Entry::Bool(true),
            Some(b'f') if self.word("false") => Entry::Bool(false),
            Some(b'n') if self.word("null") => Entry::Null,
            Some(b'N') if self.word("NaN") => self.special(f64::NAN)?,
            Some(b'I') if self.word("Infinity") => self.special(f64::INFINITY)?,
            _ => return Err(self.wrong()),
        };
        self.push(entry);
        Ok(())
    }

    fn special(&self, number: f64) -> Result<Entry, NodeError> {
        if self.python {
            Ok(Entry::Float(number))
        } else {
            Err(NodeError::NotFinite)
        }
    }

    /// Says where a list or an object ends that began at a place of the tape.
    fn close(&mut self, start: usize, entry: fn(usize) -> Entry) {
        let end = self.tape.entries.len();
        if let Some(open) = self.tape.entries.get_mut(start) {
            *open = entry(end);
        }
    }

    fn list(&mut self, depth: usize) -> Result<(), NodeError> {
        let start = self.tape.entries.len();
        self.push(Entry::List(start + 1));
        self.at += 1;
        self.blank();
        if self.take(b']') {
            return Ok(());
        }
        loop {
            self.blank();
            self.value(depth)?;
            self.blank();
            if !self.take(b',') {
                self.expect(b']')?;
                self.close(start, Entry::List);
                return Ok(());
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<(), NodeError> {
        let start = self.tape.entries.len();
        self.push(Entry::Object(start + 1));
        self.at += 1;
        self.blank();
        if self.take(b'}') {
            return Ok(());
        }
        let mut fields = 0;
        loop {
            self.blank();
            self.expect(b'"')?;
            let (key, _) = self.string()?;
            if fields < MANY {
                self.tape.repeated |= self.has(start + 1, key);
            }
            fields += 1;
            self.push(Entry::Text(key));
            self.blank();
            self.expect(b':')?;
            self.blank();
            self.value(depth)?;
            self.blank();
            if !self.take(b',') {
                self.expect(b'}')?;
                if fields > MANY {
                    self.tape.repeated |= self.repeats(start + 1);
                }
                self.close(start, Entry::Object);
                return Ok(());
            }
        }
    }

    fn part(&self, span: Span) -> &str {
        let whole = if span.unescaped {
            &self.tape.unescaped
        } else {
            self.text
        };
        whole.get(span.start..span.end).unwrap_or_default()
    }

    /// The keys of an object that is not closed, of which all values are.
    fn keys(&self, first: usize) -> impl Iterator<Item = &str> {
        let mut at = first;
        std::iter::from_fn(move || {
            let Some(Entry::Text(key)) = self.tape.entries.get(at) else {
                return None;
            };
            at = match self.tape.entries.get(at + 1) {
                Some(Entry::List(end) | Entry::Object(end)) => *end,
                _ => at + 2,
            };
            Some(self.part(*key))
        })
    }

    /// Whether an object has a key already.
    fn has(&self, first: usize, key: Span) -> bool {
        let key = self.part(key);
        self.keys(first).any(|known| known == key)
    }

    /// Whether an object of many fields has a key twice.
    fn repeats(&self, first: usize) -> bool {
        let mut known = HashSet::default();
        self.keys(first).any(|key| !known.insert(key))
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Result<Entry, NodeError> {
        let start = self.at;
        let negative = self.take(b'-');
        if negative && self.word("Infinity") {
            return self.special(f64::NEG_INFINITY);
        }
        if !self.take(b'0') && self.digits() == 0 {
            return Err(self.wrong());
        }
        let whole = self.at;
        let mut float = false;
        if self.take(b'.') {
            if self.digits() == 0 {
                return Err(self.wrong());
            }
            float = true;
        }
        if self.take(b'e') || self.take(b'E') {
            if !self.take(b'+') {
                self.take(b'-');
            }
            if self.digits() == 0 {
                return Err(self.wrong());
            }
            float = true;
        }
        let end = if float { self.at } else { whole };
        let text = self.text.get(start..end).unwrap_or_default();
        if !float {
            // Python has no negative zero among its whole numbers.
            let start = start + usize::from(text == "-0");
            return Ok(Entry::Int(Span {
                start,
                end,
                unescaped: false,
            }));
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() || self.python => Ok(Entry::Float(number)),
            Ok(_) => Err(NodeError::NotFinite),
            Err(_) => Err(NodeError::Syntax { at: start + 1 }),
        }
    }

    /// The rest of a text behind its first quote, and whether it is torn.
    fn string(&mut self) -> Result<(Span, bool), NodeError> {
        let start = self.at;
        self.plain();
        if self.take(b'"') {
            let end = self.at - 1;
            let unescaped = false;
            let span = Span {
                start,
                end,
                unescaped,
            };
            return Ok((span, false));
        }
        let begun = self.tape.unescaped.len();
        let mut from = start;
        let mut torn = false;
        loop {
            let plain = self.text.get(from..self.at).unwrap_or_default();
            self.tape.unescaped.push_str(plain);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    let span = Span {
                        start: begun,
                        end: self.tape.unescaped.len(),
                        unescaped: true,
                    };
                    return Ok((span, torn));
                }
                Some(b'\\') => {
                    self.at += 1;
                    let c = self.escape()?;
                    if c.is_none() && !self.python {
                        return Err(NodeError::Torn);
                    }
                    torn |= c.is_none();
                    let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
                    self.tape.unescaped.push(c);
                }
                // Control characters have to be escaped.
                _ => return Err(self.wrong()),
            }
            from = self.at;
            self.plain();
        }
    }

    /// Goes to the next quote, backslash or control character.
    fn plain(&mut self) {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        self.at += special(rest).unwrap_or(rest.len());
    }

    /// What follows a backslash; `None` is half a surrogate pair.
    fn escape(&mut self) -> Result<Option<char>, NodeError> {
        let c = match self.peek() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                let first = self.unit()?;
                if (0xd800..0xdc00).contains(&first) {
                    let back = self.at;
                    if self.word("\\u")
                        && let Ok(second @ 0xdc00..0xe000) = self.unit()
                    {
                        let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                        return Ok(char::from_u32(code));
                    }
                    self.at = back;
                }
                return Ok(char::from_u32(first));
            }
            _ => return Err(self.wrong()),
        };
        self.at += 1;
        Ok(Some(c))
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Result<u32, NodeError> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|byte| char::from(byte).to_digit(16));
            unit = unit * 16 + digit.ok_or_else(|| self.wrong())?;
            self.at += 1;
        }
        Ok(unit)
    }
}
