//! Writing blocks, and overwriting what is no longer referred to.

use std::sync::Arc;

use rusqlite::{OptionalExtension, params};

use super::Work;
use crate::block::{self, PackedBlock, Place};
use crate::error::StoreError;

/// Where bodies lie in the store: key of the block, offset, length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) block: i64,
    pub(super) at: usize,
    pub(super) len: usize,
}

impl Stored {
    /// From the columns of a table.
    pub(super) fn of(block: i64, at: i64, len: i64) -> Result<Self, StoreError> {
        let size = |n| {
            usize::try_from(n).map_err(|_| StoreError::Damaged("an offset or length is negative"))
        };
        Ok(Self {
            block,
            at: size(at)?,
            len: size(len)?,
        })
    }
}

/// As SQLite's integer; sizes in memory always fit.
pub(super) fn int(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// What is to be overwritten in a block.
#[derive(Debug, Default)]
pub(super) struct Wipe {
    ranges: Vec<(usize, usize)>,
    released: i64,
}

/// The blocks of a batch. They are written when something refers to them.
pub(super) struct Blocks<'p> {
    packed: &'p [PackedBlock],
    keys: Vec<Option<i64>>,
    /// Key and number of blocks that have a key but were not written.
    pending: Vec<(i64, usize)>,
    unused: Vec<Place>,
}

impl<'p> Blocks<'p> {
    pub(super) fn new(packed: &'p [PackedBlock]) -> Self {
        Self {
            packed,
            keys: vec![None; packed.len()],
            pending: Vec::new(),
            unused: Vec::new(),
        }
    }

    fn packed(&self, number: usize) -> Result<&'p PackedBlock, StoreError> {
        self.packed
            .get(number)
            .ok_or(StoreError::Damaged("a batch refers to a block it lacks"))
    }

    /// Gives the block of an entry a key, unless it has one. It is written later, since it may
    /// still be compressed now.
    pub(super) fn store(
        &mut self,
        work: &mut Work<'_>,
        place: Place,
    ) -> Result<Stored, StoreError> {
        let block = match self.keys.get(place.block).copied().flatten() {
            Some(key) => key,
            None => {
                self.packed(place.block)?;
                work.block += 1;
                self.pending.push((work.block, place.block));
                if let Some(slot) = self.keys.get_mut(place.block) {
                    *slot = Some(work.block);
                }
                work.block
            }
        };
        Ok(Stored {
            block,
            at: place.at,
            len: place.len,
        })
    }

    /// The content of an entry.
    pub(super) fn read(&self, place: Place) -> Result<&'p [u8], StoreError> {
        let raw = &self.packed(place.block)?.raw;
        raw.get(place.at..place.at + place.len)
            .ok_or(StoreError::Damaged("an entry lies outside its block"))
    }

    /// Says that nothing will refer to an entry.
    pub(super) fn skip(&mut self, place: Place) {
        self.unused.push(place);
    }

    /// Writes the blocks that have a key, so that they can be read.
    pub(super) fn flush(&mut self, work: &mut Work<'_>) -> Result<(), StoreError> {
        let mut insert = work
            .conn
            .prepare_cached("INSERT INTO block(key, live, raw, data) VALUES (?1, ?2, ?3, ?4)")?;
        for (key, number) in std::mem::take(&mut self.pending) {
            let packed = self.packed(number)?;
            let data = packed.data()?;
            insert.execute(params![key, packed.entries, int(packed.raw.len()), data])?;
            work.written += data.len();
            work.fresh.push((key, Arc::clone(&packed.raw)));
        }
        Ok(())
    }

    /// Writes what is left, and overwrites skipped entries of blocks that were stored for the sake
    /// of others.
    pub(super) fn finish(mut self, work: &mut Work<'_>) -> Result<(), StoreError> {
        self.flush(work)?;
        for place in self.unused {
            if let Some(block) = self.keys.get(place.block).copied().flatten() {
                work.release(Stored {
                    block,
                    at: place.at,
                    len: place.len,
                });
            }
        }
        Ok(())
    }
}

impl Work<'_> {
    /// Overwrites a part of an entry at the end of the transaction.
    pub(super) fn wipe(&mut self, stored: Stored) {
        if stored.len > 0 {
            self.wipes
                .entry(stored.block)
                .or_default()
                .ranges
                .push((stored.at, stored.len));
        }
    }

    /// Overwrites an entry at the end of the transaction, and the block goes with the last.
    pub(super) fn release(&mut self, stored: Stored) {
        let wipe = self.wipes.entry(stored.block).or_default();
        wipe.ranges.push((stored.at, stored.len));
        wipe.released += 1;
    }

    /// The content of a block.
    pub(super) fn block_content(&self, key: i64) -> Result<Vec<u8>, StoreError> {
        let (raw, data): (i64, Vec<u8>) = self
            .conn
            .prepare_cached("SELECT raw, data FROM block WHERE key = ?1")?
            .query_row([key], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?
            .ok_or(StoreError::Damaged("a block is missing"))?;
        block::decompress(&data, usize::try_from(raw).unwrap_or(usize::MAX))
    }

    /// The content of a block that was written before this transaction or in it. The last one stays
    /// at hand: content is overwritten at the end of a transaction only.
    pub(super) fn compared_block(
        &mut self,
        blocks: &mut Blocks<'_>,
        key: i64,
    ) -> Result<&[u8], StoreError> {
        let known = self.compared.take().filter(|(known, _)| *known == key);
        let known = match known {
            Some(known) => known,
            None => {
                blocks.flush(self)?;
                (key, self.block_content(key)?)
            }
        };
        Ok(&self.compared.insert(known).1)
    }

    pub(super) fn flush_wipes(&mut self) -> Result<(), StoreError> {
        for (key, wipe) in std::mem::take(&mut self.wipes) {
            self.overwritten.insert(key);
            let live: i64 = self
                .conn
                .prepare_cached("SELECT live FROM block WHERE key = ?1")?
                .query_row([key], |row| row.get(0))?;
            if live <= wipe.released {
                self.conn
                    .prepare_cached("DELETE FROM block WHERE key = ?1")?
                    .execute([key])?;
                continue;
            }
            let mut raw = self.block_content(key)?;
            for (at, len) in wipe.ranges {
                if let Some(range) = raw.get_mut(at..at + len) {
                    range.fill(0);
                }
            }
            let data = block::compress(&raw)?;
            self.conn
                .prepare_cached("UPDATE block SET live = ?2, data = ?3 WHERE key = ?1")?
                .execute(params![key, live - wipe.released, data])?;
            self.written += data.len();
        }
        Ok(())
    }
}
