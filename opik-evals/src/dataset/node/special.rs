//! Where a text has a character that JSON escapes.

/// One in each byte of a word of the processor.
const ONES: u64 = u64::MAX / 0xff;
/// The highest bit of each byte.
const HIGH: u64 = ONES * 0x80;

/// The highest bit of the first byte that is below `limit`; bytes behind it may be marked wrongly.
const fn below(bytes: u64, limit: u8) -> u64 {
    bytes.wrapping_sub(ONES * limit as u64) & !bytes & HIGH
}

const fn equal(bytes: u64, byte: u8) -> u64 {
    below(bytes ^ (ONES * byte as u64), 1)
}

fn is_special(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

/// Bytes of a long text that are looked at together.
const LONG: usize = 32;

/// The place of the first quote, backslash or control character. Keys and cells are short, so eight
/// bytes are looked at together, which needs no preparation as longer vectors do; what is longer than
/// a few of these is passed over in vectors.
#[inline]
pub(super) fn special(text: &[u8]) -> Option<usize> {
    let (first, rest) = text.split_at_checked(LONG).unwrap_or((text, &[]));
    by_words(first).or_else(|| if rest.is_empty() { None } else { in_long(text) })
}

/// As [`special`], behind the first bytes of a long text, which has none there.
#[inline(never)]
fn in_long(text: &[u8]) -> Option<usize> {
    let (parts, _) = text.as_chunks::<LONG>();
    // Without a way out the compiler compares all bytes of a part at once.
    let clean = |part: &&[u8; LONG]| !part.iter().fold(false, |any, byte| any | is_special(*byte));
    let from = parts.iter().take_while(clean).count() * LONG;
    by_words(text.get(from..)?).map(|at| from + at)
}

#[inline]
fn by_words(text: &[u8]) -> Option<usize> {
    let (words, rest) = text.as_chunks::<8>();
    for (index, bytes) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*bytes);
        let found = below(word, 0x20) | equal(word, b'"') | equal(word, b'\\');
        if found != 0 {
            return Some(index * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    let at = rest.iter().position(|byte| is_special(*byte))?;
    Some(words.len() * 8 + at)
}

#[cfg(test)]
mod tests {
    use super::special;
    use proptest::prelude::*;

    #[test]
    fn a_long_text_is_searched_to_its_end() {
        for length in 0..200 {
            let mut text = vec![b'x'; length];
            assert_eq!(special(&text), None);
            for at in 0..length {
                text[at] = b'"';
                assert_eq!(special(&text), Some(at), "{length}");
                text[at] = b'x';
            }
        }
    }

    proptest! {
        #[test]
        fn the_first_is_found(text in prop::collection::vec(prop_oneof![
            any::<u8>(), 0x1d..0x24_u8, 0x5a..0x60_u8, 0x7e..0x82_u8, 0xa0..0xa4_u8, 0xdb..0xde_u8
        ], 0..200)) {
            let plain = text.iter().position(|byte| *byte < 0x20 || *byte == b'"' || *byte == b'\\');
            prop_assert_eq!(special(&text), plain);
        }
    }
}
