//! Words of a text, as numbers and ids stand in it.

/// A word and where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word<'a> {
    /// In bytes.
    pub(super) at: usize,
    pub(super) text: &'a str,
}

impl Word<'_> {
    pub(super) fn has_digit(&self) -> bool {
        self.text.bytes().any(|byte| byte.is_ascii_digit())
    }

    /// Whether it is the number of an entry of a list: `3.` or `3)` at the beginning of a line.
    pub(super) fn is_list_number(&self, text: &str) -> bool {
        let before = text.get(..self.at).unwrap_or_default();
        let line = before.rsplit('\n').next().unwrap_or_default();
        let is_first = line
            .chars()
            .all(|letter| letter.is_whitespace() || matches!(letter, '*' | '#' | '-' | '>'));
        let after = text.get(self.at + self.text.len()..).unwrap_or_default();
        is_first
            && self.text.len() <= 3
            && self.text.bytes().all(|byte| byte.is_ascii_digit())
            && after.starts_with(['.', ')', ':'])
    }
}

/// Splits at white space, brackets, quotation marks and signs that are not part of numbers or ids,
/// and takes punctuation off both ends.
pub(super) fn words(text: &str) -> impl Iterator<Item = Word<'_>> {
    let is_end = |letter: char| {
        letter.is_whitespace()
            || matches!(
                letter,
                '(' | ')'
                    | '['
                    | ']'
                    | '{'
                    | '}'
                    | '<'
                    | '>'
                    | '"'
                    | '\''
                    | '`'
                    | '*'
                    | '|'
                    | '='
                    | '~'
                    | ';'
                    | '—'
                    | '“'
                    | '”'
                    | '≈'
                    | '→'
                    | '×'
                    | '±'
                    | '≥'
                    | '≤'
                    | '\\'
            )
    };
    let mut at = 0;
    text.split(is_end).filter_map(move |part| {
        let begin = at;
        // Every separator is one character; its length is found from the next place.
        at += part.len();
        at += text
            .get(at..)
            .and_then(|rest| rest.chars().next())
            .map_or(0, char::len_utf8);
        let is_edge = |letter: char| {
            matches!(
                letter,
                '.' | ',' | ':' | '!' | '?' | '_' | '/' | '-' | '–' | '+' | '#'
            )
        };
        let front = part.trim_start_matches(is_edge);
        let word = front.trim_end_matches(is_edge);
        let begin = begin + (part.len() - front.len());
        (!word.is_empty()).then_some(Word {
            at: begin,
            text: word,
        })
    })
}
