//! Where words begin and end in a text of ASCII, eight letters at a time.
//!
//! To look at each letter costs a wrongly predicted branch at most ends of words, which is more than
//! the letters cost. Here a bit tells for each of 64 letters whether it is part of a word, and words
//! are found by counting zeros.

/// One in each byte of a word of the processor.
const ONES: u64 = u64::MAX / 0xff;
/// The highest bit of each byte, which tells what a byte of ASCII is.
const HIGH: u64 = ONES * 0x80;

/// The highest bit of each byte that is at least `least`, of bytes of ASCII.
const fn at_least(bytes: u64, least: u8) -> u64 {
    (bytes + ONES * (0x80 - least as u64)) & HIGH
}

const fn between(bytes: u64, first: u8, last: u8) -> u64 {
    at_least(bytes, first) & !at_least(bytes, last + 1)
}

/// Letters from A to Z in both cases.
pub(crate) const fn letters(bytes: u64) -> u64 {
    between(bytes | (ONES * 0x20), b'a', b'z')
}

/// Letters from A to Z in upper case.
pub(crate) const fn capitals(bytes: u64) -> u64 {
    between(bytes, b'A', b'Z')
}

/// Eight bytes in lower case of ASCII; other bytes are as they were.
pub(crate) const fn lower(bytes: u64) -> u64 {
    let capitals = capitals(bytes & !HIGH) & !bytes;
    bytes | capitals >> 2
}

/// Python's `\w`.
const fn word(bytes: u64) -> u64 {
    letters(bytes) | between(bytes, b'0', b'9') | between(bytes, b'_', b'_')
}

/// What is not white space for Python's `str.split`.
const fn filled(bytes: u64) -> u64 {
    !(between(bytes, b'\t', b'\r') | between(bytes, 0x1c, b' ')) & HIGH
}

/// Whether a text is ASCII. The standard library looks at the last up to 63 bytes one by one, which
/// for a text of a few lines is most of the time. Here both ends of a text are looked at, which meet
/// in it: without a loop whose end the processor has to guess.
pub(crate) fn is_ascii(text: &str) -> bool {
    let text = text.as_bytes();
    match text.len() {
        ..16 => text.iter().fold(0, |all, byte| all | byte).is_ascii(),
        16..=32 => ends::<16>(text),
        33..=64 => ends::<32>(text),
        65..=128 => ends::<64>(text),
        129..=256 => ends::<128>(text),
        _ => text.as_chunks::<128>().0.iter().all(all) && text.last_chunk().is_none_or(all::<128>),
    }
}

/// Whether the first `N` bytes and the last ones are ASCII.
#[inline]
fn ends<const N: usize>(text: &[u8]) -> bool {
    text.first_chunk().is_none_or(all::<N>) && text.last_chunk().is_none_or(all::<N>)
}

#[inline]
fn all<const N: usize>(bytes: &[u8; N]) -> bool {
    bytes.iter().fold(0, |all, byte| all | byte).is_ascii()
}

/// How many bytes of a text of ASCII pass.
pub(crate) fn count(text: &[u8], passes: impl Fn(u64) -> u64) -> usize {
    let (words, rest) = text.as_chunks::<8>();
    let mut count = 0;
    // Each byte of a sum counts at most as often as there are words.
    for words in words.chunks(255) {
        let sum: u64 = words
            .iter()
            .map(|word| passes(u64::from_le_bytes(*word)) >> 7)
            .sum();
        count += sum
            .to_le_bytes()
            .iter()
            .copied()
            .map(usize::from)
            .sum::<usize>();
    }
    let passed = |byte: &&u8| passes(u64::from(**byte)) & 0x80 != 0;
    count + rest.iter().filter(passed).count()
}

/// The longest runs of bytes that pass, in a text of ASCII.
pub(crate) struct Runs<'a, P> {
    text: &'a str,
    passes: P,
    /// Where the block of 64 bytes begins that comes after this one.
    next: usize,
    /// The places of this block where a run begins or ends.
    edges: u64,
    /// Whether the last byte of this block was in a run.
    inside: bool,
}

/// The runs of `\w+` of a text of ASCII.
pub(crate) fn words(text: &str) -> Runs<'_, impl Fn(u64) -> u64> {
    Runs::new(text, word)
}

/// What is between white space in a text of ASCII.
pub(crate) fn between_spaces(text: &str) -> Runs<'_, impl Fn(u64) -> u64> {
    Runs::new(text, filled)
}

impl<'a, P: Fn(u64) -> u64> Runs<'a, P> {
    fn new(text: &'a str, passes: P) -> Self {
        Self {
            text,
            passes,
            next: 0,
            edges: 0,
            inside: false,
        }
    }

    /// A bit for each byte of the next block that passes; `None` behind the text.
    #[inline]
    fn block(&mut self) -> Option<u64> {
        let rest = self.text.as_bytes().get(self.next..)?;
        if rest.is_empty() {
            return None;
        }
        self.next += 64;
        let block = rest.get(..64).unwrap_or(rest);
        let (words, rest) = block.as_chunks::<8>();
        let mut bits = 0;
        let mut at = 0;
        for word in words {
            bits |= gather((self.passes)(u64::from_le_bytes(*word))) << at;
            at += 8;
        }
        if !rest.is_empty() {
            let word = rest
                .iter()
                .rev()
                .fold(0, |word, byte| word << 8 | u64::from(*byte));
            let own = (1 << rest.len()) - 1;
            bits |= (gather((self.passes)(word)) & own) << at;
        }
        Some(bits)
    }

    /// Goes on to the next block in which a run begins or ends; `None` when there is none.
    #[inline(never)]
    fn go_on(&mut self) -> Option<()> {
        while self.edges == 0 {
            let bits = self.block()?;
            self.edges = bits ^ (bits << 1 | u64::from(self.inside));
            self.inside = bits >> 63 == 1;
        }
        Some(())
    }

    /// The next place where a run begins or ends.
    #[inline]
    fn edge(&mut self) -> Option<usize> {
        if self.edges == 0 {
            self.go_on()?;
        }
        let place = self.edges.trailing_zeros() as usize;
        self.edges &= self.edges - 1;
        Some(self.next - 64 + place)
    }

    /// Beginning and end of the next run.
    #[inline]
    pub(crate) fn next_place(&mut self) -> Option<(usize, usize)> {
        let start = self.edge()?;
        Some((start, self.edge().unwrap_or(self.text.len())))
    }
}

impl<'a, P: Fn(u64) -> u64> Iterator for Runs<'a, P> {
    type Item = &'a str;

    #[inline]
    fn next(&mut self) -> Option<&'a str> {
        let (start, end) = self.next_place()?;
        self.text.get(start..end)
    }
}

/// The highest bits of eight bytes as eight bits.
const fn gather(high: u64) -> u64 {
    (high >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn one_letter_beyond_ascii_is_seen(length in 0_usize..1_100, place in 0_usize..1_100) {
            let mut text = "a".repeat(length);
            prop_assert!(is_ascii(&text));
            text.insert(place.min(length), 'é');
            prop_assert!(!is_ascii(&text));
        }

        #[test]
        fn lower_case_is_that_of_ascii(bytes: u64) {
            let expected = bytes.to_le_bytes().map(|byte| byte.to_ascii_lowercase());
            prop_assert_eq!(lower(bytes).to_le_bytes(), expected);
        }

        /// Against the plain way, at all lengths around a block.
        #[test]
        fn runs_are_what_is_between(text in "[a_Z 1\\t.]{0,140}|[\\x00-\\x7f]{0,140}|[a]{60,70}[ ]?[a]{0,70}") {
            let plain = |inside: &dyn Fn(char) -> bool| -> Vec<String> {
                let parts = text.split(|c| !inside(c)).filter(|part| !part.is_empty());
                parts.map(str::to_owned).collect()
            };
            let word = |c: char| c == '_' || c.is_ascii_alphanumeric();
            prop_assert_eq!(words(&text).collect::<Vec<_>>(), plain(&word));
            let space = |c: char| matches!(c, '\t'..='\r' | '\u{1c}'..=' ');
            prop_assert_eq!(between_spaces(&text).collect::<Vec<_>>(), plain(&|c| !space(c)));
            let long = text.repeat(20);
            for text in [text.as_bytes(), long.as_bytes()] {
                let counted = |test: fn(&u8) -> bool| text.iter().filter(|byte| test(byte)).count();
                prop_assert_eq!(count(text, letters), counted(u8::is_ascii_alphabetic));
                prop_assert_eq!(count(text, capitals), counted(u8::is_ascii_uppercase));
            }
        }
    }
}
