//! Where a document begins and ends.
//!
//! A line is a document, unless the first one leaves a bracket open: then documents span lines
//! and end where their brackets close. A document that spans lines and is cut is given up where a
//! line begins with a bracket that cannot follow what came before, so that one broken line at the
//! top of a JSONL file does not cost the rest.

use std::io::{self, BufRead};

/// A document's text, or why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// The text is in the buffer that was passed.
    Text,
    /// Longer than allowed, and skipped.
    TooLong,
    /// The input is at its end.
    End,
}

/// Splits a stream into documents.
#[derive(Debug)]
pub(crate) struct Framing {
    limit: usize,
    /// Lines that were taken off the stream.
    lines: u64,
    /// Whether documents span lines; unknown before the first.
    spanning: Option<bool>,
    /// A line that was read and belongs to the next document.
    ahead: Option<Vec<u8>>,
}

impl Framing {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            lines: 0,
            spanning: None,
            ahead: None,
        }
    }

    /// Line that was read last, counted from 1.
    pub(crate) fn line(&self) -> u64 {
        self.lines.max(1)
    }

    /// Puts the next document that is not blank into `text`, and says at which line it begins.
    pub(crate) fn next(
        &mut self,
        input: &mut impl BufRead,
        text: &mut Vec<u8>,
    ) -> io::Result<(u64, Frame)> {
        loop {
            text.clear();
            match self.ahead.take() {
                Some(line) => *text = line,
                None => match self.line_into(input, text)? {
                    Frame::Text => {}
                    other => return Ok((self.line(), other)),
                },
            }
            if self.lines == 1 && text.starts_with(b"\xef\xbb\xbf") {
                text.drain(..3);
            }
            if !text.trim_ascii().is_empty() {
                break;
            }
        }
        let begins = self.line();
        if self.spanning == Some(false) {
            return Ok((begins, Frame::Text));
        }
        let mut brackets = Brackets::default();
        brackets.scan(text);
        if *self.spanning.get_or_insert(brackets.is_open()) {
            let frame = self.rest_of_document(input, text, brackets)?;
            return Ok((begins, frame));
        }
        Ok((begins, Frame::Text))
    }

    /// Appends lines until the brackets close.
    fn rest_of_document(
        &mut self,
        input: &mut impl BufRead,
        text: &mut Vec<u8>,
        mut brackets: Brackets,
    ) -> io::Result<Frame> {
        let mut line = Vec::new();
        let mut too_long = false;
        while brackets.is_open() {
            line.clear();
            match self.line_into(input, &mut line)? {
                Frame::Text => {}
                // At the end, what there is goes to the parser, which says that it was cut.
                Frame::End => break,
                Frame::TooLong => {
                    too_long = true;
                    break;
                }
            }
            if brackets.cannot_go_on_with(&line) {
                self.ahead = Some(line);
                self.spanning = None;
                break;
            }
            brackets.scan(&line);
            // The rest of a document that is too long is still looked at for its end.
            too_long |= text.len() + line.len() > self.limit;
            if too_long {
                text.clear();
                text.shrink_to_fit();
            } else {
                text.extend_from_slice(&line);
            }
        }
        Ok(if too_long {
            Frame::TooLong
        } else {
            Frame::Text
        })
    }

    /// Appends one line, with its end, to `text`.
    fn line_into(&mut self, input: &mut impl BufRead, text: &mut Vec<u8>) -> io::Result<Frame> {
        let mut any = false;
        let mut too_long = false;
        loop {
            let available = match input.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if available.is_empty() {
                break;
            }
            if !any {
                any = true;
                self.lines += 1;
            }
            let end = memchr::memchr(b'\n', available).map(|at| at + 1);
            let part = available
                .get(..end.unwrap_or(available.len()))
                .unwrap_or(available);
            too_long |= text.len() + part.len() > self.limit;
            if too_long {
                text.clear();
                text.shrink_to_fit();
            } else {
                text.extend_from_slice(part);
            }
            let taken = part.len();
            input.consume(taken);
            if end.is_some() {
                break;
            }
        }
        Ok(match (any, too_long) {
            (false, _) => Frame::End,
            (true, true) => Frame::TooLong,
            (true, false) => Frame::Text,
        })
    }
}

/// Counts open brackets outside strings.
#[derive(Debug, Default)]
struct Brackets {
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// The last byte outside strings that is not blank.
    last: u8,
}

impl Brackets {
    fn is_open(&self) -> bool {
        // A string cannot span lines; then the line is broken and stands alone.
        self.depth > 0 && !self.in_string
    }

    fn scan(&mut self, text: &[u8]) {
        for &byte in text {
            if self.escaped {
                self.escaped = false;
            } else if self.in_string {
                match byte {
                    b'\\' => self.escaped = true,
                    b'"' => self.in_string = false,
                    _ => {}
                }
            } else if !byte.is_ascii_whitespace() {
                match byte {
                    b'"' => self.in_string = true,
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
                self.last = byte;
            }
        }
    }

    /// Whether the line begins with a bracket where none can stand.
    fn cannot_go_on_with(&self, line: &[u8]) -> bool {
        let opens = matches!(line.trim_ascii_start().first(), Some(b'{' | b'['));
        opens && !matches!(self.last, b',' | b'[' | b':')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(text: &str, limit: usize) -> Vec<(u64, String)> {
        let mut input = text.as_bytes();
        let mut framing = Framing::new(limit);
        let mut all = Vec::new();
        let mut buffer = Vec::new();
        loop {
            let (line, frame) = framing.next(&mut input, &mut buffer).unwrap();
            match frame {
                Frame::End => return all,
                Frame::TooLong => all.push((line, "too long".to_owned())),
                Frame::Text => {
                    let text = std::str::from_utf8(&buffer).unwrap().trim();
                    all.push((line, text.replace('\n', "~")));
                }
            }
        }
    }

    fn owned(frames: &[(u64, &str)]) -> Vec<(u64, String)> {
        frames
            .iter()
            .map(|&(line, text)| (line, text.to_owned()))
            .collect()
    }

    #[test]
    fn a_complete_first_line_makes_every_line_a_document() {
        assert_eq!(
            frames("\u{feff}{\"a\": 1}\r\n\n  \n{\"b\": {\n[1]\nx", 99),
            owned(&[(1, "{\"a\": 1}"), (4, "{\"b\": {"), (5, "[1]"), (6, "x")])
        );
    }

    #[test]
    fn an_open_first_line_makes_documents_span_lines() {
        assert_eq!(
            frames("{\n\"a\": \"}\\\"{\",\n\"b\": [\n{}]}\n[\n1\n]", 99),
            owned(&[(1, "{~\"a\": \"}\\\"{\",~\"b\": [~{}]}"), (5, "[~1~]")])
        );
        assert_eq!(frames("{\n\"a\": [1,", 99), owned(&[(1, "{~\"a\": [1,")]));
    }

    #[test]
    fn a_broken_first_line_costs_only_itself() {
        assert_eq!(
            frames("{\"a\": {\"b\": 1\n{\"c\": 2}\n{\"d\": 3}", 99),
            owned(&[
                (1, "{\"a\": {\"b\": 1"),
                (2, "{\"c\": 2}"),
                (3, "{\"d\": 3}")
            ])
        );
        assert_eq!(
            frames("{\"a\": \"cut\n{\"c\": 2}", 99),
            owned(&[(1, "{\"a\": \"cut"), (2, "{\"c\": 2}")])
        );
    }

    #[test]
    fn a_long_line_is_skipped_and_the_next_is_read() {
        let text = format!("{{\"a\": \"{}\"}}\n{{}}\n", "x".repeat(500));
        assert_eq!(frames(&text, 100), owned(&[(1, "too long"), (2, "{}")]));
        let long = format!("{{\n\"a\": [\n{}1]\n}}\n{{}}", "1,\n".repeat(200));
        assert_eq!(frames(&long, 100), owned(&[(1, "too long"), (205, "{}")]));
    }
}
