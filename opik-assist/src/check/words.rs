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
    if let Some(&is_end) = usize::try_from(u32::from(letter))
        .ok()
        .and_then(|at| ENDS.get(at))
    {
        return is_end;
    }
    letter.is_whitespace() || matches!(letter, '—' | '“' | '”' | '≈' | '→' | '×' | '±' | '≥' | '≤')
}

/// The characters of ASCII that stand between words: nearly all that is asked for.
#[expect(clippy::indexing_slicing, reason = "the compiler evaluates it")]
const ENDS: [bool; 128] = {
    let mut ends = [false; 128];
    let all = b"\t\n\x0b\x0c\r ()[]{}<>\"'`*|=~;\\";
    let mut place = 0;
    while place < all.len() {
        ends[all[place] as usize] = true;
        place += 1;
    }
    ends
};

/// Splits at white space, brackets, quotation marks and signs that are not part of numbers or ids,
/// and takes punctuation off both ends.
pub(super) fn words(text: &str) -> impl Iterator<Item = Word<'_>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_of_ascii_stands_between_words() {
        for letter in (0..128_u8).map(char::from) {
            let expected = letter.is_whitespace() || "()[]{}<>\"'`*|=~;\\".contains(letter);
            assert_eq!(is_end(letter), expected, "{letter:?}");
        }
    }
}
