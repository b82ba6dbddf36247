//! Reading.

use foldhash::{HashMap, HashMapExt as _};

use super::Node;

/// Deepest nesting: what Python's reader takes is a little more, what people write is far less.
const DEPTH: usize = 500;
/// From this number of fields on an index finds keys that come again.
const MANY: usize = 16;

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
        Parser::new(text, false).document()
    }

    /// Reads JSON as Python's `json.loads` does: `NaN`, `Infinity` and halves of surrogate pairs too.
    ///
    /// # Errors
    ///
    /// What is wrong with the text, without quoting it.
    pub fn parse_python(text: &str) -> Result<Self, NodeError> {
        Parser::new(text, true).document()
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    python: bool,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, python: bool) -> Self {
        Self {
            text,
            at: 0,
            python,
        }
    }

    fn document(mut self) -> Result<Node, NodeError> {
        self.blank();
        let node = self.value(DEPTH)?;
        self.blank();
        match self.peek() {
            None => Ok(node),
            Some(_) => Err(self.wrong()),
        }
    }

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

    /// Bounded by `depth`.
    fn value(&mut self, depth: usize) -> Result<Node, NodeError> {
        match self.peek() {
            Some(b'"') => {
                self.at += 1;
                let (text, torn) = self.string()?;
                Ok(if torn {
                    Node::Torn(text)
                } else {
                    Node::Text(text)
                })
            }
            Some(b'{') => self.object(depth.checked_sub(1).ok_or(NodeError::TooDeep)?),
            Some(b'[') => self.list(depth.checked_sub(1).ok_or(NodeError::TooDeep)?),
            Some(b'0'..=b'9' | b'-') => self.number(),
            Some(b't') if self.word("true") => Ok(Node::Bool(true)),
            Some(b'f') if self.word("false") => Ok(Node::Bool(false)),
            Some(b'n') if self.word("null") => Ok(Node::Null),
            Some(b'N') if self.word("NaN") => self.special(f64::NAN),
            Some(b'I') if self.word("Infinity") => self.special(f64::INFINITY),
            _ => Err(self.wrong()),
        }
    }

    fn special(&self, number: f64) -> Result<Node, NodeError> {
        if self.python {
            Ok(Node::Float(number))
        } else {
            Err(NodeError::NotFinite)
        }
    }

    fn list(&mut self, depth: usize) -> Result<Node, NodeError> {
        self.at += 1;
        let mut items = Vec::new();
        self.blank();
        if self.take(b']') {
            return Ok(Node::List(items));
        }
        loop {
            self.blank();
            items.push(self.value(depth)?);
            self.blank();
            if !self.take(b',') {
                self.expect(b']')?;
                return Ok(Node::List(items));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Node, NodeError> {
        self.at += 1;
        let mut fields: Vec<(String, Node)> = Vec::new();
        let mut index: HashMap<String, usize> = HashMap::new();
        self.blank();
        if self.take(b'}') {
            return Ok(Node::Object(fields));
        }
        loop {
            self.blank();
            self.expect(b'"')?;
            let (key, _) = self.string()?;
            self.blank();
            self.expect(b':')?;
            self.blank();
            let value = self.value(depth)?;
            if fields.len() == MANY {
                let known = fields.iter().enumerate();
                index = known.map(|(at, (key, _))| (key.clone(), at)).collect();
            }
            let known = if fields.len() < MANY {
                fields.iter().position(|(name, _)| *name == key)
            } else {
                index.get(&key).copied()
            };
            match known.and_then(|at| fields.get_mut(at)) {
                Some(field) => field.1 = value,
                None => {
                    if fields.len() >= MANY {
                        index.insert(key.clone(), fields.len());
                    }
                    fields.push((key, value));
                }
            }
            self.blank();
            if !self.take(b',') {
                self.expect(b'}')?;
                return Ok(Node::Object(fields));
            }
        }
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    fn number(&mut self) -> Result<Node, NodeError> {
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
            let text = if text == "-0" { "0" } else { text };
            return Ok(Node::Int(text.to_owned()));
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() || self.python => Ok(Node::Float(number)),
            Ok(_) => Err(NodeError::NotFinite),
            Err(_) => Err(NodeError::Syntax { at: start + 1 }),
        }
    }

    /// The rest of a text behind its first quote, and whether it is torn.
    fn string(&mut self) -> Result<(String, bool), NodeError> {
        let mut text = String::new();
        let mut torn = false;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let end = memchr::memchr2(b'"', b'\\', rest.as_bytes()).unwrap_or(rest.len());
            let plain = rest.get(..end).unwrap_or_default();
            // Control characters have to be escaped.
            if plain
                .bytes()
                .fold(false, |found, byte| found | (byte < 0x20))
            {
                self.at += plain.bytes().position(|byte| byte < 0x20).unwrap_or(0);
                return Err(self.wrong());
            }
            text.push_str(plain);
            self.at += end;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok((text, torn));
                }
                Some(b'\\') => {
                    self.at += 1;
                    let c = self.escape()?;
                    if c.is_none() && !self.python {
                        return Err(NodeError::Torn);
                    }
                    torn |= c.is_none();
                    text.push(c.unwrap_or(char::REPLACEMENT_CHARACTER));
                }
                _ => return Err(self.wrong()),
            }
        }
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
