//! How texts become words: Python's `str.strip`, `str.split`, `str.lower` and `\w+`.

use std::sync::LazyLock;

use regex::Regex;
use unicode_normalization::UnicodeNormalization as _;

use super::runs;
use crate::MetricError;

/// Python's `str.isspace`: Unicode white space and the four separators of ASCII.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

pub(super) fn is_blank(text: &str) -> bool {
    text.chars().all(is_space)
}

/// Where the first character is that passes: of ASCII by its byte, which is most of most texts.
fn first(text: &str, ascii: impl Fn(u8) -> bool, other: impl Fn(char) -> bool) -> Option<usize> {
    text.bytes().enumerate().position(|(at, byte)| {
        if byte.is_ascii() {
            return ascii(byte);
        }
        // Bytes inside a character are none of its boundaries.
        let character = text.get(at..).and_then(|rest| rest.chars().next());
        character.is_some_and(&other)
    })
}

/// The longest parts of a text in which no character is between words.
fn parts(
    text: &str,
    ascii: impl Fn(u8) -> bool,
    other: impl Fn(char) -> bool,
) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = first(rest, |byte| !ascii(byte), |c| !other(c))?;
        rest = rest.get(start..)?;
        let end = first(rest, &ascii, &other).unwrap_or(rest.len());
        let (part, after) = rest.split_at_checked(end)?;
        rest = after;
        Some(part)
    })
}

/// Words of a text that is ASCII, or is not.
enum Either<A, B> {
    Ascii(A),
    Other(B),
}

impl<'a, A: Iterator<Item = &'a str>, B: Iterator<Item = &'a str>> Iterator for Either<A, B> {
    type Item = &'a str;

    #[inline]
    fn next(&mut self) -> Option<&'a str> {
        match self {
            Self::Ascii(words) => words.next(),
            Self::Other(words) => words.next(),
        }
    }
}

/// `str.split()`.
pub(super) fn split(text: &str) -> impl Iterator<Item = &str> {
    if runs::is_ascii(text) {
        return Either::Ascii(runs::between_spaces(text));
    }
    let ascii = |byte| matches!(byte, b'\t'..=b'\r' | 0x1c..=b' ');
    Either::Other(parts(text, ascii, is_space))
}

/// An error when a text is blank.
pub(super) fn not_blank(text: &str, what: &'static str) -> Result<(), MetricError> {
    if is_blank(text) {
        return Err(MetricError::input(format!("the {what} is blank")));
    }
    Ok(())
}

/// An error when there is no reference, or a blank one.
pub(super) fn none_blank(references: &[&str]) -> Result<(), MetricError> {
    if references.is_empty() {
        return Err(MetricError::input("there is no reference"));
    }
    references
        .iter()
        .try_for_each(|reference| not_blank(reference, "reference"))
}

/// A constant pattern of this module. Tests use each, so none is ever `None`.
fn pattern(source: &str) -> Option<Regex> {
    Regex::new(source).ok()
}

/// The words of `\w+`: letters, numbers and `_`. Python counts no combining marks, unlike `\w` of
/// the `regex` crate.
pub(super) fn word_runs(text: &str) -> impl Iterator<Item = &str> {
    if runs::is_ascii(text) {
        return Either::Ascii(runs::words(text));
    }
    let ascii = |byte: u8| !(byte == b'_' || byte.is_ascii_alphanumeric());
    Either::Other(parts(text, ascii, |c| !is_letter_or_number(c)))
}

/// `str.lower()`.
pub(super) fn lower(text: &str) -> String {
    if runs::is_ascii(text) {
        text.to_ascii_lowercase()
    } else {
        text.to_lowercase()
    }
}

/// Whether a character is a letter or a number, as Python's `str.isalnum` says.
pub(super) fn is_letter_or_number(c: char) -> bool {
    static ONE: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(r"[\p{L}\p{N}]"));
    let text = &mut [0; 4];
    let is_one = |one: &Regex| one.is_match(c.encode_utf8(text));
    c.is_ascii_alphanumeric() || (!c.is_ascii() && ONE.as_ref().is_some_and(is_one))
}

/// How many letters there are, and how many of them are capitals.
pub(super) fn letters(text: &str) -> (usize, usize) {
    if runs::is_ascii(text) {
        let text = text.as_bytes();
        return (
            runs::count(text, runs::letters),
            runs::count(text, runs::capitals),
        );
    }
    static LETTER: LazyLock<Option<Regex>> = LazyLock::new(|| pattern(r"\p{L}"));
    let is_letter = |c: char| match LETTER.as_ref() {
        Some(letter) if !c.is_ascii() => letter.is_match(c.encode_utf8(&mut [0; 4])),
        _ => c.is_ascii_alphabetic(),
    };
    text.chars()
        .filter(|c| is_letter(*c))
        .fold((0, 0), |(letters, capitals), c| {
            (letters + 1, capitals + usize::from(c.is_uppercase()))
        })
}

/// NFKC, lower case, one space between words: what look-alike letters and odd spaces become.
pub(super) fn plain(text: &str) -> String {
    let lower = if runs::is_ascii(text) {
        text.to_ascii_lowercase()
    } else {
        text.nfkc().collect::<String>().to_lowercase()
    };
    let mut plain = String::with_capacity(lower.len());
    for word in split(&lower) {
        if !plain.is_empty() {
            plain.push(' ');
        }
        plain.push_str(word);
    }
    plain
}

/// [`plain`] text without punctuation and pictures, but with any white space as long as it is.
pub(super) fn bare(text: &str) -> String {
    if runs::is_ascii(text) {
        return bare_ascii(text);
    }
    static MARKS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        pattern(r"[\p{So}\p{Sk}!-/:-@\[-`{-~\u{2010}-\u{2015}\u{2018}-\u{2027}\u{2030}-\u{2043}]")
    });
    let text = plain(text);
    match MARKS.as_ref() {
        Some(marks) => marks.replace_all(&text, "").into_owned(),
        None => text,
    }
}

fn bare_ascii(text: &str) -> String {
    let mut bare = vec![0; text.len()];
    let mut length = 0;
    for byte in text.bytes() {
        // Written in any case, and written over when it does not count: no branch.
        if let Some(place) = bare.get_mut(length) {
            *place = byte.to_ascii_lowercase();
        }
        length += usize::from(!byte.is_ascii_punctuation());
    }
    bare.truncate(length);
    // It is ASCII.
    String::from_utf8(bare).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn words_are_what_is_between(text in "[a_1 \\x00-\\x7f]{0,30}|[é日\u{307}\u{a0}\u{85} \\x1c-\\x20a!]{0,20}|\\PC{0,30}|(?s:.{0,30})") {
            let spaced: Vec<_> = text.split(is_space).filter(|word| !word.is_empty()).collect();
            prop_assert_eq!(split(&text).collect::<Vec<_>>(), spaced);
            let between = |c: char| !(c == '_' || is_letter_or_number(c));
            let runs: Vec<_> = text.split(between).filter(|run| !run.is_empty()).collect();
            prop_assert_eq!(word_runs(&text).collect::<Vec<_>>(), runs);
            // What `bare` leaves of a text is read word by word.
            let mut without = plain(&text);
            without.retain(|c| !c.is_ascii_punctuation());
            if text.is_ascii() {
                let bare = bare(&text);
                prop_assert_eq!(split(&bare).collect::<Vec<_>>(), split(&without).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn words_are_those_of_python() {
        assert_eq!(
            split("a\u{1c}b\u{a0} c").collect::<Vec<_>>(),
            ["a", "b", "c"]
        );
        assert_eq!(
            word_runs("it's i\u{307}s_1 日本!").collect::<Vec<_>>(),
            ["it", "s", "i", "s_1", "日本"]
        );
        assert_eq!(letters("Ab1 Éé_日"), (5, 2));
        assert_eq!(plain(" Ｉｇｎｏｒｅ\n ﬁve "), "ignore five");
        assert_eq!(bare("Ada's ‘plan’ — 5€ 😀!"), "adas plan  5€ ");
    }
}
