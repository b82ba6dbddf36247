//! Keeps records on disk while their server cannot be reached.
//!
//! A [`Spool`] is an exporter before another one. It takes every batch, and what becomes of it
//! depends on the [`Durability`]:
//!
//! | mode | a batch that arrives | the answer comes | `kill -9` and loss of power cost |
//! |---|---|---|---|
//! | [`Memory`](Durability::Memory) | goes on; no file is ever touched | when the server answered | all that no server has |
//! | [`SpoolOnFailure`](Durability::SpoolOnFailure) | goes on; one that the server cannot take now is written and synced | when the server answered, or it is synced | what was not answered yet |
//! | [`WriteAhead`](Durability::WriteAhead) | is written and synced, and sent from there | when it is synced | what was not answered yet |
//!
//! What the recorder still holds in memory is lost with the process in every mode: records wait
//! there for [`batch_delay`](crate::RecorderBuilder::batch_delay) (200 ms) at most before they come
//! here, unless `flush` is called. After a flush of the recorder everything is at the server or
//! synced.
//!
//! # Rules
//!
//! - A batch that arrives is tried once. An attempt that fails in a way that may pass (no connection, no answer within
//!   [`attempt_timeout`](SpoolOptions::attempt_timeout), 429, 5xx) or because the key is refused
//!   (it may be mended) puts the batch on disk. While batches of this process wait there, further ones
//!   go behind them at once, without an attempt. A batch that is refused as such is no matter
//!   of time: the caller gets the error.
//! - A caller that says when it [ends](opik_core::Exporter::closing), as the recorder does, leaves a batch half of
//!   the time that is left for the server; then it goes to disk, and so do those behind it.
//! - One thread, `opik-spool`, sends what waits, oldest first, at
//!   [`records_per_second`](SpoolOptions::records_per_second) unless more comes than goes. After a
//!   failure it waits: longer each time, moved by chance, and as long as a server asks for (ten minutes
//!   at most). What the server refuses for good is halved until the bad record is alone, and counted.
//! - Rows are complete and have identifiers, so sending one twice changes nothing. That is why
//!   a segment is removed only after all of it was taken, and why a crash in between costs nothing.
//! - Space is bounded by [`max_bytes`](SpoolOptions::max_bytes) and
//!   [`max_age`](SpoolOptions::max_age): the oldest segments go, and their records are counted.
//! - A full disk, a directory that is read-only, not permitted or gone: the batch goes on to the server, and
//!   when that fails too, the caller gets the error and keeps the batch in memory for its repetitions.
//!   Nothing here panics or waits without a bound; every loss is in [`SpoolStatistics`], and the
//!   first of each kind is a warning.
//! - Ages come from a clock that is read once and then only goes on: a step of the system's clock
//!   makes nothing old.
//!
//! # Several processes
//!
//! Each process writes segments of its own and sends them itself. It holds a lock for as long as it
//! lives. One process at a time, the one that holds `replay.lock`, also takes over what runs have left whose
//! lock is free: at the start and every 30 seconds. So every record is the matter of one process,
//! whoever dies. The caps are those of each process. Locks are those of the operating system; on a
//! file system without locks nothing is taken over.
//!
//! # Files
//!
//! | name | what it is |
//! |---|---|
//! | `<created>-<pid>-<random>-<number>.seg` | a segment: microseconds since 1970 in 20 digits, process, 16 hexadecimal digits, six digits |
//! | `<pid>-<random>.lock` | locked while the process lives (`.new` until it is locked) |
//! | `replay.lock` | locked by the process that takes over |
//!
//! A segment is only appended to. It is closed at [`segment_bytes`](SpoolOptions::segment_bytes), at
//! a sixteenth of `max_age` (an hour at most) and after any failed sync. Whole numbers are little-endian.
//!
//! ```text
//! segment  16 bytes: "OPIKSPOOL\n", version 1, five zeros; then frames
//! frame    0   4  F1 'O' 'P' 'K'
//!          4   1  kind: 1, a batch of rows; then three zeros
//!          8   4  length of the payload, at most 256 MiB
//!         12   4  records in it
//!         16   8  microseconds since 1970 when it was written
//!         24   4  CRC-32 of the payload
//!         28   4  CRC-32 of the 28 bytes before
//!         32      payload
//! payload         for each of the five lists, in the order of `List::ALL`: the count of rows (4),
//!                 then for each row its identifier (16; none in the list of threads) and length (4)
//!                 count of attachments (4), then for each: trace (16), span and project
//!                 (1: present or not; then length (4) and bytes), name and type (length and bytes),
//!                 length of the file (4)
//!                 then the text of each list, rows separated by commas, then each file
//! ```
//!
//! A batch is one frame and one sync (`fdatasync`; the directory is synced when a segment is made).
//! When a write fails, the segment is cut back to the end of the frame before; where that fails too, it is
//! closed and what is behind that place is ignored.
//!
//! A reader takes a frame when both checksums hold. One whose header holds and whose payload does not
//! is skipped by its length. Anything else is skipped up to the next header that holds; at the
//! end of a segment that is a frame that was being written when the process or the machine died: *torn*, and
//! never acknowledged. Segments of another version are left alone.
//!
//! Rows are not compressed: a spool is as fast as the disk, and stays readable. They hold what the branch's
//! policy let through and nothing else; on Unix only the owner may read them.

mod clock;
mod counts;
mod destination;
mod exporter;
mod files;
mod frame;
mod inspect;
mod journal;
mod name;
mod on_disk;
mod options;
mod payload;
mod replay;
mod shared;

pub use counts::SpoolStatistics;
pub use destination::{Destination, Waiting, inspect_destinations};
pub use exporter::{Spool, SpoolError};
pub use files::check_directory;
pub use inspect::{SpoolState, inspect};
pub use options::{Durability, SpoolOptions};

#[cfg(test)]
mod tests;
