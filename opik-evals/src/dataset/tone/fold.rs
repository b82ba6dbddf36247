//! A text in one form of writing: composed, without case, with the way back to the original.

use unicode_normalization::{UnicodeNormalization as _, char::canonical_combining_class};

/// A composed text without case, and where each of its bytes comes from.
#[derive(Debug, Clone)]
pub(super) struct Folded {
    pub(super) text: String,
    /// For each stretch: the byte at which it begins here, its code point and byte in the original.
    /// Empty for ASCII, where all three are the same.
    places: Vec<(usize, usize, usize)>,
}

impl Folded {
    pub(super) fn new(text: &str) -> Self {
        if text.is_ascii() {
            return Self {
                text: text.to_ascii_lowercase(),
                places: Vec::new(),
            };
        }
        let mut folded = Self {
            text: String::with_capacity(text.len()),
            places: Vec::new(),
        };
        let mut rest = text.char_indices().peekable();
        let (mut point, mut segment) = (0, String::new());
        while let Some((byte, c)) = rest.next() {
            folded.places.push((folded.text.len(), point, byte));
            point += 1;
            segment.clear();
            segment.push(c);
            // What combines belongs to the character that it stands on.
            while let Some((_, mark)) =
                rest.next_if(|(_, next)| canonical_combining_class(*next) != 0)
            {
                segment.push(mark);
                point += 1;
            }
            if c.is_ascii() && segment.len() == 1 {
                folded.text.push(c.to_ascii_lowercase());
            } else {
                segment.nfc().for_each(|c| fold(c, &mut folded.text));
            }
        }
        folded.places.push((folded.text.len(), point, text.len()));
        folded
    }

    /// The code point and the byte of the original that a byte comes from; `None` when it lies
    /// inside of what was one character there.
    pub(super) fn origin(&self, byte: usize) -> Option<(usize, usize)> {
        if self.places.is_empty() {
            return Some((byte, byte));
        }
        let at = self
            .places
            .binary_search_by_key(&byte, |(own, _, _)| *own)
            .ok()?;
        self.places.get(at).map(|(_, point, byte)| (*point, *byte))
    }
}

/// Full case folding. Going up and down again gives it (`ß` is `ss`, `ς` is `σ`) for all but the
/// dotless `ı`, which is a letter of its own.
fn fold(c: char, out: &mut String) {
    if c == 'ı' {
        out.push(c);
    } else {
        out.extend(c.to_uppercase().flat_map(char::to_lowercase));
    }
}
