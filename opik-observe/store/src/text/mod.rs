//! Full-text search over names and content.
//!
//! The index is in a file of its own beside the store, so that filling it never holds up a
//! writer. It knows which words a part or a trace has, not where and how often; the records
//! themselves decide. A background thread fills it from what was committed; when it is lost it is
//! built again.
//!
//! What one step takes in becomes a *segment* (`segment`), written once and in order: SQLite
//! only sees pages of words. Segments of one size are merged when there are eight (`merge`), in
//! idle moments. A question looks into each segment that can hold something newer than what it
//! found already (`matches`).
//!
//! A *word* is a run of letters and digits, in lower case, up to [`LONGEST`] bytes. Escapes of
//! JSON are resolved or separate words; keys of objects count as content.

mod index;
#[cfg(test)]
mod index_tests;
mod matches;
mod merge;
mod segment;

use opik_core::Json;

pub(crate) use index::{Progress, TextIndex, open, open_to_read, progress};
pub(crate) use matches::Matches;
pub(crate) use segment::Builder;

/// Bytes of a word that count. Longer runs are keys, hashes and encoded files.
const LONGEST: usize = 64;

/// Calls `each` with every word of a text; `json` resolves escapes.
pub(crate) fn words(text: &str, json: bool, each: &mut dyn FnMut(&str)) {
    // The beginning of a word that is not one run of small letters and digits.
    let mut word = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let run = rest.bytes().position(|byte| !is_plain(byte));
        let (plain, after) = rest.split_at(run.unwrap_or(rest.len()));
        let ends = after.as_bytes().first().is_none_or(|&byte| {
            byte.is_ascii() && !byte.is_ascii_alphanumeric() && !(json && byte == b'\\')
        });
        if ends && word.is_empty() && plain.len() <= LONGEST {
            if !plain.is_empty() {
                each(plain);
            }
            rest = after.get(1..).unwrap_or_default();
            continue;
        }
        let room = LONGEST.saturating_sub(word.len()).min(plain.len());
        word.push_str(plain.get(..room).unwrap_or_default());
        let mut chars = after.chars();
        if let Some(next) = chars.next() {
            let mut letter = next;
            if json && next == '\\' {
                letter = match chars.next() {
                    Some('u') => escaped(&mut chars),
                    _ => ' ',
                };
            }
            push(&mut word, letter, each);
        }
        rest = chars.as_str();
    }
    flush(&mut word, each);
}

/// Adds a character to a word in lower case, or ends the word with it.
fn push(word: &mut String, letter: char, each: &mut dyn FnMut(&str)) {
    if !letter.is_alphanumeric() {
        flush(word, each);
        return;
    }
    for lower in letter
        .to_lowercase()
        .filter(|lower| lower.is_alphanumeric())
    {
        if word.len() + lower.len_utf8() <= LONGEST {
            word.push(lower);
        }
    }
}

fn flush(word: &mut String, each: &mut dyn FnMut(&str)) {
    if !word.is_empty() {
        each(word);
        word.clear();
    }
}

/// The character of `\uXXXX`; halves of pairs separate words.
fn escaped(chars: &mut std::str::Chars<'_>) -> char {
    let mut code = 0;
    for _ in 0..4 {
        let Some(digit) = chars.next().and_then(|digit| digit.to_digit(16)) else {
            return ' ';
        };
        code = code * 16 + digit;
    }
    char::from_u32(code).unwrap_or(' ')
}

/// The words of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Words(Vec<String>);

impl Words {
    pub(crate) fn of(text: &str) -> Self {
        let mut all = Vec::new();
        words(text, false, &mut |word| all.push(word.to_owned()));
        all.sort_unstable();
        all.dedup();
        Self(all)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether each of them is in the name or in the content.
    pub(crate) fn all_in(&self, name: Option<&str>, content: [Option<&Json>; 3]) -> bool {
        let mut missing: Vec<&str> = self.0.iter().map(String::as_str).collect();
        let mut strike = |word: &str| missing.retain(|wanted| *wanted != word);
        words(name.unwrap_or_default(), false, &mut strike);
        for json in content.into_iter().flatten() {
            words(json.as_str(), true, &mut strike);
        }
        missing.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, json: bool) -> Vec<String> {
        let mut found = Vec::new();
        words(text, json, &mut |word| found.push(word.to_owned()));
        found
    }

    #[test]
    fn words_are_runs_of_letters_and_digits_with_escapes_resolved() {
        assert_eq!(
            all("Tool_call: GPT-4o!", false),
            ["tool", "call", "gpt", "4o"]
        );
        assert_eq!(
            all(r#"{"a":"x\nnew\u00dcber \"q\""}"#, true),
            ["a", "x", "newüber", "q"]
        );
        assert_eq!(all(r"C:\new", false), ["c", "new"]);
        assert_eq!(all(&"x".repeat(500), false), ["x".repeat(LONGEST)]);
        assert_eq!(all(r"\u12", true), Vec::<String>::new());
    }

    #[test]
    fn all_words_have_to_be_there_in_any_place() {
        let words = Words::of("Weather  PARIS weather");
        let input = Json::string("the weather");
        assert!(words.all_in(Some("paris"), [Some(&input), None, None]));
        assert!(!words.all_in(None, [Some(&input), None, None]));
        assert!(!Words::of("weat").all_in(None, [Some(&input), None, None]));
    }
}
