//! Content of blocks that were just written, for the text index of the same process.
//!
//! The index reads every block once, soon after it was written; from here it need not be read
//! from the file and decompressed. What the index has seen is dropped, and when the index falls
//! behind, the oldest go: it finds them in the file. A block that is overwritten or deleted is
//! dropped as well.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};

use crate::threads::lock;

/// How much is kept at most, in bytes.
const MOST: usize = 32 << 20;

/// Blocks by key.
#[derive(Debug, Default)]
pub(crate) struct Recent(Mutex<Blocks>);

#[derive(Debug, Default)]
struct Blocks {
    by_key: BTreeMap<i64, Arc<Vec<u8>>>,
    bytes: usize,
}

impl Blocks {
    fn remove(&mut self, key: i64) {
        if let Some(content) = self.by_key.remove(&key) {
            self.bytes -= content.capacity();
        }
    }
}

impl Recent {
    /// Takes blocks that were committed, but for those that were overwritten in the same
    /// transaction or are by now.
    pub(crate) fn put(&self, blocks: Vec<(i64, Arc<Vec<u8>>)>, overwritten: &HashSet<i64>) {
        let mut recent = lock(&self.0);
        for &key in overwritten {
            recent.remove(key);
        }
        for (key, content) in blocks {
            if !overwritten.contains(&key) {
                recent.remove(key);
                recent.bytes += content.capacity();
                recent.by_key.insert(key, content);
            }
        }
        while recent.bytes > MOST
            && let Some(&oldest) = recent.by_key.keys().next()
        {
            recent.remove(oldest);
        }
    }

    pub(crate) fn get(&self, key: i64) -> Option<Arc<Vec<u8>>> {
        lock(&self.0).by_key.get(&key).map(Arc::clone)
    }

    /// Drops the blocks up to a key.
    pub(crate) fn drop_until(&self, key: i64) {
        let mut recent = lock(&self.0);
        let left = recent.by_key.split_off(&key.saturating_add(1));
        let gone = std::mem::replace(&mut recent.by_key, left);
        recent.bytes -= gone
            .values()
            .map(|content| content.capacity())
            .sum::<usize>();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(keys: std::ops::Range<i64>, len: usize) -> Vec<(i64, Arc<Vec<u8>>)> {
        keys.map(|key| (key, Arc::new(vec![0; len]))).collect()
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many_and_the_bytes_stay_counted() {
        let recent = Recent::default();
        recent.put(blocks(0..40, 1 << 20), &HashSet::new());
        assert!(recent.get(7).is_none());
        assert!(recent.get(8).is_some());
        assert_eq!(lock(&recent.0).bytes, MOST);
        recent.drop_until(19);
        assert!(recent.get(19).is_none());
        assert!(recent.get(20).is_some());
        assert_eq!(lock(&recent.0).bytes, 20 << 20);
    }

    #[test]
    fn what_was_overwritten_is_not_kept() {
        let recent = Recent::default();
        recent.put(blocks(0..4, 10), &HashSet::new());
        recent.put(blocks(4..6, 10), &HashSet::from([1, 5]));
        let kept: Vec<i64> = (0..6).filter(|key| recent.get(*key).is_some()).collect();
        assert_eq!(kept, [0, 2, 3, 4]);
        assert_eq!(lock(&recent.0).bytes, 40);
    }
}
