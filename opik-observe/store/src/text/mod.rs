//! Full-text search over names and content.
//!
//! The index is in a file of its own beside the store, so that filling it never holds up a
//! writer. It knows which words a span or a trace has, not where and how often. A background thread fills it from what was committed; when it is lost it is
//! built again.
//!
//! What one step takes in becomes a *segment* (`segment`), written once and in order: SQLite
//! only sees pages of words. Segments of one size are merged when there are eight (`merge`), in
//! idle moments. A question looks into each segment that can hold something newer than what it
//! found already (`matches`).
//!
//! What it says of a span or a trace is what the record itself says as long as the record is what it
//! was: words are cut in one place for both. Spans that were replaced and traces that changed are
//! still in it for a while, and their rows tell.
//!
//! A *word* is a run of letters and digits, in lower case, up to [`LONGEST`] bytes. Escapes of
//! JSON are resolved or separate words; keys of objects count as content.

mod builder;
mod index;
#[cfg(test)]
mod index_tests;
mod lists;
mod matches;
mod merge;
mod prefix;
mod segment;

pub(crate) use builder::Builder;
pub(crate) use index::{Progress, TextIndex, open, open_to_read, progress};
pub(crate) use matches::{Match, Matches};
pub(crate) use segment::{Doc, number};

/// Bytes of a word that count. Longer runs are keys, hashes and encoded files.
const LONGEST: usize = 64;

/// Calls `each` with every word of a text; `json` resolves escapes.
pub(crate) fn words(text: &str, json: bool, mut each: impl FnMut(&[u8])) {
    // The beginning of a word that is not one run of small letters and digits.
    let mut word = Word::default();
    let mut rest = text;
    while !rest.is_empty() {
        let (plain, after) = rest.split_at(plain_run(rest.as_bytes()));
        let next = after.as_bytes().first().copied();
        let ends = next.is_none_or(|byte| {
            byte.is_ascii() && !byte.is_ascii_alphanumeric() && !(json && byte == b'\\')
        });
        if ends {
            if word.len == 0 && plain.len() <= LONGEST {
                if !plain.is_empty() {
                    each(plain.as_bytes());
                }
            } else {
                word.push(plain.as_bytes());
                word.flush(&mut each);
            }
            rest = after.get(1..).unwrap_or_default();
            continue;
        }
        word.push(plain.as_bytes());
        if let Some(capital) = next.filter(u8::is_ascii_uppercase) {
            word.push(&[capital.to_ascii_lowercase()]);
            rest = after.get(1..).unwrap_or_default();
            continue;
        }
        let mut chars = after.chars();
        if let Some(next) = chars.next() {
            let mut letter = next;
            if json && next == '\\' {
                letter = match chars.next() {
                    Some('u') => escaped(&mut chars),
                    _ => ' ',
                };
            }
            word.push_char(letter, &mut each);
        }
        rest = chars.as_str();
    }
    word.flush(&mut each);
}

/// How many small letters and digits a text begins with. Eight bytes are looked at together: words
/// end where no processor can guess it, and each wrong guess costs as much as several of them.
fn plain_run(text: &[u8]) -> usize {
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    const HIGH: u64 = 0x80 * EACH;
    // The high bit of every byte of `bytes`, which are all below 128, that is not below `least`.
    let reaches = |bytes: u64, least: u8| bytes + (0x80 - u64::from(least)) * EACH;
    let mut run = 0;
    let mut rest = text;
    while let Some((eight, after)) = rest.split_first_chunk() {
        let eight = u64::from_le_bytes(*eight);
        let low = eight & !HIGH;
        let letters = reaches(low, b'a') & !reaches(low, b'z' + 1);
        let digits = reaches(low, b'0') & !reaches(low, b'9' + 1);
        let others = !((letters | digits) & !eight) & HIGH;
        if others != 0 {
            return run + (others.trailing_zeros() / 8) as usize;
        }
        run += 8;
        rest = after;
    }
    let is_other = |byte: &u8| !(byte.is_ascii_lowercase() || byte.is_ascii_digit());
    run + rest.iter().position(is_other).unwrap_or(rest.len())
}

/// A word that is put together.
struct Word {
    bytes: [u8; LONGEST],
    len: usize,
}

impl Default for Word {
    fn default() -> Self {
        Self {
            bytes: [0; LONGEST],
            len: 0,
        }
    }
}

impl Word {
    /// Adds small letters and digits, as far as there is room.
    fn push(&mut self, plain: &[u8]) {
        for (to, from) in self.bytes.iter_mut().skip(self.len).zip(plain) {
            *to = *from;
        }
        self.len = LONGEST.min(self.len + plain.len());
    }

    /// Adds a character in lower case, or ends the word with it.
    fn push_char(&mut self, letter: char, each: &mut impl FnMut(&[u8])) {
        if !letter.is_alphanumeric() {
            self.flush(each);
            return;
        }
        for lower in letter
            .to_lowercase()
            .filter(|lower| lower.is_alphanumeric())
        {
            if self.len + lower.len_utf8() <= LONGEST {
                self.push(lower.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
    }

    fn flush(&mut self, each: &mut impl FnMut(&[u8])) {
        if let Some(word) = self.bytes.get(..self.len).filter(|word| !word.is_empty()) {
            each(word);
        }
        self.len = 0;
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
pub(crate) struct Words(Vec<Vec<u8>>);

impl Words {
    pub(crate) fn of(text: &str) -> Self {
        let mut all = Vec::new();
        words(text, false, |word| all.push(word.to_vec()));
        all.sort_unstable();
        all.dedup();
        Self(all)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether each of them is in the name or in the content, which is JSON.
    pub(crate) fn all_in(&self, name: Option<&str>, content: [Option<&str>; 3]) -> bool {
        let name = name.unwrap_or_default();
        let may_have = |word: &Vec<u8>| {
            may_have(name, word) || content.iter().flatten().any(|json| may_have(json, word))
        };
        if !self.0.iter().all(may_have) {
            return false;
        }
        let mut missing: Vec<&[u8]> = self.0.iter().map(Vec::as_slice).collect();
        let mut strike = |word: &[u8]| missing.retain(|wanted| *wanted != word);
        words(name, false, &mut strike);
        for json in content.into_iter().flatten() {
            words(json, true, &mut strike);
        }
        missing.is_empty()
    }
}

/// Whether a text may have a word, found out in a fraction of the time that it takes to cut the
/// text into words. Where it cannot tell, it says yes: letters that are not ASCII, or escaped, may
/// become ones that are.
fn may_have(text: &str, word: &[u8]) -> bool {
    let Ok(word) = std::str::from_utf8(word) else {
        return true;
    };
    !text.is_ascii() || text.to_ascii_lowercase().contains(word) || text.contains("\\u")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str, json: bool) -> Vec<String> {
        let mut found = Vec::new();
        words(text, json, |word| {
            found.push(String::from_utf8(word.to_vec()).unwrap());
        });
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
    fn a_run_of_letters_and_digits_ends_at_the_first_other_byte() {
        for byte in 0..=u8::MAX {
            let is_plain = matches!(byte, b'a'..=b'z' | b'0'..=b'9');
            for len in 1..20 {
                for at in 0..len {
                    let mut text = vec![b'z'; len];
                    text[at] = byte;
                    let run = if is_plain { len } else { at };
                    assert_eq!(plain_run(&text), run, "{byte} at {at} of {len}");
                }
            }
        }
        assert_eq!(plain_run(b""), 0);
    }

    #[test]
    fn all_words_have_to_be_there_in_any_place() {
        let words = Words::of("Weather  PARIS weather");
        let input = Some(r#""the weather""#);
        assert!(words.all_in(Some("paris"), [input, None, None]));
        assert!(!words.all_in(None, [input, None, None]));
        assert!(!Words::of("weat").all_in(None, [input, None, None]));
    }

    #[test]
    fn a_word_is_found_however_it_is_written() {
        let text = |json| [None, Some(json), None];
        for json in [
            r#""a KEY""#,
            r#""a k\u0065y""#,
            r#"{"Key":1}"#,
            r#""x\nkey""#,
            "\"\u{212a}ey\"",
        ] {
            assert!(Words::of("key").all_in(None, text(json)), "{json}");
        }
        assert!(Words::of("\u{212a}ey").all_in(None, text(r#""key""#)));
        assert!(Words::of("\u{fc}ber").all_in(None, text(r#""\u00dcber""#)));
        assert!(!Words::of("key").all_in(None, text(r#""keys""#)));
        assert!(!Words::of("key").all_in(None, text(r#""a\u0065y""#)));
    }
}
