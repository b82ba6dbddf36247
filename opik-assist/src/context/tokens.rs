//! How many tokens a text takes, estimated on the safe side and without a vocabulary.
//!
//! Vocabularies differ from model to model, so this counts what they have in common:
//!
//! | run of | tokens |
//! |---|---|
//! | ASCII letters, cut where a small letter is followed by a capital one | one for four, rounded up |
//! | ASCII digits | one for two, rounded up |
//! | more than 20 ASCII letters and digits | at least three for four |
//! | spaces | none for a single one before a letter or a digit, else one for the run |
//! | line feeds and other white space | one each |
//! | other ASCII characters | one each |
//! | other characters | one less than their bytes in UTF-8: 1, 2 or 3 each |
//!
//! The estimate is about 1.5 times what two common vocabularies (cl100k and o200k) need for the
//! English text, the JSON and the code that it was compared with, 1.1 to 4.4 times for other
//! languages, 1.3 times for hexadecimal text and just as many for Base64. See the decision "Tokens
//! are estimated".
//!
//! The estimate never falls when a text grows, and that of two texts is at most the sum of theirs
//! where the first ends with a space or a line feed. So a text that is put together from counted lines
//! fits when their sum does.

/// What a character belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Run {
    Lower,
    Upper,
    Digit,
    Space,
    None,
}

/// Letters in a token.
const LETTERS: usize = 4;
/// Digits in a token.
const DIGITS: usize = 2;
/// Letters and digits in a row that still may be a word.
const LONG: usize = 20;

/// Estimates the tokens of a text. See the [module](self) for how.
///
/// ```
/// use opik_assist::context::tokens::estimate;
///
/// assert_eq!(estimate(""), 0);
/// assert_eq!(estimate("The run took 340 ms."), 7);
/// ```
#[must_use]
pub fn estimate(text: &str) -> usize {
    let mut tokens = 0;
    let (mut run, mut length) = (Run::None, 0);
    let mut word = Word::default();
    for &byte in text.as_bytes() {
        let (next, alone) = BYTES.get(usize::from(byte)).copied().unwrap_or(OTHER);
        let goes_on = next == run && next != Run::None || (run, next) == (Run::Upper, Run::Lower);
        if !goes_on {
            if run != Run::None {
                tokens += word.close(run, length, next);
            }
            length = 0;
        }
        run = next;
        length += 1;
        tokens += usize::from(alone);
    }
    tokens + word.close(run, length, Run::None)
}

/// A byte of no run, and the tokens that it takes alone.
const OTHER: (Run, u8) = (Run::None, 1);

/// What every byte belongs to. A character beyond ASCII is counted at its first byte.
#[expect(
    clippy::indexing_slicing,
    reason = "the compiler evaluates it, and a byte is a place"
)]
const BYTES: [(Run, u8); 256] = {
    let mut bytes = [OTHER; 256];
    let mut byte = 0_u8;
    loop {
        let place = byte as usize;
        bytes[place] = match byte {
            b'a'..=b'z' => (Run::Lower, 0),
            b'A'..=b'Z' => (Run::Upper, 0),
            b'0'..=b'9' => (Run::Digit, 0),
            b' ' => (Run::Space, 0),
            0x80..=0xbf => (Run::None, 0),
            0xe0..=0xef => (Run::None, 2),
            0xf0..=0xff => (Run::None, 3),
            _ => OTHER,
        };
        if byte == u8::MAX {
            break;
        }
        byte += 1;
    }
    bytes
};

/// Letters and digits without anything between them.
#[derive(Default)]
struct Word {
    length: usize,
    tokens: usize,
}

impl Word {
    /// Takes a run that has ended into account; the tokens that are certain now.
    fn close(&mut self, run: Run, length: usize, next: Run) -> usize {
        let is_word = |run: Run| matches!(run, Run::Lower | Run::Upper | Run::Digit);
        let cost = close(run, length, is_word(next));
        if !is_word(run) {
            return cost;
        }
        self.length += length;
        self.tokens += cost;
        if is_word(next) {
            return 0;
        }
        let word = std::mem::take(self);
        // No vocabulary knows such a word, if it is one.
        let long = if word.length > LONG {
            (word.length * 3).div_ceil(4)
        } else {
            0
        };
        word.tokens.max(long)
    }
}

/// Tokens of a run that has ended.
fn close(run: Run, length: usize, before_word: bool) -> usize {
    match run {
        Run::Lower | Run::Upper => length.div_ceil(LETTERS),
        Run::Digit => length.div_ceil(DIGITS),
        Run::Space => usize::from(length > 1 || !before_word),
        Run::None => 0,
    }
}

/// The longest beginning of a text that takes at most so many tokens, cut between characters.
pub(crate) fn head(text: &str, tokens: usize) -> &str {
    // A token covers eight bytes at most where spaces are single; runs of them are rare.
    let most = text.floor_char_boundary(tokens.saturating_mul(8).min(text.len()));
    let text = text.get(..most).unwrap_or(text);
    if estimate(text) <= tokens {
        return text;
    }
    let (mut fits, mut exceeds) = (0, text.len());
    while fits + 1 < exceeds {
        let mut middle = text.floor_char_boundary(fits.midpoint(exceeds));
        if middle <= fits {
            middle = text.ceil_char_boundary(fits + 1);
        }
        if middle >= exceeds {
            break;
        }
        let part = text.get(..middle).unwrap_or_default();
        if estimate(part) <= tokens {
            fits = middle;
        } else {
            exceeds = middle;
        }
    }
    text.get(..fits).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn runs_count_by_kind() {
        for (text, tokens) in [
            ("a", 1),
            ("abcde", 2),
            ("getUserName", 3),
            ("HTTPError", 3),
            ("a b", 2),
            ("a  b", 3),
            ("a ", 2),
            ("12345", 3),
            ("{\"a\":1}", 7),
            ("é", 1),
            ("…", 2),
            ("😀", 3),
            ("\n\n", 2),
            ("abcdefghijklmnopqrst", 5),
            ("abcdefghijklmnopqrst1", 16),
        ] {
            assert_eq!(estimate(text), tokens, "{text:?}");
        }
    }

    /// Character by character.
    fn simply(text: &str) -> usize {
        let mut tokens = 0;
        let (mut run, mut length) = (Run::None, 0);
        let mut word = Word::default();
        for character in text.chars() {
            let next = match character {
                'a'..='z' => Run::Lower,
                'A'..='Z' => Run::Upper,
                '0'..='9' => Run::Digit,
                ' ' => Run::Space,
                _ => Run::None,
            };
            let goes_on =
                next == run && next != Run::None || (run, next) == (Run::Upper, Run::Lower);
            if !goes_on {
                tokens += word.close(run, length, next);
                length = 0;
            }
            run = next;
            length += 1;
            if next == Run::None {
                tokens += character.len_utf8().saturating_sub(1).max(1);
            }
        }
        tokens + word.close(run, length, Run::None)
    }

    proptest! {
        #[test]
        fn bytes_count_as_characters_do(text in "(\\PC|[a-zA-Z0-9 ]{0,30}|[\u{0}-\u{7f}]|\u{10ffff}){0,40}") {
            prop_assert_eq!(estimate(&text), simply(&text));
        }

        #[test]
        fn parts_never_count_less_than_the_whole(a in "[a-zA-Z0-9 .é…\n]{0,30}|[a-z0-9]{0,30}", b in "\\PC{0,20}|[ a-z]{0,20}") {
            let whole = estimate(&format!("{a}{b}"));
            prop_assert!(whole >= estimate(&a));
            let line = format!("{a}: {b}");
            prop_assert!(estimate(&line) >= estimate(&b));
            for space in [" ", "\n"] {
                let first = format!("{a}{space}");
                let whole = estimate(&format!("{first}{b}"));
                prop_assert!(whole <= estimate(&first) + estimate(&b), "{first:?} {b:?}");
            }
        }

        #[test]
        fn a_head_fits_and_one_character_more_would_not(text in "\\PC{0,60}", tokens in 0usize..40) {
            let part = head(&text, tokens);
            prop_assert!(estimate(part) <= tokens);
            if let Some(next) = text.chars().nth(part.chars().count()) {
                let longer = format!("{part}{next}");
                prop_assert!(estimate(&longer) > tokens || longer.len() > tokens * 8);
            }
        }
    }
}
