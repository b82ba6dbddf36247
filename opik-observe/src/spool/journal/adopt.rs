//! Taking over what runs that are over have left.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::super::counts::Trouble;
use super::super::files::Lock;
use super::super::name::{Run, SegmentName};
use super::{Journal, LEADER_LOCK, SEGMENT_HEADER, Segment, scan};

impl Journal {
    /// Takes over the segments of runs that are over, if this process is the one that does so.
    pub(in super::super) fn adopt(&mut self) -> io::Result<()> {
        let listed = match self.files.list() {
            // Nothing was ever spooled here.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            listed => listed?,
        };
        if !self.lead()? {
            return Ok(());
        }
        let mut runs = BTreeSet::new();
        for (name, _) in &listed {
            runs.extend(SegmentName::parse(name).map(|segment| segment.run));
            runs.extend(Run::of_lock(name));
            self.clear_unlocked(name);
        }
        let mut over: BTreeMap<Run, Option<Box<dyn Lock>>> = BTreeMap::new();
        for run in runs {
            if run == self.run || self.adopted.contains_key(&run) {
                continue;
            }
            match self.files.lock(&run.lock_name(), false) {
                Ok(Some(lock)) => over.insert(run, Some(lock)),
                // A run has its lock before its first segment: this one ended.
                Err(error) if error.kind() == io::ErrorKind::NotFound => over.insert(run, None),
                Ok(None) | Err(_) => None,
            };
        }
        if over.is_empty() {
            return Ok(());
        }
        // Once more: until it was locked, a run may have written on.
        for (name, bytes) in self.files.list()? {
            let Some(name) = SegmentName::parse(&name) else {
                continue;
            };
            if over.contains_key(&name.run) {
                self.adopt_segment(name, bytes);
            }
        }
        for (run, lock) in over {
            self.adopted.insert(run, lock);
            self.release(run);
        }
        self.evict_old();
        self.make_room(0);
        Ok(())
    }

    fn adopt_segment(&mut self, name: SegmentName, bytes: u64) {
        let scan = match scan(&*self.files, name, bytes) {
            Ok(Some(scan)) => scan,
            // Of a later version: for the program that wrote it.
            Ok(None) => return,
            Err(error) => {
                self.counts.warn(Trouble::Unreadable, &error.kind());
                return;
            }
        };
        self.counts.recovered.add(scan.records);
        self.insert(Segment {
            name,
            bytes,
            read: SEGMENT_HEADER.min(bytes),
            records: scan.records,
            failures: 0,
        });
        self.remove_read();
    }

    /// Whether this process is the one that takes over, which it stays until it ends.
    fn lead(&mut self) -> io::Result<bool> {
        if self.leader.is_none() || !self.files.exists(LEADER_LOCK) {
            self.leader = self.files.lock(LEADER_LOCK, true)?;
        }
        Ok(self.leader.is_some())
    }

    /// Removes the lock file of a run that died before it had locked it.
    fn clear_unlocked(&self, name: &str) {
        if name.ends_with(".new")
            && *name != self.run.unlocked_name()
            && let Ok(Some(lock)) = self.files.lock(name, false)
        {
            self.files.remove(name).ok();
            drop(lock);
        }
    }
}
