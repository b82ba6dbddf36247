//! Words as numbers: finding one then touches one place in memory.

/// The first bytes of a word as a number that sorts as they do; the lowest byte tells how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Prefix(u128);

impl Prefix {
    /// Bytes of a word that fit.
    const MOST: usize = 15;
    /// In place of the length of a longer word.
    const CUT: u128 = 0xff;

    pub(super) fn of(word: &[u8]) -> Self {
        let len = word.len() as u128;
        let wide = |bytes: u64| u128::from(bytes) << 64;
        if let Some((first, rest)) = word.split_first_chunk() {
            let high = wide(u64::from_be_bytes(*first));
            if rest.is_empty() {
                return Self(high | len);
            }
            // The last eight bytes overlap the first ones; the overlap is shifted out.
            if rest.len() <= Self::MOST - 8
                && let Some(last) = word.last_chunk()
            {
                let low = u64::from_be_bytes(*last) << (8 * (8 - rest.len()));
                return Self(high | u128::from(low) | len);
            }
            let low = rest.first_chunk().copied().map_or(0, u64::from_be_bytes) & !0xff;
            return Self(high | u128::from(low) | Self::CUT);
        }
        if let (Some((first, rest)), Some(last)) = (word.split_first_chunk(), word.last_chunk()) {
            let high = u64::from(u32::from_be_bytes(*first)) << 32;
            // Of four bytes nothing is left.
            let low =
                (u64::from(u32::from_be_bytes(*last)) << (8 * (4 - rest.len()))) & 0xffff_ffff;
            return Self(wide(high | low) | len);
        }
        let mut high = 0;
        for (byte, place) in word.iter().zip([56, 48, 40]) {
            high |= u64::from(*byte) << place;
        }
        Self(wide(high) | len)
    }

    /// Whether all of the word is in it.
    pub(super) fn is_whole(self) -> bool {
        self.0 & 0xff != Self::CUT
    }

    /// The bytes, and the length of the whole word if that is known.
    pub(super) fn bytes(self) -> ([u8; 16], usize) {
        let bytes = self.0.to_be_bytes();
        let [.., len] = bytes;
        (bytes, usize::from(len))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn prefixes_sort_as_words_do_and_short_words_are_whole(
            a in "[a-c0-9]{0,18}",
            b in "[a-c0-9]{0,18}",
            shared in "[a-z]{0,16}",
        ) {
            for (a, b) in [(a.clone(), b.clone()), (format!("{shared}{a}"), format!("{shared}{b}"))] {
                let (first, second) = (Prefix::of(a.as_bytes()), Prefix::of(b.as_bytes()));
                let whole = first.is_whole() || second.is_whole();
                if whole || first != second {
                    prop_assert_eq!(first.cmp(&second), a.cmp(&b), "{} {}", a, b);
                }
                prop_assert_eq!(first.is_whole(), a.len() <= Prefix::MOST);
                if first.is_whole() {
                    let (bytes, len) = first.bytes();
                    prop_assert_eq!(bytes.get(..len), Some(a.as_bytes()));
                }
            }
        }
    }
}
