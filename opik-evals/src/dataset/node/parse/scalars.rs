//! Reading texts and numbers.

use super::super::special::special;
use super::super::tape::{Entry, Kind};
use super::{NodeError, Parser};

impl Parser<'_> {
    /// The place behind digits; `None` where there are none.
    #[inline]
    fn digits(&self, at: usize) -> Option<usize> {
        let mut end = at;
        while matches!(self.peek(end), Some(b'0'..=b'9')) {
            end += 1;
        }
        (end > at).then_some(end)
    }

    /// The place behind a number.
    #[inline]
    pub(super) fn number(&mut self, start: usize) -> Option<usize> {
        let first = self.take(start, b'-').unwrap_or(start);
        let whole = self.take(first, b'0').or_else(|| self.digits(first));
        let Some(whole) = whole else {
            return match self.word(start, "-Infinity") {
                Some(behind) => self.special(f64::NEG_INFINITY, behind),
                None => self.fail(first),
            };
        };
        if matches!(self.peek(whole), Some(b'.' | b'e' | b'E')) {
            return self.rest_of_number(start, whole);
        }
        // Python has no negative zero among its whole numbers.
        let zero = self.text.get(start..whole) == Some("-0");
        self.tape.negative_zero |= zero;
        self.push(Kind::Int, start + usize::from(zero), whole);
        Some(whole)
    }

    /// A number with a point or an exponent, behind its whole part.
    #[inline(never)]
    fn rest_of_number(&mut self, start: usize, whole: usize) -> Option<usize> {
        let mut end = whole;
        if let Some(point) = self.take(end, b'.') {
            match self.digits(point) {
                Some(behind) => end = behind,
                None => return self.fail(point),
            }
        }
        let letter = self.take(end, b'e').or_else(|| self.take(end, b'E'));
        if let Some(letter) = letter {
            let sign = self.take(letter, b'+').or_else(|| self.take(letter, b'-'));
            let sign = sign.unwrap_or(letter);
            match self.digits(sign) {
                Some(behind) => end = behind,
                None => return self.fail(sign),
            }
        }
        match self.text.get(start..end).unwrap_or_default().parse::<f64>() {
            Ok(number) if number.is_finite() || self.python => {
                self.float(number);
                Some(end)
            }
            Ok(_) => self.fail_as(NodeError::NotFinite),
            Err(_) => self.fail_as(NodeError::Syntax { at: start + 1 }),
        }
    }

    /// The place behind a text, of which the first quote was read.
    #[inline]
    pub(super) fn string(&mut self, start: usize) -> Option<usize> {
        let end = self.plain(start);
        if let Some(behind) = self.take(end, b'"') {
            self.push(Kind::Text, start, end);
            return Some(behind);
        }
        self.escaped(start, end)
    }

    /// The rest of a text that has an escape, or is not closed, from its first special byte on.
    #[cold]
    fn escaped(&mut self, start: usize, mut at: usize) -> Option<usize> {
        let begun = self.tape.unescaped.len();
        let mut from = start;
        let mut torn = false;
        loop {
            let plain = self.text.get(from..at).unwrap_or_default();
            self.tape.unescaped.push_str(plain);
            match self.peek(at) {
                Some(b'"') => {
                    self.tape.entries.push(Entry {
                        kind: if torn { Kind::Torn } else { Kind::Text },
                        unescaped: true,
                        start: begun,
                        end: self.tape.unescaped.len(),
                    });
                    return Some(at + 1);
                }
                Some(b'\\') => {
                    let (c, behind) = self.escape(at + 1)?;
                    if c.is_none() && !self.python {
                        return self.fail_as(NodeError::Torn);
                    }
                    torn |= c.is_none();
                    let c = c.unwrap_or(char::REPLACEMENT_CHARACTER);
                    self.tape.unescaped.push(c);
                    from = behind;
                }
                // Control characters have to be escaped.
                _ => return self.fail(at),
            }
            at = self.plain(from);
        }
    }

    /// The place of the next quote, backslash or control character.
    #[inline]
    fn plain(&self, at: usize) -> usize {
        let rest = self.text.as_bytes().get(at..).unwrap_or_default();
        at + special(rest).unwrap_or(rest.len())
    }

    /// What follows a backslash, and the place behind it; no character is half a surrogate pair.
    fn escape(&mut self, at: usize) -> Option<(Option<char>, usize)> {
        let c = match self.peek(at) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.code(at + 1),
            _ => {
                self.fail(at);
                return None;
            }
        };
        Some((Some(c), at + 1))
    }

    /// A character by its number, or by two of them.
    fn code(&mut self, at: usize) -> Option<(Option<char>, usize)> {
        let first = match self.unit(at) {
            Ok(first) => first,
            Err(at) => {
                self.fail(at);
                return None;
            }
        };
        let behind = at + 4;
        if (0xd800..0xdc00).contains(&first)
            && let Some(second) = self.word(behind, "\\u")
            && let Ok(low @ 0xdc00..0xe000) = self.unit(second)
        {
            let code = 0x10000 + ((first - 0xd800) << 10) + (low - 0xdc00);
            return Some((char::from_u32(code), second + 4));
        }
        Some((char::from_u32(first), behind))
    }

    /// Four hexadecimal digits, or the place where one is missing.
    fn unit(&self, at: usize) -> Result<u32, usize> {
        let mut unit = 0;
        for at in at..at + 4 {
            let digit = self.peek(at).and_then(|byte| char::from(byte).to_digit(16));
            unit = unit * 16 + digit.ok_or(at)?;
        }
        Ok(unit)
    }
}
