//! Whether a text is JSON.
//!
//! An own checker, not a decoder: it builds nothing, does not recurse, and takes what RFC 8259
//! takes, such as lone surrogates in escapes and names that occur twice.

use serde_json::Value;

use crate::{Case, Metric, MetricError, Score};

const NAME: &str = "is_json_metric";

/// 1 when the output is a text that is one JSON document (RFC 8259), else 0.
///
/// `NaN`, comments, trailing commas and a byte order mark are not JSON. What is not text scores 0.
/// Documents nested deeper than 900 levels score 0, as decoders refuse them (Python's at about
/// 1000, many at 128).
#[derive(Debug, Clone, Default)]
pub struct IsJson {}

/// The deepest nesting that counts as JSON.
const MAX_DEPTH: usize = 900;

impl IsJson {
    /// The metric.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Metric for IsJson {
    fn name(&self) -> &str {
        NAME
    }

    fn score(&self, case: &Case) -> Result<Score, MetricError> {
        let valid = match case.get("output") {
            None => return Err(MetricError::input("the case has no `output`")),
            Some(Value::String(text)) => is_json(text),
            Some(_) => false,
        };
        Ok(Score::fixed(NAME, f64::from(u8::from(valid))))
    }
}

fn is_json(text: &str) -> bool {
    let mut rest = Bytes(text.as_bytes());
    rest.document().is_some() && rest.0.is_empty()
}

/// What is left of the text. Every step is `None` where the text is not JSON.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn take(&mut self, expected: u8) -> Option<()> {
        (self.next()? == expected).then_some(())
    }

    fn take_if(&mut self, expected: u8) -> bool {
        let found = self.peek() == Some(expected);
        if found {
            self.next();
        }
        found
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.next();
        }
    }

    fn document(&mut self) -> Option<()> {
        // The closing bracket of each container that is open.
        let mut open: Vec<u8> = Vec::new();
        loop {
            self.space();
            // A value is due here.
            let opened = match self.peek()? {
                b'[' => Some(b']'),
                b'{' => Some(b'}'),
                _ => {
                    self.scalar()?;
                    None
                }
            };
            if let Some(close) = opened {
                self.next();
                self.space();
                if !self.take_if(close) {
                    if open.len() == MAX_DEPTH {
                        return None;
                    }
                    open.push(close);
                    if close == b'}' {
                        self.name()?;
                    }
                    continue;
                }
            }
            // After a value: ends of containers, then a comma or the end of the text.
            loop {
                self.space();
                let Some(close) = open.last().copied() else {
                    return Some(());
                };
                if self.take_if(close) {
                    open.pop();
                    continue;
                }
                self.take(b',')?;
                if close == b'}' {
                    self.name()?;
                }
                break;
            }
        }
    }

    /// A name and its colon.
    fn name(&mut self) -> Option<()> {
        self.space();
        self.take(b'"')?;
        self.string()?;
        self.space();
        self.take(b':')
    }

    fn scalar(&mut self) -> Option<()> {
        match self.next()? {
            b'"' => self.string(),
            b't' => self.word(b"rue"),
            b'f' => self.word(b"alse"),
            b'n' => self.word(b"ull"),
            b'-' => {
                let first = self.next()?;
                self.number(first)
            }
            first => self.number(first),
        }
    }

    fn word(&mut self, rest: &[u8]) -> Option<()> {
        rest.iter().try_for_each(|byte| self.take(*byte))
    }

    fn number(&mut self, first: u8) -> Option<()> {
        match first {
            b'0' => {}
            b'1'..=b'9' => {
                self.digits();
            }
            _ => return None,
        }
        if self.take_if(b'.') && self.digits() == 0 {
            return None;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.next();
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.next();
            }
            if self.digits() == 0 {
                return None;
            }
        }
        Some(())
    }

    fn digits(&mut self) -> usize {
        let mut count = 0;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.next();
            count += 1;
        }
        count
    }

    /// The rest of a string, whose quote is taken.
    fn string(&mut self) -> Option<()> {
        loop {
            let plain = memchr::memchr2(b'"', b'\\', self.0)?;
            let (plain, rest) = self.0.split_at_checked(plain)?;
            // Control characters have to be escaped.
            if plain
                .iter()
                .fold(false, |found, byte| found | (*byte < 0x20))
            {
                return None;
            }
            self.0 = rest;
            match self.next()? {
                b'"' => return Some(()),
                _ => match self.next()? {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                    b'u' => {
                        for _ in 0..4 {
                            self.next()?.is_ascii_hexdigit().then_some(())?;
                        }
                    }
                    _ => return None,
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_of_lone_surrogates_are_json() {
        assert!(is_json(r#""\ud800 \uDFFF""#));
        assert!(!is_json(r#""\ud80""#));
    }

    #[test]
    fn control_characters_are_escaped_in_json() {
        assert!(!is_json("\"\u{1}\"") && !is_json("\"\n\""));
        assert!(is_json("\"\u{7f}\u{85}\"") && is_json(r#""\u0001""#));
    }

    #[test]
    fn depth_is_bounded_without_recursion() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(is_json(&nested(MAX_DEPTH)));
        assert!(!is_json(&nested(1_000_000)));
    }

    proptest! {
        /// A decoder of high repute agrees on texts of JSON's letters. It refuses numbers beyond
        /// f64 and lone surrogates, which cannot occur here.
        #[test]
        fn a_decoder_agrees(text in r#"([\[\]{},:" ]|-|0|1|2|\.|e|true|null|"a"|\\n|"a":){0,12}"#) {
            let decoded: Result<serde::de::IgnoredAny, _> = serde_json::from_str(&text);
            prop_assert_eq!(is_json(&text), decoded.is_ok(), "{}", text);
        }
    }
}
