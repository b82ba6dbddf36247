//! What a JSON text is, found in one pass and without building a value.
//!
//! Content of the program arrives as text that the program's own `Serialize` made, which may be
//! anything. A row that is no JSON would cost a server's whole request, so it is checked here, with
//! the rules of [`Json::parse`](opik_core::Json::parse): well-formed, nested no deeper than
//! [`MAX_DEPTH`], no lone surrogates, no number beyond `f64`.

use opik_core::json::MAX_DEPTH;
use opik_core::json::escape::plain_prefix;

/// What Opik's readers care about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// It is an object, or a list of objects that is not empty.
    pub(super) structured: bool,
    /// How deep it is nested; 0 for a plain value.
    pub(super) depth: usize,
}

/// The shape of a JSON text; `None` when it is none.
pub(super) fn shape_of(text: &str) -> Option<Shape> {
    let mut scan = Scan {
        rest: text.as_bytes(),
        open: Open::default(),
    };
    scan.space();
    let first = scan.peek()?;
    let (mut items, mut objects) = (0_usize, 0_usize);
    loop {
        // At the beginning of a value.
        if scan.open.depth == 1 {
            items += 1;
            objects += usize::from(scan.peek() == Some(b'{'));
        }
        let begun = scan.value()?;
        if begun {
            continue;
        }
        if scan.close()? {
            continue;
        }
        let is_list = first == b'[' && items > 0 && items == objects;
        return scan.rest.is_empty().then_some(Shape {
            structured: first == b'{' || is_list,
            depth: scan.open.deepest,
        });
    }
}

/// The lists and objects that the scan is in: a bit each, set for an object.
#[derive(Default)]
struct Open {
    depth: usize,
    deepest: usize,
    objects: u128,
}

impl Open {
    fn push(&mut self, object: bool) -> Option<()> {
        self.depth += 1;
        self.deepest = self.deepest.max(self.depth);
        self.objects = self.objects << 1 | u128::from(object);
        (self.depth <= MAX_DEPTH).then_some(())
    }

    fn pop(&mut self) {
        self.depth -= 1;
        self.objects >>= 1;
    }

    fn in_object(&self) -> bool {
        self.objects & 1 == 1
    }
}

struct Scan<'a> {
    rest: &'a [u8],
    open: Open,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.peek() {
            self.skip(1);
        }
    }

    /// Reads a value, or the beginning of one (`true`): then the next thing is a value inside.
    fn value(&mut self) -> Option<bool> {
        match self.peek()? {
            opening @ (b'{' | b'[') => {
                let object = opening == b'{';
                self.skip(1);
                self.open.push(object)?;
                self.space();
                if self.peek()? == if object { b'}' } else { b']' } {
                    self.skip(1);
                    self.open.pop();
                    return Some(false);
                }
                if object {
                    self.key()?;
                }
                return Some(true);
            }
            b'"' => self.string()?,
            b't' => self.word(b"true")?,
            b'f' => self.word(b"false")?,
            b'n' => self.word(b"null")?,
            _ => self.number()?,
        }
        Some(false)
    }

    /// After a value: closes what ends here; `true` when another value follows.
    fn close(&mut self) -> Option<bool> {
        loop {
            self.space();
            if self.open.depth == 0 {
                return Some(false);
            }
            match (self.next()?, self.open.in_object()) {
                (b',', object) => {
                    self.space();
                    if object {
                        self.key()?;
                    }
                    return Some(true);
                }
                (b'}', true) | (b']', false) => self.open.pop(),
                _ => return None,
            }
        }
    }

    fn key(&mut self) -> Option<()> {
        self.string()?;
        self.space();
        (self.next()? == b':').then_some(())?;
        self.space();
        Some(())
    }

    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.rest = self.rest.strip_prefix(word)?;
        Some(())
    }

    fn string(&mut self) -> Option<()> {
        (self.next()? == b'"').then_some(())?;
        loop {
            self.skip(plain_prefix(self.rest));
            match self.next()? {
                b'"' => return Some(()),
                b'\\' => self.escape()?,
                // A control character.
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<()> {
        match self.next()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(()),
            b'u' => match self.unit()? {
                0xd800..=0xdbff => {
                    self.word(b"\\u")?;
                    matches!(self.unit()?, 0xdc00..=0xdfff).then_some(())
                }
                0xdc00..=0xdfff => None,
                _ => Some(()),
            },
            _ => None,
        }
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Option<u32> {
        (0..4).try_fold(0, |unit, _| {
            let digit = char::from(self.next()?).to_digit(16)?;
            Some(unit << 4 | digit)
        })
    }

    fn number(&mut self) -> Option<()> {
        let whole = self.rest;
        if self.peek()? == b'-' {
            self.skip(1);
        }
        match self.next()? {
            b'0' => {}
            b'1'..=b'9' => self.digits(),
            _ => return None,
        }
        let mut may_overflow = whole.len() - self.rest.len() > 300;
        if self.peek() == Some(b'.') {
            self.skip(1);
            self.some_digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.skip(1);
            if let Some(b'+' | b'-') = self.peek() {
                self.skip(1);
            }
            self.some_digits()?;
            may_overflow = true;
        }
        if may_overflow {
            let number = whole.get(..whole.len() - self.rest.len())?;
            let number: f64 = std::str::from_utf8(number).ok()?.parse().ok()?;
            return number.is_finite().then_some(());
        }
        Some(())
    }

    fn digits(&mut self) {
        while let Some(b'0'..=b'9') = self.peek() {
            self.skip(1);
        }
    }

    fn some_digits(&mut self) -> Option<()> {
        self.peek()?.is_ascii_digit().then(|| self.digits())
    }
}

#[cfg(test)]
mod tests;
