//! What the spool needs of a directory, so that tests can give it one that fails.

use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, IoSlice, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use super::name::random;

/// One directory. Names are those of files in it.
pub(super) trait Files: Send + Sync + fmt::Debug {
    /// The directory, for messages.
    fn directory(&self) -> &Path {
        Path::new("")
    }

    /// Makes the directory where it is missing.
    fn make_directory(&self) -> io::Result<()>;

    /// Names and sizes of the files, in no order.
    fn list(&self) -> io::Result<Vec<(String, u64)>>;

    /// Makes a new file whose name outlives a loss of power.
    fn create(&self, name: &str) -> io::Result<Box<dyn Appending>>;

    /// At most so many bytes from a place on; fewer only at the end.
    fn read(&self, name: &str, offset: u64, most: usize) -> io::Result<Vec<u8>>;

    fn exists(&self, name: &str) -> bool;

    fn remove(&self, name: &str) -> io::Result<()>;

    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Locks a file until the result is dropped or the process dies; `None` when it is locked.
    /// Makes the file where that is wanted.
    fn lock(&self, name: &str, create: bool) -> io::Result<Option<Box<dyn Lock>>>;
}

/// A file that grows.
pub(super) trait Appending: Send + fmt::Debug {
    /// Appends all pieces, or fails with any part of them written.
    fn append(&mut self, pieces: &[&[u8]]) -> io::Result<()>;

    /// Returns when what was appended outlives a loss of power.
    fn sync(&mut self) -> io::Result<()>;

    /// Cuts the file to this length.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

/// A lock that is held.
pub(super) trait Lock: Send + fmt::Debug {}

/// A directory of the file system.
#[derive(Debug)]
pub(super) struct Directory(pub(super) PathBuf);

impl Directory {
    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Files for Directory {
    fn directory(&self) -> &Path {
        &self.0
    }

    fn make_directory(&self) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true);
        // What is spooled may be content: nobody else may read it.
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&self.0)
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            // A file may go while we look; names that are no text are not ours.
            if let Ok(about) = entry.metadata()
                && about.is_file()
                && let Ok(name) = entry.file_name().into_string()
            {
                files.push((name, about.len()));
            }
        }
        Ok(files)
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Appending>> {
        let mut options = OpenOptions::new();
        options.append(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(self.path(name))?;
        sync_directory(&self.0)?;
        Ok(Box::new(Segment(file)))
    }

    fn read(&self, name: &str, offset: u64, most: usize) -> io::Result<Vec<u8>> {
        let mut file = File::open(self.path(name))?;
        file.seek(SeekFrom::Start(offset))?;
        let mut bytes = Vec::with_capacity(most.min(1 << 20));
        file.take(most as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn exists(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn lock(&self, name: &str, create: bool) -> io::Result<Option<Box<dyn Lock>>> {
        let path = self.path(name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(create);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = match options.open(&path) {
            // A lock needs no right to write where the file exists.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => File::open(&path)?,
            opened => opened?,
        };
        let locked = Locked::try_new(file)?;
        Ok(locked.map(|locked| Box::new(locked) as Box<dyn Lock>))
    }
}

/// Says whether a spool could write to a directory, which is made where it is missing: makes a small
/// file there, syncs and removes it. For a look before it matters, at the start of a program; a spool
/// needs no such call.
///
/// ```
/// # let directory = tempfile::tempdir()?;
/// opik_observe::spool::check_directory(directory.path())?;
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
/// Why the directory or the file cannot be made, written, synced or removed.
pub fn check_directory(directory: impl AsRef<Path>) -> io::Result<()> {
    let files = Directory(directory.as_ref().to_owned());
    let name = format!("{}-{:016x}.check", std::process::id(), random());
    files.make_directory()?;
    let mut file = files.create(&name)?;
    let written = file.append(&[b"opik"]).and_then(|()| file.sync());
    drop(file);
    // Removed also when it could not be written; the first error is the one that tells.
    let removed = files.remove(&name);
    written.and(removed)
}

#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Elsewhere directories cannot be synced, and names are as durable as the system makes them.
#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

#[derive(Debug)]
struct Segment(File);

impl Appending for Segment {
    fn append(&mut self, pieces: &[&[u8]]) -> io::Result<()> {
        let mut slices: Vec<IoSlice<'_>> = pieces
            .iter()
            .filter(|piece| !piece.is_empty())
            .map(|piece| IoSlice::new(piece))
            .collect();
        let mut left = slices.as_mut_slice();
        while !left.is_empty() {
            match self.0.write_vectored(left) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => IoSlice::advance_slices(&mut left, written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }
}

/// A file that is locked. A program that is killed frees its locks; one that lives frees them here,
/// as closing the file is not enough: a child that the host just started has a copy of it until it
/// executes its own program, and the lock is that of all copies.
#[derive(Debug)]
struct Locked {
    file: File,
    process: u32,
}

impl Locked {
    /// `None` when it is locked already.
    fn try_new(file: File) -> io::Result<Option<Self>> {
        match file.try_lock() {
            Ok(()) => Ok(Some(Self {
                file,
                process: std::process::id(),
            })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // In a child that was forked off, the lock stays that of the parent.
        if self.process == std::process::id() {
            self.file.unlock().ok();
        }
    }
}

impl Lock for Locked {}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(file: &tempfile::NamedTempFile) -> Option<Locked> {
        Locked::try_new(file.reopen().unwrap()).unwrap()
    }

    #[test]
    fn a_lock_is_free_at_once_while_a_child_still_has_a_copy_of_the_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let first = lock(&file).unwrap();
        // What a child has between its start and its own program.
        let copy = first.file.try_clone().unwrap();
        assert!(lock(&file).is_none(), "locked");
        drop(first);
        assert!(lock(&file).is_some(), "free");
        drop(copy);
    }

    #[test]
    fn a_forked_child_does_not_free_the_lock_of_its_parent() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let first = lock(&file).unwrap();
        drop(Locked {
            file: first.file.try_clone().unwrap(),
            process: first.process.wrapping_add(1),
        });
        assert!(lock(&file).is_none(), "still locked");
    }
}
