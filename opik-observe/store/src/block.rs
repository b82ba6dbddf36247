//! Blocks: bodies of several records, compressed together.
//!
//! Small records compress badly alone, so the bodies of a batch are packed into blocks of about
//! 16 KiB. A part or trace refers to its bodies by block, offset and length. What is replaced or
//! deleted is overwritten with zeros and the block compressed again (so no content outlives its
//! record, and its space is nearly free); a block without a live entry is removed.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

use crate::error::StoreError;
use crate::threads::Turns;

/// Size from which a block is closed.
const TARGET: usize = 16 * 1024;
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

/// The compressed content of a block. Whoever comes first makes it: the caller that handed the
/// batch over, or the writer that waits for it.
#[derive(Debug, Default)]
struct Slot {
    taken: AtomicBool,
    /// `None` when it could not be made.
    data: OnceLock<Option<Vec<u8>>>,
}

impl Slot {
    /// Compresses the content, unless someone else does or did.
    fn fill(&self, raw: &[u8]) -> Result<(), StoreError> {
        /// Lets nobody wait for what will not come.
        struct Tried<'s>(&'s Slot);
        impl Drop for Tried<'_> {
            fn drop(&mut self) {
                // No effect when it is there.
                drop(self.0.data.set(None));
            }
        }
        if !self.taken.swap(true, Ordering::AcqRel) {
            let tried = Tried(self);
            let data = compress(raw)?;
            // Nobody else has taken it.
            drop(tried.0.data.set(Some(data)));
        }
        Ok(())
    }
}

/// A block to be written. Its content may not be compressed yet.
#[derive(Debug)]
pub(crate) struct PackedBlock {
    slot: Arc<Slot>,
    /// The content as it is.
    pub(crate) raw: Arc<Vec<u8>>,
    /// How many entries refer to it.
    pub(crate) entries: i64,
}

impl PackedBlock {
    /// The compressed content, made here or as soon as it is there.
    pub(crate) fn data(&self) -> Result<&[u8], StoreError> {
        self.slot.fill(&self.raw)?;
        let data = self.slot.data.wait().as_deref();
        data.ok_or_else(|| StoreError::Internal("a block could not be compressed".into()))
    }
}

/// Blocks that have to be compressed.
#[derive(Debug)]
#[must_use]
pub(crate) struct Compression(Vec<(Arc<Vec<u8>>, Arc<Slot>)>);

impl Compression {
    /// Compresses the blocks that nobody has taken, the first ones first.
    pub(crate) fn run(self) -> Result<(), StoreError> {
        let mut turns = Turns::of(4);
        for (raw, slot) in &self.0 {
            slot.fill(raw)?;
            turns.done();
        }
        Ok(())
    }

    /// Whether there is more than one block.
    pub(crate) fn is_long(&self) -> bool {
        self.0.len() > 1
    }
}

/// Where bodies lie: number of the block within the batch, offset, length.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) block: usize,
    pub(crate) at: usize,
    pub(crate) len: usize,
}

/// Packs bodies into blocks.
#[derive(Debug, Default)]
pub(crate) struct Packer {
    raw: Vec<u8>,
    entries: i64,
    done: Vec<PackedBlock>,
    todo: Vec<(Arc<Vec<u8>>, Arc<Slot>)>,
}

impl Packer {
    /// Where the next entry's bytes go; follow with [`Packer::end`].
    pub(crate) fn begin(&mut self) -> (&mut Vec<u8>, usize) {
        if self.raw.capacity() == 0 {
            self.raw.reserve_exact(TARGET + TARGET / 4);
        }
        let at = self.raw.len();
        (&mut self.raw, at)
    }

    /// Ends the entry that began at `at`.
    pub(crate) fn end(&mut self, at: usize) -> Place {
        let place = Place {
            block: self.done.len(),
            at,
            len: self.raw.len() - at,
        };
        self.entries += 1;
        if self.raw.len() >= TARGET {
            self.close();
        }
        place
    }

    fn close(&mut self) {
        if self.entries > 0 {
            let slot = Arc::<Slot>::default();
            let raw = Arc::new(std::mem::take(&mut self.raw));
            self.done.push(PackedBlock {
                slot: Arc::clone(&slot),
                raw: Arc::clone(&raw),
                entries: self.entries,
            });
            self.todo.push((raw, slot));
            self.entries = 0;
        }
    }

    /// The blocks, in the order of their numbers, and the work that is left to do for them.
    pub(crate) fn finish(mut self) -> (Vec<PackedBlock>, Compression) {
        self.close();
        (self.done, Compression(self.todo))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_compressed_by_the_writer_when_the_caller_has_gone() {
        let mut packer = Packer::default();
        for number in 0..4u8 {
            let (out, at) = packer.begin();
            out.extend(std::iter::repeat_n(number, TARGET));
            packer.end(at);
        }
        let (blocks, compression) = packer.finish();
        drop(compression);
        for (block, number) in blocks.iter().zip(0..) {
            let raw = decompress(block.data().unwrap(), TARGET).unwrap();
            assert_eq!(raw, [number; TARGET]);
        }
    }

    #[test]
    fn nobody_waits_for_a_block_that_could_not_be_made() {
        let slot = Slot::default();
        slot.taken.store(true, Ordering::Release);
        let block = PackedBlock {
            slot: Arc::new(slot),
            raw: Arc::default(),
            entries: 1,
        };
        std::thread::scope(|scope| {
            let wait = scope.spawn(|| block.data().is_err());
            drop(block.slot.data.set(None));
            assert!(wait.join().unwrap());
        });
    }

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
