//! The dialect of `~/.opik.config`, read as the official Python client reads it (`configparser`
//! without interpolation) and edited line by line.
//!
//! - `[section]`, then `key = value` or `key: value`; keys in any case; spaces around do not matter.
//! - A line that begins with `#` or `;` is a comment. Behind a value they belong to the value.
//! - A line that is indented deeper than its key continues the value.
//! - Values are as they stand, `%` too. `[DEFAULT]` stands in for what `[opik]` does not say.
//!
//! What stops `configparser` (a line that is nothing of this, a key twice) is a [`Flaw`] here, and
//! the rest of the file counts. Lines are bytes, so that editing keeps what is not UTF-8.
//!
//! No crate is used: editing must keep comments and unknown lines, and problems need line numbers;
//! the crates that parse INI have neither.

/// The section with the settings.
const SECTION: &str = "opik";
/// The section that stands in for all others.
const FALLBACK: &str = "DEFAULT";
/// Most flaws that are listed; a file of garbage has one in each line.
const MAX_FLAWS: usize = 5;

/// The lines of a file.
#[derive(Clone, Default)]
pub(super) struct Document {
    lines: Vec<Vec<u8>>,
    crlf: bool,
}

/// What the lines say.
#[derive(Default)]
pub(super) struct Contents {
    entries: Vec<Entry>,
    flaws: Vec<Flaw>,
    /// The line of the first header of the section.
    section: Option<usize>,
}

/// One `key = value`.
struct Entry {
    section: Vec<u8>,
    /// In lower case.
    key: Vec<u8>,
    value: Vec<u8>,
    /// First and last line, from 1.
    lines: (usize, usize),
}

/// Something wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flaw {
    /// From 1.
    pub(super) line: usize,
    pub(super) what: &'static str,
}

impl Document {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(Vec::from).collect();
        if lines.last().is_some_and(Vec::is_empty) {
            lines.pop();
        }
        let crlf = lines.first().is_some_and(|line| line.ends_with(b"\r"));
        Self { lines, crlf }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in &self.lines {
            bytes.extend_from_slice(line);
            bytes.push(b'\n');
        }
        bytes
    }

    /// Reads the lines.
    pub(super) fn contents(&self) -> Contents {
        let mut contents = Contents::default();
        let mut section: Option<Vec<u8>> = None;
        // The indentation of the key that deeper lines continue.
        let mut open: Option<usize> = None;
        for (number, line) in (1..).zip(&self.lines) {
            let text = line.trim_ascii();
            if !is_significant(line) {
                continue;
            }
            let indent = indent(line);
            if open.is_some_and(|depth| indent > depth) {
                contents.continued(text, number);
            } else if let Some(name) = header(text) {
                if name == SECTION.as_bytes() && contents.section.is_none() {
                    contents.section = Some(number);
                }
                section = Some(name.to_vec());
                open = None;
            } else if let Some(section) = &section {
                open = contents.entry(section, text, number).then_some(indent);
            } else {
                contents.flaw(number, "a line before the first [section]");
            }
        }
        contents
    }

    /// Sets a key of the section: in its place, else behind the section's last entry.
    pub(super) fn set(&mut self, key: &str, value: &str) {
        let line = format!("{key} = {value}");
        let contents = self.contents();
        // A line must be as deep as what it stands for, or it would continue the line before it,
        // or the line behind it would continue this one.
        let place = contents.of_key(key).map(|entry| entry.lines.0).next();
        let last = contents
            .of_section()
            .map(|entry| entry.lines)
            .max_by_key(|lines| lines.1);
        if let Some(place) = place {
            let depth = self.depth(place);
            self.remove(key);
            self.insert(place - 1, depth, &line);
        } else if let Some((first, end)) = last {
            self.insert(end, self.depth(first), &line);
        } else if let Some(header) = contents.section {
            let below = self.lines.iter().skip(header);
            let next = below.map(Vec::as_slice).find(|line| is_significant(line));
            self.insert(header, next.map_or(0, indent), &line);
        } else {
            if !self.lines.is_empty() {
                self.insert(self.lines.len(), 0, "");
            }
            self.insert(self.lines.len(), 0, &format!("[{SECTION}]"));
            self.insert(self.lines.len(), 0, &line);
        }
    }

    /// Takes a key out of the section.
    pub(super) fn remove(&mut self, key: &str) {
        let contents = self.contents();
        let ranges: Vec<_> = contents.of_key(key).map(|entry| entry.lines).collect();
        let mut number = 0;
        self.lines.retain(|_| {
            number += 1;
            !ranges
                .iter()
                .any(|(from, to)| (from..=to).contains(&&number))
        });
    }

    /// The indentation of a line, by its number.
    fn depth(&self, number: usize) -> usize {
        self.lines.get(number - 1).map_or(0, |line| indent(line))
    }

    fn insert(&mut self, at: usize, depth: usize, line: &str) {
        let mut line = format!("{:depth$}{line}", "").into_bytes();
        if self.crlf {
            line.push(b'\r');
        }
        self.lines.insert(at.min(self.lines.len()), line);
    }
}

impl Contents {
    /// The value of a key and its line; bytes that are not UTF-8 are no value.
    pub(super) fn get(&self, key: &str) -> Option<(Result<String, ()>, usize)> {
        self.section?;
        let of_fallback = || {
            self.of(FALLBACK)
                .filter(|entry| entry.key == key.as_bytes())
        };
        let entry = self.of_key(key).last().or_else(|| of_fallback().last())?;
        let value = std::str::from_utf8(&entry.value).map(str::to_owned);
        Some((value.map_err(drop), entry.lines.0))
    }

    pub(super) fn flaws(&self) -> &[Flaw] {
        &self.flaws
    }

    /// The keys of the section with their lines; what is not UTF-8 is empty.
    pub(super) fn keys(&self) -> impl Iterator<Item = (&str, usize)> {
        let text = |key| std::str::from_utf8(key).unwrap_or_default();
        self.of_section()
            .map(move |entry| (text(&entry.key), entry.lines.0))
    }

    fn of<'a>(&'a self, section: &'a str) -> impl Iterator<Item = &'a Entry> {
        let of_it = move |entry: &&Entry| entry.section == section.as_bytes();
        self.entries.iter().filter(of_it)
    }

    fn of_section(&self) -> impl Iterator<Item = &Entry> {
        self.of(SECTION)
    }

    fn of_key<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.of_section()
            .filter(move |entry| entry.key == key.as_bytes())
    }

    fn flaw(&mut self, line: usize, what: &'static str) {
        if self.flaws.len() < MAX_FLAWS {
            self.flaws.push(Flaw { line, what });
        }
    }

    /// Reads `key = value`; says whether it is one.
    fn entry(&mut self, section: &[u8], text: &[u8], line: usize) -> bool {
        let mut parts = text.splitn(2, |byte| matches!(byte, b'=' | b':'));
        let key = parts
            .next()
            .unwrap_or_default()
            .trim_ascii()
            .to_ascii_lowercase();
        let Some(value) = parts.next().filter(|_| !key.is_empty()) else {
            self.flaw(line, "neither a [section] nor `key = value`");
            return false;
        };
        let is_same = |entry: &Entry| entry.section == section && entry.key == key;
        if self.entries.iter().any(is_same) {
            self.flaw(line, "the key stands above already; the last one counts");
        }
        self.entries.push(Entry {
            section: section.to_vec(),
            key,
            value: value.trim_ascii().to_vec(),
            lines: (line, line),
        });
        true
    }

    /// Adds a line to the last value.
    fn continued(&mut self, text: &[u8], line: usize) {
        if let Some(entry) = self.entries.last_mut() {
            entry.value.push(b'\n');
            entry.value.extend_from_slice(text);
            entry.lines.1 = line;
        }
    }
}

/// Whether a line is neither blank nor a comment.
fn is_significant(line: &[u8]) -> bool {
    !matches!(line.trim_ascii().first(), None | Some(b'#' | b';'))
}

/// How many spaces or tabs a line begins with.
fn indent(line: &[u8]) -> usize {
    line.len() - line.trim_ascii_start().len()
}

/// The name in `[name]`.
fn header(text: &[u8]) -> Option<&[u8]> {
    let text = text.strip_prefix(b"[")?;
    let end = text.iter().rposition(|byte| *byte == b']')?;
    text.get(..end).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests;
