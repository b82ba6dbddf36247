//! Where a text stops being JSON, in the words of Python's `json` module.

/// The first mistake: how many characters stand before it, and what it is.
pub(crate) fn mistake(text: &str) -> (usize, &'static str) {
    let mut scan = Scan {
        rest: text,
        read: 0,
    };
    match scan.document() {
        Err(found) => found,
        // What serde_json refuses and Python takes, such as deep nesting.
        Ok(()) => (0, "Expecting value"),
    }
}

type Found = (usize, &'static str);

struct Scan<'t> {
    rest: &'t str,
    read: usize,
}

/// What a container waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Array,
    Object,
}

impl Scan<'_> {
    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let found = chars.next()?;
        self.rest = chars.as_str();
        self.read += 1;
        Some(found)
    }

    fn blank(&mut self) {
        while self
            .peek()
            .is_some_and(|c| matches!(c, ' ' | '\t' | '\n' | '\r'))
        {
            self.next();
        }
    }

    fn document(&mut self) -> Result<(), Found> {
        let mut open: Vec<Inside> = Vec::new();
        self.blank();
        loop {
            // A value begins here, unless a container is empty.
            if self.value(&mut open)? {
                continue;
            }
            // A value has ended: close containers, or go on behind a comma.
            loop {
                self.blank();
                match (open.last().copied(), self.peek()) {
                    (None, None) => return Ok(()),
                    (None, Some(_)) => return Err((self.read, "Extra data")),
                    (Some(Inside::Array), Some(']')) | (Some(Inside::Object), Some('}')) => {
                        self.next();
                        open.pop();
                    }
                    (Some(inside), Some(',')) => {
                        self.next();
                        self.blank();
                        if inside == Inside::Object {
                            self.key()?;
                        }
                        break;
                    }
                    (Some(_), _) => return Err((self.read, "Expecting ',' delimiter")),
                }
            }
        }
    }

    /// Reads a value, or the beginning of one; true when another value begins behind it.
    fn value(&mut self, open: &mut Vec<Inside>) -> Result<bool, Found> {
        let at = self.read;
        match self.peek() {
            Some('"') => self.string().map(|()| false),
            Some('[') => {
                self.next();
                self.blank();
                open.push(Inside::Array);
                Ok(self.peek() != Some(']'))
            }
            Some('{') => {
                self.next();
                self.blank();
                open.push(Inside::Object);
                if self.peek() == Some('}') {
                    return Ok(false);
                }
                self.key()?;
                Ok(true)
            }
            _ => {
                let word: usize = self
                    .rest
                    .chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.'))
                    .count();
                let text: String = self.rest.chars().take(word).collect();
                let known = matches!(
                    text.as_str(),
                    "true" | "false" | "null" | "NaN" | "Infinity" | "-Infinity"
                );
                if !known && serde_json::from_str::<serde_json::Number>(&text).is_err() {
                    return Err((at, "Expecting value"));
                }
                for _ in 0..word {
                    self.next();
                }
                Ok(false)
            }
        }
    }

    fn key(&mut self) -> Result<(), Found> {
        if self.peek() != Some('"') {
            return Err((
                self.read,
                "Expecting property name enclosed in double quotes",
            ));
        }
        self.string()?;
        self.blank();
        if self.peek() != Some(':') {
            return Err((self.read, "Expecting ':' delimiter"));
        }
        self.next();
        self.blank();
        Ok(())
    }

    fn string(&mut self) -> Result<(), Found> {
        let begin = self.read;
        self.next();
        loop {
            let at = self.read;
            match self.next() {
                None => return Err((begin, "Unterminated string starting at")),
                Some('"') => return Ok(()),
                Some('\\') => match self.next() {
                    Some('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't') => {}
                    Some('u') => {
                        for _ in 0..4 {
                            if !self.peek().is_some_and(|c| c.is_ascii_hexdigit()) {
                                return Err((at + 1, "Invalid \\uXXXX escape"));
                            }
                            self.next();
                        }
                    }
                    Some(_) => return Err((at, "Invalid \\escape")),
                    None => return Err((begin, "Unterminated string starting at")),
                },
                Some(c) if c < ' ' => return Err((at, "Invalid control character at")),
                Some(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_where_python_sees_them() {
        for (text, found) in [
            ("{\"message\": ", (12, "Expecting value")),
            ("", (0, "Expecting value")),
            (
                "{",
                (1, "Expecting property name enclosed in double quotes"),
            ),
            ("{\"a\" 1}", (5, "Expecting ':' delimiter")),
            ("{\"a\": 1 2}", (8, "Expecting ',' delimiter")),
            ("{} x", (3, "Extra data")),
            ("\"abc", (0, "Unterminated string starting at")),
            ("\"a\nb\"", (2, "Invalid control character at")),
            ("\"a\\x\"", (2, "Invalid \\escape")),
            ("[1, tru]", (4, "Expecting value")),
        ] {
            assert_eq!(mistake(text), found, "{text}");
        }
    }

    #[test]
    fn deep_nesting_needs_no_stack() {
        assert_eq!(mistake(&"[".repeat(200_000)).0, 200_000);
    }
}
