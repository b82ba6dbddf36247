//! Comparison of texts without regard to case, without making copies in lower case.

use super::runs;

/// Bytes that are compared at once.
const CHUNK: usize = 16;

/// Whether two texts are equal in lower case; `None` when it takes more than ASCII to tell.
///
/// Letters of ASCII are in lower case what they are whatever stands beside them. So texts differ
/// where two of them do, and when one text is ASCII and the other goes on behind it.
pub(super) fn equal(one: &str, other: &str) -> Option<bool> {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let (chunks, others) = (one.as_chunks::<CHUNK>().0, other.as_chunks::<CHUNK>().0);
    for (chunk, other) in chunks.iter().zip(others) {
        if let decided @ (None | Some(false)) = compare(chunk, other) {
            return decided;
        }
    }
    let done = chunks.len().min(others.len()) * CHUNK;
    let rest = |text: &[u8]| text.len() - done;
    let both = rest(one).min(rest(other));
    let same = compare(
        one.get(done..done + both).unwrap_or_default(),
        other.get(done..done + both).unwrap_or_default(),
    )?;
    Some(same && one.len() == other.len())
}

/// The same of two pieces of equal length.
#[inline]
fn compare(one: &[u8], other: &[u8]) -> Option<bool> {
    let (mut all, mut differs) = (0, 0);
    for (a, b) in one.iter().zip(other) {
        all |= a | b;
        differs |= a.to_ascii_lowercase() ^ b.to_ascii_lowercase();
    }
    all.is_ascii().then_some(differs == 0)
}

/// How many bytes two texts have in common at their beginning, upper and lower case of ASCII being
/// the same if wanted.
pub(super) fn prefix(one: &[u8], other: &[u8], ignore_case: bool) -> usize {
    let (words, others) = (one.as_chunks::<8>().0, other.as_chunks::<8>().0);
    let mut at = 0;
    for (a, b) in words.iter().zip(others) {
        let (a, b) = (u64::from_le_bytes(*a), u64::from_le_bytes(*b));
        // Most are the same as they are.
        if a != b {
            let differs = difference(a, b, ignore_case);
            if differs != 0 {
                return at + differs.trailing_zeros() as usize / 8;
            }
        }
        at += 8;
    }
    let rest = |text| <[u8]>::get(text, at..).unwrap_or_default();
    let both = rest(one).iter().zip(rest(other));
    let more = both.take_while(|(a, b)| same(**a, **b, ignore_case));
    at + more.count()
}

/// The same of their end.
pub(super) fn suffix(one: &[u8], other: &[u8], ignore_case: bool) -> usize {
    let (words, others) = (one.as_rchunks::<8>().1, other.as_rchunks::<8>().1);
    let mut at = 0;
    for (a, b) in words.iter().rev().zip(others.iter().rev()) {
        let (a, b) = (u64::from_le_bytes(*a), u64::from_le_bytes(*b));
        if a != b {
            let differs = difference(a, b, ignore_case);
            if differs != 0 {
                return at + differs.leading_zeros() as usize / 8;
            }
        }
        at += 8;
    }
    let rest = |text| <[u8]>::get(text, ..<[u8]>::len(text) - at).unwrap_or_default();
    let both = rest(one).iter().rev().zip(rest(other).iter().rev());
    let more = both.take_while(|(a, b)| same(**a, **b, ignore_case));
    at + more.count()
}

/// The bits in which eight bytes differ from eight others, none where the letter is the same.
#[inline]
fn difference(one: u64, other: u64, ignore_case: bool) -> u64 {
    if ignore_case {
        runs::lower(one) ^ runs::lower(other)
    } else {
        one ^ other
    }
}

#[inline]
fn same(one: u8, other: u8, ignore_case: bool) -> bool {
    one == other || (ignore_case && one.eq_ignore_ascii_case(&other))
}

/// Places that are tried one by one; preparing a search for a long text takes longer.
const FEW: usize = 64;

/// Whether one text is in another, upper and lower case being the same; `None` when that has to be
/// searched for, or takes more than ASCII.
pub(super) fn contains(whole: &str, part: &str) -> Option<bool> {
    if !(runs::is_ascii(whole) && runs::is_ascii(part)) {
        return None;
    }
    let (whole, part) = (whole.as_bytes(), part.as_bytes());
    let Some(places) = whole.len().checked_sub(part.len()) else {
        return Some(false);
    };
    let Some(first) = part.first() else {
        return Some(true);
    };
    if places >= FEW {
        return None;
    }
    let starts = whole.get(..=places)?;
    let at = |place: usize| {
        let rest = whole.get(place..).unwrap_or_default();
        prefix(rest, part, true) == part.len()
    };
    let (lower, upper) = (first.to_ascii_lowercase(), first.to_ascii_uppercase());
    Some(memchr::memchr2_iter(lower, upper, starts).any(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Against copies in lower case. `İ` and `K` get more and fewer bytes there, and `Σ` depends
        /// on what stands beside it.
        #[test]
        fn answers_are_those_of_copies_in_lower_case(
            shared in "[aAbB]{0,40}", one in "[aAbBİΣK]{0,20}", other in "[aAbBi̇σςk]{0,20}", end in "[aA]{0,40}",
        ) {
            for (one, other) in [
                (format!("{shared}{one}{end}"), format!("{}{other}{end}", shared.to_lowercase())),
                (shared.clone() + &end, shared.to_uppercase() + &other),
                (one, other),
            ] {
                let lower = (one.to_lowercase(), other.to_lowercase());
                if let Some(same) = equal(&one, &other) {
                    prop_assert_eq!(same, lower.0 == lower.1, "{:?} {:?}", one, other);
                } else {
                    prop_assert!(!(one.is_ascii() && other.is_ascii()));
                }
                if let Some(found) = contains(&one, &other) {
                    prop_assert_eq!(found, lower.0.contains(&lower.1), "{:?} {:?}", one, other);
                }
                for ignore_case in [true, false] {
                    let fold = |text: &str| if ignore_case { text.to_ascii_lowercase() } else { text.to_owned() };
                    let (a, b) = (fold(&one).into_bytes(), fold(&other).into_bytes());
                    let length = |pairs: &mut dyn Iterator<Item = (&u8, &u8)>| pairs.take_while(|(a, b)| a == b).count();
                    prop_assert_eq!(
                        prefix(one.as_bytes(), other.as_bytes(), ignore_case),
                        length(&mut a.iter().zip(&b))
                    );
                    prop_assert_eq!(
                        suffix(one.as_bytes(), other.as_bytes(), ignore_case),
                        length(&mut a.iter().rev().zip(b.iter().rev()))
                    );
                }
            }
        }
    }
}
