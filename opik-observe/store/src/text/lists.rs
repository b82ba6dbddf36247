//! Lists of numbers in order: gaps in a Rice code.
//!
//! A gap is its quotient by a power of two, as that many zeros and a one, and its remainder in the
//! bits below that power. The power is near the mean gap, so that a number takes about as many bits
//! as it tells: one or two of a frequent word, ten of a rare one. What is left of the last byte is
//! zeros, which end no quotient.
//!
//! ```text
//! list = (bytes << 5 | logarithm of the power):varint bits
//! ```

use crate::codec::bytes::{Reader, put_u64};
use crate::error::StoreError;

/// Bits of a head that tell the power.
const POWER: u32 = 5;
/// Bits that are written at once at most.
const PIECE: u32 = 32;
/// Bits from which on no more are read.
const ROOM: u32 = 48;

const BROKEN: StoreError = StoreError::Damaged("a list of the text index is broken");

/// Bits in bytes, the lowest first.
#[derive(Debug, Default)]
pub(super) struct Bits {
    bytes: Vec<u8>,
    open: u64,
    filled: u32,
}

impl Bits {
    /// Adds up to [`PIECE`] bits.
    fn put(&mut self, value: u64, bits: u32) {
        self.open |= value << self.filled;
        self.filled += bits;
        if self.filled >= PIECE {
            let [b0, b1, b2, b3, ..] = self.open.to_le_bytes();
            self.bytes.extend_from_slice(&[b0, b1, b2, b3]);
            self.open >>= PIECE;
            self.filled -= PIECE;
        }
    }

    fn gap(&mut self, gap: u32, power: u32) {
        let mut quotient = gap >> power;
        while quotient.saturating_add(1 + power) > PIECE {
            let zeros = quotient.min(PIECE);
            self.put(0, zeros);
            quotient -= zeros;
        }
        let rest = u64::from(gap & ((1 << power) - 1));
        self.put((rest << 1 | 1) << quotient, quotient + 1 + power);
    }

    fn finish(&mut self) {
        while self.filled > 0 {
            let [low, ..] = self.open.to_le_bytes();
            self.bytes.push(low);
            self.open >>= 8;
            self.filled = self.filled.saturating_sub(8);
        }
    }

    /// Appends a list of numbers, which are in order and without repetition.
    pub(super) fn put_list(&mut self, out: &mut Vec<u8>, numbers: &[u32]) {
        self.bytes.clear();
        let count = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        let left_out = numbers
            .last()
            .map_or(0, |last| last.saturating_add(1).saturating_sub(count));
        let power = (left_out / count.max(1)).max(1).ilog2();
        let mut next = 0u32;
        for &number in numbers {
            self.gap(number.wrapping_sub(next), power);
            next = number.wrapping_add(1);
        }
        self.finish();
        put_u64(out, (self.bytes.len() as u64) << POWER | u64::from(power));
        out.extend_from_slice(&self.bytes);
    }
}

/// A list as it is stored.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct List<'p> {
    power: u32,
    bytes: &'p [u8],
}

impl<'p> List<'p> {
    /// Takes a list off a page.
    pub(super) fn take(page: &mut Reader<'p>) -> Result<Self, StoreError> {
        let head = page.u64()?;
        let power = u32::try_from(head & ((1 << POWER) - 1)).unwrap_or(0);
        let len = usize::try_from(head >> POWER).map_err(|_| BROKEN)?;
        Ok(Self {
            power,
            bytes: page.bytes(len)?,
        })
    }

    /// Appends its numbers.
    pub(super) fn read(self, numbers: &mut Vec<u32>) -> Result<(), StoreError> {
        // No number has fewer bits than its remainder and the one.
        numbers.reserve(self.bytes.len().saturating_mul(8) / (self.power as usize + 1));
        let mut rest = Rest {
            bytes: self.bytes,
            open: 0,
            filled: 0,
        };
        let mut next = 0u32;
        let mut quotient = 0u32;
        loop {
            rest.fill();
            let zeros = rest.open.trailing_zeros();
            if zeros >= rest.filled {
                if rest.bytes.is_empty() {
                    // Nothing more to come.
                    return Ok(());
                }
                quotient = quotient.saturating_add(rest.filled);
                rest.skip(rest.filled);
                continue;
            }
            quotient = quotient.saturating_add(zeros);
            rest.skip(zeros + 1);
            if rest.filled < self.power {
                rest.fill();
                if rest.filled < self.power {
                    return Err(BROKEN);
                }
            }
            let remainder = rest.open & ((1 << self.power) - 1);
            rest.skip(self.power);
            // Not `ok_or`: that makes and drops an error for every number.
            let number = u64::from(next) + (u64::from(quotient) << self.power) + remainder;
            let (Ok(number), Some(after)) = (u32::try_from(number), plus_one(number)) else {
                return Err(BROKEN);
            };
            numbers.push(number);
            next = after;
            quotient = 0;
        }
    }
}

/// Bits that were not read yet.
struct Rest<'p> {
    /// Bytes that do not count as open.
    bytes: &'p [u8],
    /// The next bits, the lowest first. Above those that count there may be some of `bytes` already.
    open: u64,
    /// How many of them count: fewer than 64.
    filled: u32,
}

impl Rest<'_> {
    /// Opens more than [`ROOM`] bits, or all that are left.
    fn fill(&mut self) {
        if self.filled > ROOM {
            return;
        }
        if let Some(next) = self.bytes.first_chunk() {
            self.open |= u64::from_le_bytes(*next) << self.filled;
            let whole = (63 - self.filled) / 8;
            self.bytes = self.bytes.get(whole as usize..).unwrap_or_default();
            self.filled += 8 * whole;
            return;
        }
        while self.filled <= ROOM
            && let Some((&byte, after)) = self.bytes.split_first()
        {
            self.open |= u64::from(byte) << self.filled;
            self.bytes = after;
            self.filled += 8;
        }
    }

    /// Passes over bits that are open.
    fn skip(&mut self, bits: u32) {
        self.open >>= bits;
        self.filled -= bits;
    }
}

fn plus_one(number: u64) -> Option<u32> {
    u32::try_from(number + 1).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn round_trip(numbers: &[u32]) -> (Vec<u32>, usize) {
        let mut page = Vec::new();
        Bits::default().put_list(&mut page, numbers);
        let len = page.len();
        page.push(0xff);
        let mut reader = Reader::new(&page);
        let list = List::take(&mut reader).unwrap();
        assert_eq!(reader.byte().unwrap(), 0xff);
        let mut back = vec![7];
        list.read(&mut back).unwrap();
        assert_eq!(back.remove(0), 7);
        (back, len)
    }

    proptest! {
        #[test]
        fn a_list_comes_back(
            mut numbers in prop::collection::vec(
                prop_oneof![0u32..40, 0u32..5_000, 0u32..3_000_000_000],
                0..300,
            ),
        ) {
            numbers.sort_unstable();
            numbers.dedup();
            prop_assert_eq!(round_trip(&numbers).0, numbers);
        }

        #[test]
        fn damage_is_an_error_or_another_list_and_no_panic(
            bytes in prop::collection::vec(any::<u8>(), 0..64),
        ) {
            let mut numbers = Vec::new();
            if let Ok(list) = List::take(&mut Reader::new(&bytes))
                && list.read(&mut numbers).is_ok()
            {
                prop_assert!(numbers.is_sorted_by(|a, b| a < b));
            }
        }
    }

    #[test]
    fn frequent_words_take_a_bit_or_two_for_each_place() {
        let all: Vec<u32> = (0..8_000).collect();
        assert_eq!(round_trip(&all), (all, 1_003));
        let few: Vec<u32> = (0..100).map(|n| n * 1_000 + n % 7 * 100).collect();
        let (back, len) = round_trip(&few);
        assert_eq!(back, few);
        assert!(len < 150, "{len}");
    }
}
