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

/// Whether a character stands between words.
fn is_end(letter: char) -> bool {
    if let Ok(byte) = u8::try_from(letter)
        && byte.is_ascii()
    {
        return class(byte) == Class::End;
    }
    letter.is_whitespace() || matches!(letter, '—' | '“' | '”' | '≈' | '→' | '×' | '±' | '≥' | '≤')
}

/// Whether a character is no part of the word at whose end it stands.
fn is_edge(letter: char) -> bool {
    letter == '–' || u8::try_from(letter).is_ok_and(|byte| class(byte) == Class::Edge)
}

/// What a byte tells about the character that it belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// It belongs to a word.
    Inner,
    /// It belongs to a word unless it stands at its end.
    Edge,
    /// It stands between words.
    End,
    /// The character is not of ASCII.
    Other,
}

fn class(byte: u8) -> Class {
    CLASSES
        .get(usize::from(byte))
        .copied()
        .unwrap_or(Class::Other)
}

#[expect(clippy::indexing_slicing, reason = "the compiler evaluates it")]
const CLASSES: [Class; 256] = {
    const fn put(classes: &mut [Class; 256], bytes: &[u8], class: Class) {
        let mut place = 0;
        while place < bytes.len() {
            classes[bytes[place] as usize] = class;
            place += 1;
        }
    }
    let mut classes = [Class::Inner; 256];
    let mut byte = 128;
    while byte < classes.len() {
        classes[byte] = Class::Other;
        byte += 1;
    }
    let ends = b"\t\n\x0b\x0c\r ()[]{}<>\"'`*|=~;\\";
    put(&mut classes, ends, Class::End);
    put(&mut classes, b".,:!?_/-+#", Class::Edge);
    classes
};

/// Splits at white space, brackets, quotation marks and signs that are not part of numbers or ids,
/// and takes punctuation off both ends.
pub(super) fn words(text: &str) -> impl Iterator<Item = Word<'_>> {
    let mut next = 0;
    std::iter::from_fn(move || {
        while let Some(rest) = text.get(next..).filter(|rest| !rest.is_empty()) {
            let (part, separator) = first_part(rest);
            let begin = next;
            next += part.len() + separator;
            let front = trimmed(part, |part| part.trim_start_matches(is_edge), <[u8]>::first);
            let word = trimmed(front, |part| part.trim_end_matches(is_edge), <[u8]>::last);
            if !word.is_empty() {
                return Some(Word {
                    at: begin + (part.len() - front.len()),
                    text: word,
                });
            }
        }
        None
    })
}

/// The text up to the first character that stands between words, and the length of that one.
fn first_part(text: &str) -> (&str, usize) {
    let mut end = 0;
    loop {
        let rest = text.as_bytes().get(end..).unwrap_or_default();
        let inner = |&byte: &u8| matches!(class(byte), Class::Inner | Class::Edge);
        end += rest.iter().take_while(|byte| inner(byte)).count();
        let (part, rest) = text.split_at_checked(end).unwrap_or((text, ""));
        match rest.chars().next() {
            Some(letter) if is_end(letter) => return (part, letter.len_utf8()),
            Some(letter) => end += letter.len_utf8(),
            None => return (part, 0),
        }
    }
}

/// A part without the edge on one side; most have none, which its outermost byte tells.
fn trimmed(
    part: &str,
    trim: impl Fn(&str) -> &str,
    outermost: impl Fn(&[u8]) -> Option<&u8>,
) -> &str {
    match outermost(part.as_bytes()).map(|&byte| class(byte)) {
        Some(Class::Inner) | None => part,
        Some(_) => trim(part),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_of_ascii_stands_between_words() {
        for letter in (0..128_u8).map(char::from) {
            let expected = letter.is_whitespace() || "()[]{}<>\"'`*|=~;\\".contains(letter);
            assert_eq!(is_end(letter), expected, "{letter:?}");
            assert_eq!(is_edge(letter), ".,:!?_/-+#".contains(letter), "{letter:?}");
        }
    }

    /// Character by character.
    fn simply(text: &str) -> Vec<Word<'_>> {
        let mut parts = Vec::new();
        let mut begin = 0;
        for (at, letter) in text.char_indices().chain([(text.len(), ' ')]) {
            if is_end(letter) {
                parts.push((begin, text.get(begin..at).unwrap_or_default()));
                begin = at + letter.len_utf8();
            }
        }
        let trimmed = parts.into_iter().map(|(at, part)| {
            let front = part.trim_start_matches(is_edge);
            let at = at + part.len() - front.len();
            let text = front.trim_end_matches(is_edge);
            Word { at, text }
        });
        trimmed.filter(|word| !word.text.is_empty()).collect()
    }

    proptest::proptest! {
        #[test]
        fn bytes_tell_words_as_characters_do(text in "(\\PC|[a-z0-9.,:]{0,9}|[ .,:!?_/–+#-]{1,4}|[—×é“”]){0,30}") {
            proptest::prop_assert_eq!(words(&text).collect::<Vec<_>>(), simply(&text));
        }
    }
}
