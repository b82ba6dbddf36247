//! Memory of request bodies, used again for the next request.
//!
//! A body of a thousand rows is larger than what an allocator keeps, so a fresh one costs a page fault for
//! every 4 KiB, twice with compression: more than copying the rows. Kept are two bodies of each kind at
//! most, of 8 MB at most; what is beyond that is freed.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use libdeflater::{CompressionLvl, Compressor};

const KEPT: usize = 2;
const LARGEST: usize = 8_000_000;

/// Level 1 of libdeflate costs an eighth of what the usual level 6 of zlib does, for a tenth more
/// bytes. Level 0, which the library calls its fastest, does not compress.
const LEVEL: i32 = 1;

/// Bodies that are free.
#[derive(Clone, Default)]
pub(super) struct Bodies(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    plain: Vec<Vec<u8>>,
    /// These keep their length, so that it is not written again and again.
    packed: Vec<Vec<u8>>,
    compressors: Vec<Compressor>,
}

/// A body under way. Its memory goes back when the last one who sends it is done.
struct Lent {
    bytes: Vec<u8>,
    packed: bool,
    home: Bodies,
}

impl Bodies {
    /// A body that `write` writes, of about this size.
    pub(super) fn write(&self, size: usize, write: impl FnOnce(&mut Vec<u8>)) -> Bytes {
        let mut bytes = self.with(|kept| kept.plain.pop()).unwrap_or_default();
        bytes.clear();
        bytes.reserve(size);
        write(&mut bytes);
        Bytes::from_owner(self.lend(bytes, false))
    }

    /// The body as gzip; `None` when that does not work out.
    pub(super) fn gzip(&self, body: &[u8]) -> Option<Bytes> {
        let (compressor, bytes) = self.with(|kept| (kept.compressors.pop(), kept.packed.pop()));
        let mut compressor = match compressor {
            Some(compressor) => compressor,
            None => Compressor::new(CompressionLvl::new(LEVEL).ok()?),
        };
        let mut bytes = bytes.unwrap_or_default();
        let bound = compressor.gzip_compress_bound(body.len());
        if bytes.len() < bound {
            bytes.resize(bound, 0);
        }
        let length = compressor.gzip_compress(body, &mut bytes).ok();
        self.with(|kept| {
            if kept.compressors.len() < KEPT {
                kept.compressors.push(compressor);
            }
        });
        let packed = Bytes::from_owner(self.lend(bytes, true));
        Some(packed.slice(..length?))
    }

    fn lend(&self, bytes: Vec<u8>, packed: bool) -> Lent {
        Lent {
            bytes,
            packed,
            home: self.clone(),
        }
    }

    fn with<T>(&self, act: impl FnOnce(&mut Kept) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        if bytes.capacity() > LARGEST {
            return;
        }
        self.home.with(|kept| {
            let free = if self.packed {
                &mut kept.packed
            } else {
                &mut kept.plain
            };
            if free.len() < KEPT {
                free.push(bytes);
            }
        });
    }
}

impl fmt::Debug for Bodies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (plain, packed) = self.with(|kept| (kept.plain.len(), kept.packed.len()));
        f.debug_struct("Bodies")
            .field("plain", &plain)
            .field("packed", &packed)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    fn unpacked(bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::new();
        let mut reader = flate2::read::GzDecoder::new(bytes);
        reader.read_to_end(&mut text).unwrap();
        text
    }

    #[test]
    fn memory_is_used_again_within_bounds() {
        let bodies = Bodies::default();
        let of = |size: usize| bodies.write(size, |out| out.resize(size, b'x'));
        let first = of(100_000);
        let place = first.as_ptr();
        let clone = first.clone();
        drop(first);
        assert_ne!(of(50_000).as_ptr(), place, "still under way");
        drop(clone);
        let all: Vec<Bytes> = (0..5).map(|_| of(10)).collect();
        assert!(all.iter().any(|body| body.as_ptr() == place));
        drop(all);
        assert_eq!(bodies.with(|kept| kept.plain.len()), KEPT);
        drop(of(LARGEST + 1));
        let kept = bodies.with(|kept| kept.plain.iter().map(Vec::capacity).max());
        assert!(kept.unwrap() <= LARGEST);
    }

    #[test]
    fn packing_makes_rows_smaller() {
        let bodies = Bodies::default();
        let rows = "{\"name\":\"chat\",\"model\":\"gpt\"},".repeat(1_000);
        let packed = bodies.gzip(rows.as_bytes()).unwrap();
        assert!(packed.len() * 10 < rows.len(), "{} bytes", packed.len());
    }

    proptest! {
        #[test]
        fn what_is_packed_is_what_comes_out(
            texts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..3_000), 1..8),
        ) {
            let bodies = Bodies::default();
            let packed: Vec<Bytes> =
                texts.iter().map(|text| bodies.gzip(text).unwrap()).collect();
            for (text, packed) in texts.iter().zip(packed) {
                prop_assert_eq!(&unpacked(&packed), text);
                drop(packed);
                let again = bodies.gzip(text).unwrap();
                prop_assert_eq!(&unpacked(&again), text);
            }
        }
    }
}
