//! Blocks: bodies of several records, compressed together.
//!
//! Small records compress badly alone, so the bodies of a batch are packed into blocks of about
//! 16 KiB. A part or trace refers to its bodies by block, offset and length. What is replaced or
//! deleted is overwritten with zeros and the block compressed again (so no content outlives its
//! record, and its space is nearly free); a block without a live entry is removed.

mod packed;

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

use crate::error::StoreError;

pub(crate) use packed::{Compression, Early, PackedBlock, Packer, Place};

/// zstd level 1 for matches of at least seven bytes: a tenth faster to write and to read than level
/// 1 by itself, and 2 % larger. It has most of the ratio of level 3 at little more than half of its
/// time.
const LEVEL: i32 = 1;
const MIN_MATCH: u32 = 7;
/// Largest block that will be read; the largest body is a little less.
pub(crate) const MAX_RAW: usize = 512 << 20;

thread_local! {
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Compresses the content of a block.
pub(crate) fn compress(raw: &[u8]) -> Result<Vec<u8>, StoreError> {
    let internal = |error: std::io::Error| StoreError::Internal(error.into());
    COMPRESSOR.with_borrow_mut(|slot| {
        let compressor = match slot {
            Some(compressor) => compressor,
            None => {
                let compressor = slot.insert(Compressor::new(LEVEL).map_err(internal)?);
                // Without a checksum, damage can read as other content.
                for parameter in [
                    CParameter::MinMatch(MIN_MATCH),
                    CParameter::ChecksumFlag(true),
                ] {
                    compressor.set_parameter(parameter).map_err(internal)?;
                }
                compressor
            }
        };
        compressor.compress(raw).map_err(internal)
    })
}

/// Reads the content of a block that is `raw_len` bytes long.
pub(crate) fn decompress(data: &[u8], raw_len: usize) -> Result<Vec<u8>, StoreError> {
    if raw_len > MAX_RAW {
        return Err(StoreError::Damaged("a block is too large"));
    }
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            None => slot
                .insert(Decompressor::new().map_err(|error| StoreError::Internal(error.into()))?),
        };
        let raw = decompressor
            .decompress(data, raw_len)
            .map_err(|_| StoreError::Damaged("a block cannot be decompressed"))?;
        if raw.len() != raw_len {
            return Err(StoreError::Damaged(
                "a block has another size than it should",
            ));
        }
        Ok(raw)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_is_noticed() {
        let raw = b"some text that repeats, some text that does not; ".repeat(20);
        let data = compress(&raw).unwrap();
        assert_eq!(decompress(&data, raw.len()).unwrap(), raw);
        for at in 0..data.len() {
            let mut damaged = data.clone();
            if let Some(byte) = damaged.get_mut(at) {
                *byte ^= 4;
            }
            let read = decompress(&damaged, raw.len());
            assert!(read.is_err() || read.unwrap() == raw, "byte {at}");
        }
    }
}
