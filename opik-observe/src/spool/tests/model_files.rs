//! A directory in memory with processes that die, power that fails and faults on every operation.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::super::files::{Appending, Files, Lock};

/// What happens to one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    NoSpace,
    ReadOnly,
    Broken,
    /// A part is written, then there is no room.
    Short(u8),
    /// The process dies in the middle; a write is done in part.
    Killed(u8),
    /// The machine stops in the middle.
    PowerLoss(u8),
}

#[derive(Debug, Clone)]
struct Data {
    inode: u64,
    bytes: Vec<u8>,
    synced: usize,
}

#[derive(Debug, Default)]
struct State {
    directory: bool,
    files: BTreeMap<String, Data>,
    /// Removed files whose removal may be undone by a loss of power.
    removed: Vec<(String, Data)>,
    locks: BTreeMap<u64, u32>,
    dead: BTreeSet<u32>,
    faults: VecDeque<Fault>,
    next_inode: u64,
    failed_reads: usize,
}

/// The directory as one process sees it.
#[derive(Debug, Clone)]
pub(super) struct ModelFiles {
    state: Arc<Mutex<State>>,
    process: u32,
}

impl ModelFiles {
    pub(super) fn new() -> Self {
        Self {
            state: Arc::default(),
            process: 0,
        }
    }

    pub(super) fn of_process(&self, process: u32) -> Self {
        Self {
            state: Arc::clone(&self.state),
            process,
        }
    }

    fn lock_state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    pub(super) fn inject(&self, faults: impl IntoIterator<Item = Fault>) {
        self.lock_state().faults = faults.into_iter().collect();
    }

    pub(super) fn is_dead(&self) -> bool {
        self.lock_state().dead.contains(&self.process)
    }

    /// Reads, lists and locks that failed in a process that lives on.
    pub(super) fn failed_reads(&self) -> usize {
        self.lock_state().failed_reads
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.lock_state().files.keys().cloned().collect()
    }

    pub(super) fn kill(&self) {
        self.lock_state().kill(self.process);
    }

    pub(super) fn lose_power(&self, kept: u8) {
        self.lock_state().lose_power(kept);
    }

    /// The directory with everything in it is taken away.
    pub(super) fn vanish(&self) {
        let mut state = self.lock_state();
        state.files.clear();
        state.directory = false;
    }

    /// Changes one byte of a file.
    pub(super) fn damage(&self, name: &str, place: usize) {
        let mut state = self.lock_state();
        state.files.get_mut(name).unwrap().bytes[place] ^= 0x55;
    }

    pub(super) fn size(&self, name: &str) -> usize {
        self.lock_state().files[name].bytes.len()
    }

    /// Begins an operation; `Ok(Some)` is a part that a write still does before it fails.
    fn begin(&self, reads: bool) -> io::Result<(MutexGuard<'_, State>, Option<Fault>)> {
        let mut state = self.lock_state();
        if state.dead.contains(&self.process) {
            return Err(io::Error::other("the process is dead"));
        }
        let fault = state.faults.pop_front().unwrap_or(Fault::None);
        let deadly = matches!(fault, Fault::Killed(_) | Fault::PowerLoss(_));
        if reads && fault != Fault::None && !deadly {
            state.failed_reads += 1;
        }
        match fault {
            Fault::None => Ok((state, None)),
            Fault::NoSpace => Err(io::ErrorKind::StorageFull.into()),
            Fault::ReadOnly => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
            Fault::Broken => Err(io::Error::other("broken disk")),
            partly @ (Fault::Short(_) | Fault::Killed(_) | Fault::PowerLoss(_)) => {
                Ok((state, Some(partly)))
            }
        }
    }

    /// Begins an operation that is done whole or not at all: `None` for not at all.
    fn begin_whole(&self, reads: bool) -> io::Result<MutexGuard<'_, State>> {
        match self.begin(reads)? {
            (state, None) => Ok(state),
            (mut state, Some(fault)) => Err(state.stop(self.process, fault)),
        }
    }
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl State {
    fn kill(&mut self, process: u32) {
        self.dead.insert(process);
        self.locks.retain(|_, holder| *holder != process);
    }

    /// Every process dies; what was not synced stays in part or is noise.
    fn lose_power(&mut self, kept: u8) {
        let holders: Vec<u32> = self.locks.values().copied().collect();
        for process in holders {
            self.kill(process);
        }
        let removed = std::mem::take(&mut self.removed);
        if kept.is_multiple_of(3) {
            self.files.extend(removed);
        }
        for data in self.files.values_mut() {
            let unsynced = data.bytes.len() - data.synced;
            let stays = unsynced * usize::from(kept) / 255;
            data.bytes.truncate(data.synced + stays);
            if kept.is_multiple_of(2) {
                // The length got to the disk and the bytes did not.
                data.bytes.resize(data.synced + unsynced, 0);
            }
            data.synced = data.bytes.len();
        }
    }

    fn stop(&mut self, process: u32, fault: Fault) -> io::Error {
        match fault {
            Fault::Killed(_) => self.kill(process),
            Fault::PowerLoss(kept) => {
                self.kill(process);
                self.lose_power(kept);
            }
            _ => {}
        }
        io::ErrorKind::StorageFull.into()
    }

    fn of_inode(&mut self, inode: u64) -> Option<&mut Data> {
        self.files.values_mut().find(|data| data.inode == inode)
    }
}

impl Files for ModelFiles {
    fn make_directory(&self) -> io::Result<()> {
        self.begin_whole(false)?.directory = true;
        Ok(())
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let state = self.begin_whole(true)?;
        if !state.directory {
            return Err(missing());
        }
        let files = state.files.iter();
        Ok(files
            .map(|(name, data)| (name.clone(), data.bytes.len() as u64))
            .collect())
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Appending>> {
        let mut state = self.begin_whole(false)?;
        if !state.directory {
            return Err(missing());
        }
        state.next_inode += 1;
        let inode = state.next_inode;
        let data = Data {
            inode,
            bytes: Vec::new(),
            synced: 0,
        };
        assert!(
            state.files.insert(name.to_owned(), data).is_none(),
            "{name}"
        );
        // The directory is synced, which makes removals final too.
        state.removed.clear();
        Ok(Box::new(ModelFile {
            files: self.clone(),
            inode,
        }))
    }

    fn read(&self, name: &str, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        let state = self.begin_whole(true)?;
        let bytes = &state.files.get(name).ok_or_else(missing)?.bytes;
        let rest = bytes
            .get(usize::try_from(offset).unwrap()..)
            .unwrap_or_default();
        Ok(rest[..most.min(rest.len())].to_vec())
    }

    fn exists(&self, name: &str) -> bool {
        self.lock_state().files.contains_key(name)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.begin_whole(false)?;
        let data = state.files.remove(name).ok_or_else(missing)?;
        state.removed.push((name.to_owned(), data));
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.begin_whole(false)?;
        let data = state.files.remove(from).ok_or_else(missing)?;
        state.files.insert(to.to_owned(), data);
        Ok(())
    }

    fn lock(&self, name: &str, create: bool) -> io::Result<Option<Box<dyn Lock>>> {
        let mut state = self.begin_whole(true)?;
        if !state.directory {
            return Err(missing());
        }
        if create && !state.files.contains_key(name) {
            state.next_inode += 1;
            let data = Data {
                inode: state.next_inode,
                bytes: Vec::new(),
                synced: 0,
            };
            state.files.insert(name.to_owned(), data);
        }
        let inode = state.files.get(name).ok_or_else(missing)?.inode;
        if state.locks.contains_key(&inode) {
            return Ok(None);
        }
        state.locks.insert(inode, self.process);
        Ok(Some(Box::new(ModelLock {
            files: self.clone(),
            inode,
        })))
    }
}

#[derive(Debug)]
struct ModelFile {
    files: ModelFiles,
    inode: u64,
}

impl Appending for ModelFile {
    fn append(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
        let whole = pieces.concat();
        let (mut state, fault) = self.files.begin(false)?;
        let part = match fault {
            None => whole.len(),
            Some(Fault::Short(part) | Fault::Killed(part) | Fault::PowerLoss(part)) => {
                whole.len() * usize::from(part) / 256
            }
            Some(_) => 0,
        };
        if let Some(data) = state.of_inode(self.inode) {
            data.bytes.extend(&whole[..part]);
        }
        match fault {
            None => Ok(()),
            Some(fault) => Err(state.stop(self.files.process, fault)),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.files.begin_whole(false)?;
        if let Some(data) = state.of_inode(self.inode) {
            data.synced = data.bytes.len();
        }
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        let mut state = self.files.begin_whole(false)?;
        if let Some(data) = state.of_inode(self.inode) {
            data.bytes.truncate(usize::try_from(length).unwrap());
            data.synced = data.synced.min(data.bytes.len());
        }
        Ok(())
    }
}

#[derive(Debug)]
struct ModelLock {
    files: ModelFiles,
    inode: u64,
}

impl Lock for ModelLock {}

impl Drop for ModelLock {
    fn drop(&mut self) {
        let mut state = self.files.lock_state();
        if state.locks.get(&self.inode) == Some(&self.files.process) {
            state.locks.remove(&self.inode);
        }
    }
}
