//! A text in one form of writing: composed, without case, with the way back to the original.

use unicode_normalization::{UnicodeNormalization as _, char::canonical_combining_class};

/// A composed text without case, and where each of its bytes comes from.
#[derive(Debug, Clone)]
pub(super) struct Folded {
    pub(super) text: String,
    /// What the text is made of, in order. Empty for ASCII, where a byte stays where it is.
    places: Vec<Place>,
}

/// Where a part of the text comes from.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// The byte at which it begins here.
    own: usize,
    /// Its code point and its byte in the original.
    point: usize,
    byte: usize,
    /// It is ASCII, of any length; else one character with what combines with it.
    is_ascii: bool,
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
        let (mut rest, mut point) = (text, 0);
        let mut segment = String::new();
        while let Some(first) = rest.chars().next() {
            let mut place = Place {
                own: folded.text.len(),
                point,
                byte: text.len() - rest.len(),
                is_ascii: true,
            };
            let length = plain(rest);
            if length > 0 {
                let (part, behind) = rest.split_at_checked(length).unwrap_or((rest, ""));
                folded.text.push_str(part);
                point += length;
                rest = behind;
            } else {
                place.is_ascii = false;
                let marks = |c: &char| canonical_combining_class(*c) != 0;
                // What combines belongs to the character that it stands on.
                let all = std::iter::once(first).chain(rest.chars().skip(1).take_while(marks));
                segment.clear();
                segment.extend(all.inspect(|_| point += 1));
                segment.nfc().for_each(|c| fold(c, &mut folded.text));
                rest = rest.get(segment.len()..).unwrap_or_default();
            }
            folded.places.push(place);
        }
        folded.places.push(Place {
            own: folded.text.len(),
            point,
            byte: text.len(),
            is_ascii: false,
        });
        folded.text.make_ascii_lowercase();
        folded
    }

    /// The code point and the byte of the original that a byte comes from; `None` when it lies
    /// inside of what was one character there.
    pub(super) fn origin(&self, byte: usize) -> Option<(usize, usize)> {
        if self.places.is_empty() {
            return Some((byte, byte));
        }
        let behind = self.places.partition_point(|place| place.own <= byte);
        let place = self.places.get(behind.checked_sub(1)?)?;
        let inside = byte - place.own;
        (inside == 0 || place.is_ascii).then_some((place.point + inside, place.byte + inside))
    }
}

/// How many bytes of ASCII a text begins with, without one on which a mark stands.
fn plain(text: &str) -> usize {
    let end = text.bytes().position(|byte| !byte.is_ascii());
    let Some(end) = end else { return text.len() };
    let next = text.get(end..).and_then(|rest| rest.chars().next());
    let is_mark = next.is_some_and(|c| canonical_combining_class(c) != 0);
    end.saturating_sub(usize::from(is_mark))
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
