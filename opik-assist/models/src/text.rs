//! Texts as JSON, byte by byte as `serde_json` writes them, and looked at by words of eight bytes: a
//! question carries kilobytes of evidence, and writing them was most of the effort of asking.

/// The lowest bit of every byte.
const ONES: u64 = u64::MAX / 255;
/// The highest bit of every byte.
const HIGHS: u64 = ONES << 7;

/// Appends a text with its quotation marks.
pub(crate) fn push_json(out: &mut String, text: &str) {
    // Some of most texts is written with one byte more.
    out.reserve(text.len() + text.len() / 32 + 2);
    out.push('"');
    let mut rest = text;
    loop {
        let (plain, other) = rest
            .split_at_checked(plain_prefix(rest.as_bytes()))
            .unwrap_or((rest, ""));
        out.push_str(plain);
        let mut letters = other.chars();
        let Some(letter) = letters.next() else {
            break;
        };
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            control => out.push_str(&format!("\\u{:04x}", u32::from(control))),
        }
        rest = letters.as_str();
    }
    out.push('"');
}

/// How many bytes at the beginning stay as they are.
fn plain_prefix(bytes: &[u8]) -> usize {
    let (words, _) = bytes.as_chunks::<8>();
    let mut at = 0;
    for word in words {
        let marks = marks(u64::from_le_bytes(*word));
        if marks != 0 {
            return at + marks.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let is_plain = |byte: &&u8| !matches!(byte, 0..0x20 | b'"' | b'\\');
    at + bytes.iter().skip(at).take_while(is_plain).count()
}

/// The highest bit of bytes that are written otherwise. The first mark is exact; what follows it may be a
/// borrow.
fn marks(word: u64) -> u64 {
    let is_below = |word: u64, least: u64| word.wrapping_sub(ONES * least) & !word;
    let is = |byte: u8| is_below(word ^ (ONES * u64::from(byte)), 1);
    (is_below(word, 0x20) | is(b'"') | is(b'\\')) & HIGHS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str) -> String {
        let mut out = String::new();
        push_json(&mut out, text);
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
        fn texts_are_written_as_serde_json_writes_them(text in "([ -~]{0,12}|[\u{0}-\u{22}\\\\]{0,3}|\\PC{0,3}){0,12}") {
            prop_assert_eq!(written(&text), serde_json::to_string(&text).unwrap());
        }
    }
}
