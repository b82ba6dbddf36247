//! Writing a batch: on return it is on disk, or it is not and the segment is as before.

use std::io;

use opik_core::wire::WireBatch;

use super::super::counts::Trouble;
use super::super::frame::{self, Header};
use super::super::name::SegmentName;
use super::super::payload::Description;
use super::{Active, Journal, SEGMENT_HEADER, SEGMENT_MAGIC, Segment};

/// How often the lock of a run is tried for before writing fails.
const LOCK_ATTEMPTS: usize = 3;

/// Why a batch was not written.
#[derive(Debug)]
pub(in super::super) enum AppendError {
    /// It would not fit an empty spool.
    TooLarge,
    /// The disk refused; that is counted.
    Refused,
}

impl Journal {
    /// Writes a batch and syncs it.
    pub(in super::super) fn append(&mut self, batch: &WireBatch) -> Result<(), AppendError> {
        let description = Description::of(batch).ok_or(AppendError::TooLarge)?;
        let texts = description.with_texts(batch);
        let records = u32::try_from(batch.len()).map_err(|_| AppendError::TooLarge)?;
        let header = Header::of(&texts, records, self.clock.now().as_micros());
        let size = header.frame().saturating_add(SEGMENT_HEADER);
        if header.payload > frame::MAX_PAYLOAD || size > self.options.max_bytes {
            return Err(AppendError::TooLarge);
        }
        let encoded = header.encode();
        let mut pieces = Vec::with_capacity(texts.len() + 2);
        pieces.push(encoded.as_slice());
        pieces.extend(texts);
        self.evict_old();
        self.make_room(size);
        self.write(&pieces, header)
            .or_else(|error| match error.kind() {
                // Someone took the directory, or the segment, away; or files may not grow on, and
                // a new one may be made.
                io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge => {
                    self.active = None;
                    self.files.make_directory()?;
                    self.write(&pieces, header)
                }
                _ => Err(error),
            })
            .map_err(|error| {
                self.refused(&error, u64::from(records));
                AppendError::Refused
            })
    }

    fn refused(&self, error: &io::Error, records: u64) {
        let no_space = matches!(
            error.kind(),
            io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
                | io::ErrorKind::FileTooLarge
                | io::ErrorKind::WriteZero
        );
        let (count, trouble) = if no_space {
            (&self.counts.refused_no_space, Trouble::NoSpace)
        } else {
            (&self.counts.refused_failed, Trouble::NotWritable)
        };
        count.add(records);
        self.counts.warn(trouble, &error.kind());
    }

    fn write(&mut self, pieces: &[&[u8]], header: Header) -> io::Result<()> {
        let mut active = self.open_active()?;
        let name = active.name.to_string();
        let Some(segment) = self
            .segments
            .iter_mut()
            .rfind(|segment| segment.name == active.name)
        else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let before = segment.bytes;
        if let Err(error) = active.file.append(pieces) {
            // A part of the frame may be there. Where it cannot be cut off, no frame may follow it.
            if active.file.truncate(before).is_ok() {
                self.active = Some(active);
            }
            return Err(error);
        }
        // After a failed sync nobody knows what is on disk: this file is written no further.
        active.file.sync().inspect_err(|_| {
            active.file.truncate(before).ok();
        })?;
        if !self.files.exists(&name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let records = u64::from(header.records);
        segment.bytes += header.frame();
        segment.records += records;
        self.counts.pending_bytes.add(header.frame());
        self.counts.pending_records.add(records);
        self.counts.appended.add(records);
        self.active = Some(active);
        Ok(())
    }

    /// Takes out the segment to write to: the one at hand, or a new one.
    fn open_active(&mut self) -> io::Result<Active> {
        let now = self.clock.now();
        if let Some(active) = self.active.take() {
            let segment = self
                .segments
                .iter()
                .find(|segment| segment.name == active.name);
            let age = now.micros_since(active.name.created());
            let young = i128::from(age) <= self.options.segment_age().as_micros().cast_signed();
            if young && segment.is_some_and(|s| s.bytes < self.options.segment_limit()) {
                return Ok(active);
            }
            self.remove_read();
        }
        self.take_own_lock()?;
        let name = SegmentName::new(now, self.run, self.number);
        self.number = self.number.wrapping_add(1);
        let mut file = self.files.create(&name.to_string())?;
        if let Err(error) = file.append(&[&SEGMENT_MAGIC]) {
            self.remove_file(name);
            return Err(error);
        }
        self.insert(Segment {
            name,
            bytes: SEGMENT_HEADER,
            read: SEGMENT_HEADER,
            records: 0,
            failures: 0,
        });
        Ok(Active { name, file })
    }

    /// Says that this run is alive, before it leaves a segment that others could see.
    fn take_own_lock(&mut self) -> io::Result<()> {
        let name = self.run.lock_name();
        if self.own_lock.is_some() && self.files.exists(&name) {
            return Ok(());
        }
        let unlocked = self.run.unlocked_name();
        let mut failure = io::Error::from(io::ErrorKind::WouldBlock);
        for _ in 0..LOCK_ATTEMPTS {
            match self.files.lock(&unlocked, true) {
                // Under its final name the file is never seen without its lock.
                Ok(Some(lock)) => match self.files.rename(&unlocked, &name) {
                    Ok(()) => {
                        self.own_lock = Some(lock);
                        return Ok(());
                    }
                    Err(error) => failure = error,
                },
                Ok(None) => {}
                // Without locks nobody takes anything over, so nobody needs to be kept off.
                Err(error) if error.kind() == io::ErrorKind::Unsupported => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.files.make_directory()?;
                }
                Err(error) => return Err(error),
            }
        }
        Err(failure)
    }
}
