//! The primitives of the column blobs: variable-length integers, texts, numbers.

use crate::error::StoreError;

/// Appends an unsigned number, seven bits to a byte, lowest first.
pub(crate) fn put_u64(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(low_byte(n) | 0x80);
        n >>= 7;
    }
    out.push(low_byte(n));
}

/// Appends a signed number: small magnitudes are short.
pub(crate) fn put_i64(out: &mut Vec<u8>, n: i64) {
    put_u64(out, ((n << 1) ^ (n >> 63)).cast_unsigned());
}

/// Appends a wide signed number.
pub(crate) fn put_i128(out: &mut Vec<u8>, n: i128) {
    let mut n = ((n << 1) ^ (n >> 127)).cast_unsigned();
    while n >= 0x80 {
        out.push(n.to_le_bytes()[0] & 0x7f | 0x80);
        n >>= 7;
    }
    out.push(n.to_le_bytes()[0]);
}

/// Appends a length, or any other count.
pub(crate) fn put_len(out: &mut Vec<u8>, n: usize) {
    put_u64(out, n as u64);
}

/// Appends a text with its length.
pub(crate) fn put_str(out: &mut Vec<u8>, text: &str) {
    put_len(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// Appends a number bit by bit.
pub(crate) fn put_f64(out: &mut Vec<u8>, n: f64) {
    out.extend_from_slice(&n.to_bits().to_le_bytes());
}

fn low_byte(n: u64) -> u8 {
    let [low, ..] = n.to_le_bytes();
    low & 0x7f
}

/// Reads what the functions above wrote.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a>(&'a [u8]);

const SHORT: StoreError = StoreError::Damaged("a column blob ends too early");

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn byte(&mut self) -> Result<u8, StoreError> {
        // Not `ok_or`: that makes and drops an error for every byte.
        let Some((&first, rest)) = self.0.split_first() else {
            return Err(SHORT);
        };
        self.0 = rest;
        Ok(first)
    }

    #[inline]
    pub(crate) fn u64(&mut self) -> Result<u64, StoreError> {
        if let Some((&first, rest)) = self.0.split_first()
            && first < 0x80
        {
            self.0 = rest;
            return Ok(u64::from(first));
        }
        self.long_u64()
    }

    fn long_u64(&mut self) -> Result<u64, StoreError> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(n);
            }
        }
        Err(StoreError::Damaged("a number in a column blob is too long"))
    }

    #[inline]
    pub(crate) fn i64(&mut self) -> Result<i64, StoreError> {
        let n = self.u64()?;
        Ok((n >> 1).cast_signed() ^ -(n & 1).cast_signed())
    }

    pub(crate) fn i128(&mut self) -> Result<i128, StoreError> {
        // Nearly all are short, and wide arithmetic is not free.
        let mut low = 0u64;
        for (at, &byte) in self.0.iter().take(9).enumerate() {
            low |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                self.0 = self.0.get(at + 1..).unwrap_or_default();
                return Ok(i128::from(
                    (low >> 1).cast_signed() ^ -(low & 1).cast_signed(),
                ));
            }
        }
        let mut n = 0u128;
        for shift in (0..128).step_by(7) {
            let byte = self.byte()?;
            n |= u128::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok((n >> 1).cast_signed() ^ -(n & 1).cast_signed());
            }
        }
        Err(StoreError::Damaged("a number in a column blob is too long"))
    }

    pub(crate) fn len(&mut self) -> Result<usize, StoreError> {
        usize::try_from(self.u64()?).map_err(|_| SHORT)
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8], StoreError> {
        let Some((bytes, rest)) = self.0.split_at_checked(len) else {
            return Err(SHORT);
        };
        self.0 = rest;
        Ok(bytes)
    }

    pub(crate) fn str(&mut self) -> Result<&'a str, StoreError> {
        let len = self.len()?;
        str_of(self.bytes(len)?)
    }

    pub(crate) fn f64(&mut self) -> Result<f64, StoreError> {
        Ok(f64::from_bits(u64::from_le_bytes(self.array()?)))
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let Some((head, rest)) = self.0.split_first_chunk::<N>() else {
            return Err(SHORT);
        };
        self.0 = rest;
        Ok(*head)
    }
}

/// Text that was written as text.
pub(crate) fn str_of(bytes: &[u8]) -> Result<&str, StoreError> {
    simdutf8::basic::from_utf8(bytes).map_err(|_| StoreError::Damaged("a text is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_number_and_text_reads_back(
            a in any::<u64>(), b in any::<i64>(), c in any::<i128>(), d in any::<u64>(), e in ".*",
        ) {
            let mut out = Vec::new();
            put_u64(&mut out, a);
            put_i64(&mut out, b);
            put_i128(&mut out, c);
            put_f64(&mut out, f64::from_bits(d));
            put_str(&mut out, &e);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.u64().unwrap(), a);
            prop_assert_eq!(reader.i64().unwrap(), b);
            prop_assert_eq!(reader.i128().unwrap(), c);
            prop_assert_eq!(reader.f64().unwrap().to_bits(), d);
            prop_assert_eq!(reader.str().unwrap(), e);
            prop_assert!(reader.is_empty());
        }

        #[test]
        fn damaged_bytes_are_an_error_and_not_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut reader = Reader::new(&bytes);
            while reader.str().is_ok() && !reader.is_empty() {}
            let mut reader = Reader::new(&bytes);
            while reader.i128().is_ok() {}
            prop_assert!(reader.0.len() <= bytes.len());
        }
    }
}
