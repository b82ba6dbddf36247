//! Reading texts and numbers.

use super::super::special::special;
use super::super::tape::{Entry, Kind};
use super::{NodeError, Parser};

impl Parser<'_> {
    fn digits(&mut self) -> usize {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - start
    }

    #[inline]
    pub(super) fn number(&mut self) -> Result<(), NodeError> {
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
            let zero = text == "-0";
            self.tape.negative_zero |= zero;
            let start = start + usize::from(zero);
            self.push(Kind::Int, start, end);
            return Ok(());
        }
        match text.parse::<f64>() {
            Ok(number) if number.is_finite() || self.python => {
                self.float(number);
                Ok(())
            }
            Ok(_) => Err(NodeError::NotFinite),
            Err(_) => Err(NodeError::Syntax { at: start + 1 }),
        }
    }

    /// The rest of a text behind its first quote.
    #[inline]
    pub(super) fn string(&mut self) -> Result<(), NodeError> {
        let start = self.at;
        self.plain();
        if self.take(b'"') {
            self.push(Kind::Text, start, self.at - 1);
            return Ok(());
        }
        self.escaped(start)
    }

    /// The rest of a text that has an escape, or is not closed.
    #[cold]
    fn escaped(&mut self, start: usize) -> Result<(), NodeError> {
        let begun = self.tape.unescaped.len();
        let mut from = start;
        let mut torn = false;
        loop {
            let plain = self.text.get(from..self.at).unwrap_or_default();
            self.tape.unescaped.push_str(plain);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    self.tape.entries.push(Entry {
                        kind: if torn { Kind::Torn } else { Kind::Text },
                        unescaped: true,
                        start: begun,
                        end: self.tape.unescaped.len(),
                    });
                    return Ok(());
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
    #[inline]
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
