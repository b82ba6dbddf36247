//! The lines of a text that speak of an error.

use std::ops::Range;
use std::sync::OnceLock;

use aho_corasick::AhoCorasick;

use super::escape_floor;

/// How much of the middle of a text is searched for lines with errors, in bytes.
const SEARCHED: usize = 1 << 20;
/// Longest line with an error that is kept, in characters.
const ERROR_LINE: usize = 160;
/// Words that make a line one about an error.
const ERRORS: [&str; 6] = [
    "error",
    "exception",
    "traceback",
    "failed",
    "fatal",
    "exit code",
];

/// The first and the last line that speak of an error, together about so many characters.
pub(super) fn error_lines(text: &str, characters: usize) -> Vec<&str> {
    let searched = text
        .get(..text.floor_char_boundary(SEARCHED))
        .unwrap_or(text);
    let mut hits = errors().into_iter().flat_map(|it| it.find_iter(searched));
    let Some(hit) = hits.next() else {
        return Vec::new();
    };
    let first = line_around(searched, hit.range());
    // A line with a word has a hit of its own, since no word goes on in the next line.
    let last = hits.last().map(|hit| line_around(searched, hit.range()));
    let length = (characters / 2).clamp(40, ERROR_LINE);
    let both = std::iter::once(first.clone()).chain(last.filter(|last| *last != first));
    both.filter_map(|range| searched.get(range))
        .map(|line| line.get(..escape_floor(line, length)).unwrap_or(line))
        .collect()
}

/// Whether any text in this JSON may speak of an error.
pub(super) fn may_speak_of_errors(json: &str) -> bool {
    // Letters may be written as escapes.
    json.contains("\\u") || errors().is_none_or(|errors| errors.is_match(json))
}

/// Finds the words of errors, in any case.
fn errors() -> Option<&'static AhoCorasick> {
    static ERRORS_AT: OnceLock<Option<AhoCorasick>> = OnceLock::new();
    let build = || {
        AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .build(ERRORS)
            .ok()
    };
    ERRORS_AT.get_or_init(build).as_ref()
}

/// The line around a place. Raw JSON has its line feeds as escapes.
fn line_around(text: &str, place: Range<usize>) -> Range<usize> {
    let before = text.get(..place.start).unwrap_or_default().as_bytes();
    let after = text.get(place.end..).unwrap_or_default().as_bytes();
    // The last byte of an end of a line, and the first.
    let mut left = before;
    let begin = loop {
        let last = |byte: &u8| matches!(byte, b'\n' | b'\r' | b'n');
        let Some(at) = left.iter().rposition(last) else {
            break 0;
        };
        left = left.get(..at).unwrap_or_default();
        if before.get(at) != Some(&b'n') || left.ends_with(b"\\") {
            break at + 1;
        }
    };
    let mut from = 0;
    let end = loop {
        let first = |byte: &u8| matches!(byte, b'\n' | b'\r' | b'\\');
        let rest = after.get(from..).unwrap_or_default();
        let Some(at) = rest.iter().position(first) else {
            break text.len();
        };
        let rest = rest.get(at..).unwrap_or_default();
        if !rest.starts_with(b"\\") || rest.starts_with(b"\\n") {
            break place.end + from + at;
        }
        from += at + 1;
    };
    begin..end
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Line by line.
    fn simply_error_lines(text: &str) -> Vec<&str> {
        let speaks = |line: &&str| {
            let line = line.to_ascii_lowercase();
            ERRORS.iter().any(|word| line.contains(word))
        };
        let lines = text.split(['\n', '\r']);
        let mut lines = lines.flat_map(|line| line.split("\\n")).filter(speaks);
        let first = lines.next();
        first.into_iter().chain(lines.last()).collect()
    }

    proptest! {
        #[test]
        fn lines_with_errors_are_found_as_line_by_line(
            text in "(error|FAILED|exit code|fatal|nerror|\\\\|n|\\\\n|\n|\r|é|[a-z ]{0,9}){0,14}"
        ) {
            prop_assert_eq!(error_lines(&text, 4 * ERROR_LINE), simply_error_lines(&text));
        }
    }
}
