//! Texts as they stand in JSON, letter by letter as `serde_json` writes them.
//!
//! Rows and questions are mostly long texts in which little has to be escaped. These functions look for
//! it in blocks, which costs a fraction of writing letter by letter.

const ONES: u64 = u64::MAX / 255;
const HIGH: u64 = ONES * 0x80;

/// Bytes that are looked at in one go: the compiler makes vectors of it.
const BLOCK: usize = 64;
/// Bytes of a vector that every machine has.
const LANES: usize = 16;

/// How many bytes at the beginning a JSON string holds as they are: up to the first quote,
/// backslash or control character.
///
/// ```
/// use opik_core::json::escape::plain_prefix;
///
/// assert_eq!(plain_prefix(b"said \"yes\""), 5);
/// assert_eq!(plain_prefix("déjà vu".as_bytes()), 9);
/// ```
#[inline]
#[must_use]
pub fn plain_prefix(bytes: &[u8]) -> usize {
    let (blocks, rest) = bytes.as_chunks::<BLOCK>();
    let plain = |block: &[u8; BLOCK]| {
        let mut least = [u8::MAX; LANES];
        for part in block.as_chunks::<LANES>().0 {
            for (least, byte) in least.iter_mut().zip(part) {
                *least = (*least).min(zero_if_special(*byte));
            }
        }
        #[expect(clippy::manual_contains, reason = "that searches byte by byte")]
        let special = least.iter().any(|least| *least == 0);
        !special
    };
    let before = blocks.iter().position(|block| !plain(block));
    let before = before.map_or(bytes.len() - rest.len(), |block| block * BLOCK);
    before + plain_prefix_by_words(bytes.get(before..).unwrap_or_default())
}

/// Zero for a quote, a backslash or a control character. Least values are what vectors are quick at.
#[inline]
fn zero_if_special(byte: u8) -> u8 {
    (byte ^ b'"').min(byte ^ b'\\').min(byte & 0xe0)
}

fn special(byte: u8) -> bool {
    (byte < 0x20) | (byte == b'"') | (byte == b'\\')
}

#[inline]
fn plain_prefix_by_words(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let special = special_bytes(*word);
        if special != 0 {
            return index * 8 + (special.trailing_zeros() / 8) as usize;
        }
    }
    // The last eight bytes once more instead of the rest one by one.
    if let Some(last) = bytes.last_chunk::<8>() {
        let special = special_bytes(*last);
        return if special == 0 {
            bytes.len()
        } else {
            bytes.len() - 8 + (special.trailing_zeros() / 8) as usize
        };
    }
    let special = |byte: &u8| special(*byte);
    rest.iter().position(special).unwrap_or(rest.len())
}

/// A high bit for every quote, backslash or control character. Above the lowest of them there may be
/// more: borrows go upwards.
#[inline]
fn special_bytes(word: [u8; 8]) -> u64 {
    let word = u64::from_le_bytes(word);
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    let quote = zero(word ^ (ONES * u64::from(b'"')));
    let backslash = zero(word ^ (ONES * u64::from(b'\\')));
    (control | quote | backslash) & HIGH
}

/// A text as it stands between the quotes, part by part.
///
/// ```
/// use opik_core::json::escape::escaped_parts;
///
/// let mut out = String::new();
/// escaped_parts("two\nlines", |part| out.push_str(part));
/// assert_eq!(out, r"two\nlines");
/// ```
#[inline]
pub fn escaped_parts(text: &str, mut part: impl FnMut(&str)) {
    let mut rest = text;
    loop {
        let plain = plain_prefix(rest.as_bytes());
        let (plain, special) = rest.split_at_checked(plain).unwrap_or((rest, ""));
        part(plain);
        let mut letters = special.chars();
        let Some(letter) = letters.next() else {
            return;
        };
        part(match letter {
            '"' => "\\\"",
            '\\' => "\\\\",
            // Nothing else is no plain letter.
            control => CONTROLS.get(control as usize).copied().unwrap_or_default(),
        });
        rest = letters.as_str();
    }
}

/// Appends a text as a JSON string, with its quotation marks.
///
/// ```
/// use opik_core::json::escape::push_string;
///
/// let mut out = String::new();
/// push_string(&mut out, "say \"hi\"");
/// assert_eq!(out, r#""say \"hi\"""#);
/// ```
pub fn push_string(out: &mut String, text: &str) {
    // Some of most texts is written with one byte more.
    out.reserve(text.len() + text.len() / 32 + 2);
    out.push('"');
    escaped_parts(text, |part| out.push_str(part));
    out.push('"');
}

/// Control characters as they are escaped.
const CONTROLS: [&str; 32] = [
    "\\u0000", "\\u0001", "\\u0002", "\\u0003", "\\u0004", "\\u0005", "\\u0006", "\\u0007", "\\b",
    "\\t", "\\n", "\\u000b", "\\f", "\\r", "\\u000e", "\\u000f", "\\u0010", "\\u0011", "\\u0012",
    "\\u0013", "\\u0014", "\\u0015", "\\u0016", "\\u0017", "\\u0018", "\\u0019", "\\u001a",
    "\\u001b", "\\u001c", "\\u001d", "\\u001e", "\\u001f",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str) -> String {
        let mut out = String::new();
        push_string(&mut out, text);
        out
    }

    #[test]
    fn every_character_of_one_byte_is_written_at_every_place_of_a_word() {
        for byte in 0..0x80_u8 {
            for before in 0..9 {
                let text = format!("{}{}aaaaaaaaa", "é".repeat(before), char::from(byte));
                assert_eq!(written(&text), serde_json::to_string(&text).unwrap());
            }
        }
    }

    proptest! {
        #[test]
        fn texts_are_written_as_serde_json_writes_them(
            text in any::<String>(),
            mixed in "([ -~]{0,12}|[\u{0}-\u{22}\\\\]{0,3}|\\PC{0,3}){0,12}",
            long in r#"[a-zé ]{0,150}["\n\u{1f} ][a-z]{0,90}\\[a-z]{0,70}"#,
        ) {
            for text in [text, mixed, long] {
                prop_assert_eq!(written(&text), serde_json::to_string(&text).unwrap());
            }
        }
    }
}
