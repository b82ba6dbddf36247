//! Looking at a spool from outside.

use std::io;
use std::path::Path;

use opik_core::Timestamp;

use super::files::{Directory, Files as _};
use super::journal::scan;
use super::name::SegmentName;

/// What lies in the directory of a spool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpoolState {
    /// Segment files.
    pub segments: usize,
    /// Their size.
    pub bytes: u64,
    /// Records in them, those included that were sent from a segment that is not yet done.
    pub records: u64,
    /// Places without a readable header: damaged, or torn when a process or the machine died.
    pub damaged_places: u64,
    /// Segments of a version that this program does not know.
    pub unknown_segments: usize,
    /// When the oldest segment was begun.
    pub oldest: Option<Timestamp>,
}

/// Looks at a spool without changing it, also while programs use it.
///
/// A directory that does not exist is an empty spool.
///
/// # Errors
/// When the directory or a segment in it cannot be read.
pub fn inspect(directory: impl AsRef<Path>) -> io::Result<SpoolState> {
    let files = Directory(directory.as_ref().to_owned());
    let mut state = SpoolState::default();
    let listed = match files.list() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(state),
        listed => listed?,
    };
    for (name, bytes) in listed {
        let Some(name) = SegmentName::parse(&name) else {
            continue;
        };
        let scanned = match scan(&files, name, bytes) {
            // Sent and removed since it was listed.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            scanned => scanned?,
        };
        state.segments += 1;
        state.bytes += bytes;
        match scanned {
            Some(scan) => {
                state.records += scan.records;
                state.damaged_places += scan.damaged;
            }
            None => state.unknown_segments += 1,
        }
        let created = Some(name.created());
        state.oldest = [state.oldest, created].into_iter().flatten().min();
    }
    Ok(state)
}
