//! Packing bodies into blocks, which are compressed by whoever has time first.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::compress;
use crate::error::StoreError;
use crate::threads::Turns;

/// Size from which a block is closed.
const TARGET: usize = 16 * 1024;
/// The same while it has rows of traces only: a list of the newest traces of a project reads content of
/// a few traces of each batch, and decompresses the blocks that they are in.
const ROWS_TARGET: usize = TARGET / 2;
/// Larger blocks are not handed over early: whoever compresses one has no time for anything else.
const LARGEST_EARLY: usize = 4 * TARGET;

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

    #[cfg(test)]
    pub(crate) fn is_made(&self) -> bool {
        self.slot.data.get().is_some()
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

/// A block of a batch that is still being packed. Whoever has nothing else to do may compress it.
#[derive(Debug)]
pub(crate) struct Early {
    raw: Arc<Vec<u8>>,
    slot: Arc<Slot>,
    packed: Arc<AtomicBool>,
}

impl Early {
    /// Compresses the block, unless someone else has taken it or the batch is packed: from then on its
    /// caller compresses, and whoever writes has rows to write.
    pub(crate) fn run(self) -> Result<(), StoreError> {
        if self.packed.load(Ordering::Acquire) {
            return Ok(());
        }
        self.slot.fill(&self.raw)
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
#[derive(Default)]
pub(crate) struct Packer<'e> {
    raw: Vec<u8>,
    entries: i64,
    done: Vec<PackedBlock>,
    todo: Vec<(Arc<Vec<u8>>, Arc<Slot>)>,
    /// Takes each block as soon as it is full.
    early: Option<&'e dyn Fn(Early)>,
    packed: Arc<AtomicBool>,
}

impl<'e> Packer<'e> {
    /// Packs for somebody who may compress blocks while others are packed.
    pub(crate) fn with(early: &'e dyn Fn(Early)) -> Self {
        Self {
            early: Some(early),
            ..Self::default()
        }
    }

    /// Where the next entry's bytes go; follow with [`Packer::end`].
    pub(crate) fn begin(&mut self) -> (&mut Vec<u8>, usize) {
        self.begin_with(TARGET)
    }

    /// Where the bytes of a trace's row go; follow with [`Packer::end_row`].
    pub(crate) fn begin_row(&mut self) -> (&mut Vec<u8>, usize) {
        self.begin_with(ROWS_TARGET)
    }

    fn begin_with(&mut self, target: usize) -> (&mut Vec<u8>, usize) {
        if self.raw.capacity() == 0 {
            self.raw.reserve_exact(target + target / 4);
        }
        let at = self.raw.len();
        (&mut self.raw, at)
    }

    /// Ends the entry that began at `at`.
    pub(crate) fn end(&mut self, at: usize) -> Place {
        self.end_with(at, TARGET)
    }

    /// Ends the entry of a trace's row that began at `at`.
    pub(crate) fn end_row(&mut self, at: usize) -> Place {
        self.end_with(at, ROWS_TARGET)
    }

    fn end_with(&mut self, at: usize, target: usize) -> Place {
        let place = Place {
            block: self.done.len(),
            at,
            len: self.raw.len() - at,
        };
        self.entries += 1;
        if self.raw.len() >= target {
            self.close();
            if let (Some(early), Some((raw, slot))) = (self.early, self.todo.last())
                && raw.len() <= LARGEST_EARLY
            {
                early(Early {
                    raw: Arc::clone(raw),
                    slot: Arc::clone(slot),
                    packed: Arc::clone(&self.packed),
                });
            }
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
        self.packed.store(true, Ordering::Release);
        (self.done, Compression(self.todo))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::super::decompress;
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
    fn blocks_are_compressed_early_until_the_batch_is_packed() {
        let early = RefCell::new(Vec::new());
        let hand_over = |block| early.borrow_mut().push(block);
        let mut packer = Packer::with(&hand_over);
        for number in 0..3u8 {
            let (out, at) = packer.begin();
            out.extend(std::iter::repeat_n(number, TARGET));
            packer.end(at);
            assert_eq!(early.borrow().len(), usize::from(number) + 1);
        }
        let (out, at) = packer.begin();
        out.extend(std::iter::repeat_n(7, LARGEST_EARLY + 1));
        packer.end(at);
        assert_eq!(early.borrow().len(), 3, "the large one is not");
        let mut early = early.take().into_iter();
        early.next().unwrap().run().unwrap();
        let (blocks, compression) = packer.finish();
        early.for_each(|late| late.run().unwrap());
        let made: Vec<_> = blocks.iter().map(PackedBlock::is_made).collect();
        assert_eq!(made, [true, false, false, false]);
        compression.run().unwrap();
        assert!(blocks.iter().all(PackedBlock::is_made));
    }

    #[test]
    fn rows_of_traces_lie_in_smaller_blocks() {
        let mut packer = Packer::default();
        let mut blocks = Vec::new();
        for _ in 0..4 {
            let (out, at) = packer.begin();
            out.extend([7; 3_000]);
            blocks.push(packer.end_row(at).block);
        }
        for _ in 0..5 {
            let (out, at) = packer.begin();
            out.extend([7; 3_000]);
            blocks.push(packer.end(at).block);
        }
        // The last row shares its block with the spans that come after it.
        assert_eq!(blocks, [0, 0, 0, 1, 1, 1, 1, 1, 1]);
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
}
