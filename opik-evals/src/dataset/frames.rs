//! Cuts an input into records without parsing it.
//!
//! The layout is seen by the beginning:
//!
//! - `[` is a list: each element is a record, and so is each line after the list;
//! - a first line that is an unfinished object is a document over several lines, unless the next
//!   begins with `{` and it is never finished: then it is damaged and the input is JSON Lines;
//! - everything else is JSON Lines. Lines end with `\n`, `\r\n` or a lone `\r`.
//!
//! A mark of byte order (BOM) at the start is passed over. No more than one record is held, and
//! none above the limit.

use std::io::{self, BufRead};

use memchr::memchr2;

/// One record, not parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The line at which it begins, counted from 1.
    pub(crate) line: u64,
    /// What is wrong with it, where cutting has shown that already.
    pub(crate) damage: Option<&'static str>,
}

pub(crate) const TOO_LONG: &str = "longer than the limit of a record";
const OPEN: &str = "it ends in the middle";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    Unknown,
    Lines,
    Documents,
    List,
}

/// Where a scan stands in nested JSON.
#[derive(Debug, Clone, Copy, Default)]
struct Nesting {
    depth: u64,
    quoted: bool,
    escaped: bool,
}

impl Nesting {
    fn feed(&mut self, byte: u8) {
        if self.escaped {
            self.escaped = false;
        } else if self.quoted {
            match byte {
                b'\\' => self.escaped = true,
                b'"' => self.quoted = false,
                _ => {}
            }
        } else {
            match byte {
                b'"' => self.quoted = true,
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                _ => {}
            }
        }
    }
}

/// The records of one input.
#[derive(Debug)]
pub(crate) struct Frames<R> {
    reader: Replay<R>,
    layout: Layout,
    /// The line of the next byte, counted from 1.
    line: u64,
    /// The last byte was `\r`, so a `\n` that follows belongs to the same line end.
    after_return: bool,
    limit: usize,
    bytes: Vec<u8>,
}

impl<R: BufRead> Frames<R> {
    /// Sees the layout by itself.
    pub(crate) fn new(reader: R, limit: usize) -> Self {
        Self {
            reader: Replay::new(reader),
            layout: Layout::Unknown,
            line: 1,
            after_return: false,
            limit,
            bytes: Vec::new(),
        }
    }

    /// The bytes of the last frame.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Exchanges the bytes of the last frame for other memory.
    pub(crate) fn swap(&mut self, bytes: &mut Vec<u8>) {
        std::mem::swap(&mut self.bytes, bytes);
    }

    /// Goes to the next record; `None` at the end.
    pub(crate) fn advance(&mut self) -> io::Result<Option<Frame>> {
        self.bytes.clear();
        if self.layout == Layout::Unknown {
            self.skip_mark()?;
            return self.first();
        }
        match self.layout {
            Layout::List => self.element(),
            Layout::Documents => self.document(),
            Layout::Lines | Layout::Unknown => self.whole_line(),
        }
    }

    /// The first record, by which the layout is seen.
    fn first(&mut self) -> io::Result<Option<Frame>> {
        match self.skip_blank(false)? {
            None => {
                self.layout = Layout::Lines;
                Ok(None)
            }
            Some(b'[') => {
                self.consume(1);
                self.layout = Layout::List;
                self.element()
            }
            Some(_) => {
                self.layout = Layout::Lines;
                let first = self.whole_line()?;
                let mut nesting = Nesting::default();
                self.bytes.iter().for_each(|byte| nesting.feed(*byte));
                let open = nesting.depth > 0
                    && !nesting.quoted
                    && self.bytes.first() == Some(&b'{')
                    && first.is_some_and(|frame| frame.damage.is_none());
                if open && self.goes_on(nesting)? {
                    self.layout = Layout::Documents;
                    let line = first.map_or(1, |frame| frame.line);
                    self.bytes.push(b'\n');
                    return self.rest_of_document(line, nesting).map(Some);
                }
                Ok(first)
            }
        }
    }

    /// Whether an open first line is the beginning of a document. Behind one a line that begins with
    /// `{` is an element of a list, and behind a damaged line the next record.
    fn goes_on(&mut self, nesting: Nesting) -> io::Result<bool> {
        match self.skip_blank(false)? {
            None => Ok(false),
            Some(b'{') => self.is_finished(nesting),
            Some(_) => Ok(true),
        }
    }

    /// Whether an open document is finished within the limit. What is read for that is read again.
    fn is_finished(&mut self, mut nesting: Nesting) -> io::Result<bool> {
        let mut ahead = Vec::new();
        let finished = loop {
            let buffer = fill(&mut self.reader)?;
            if buffer.is_empty() || ahead.len() > self.limit {
                break false;
            }
            let finished = buffer.iter().any(|byte| {
                nesting.feed(*byte);
                nesting.depth == 0
            });
            ahead.extend_from_slice(buffer);
            let length = buffer.len();
            self.reader.consume(length);
            if finished {
                break true;
            }
        };
        self.reader.unread(ahead);
        Ok(finished)
    }

    /// The next line that is not blank.
    fn whole_line(&mut self) -> io::Result<Option<Frame>> {
        loop {
            self.bytes.clear();
            let line = self.line;
            let mut damage = None;
            let mut any = false;
            loop {
                let buffer = fill(&mut self.reader)?;
                if buffer.is_empty() {
                    break;
                }
                if self.after_return {
                    self.after_return = false;
                    if buffer.first() == Some(&b'\n') {
                        self.reader.consume(1);
                        continue;
                    }
                }
                any = true;
                let end = memchr2(b'\n', b'\r', buffer);
                let part = buffer.get(..end.unwrap_or(buffer.len())).unwrap_or(buffer);
                if self.bytes.len().saturating_add(part.len()) > self.limit {
                    damage = Some(TOO_LONG);
                    self.bytes.clear();
                }
                if damage.is_none() {
                    self.bytes.extend_from_slice(part);
                }
                let (length, ended) = (part.len(), end.and_then(|at| buffer.get(at).copied()));
                self.reader.consume(length + usize::from(ended.is_some()));
                if let Some(byte) = ended {
                    self.line += 1;
                    self.after_return = byte == b'\r';
                    break;
                }
            }
            if !any {
                return Ok(None);
            }
            if damage.is_some() || !self.bytes.iter().all(u8::is_ascii_whitespace) {
                return Ok(Some(Frame { line, damage }));
            }
        }
    }

    /// The next document over any number of lines.
    fn document(&mut self) -> io::Result<Option<Frame>> {
        match self.skip_blank(false)? {
            None => Ok(None),
            Some(b'{' | b'[') => {
                let line = self.line;
                self.rest_of_document(line, Nesting::default()).map(Some)
            }
            Some(_) => self.whole_line(),
        }
    }

    /// Reads until the nesting is back at 0.
    fn rest_of_document(&mut self, line: u64, mut nesting: Nesting) -> io::Result<Frame> {
        let mut begun = nesting.depth > 0;
        self.collect(line, |byte| {
            nesting.feed(byte);
            begun |= nesting.depth > 0;
            if begun && nesting.depth == 0 && !nesting.quoted {
                Step::Last
            } else {
                Step::Part
            }
        })
    }

    /// The next element of the list.
    fn element(&mut self) -> io::Result<Option<Frame>> {
        match self.skip_blank(true)? {
            None => {
                self.layout = Layout::Lines;
                Ok(Some(Frame {
                    line: self.line,
                    damage: Some("the list is not closed"),
                }))
            }
            Some(b']') => {
                self.consume(1);
                self.layout = Layout::Lines;
                self.whole_line()
            }
            Some(_) => {
                let (line, mut nesting) = (self.line, Nesting::default());
                self.collect(line, |byte| {
                    if nesting.depth == 0 && !nesting.quoted && matches!(byte, b',' | b']') {
                        return Step::Before;
                    }
                    nesting.feed(byte);
                    Step::Part
                })
                .map(Some)
            }
        }
    }

    /// Takes bytes up to where the closure says.
    fn collect(&mut self, line: u64, mut step: impl FnMut(u8) -> Step) -> io::Result<Frame> {
        let mut damage = None;
        loop {
            let buffer = fill(&mut self.reader)?;
            if buffer.is_empty() {
                let damage = damage.or(Some(OPEN));
                return Ok(Frame { line, damage });
            }
            let mut taken = buffer.len();
            let mut kept = taken;
            let mut done = false;
            for (at, byte) in buffer.iter().enumerate() {
                let outcome = step(*byte);
                if outcome == Step::Before || outcome == Step::Last {
                    kept = at + usize::from(outcome == Step::Last);
                    taken = kept;
                    done = true;
                    break;
                }
            }
            let part = buffer.get(..kept).unwrap_or(buffer);
            self.line += memchr::memchr_iter(b'\n', part).count() as u64;
            if self.bytes.len().saturating_add(part.len()) > self.limit {
                damage = Some(TOO_LONG);
                self.bytes.clear();
            }
            if damage.is_none() {
                self.bytes.extend_from_slice(part);
            }
            self.reader.consume(taken);
            if done {
                return Ok(Frame { line, damage });
            }
        }
    }

    /// Passes over white space (and commas) and says which byte follows.
    fn skip_blank(&mut self, commas: bool) -> io::Result<Option<u8>> {
        loop {
            let buffer = fill(&mut self.reader)?;
            if buffer.is_empty() {
                return Ok(None);
            }
            let mut taken = 0;
            let mut found = None;
            for byte in buffer {
                match byte {
                    b'\n' if self.after_return => self.after_return = false,
                    b'\n' | b'\r' => {
                        self.line += 1;
                        self.after_return = *byte == b'\r';
                    }
                    b' ' | b'\t' => self.after_return = false,
                    b',' if commas => self.after_return = false,
                    other => {
                        self.after_return = false;
                        found = Some(*other);
                        break;
                    }
                }
                taken += 1;
            }
            self.reader.consume(taken);
            if found.is_some() {
                return Ok(found);
            }
        }
    }

    /// Passes over a mark of byte order.
    fn skip_mark(&mut self) -> io::Result<()> {
        // A pipe may hand it over byte by byte.
        for byte in b"\xef\xbb\xbf" {
            if fill(&mut self.reader)?.first() != Some(byte) {
                break;
            }
            self.consume(1);
        }
        Ok(())
    }

    fn consume(&mut self, count: usize) {
        self.reader.consume(count);
    }
}

/// What a byte means to [`Frames::collect`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// It is a part of the record.
    Part,
    /// It is the last byte of the record.
    Last,
    /// The record ends before it.
    Before,
}

/// A reader to which bytes can be given back.
#[derive(Debug)]
struct Replay<R> {
    front: Vec<u8>,
    at: usize,
    reader: R,
}

impl<R: BufRead> Replay<R> {
    fn new(reader: R) -> Self {
        Self {
            front: Vec::new(),
            at: 0,
            reader,
        }
    }

    /// Gives back what was consumed last.
    fn unread(&mut self, mut bytes: Vec<u8>) {
        bytes.extend_from_slice(self.front.get(self.at..).unwrap_or_default());
        self.front = bytes;
        self.at = 0;
    }

    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at < self.front.len() {
            return Ok(self.front.get(self.at..).unwrap_or_default());
        }
        self.front = Vec::new();
        self.at = 0;
        self.reader.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        if self.at < self.front.len() {
            self.at += count;
        } else {
            self.reader.consume(count);
        }
    }
}

fn fill<R: BufRead>(reader: &mut Replay<R>) -> io::Result<&[u8]> {
    // Asked twice because the borrow of a first success cannot leave the loop.
    loop {
        match reader.fill_buf() {
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    reader.fill_buf()
}

#[cfg(test)]
mod tests;
