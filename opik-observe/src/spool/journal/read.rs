//! Reading frames in order, past whatever is damaged, and settling them.

use std::io;

use opik_core::wire::WireBatch;

use super::super::counts::Trouble;
use super::super::files::Files;
use super::super::frame::{self, HEADER, Header};
use super::super::name::SegmentName;
use super::super::payload;
use super::{Journal, MAX_FAILURES, SEGMENT_HEADER, SEGMENT_KIND, SEGMENT_MAGIC, SEGMENT_VERSION};

/// A batch that waits to be sent.
#[derive(Debug)]
pub(in super::super) struct Outstanding {
    pub(in super::super) batch: Box<WireBatch>,
    segment: SegmentName,
    start: u64,
    end: u64,
    records: u64,
}

/// What is at a place of a segment.
enum Step {
    Frame(Header, Box<WireBatch>),
    /// Nothing to be read up to this place, in which so many known records are lost.
    Skip {
        to: u64,
        records: u64,
    },
}

impl Journal {
    /// The oldest batch that waits. The same one again until it is [settled](Self::settle) or
    /// evicted.
    pub(in super::super) fn next(&mut self) -> io::Result<Option<Outstanding>> {
        loop {
            let waiting = |s: &super::Segment| s.read < s.bytes;
            let Some(index) = self.segments.iter().position(waiting) else {
                return Ok(None);
            };
            let Some(segment) = self.segments.get_mut(index) else {
                return Ok(None);
            };
            match step(&*self.files, segment.name, segment.read, segment.bytes) {
                Ok(Step::Frame(header, batch)) => {
                    segment.failures = 0;
                    return Ok(Some(Outstanding {
                        batch,
                        segment: segment.name,
                        start: segment.read,
                        end: segment.read.saturating_add(header.frame()),
                        records: u64::from(header.records),
                    }));
                }
                Ok(Step::Skip { to, records }) => {
                    let records = records.min(segment.records);
                    segment.read = to;
                    segment.records -= records;
                    self.counts.pending_records.sub(records);
                    self.counts.unreadable.add(records);
                    self.counts.damaged_places.add(1);
                    self.counts.warn(Trouble::Unreadable, &records);
                    self.remove_read();
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.counts.warn(Trouble::Unreadable, &error.kind());
                    self.give_up(index);
                }
                Err(error) => {
                    segment.failures += 1;
                    if segment.failures < MAX_FAILURES {
                        return Err(error);
                    }
                    // The file stays for a later run, or for whoever repairs the disk.
                    self.counts.warn(Trouble::Unreadable, &error.kind());
                    if let Some(segment) = self.segments.remove(index) {
                        let counts = std::sync::Arc::clone(&self.counts);
                        self.forget(&segment, &counts.unreadable);
                    }
                }
            }
        }
    }

    /// The batch was sent; so many of its records were refused for good.
    pub(in super::super) fn settle(&mut self, sent: &Outstanding, rejected: usize) {
        let found = self
            .segments
            .iter_mut()
            .find(|segment| segment.name == sent.segment && segment.read == sent.start);
        // Evicted meanwhile: counted already.
        let Some(segment) = found else { return };
        segment.read = sent.end;
        segment.records = segment.records.saturating_sub(sent.records);
        let rejected = u64::try_from(rejected)
            .unwrap_or(u64::MAX)
            .min(sent.records);
        self.counts.pending_records.sub(sent.records);
        self.counts.replayed.add(sent.records - rejected);
        self.counts.rejected.add(rejected);
        self.remove_read();
    }
}

/// Looks at one place of a segment that ends at `end`.
fn step(files: &dyn Files, name: SegmentName, at: u64, end: u64) -> io::Result<Step> {
    let name = name.to_string();
    let head = files.read(&name, at, HEADER)?;
    let left = end.saturating_sub(at);
    let Some(header) = Header::parse(&head).filter(|header| header.frame() <= left) else {
        let rest = files.read(&name, at, usize::try_from(left).unwrap_or(usize::MAX))?;
        let to = frame::next_header(&rest).map_or(end, |ahead| at.saturating_add(ahead as u64));
        return Ok(Step::Skip { to, records: 0 });
    };
    let payload = files.read(&name, at.saturating_add(HEADER as u64), header.payload)?;
    let whole = header.matches(&payload).then(|| payload::decode(&payload));
    Ok(match whole.flatten() {
        Some(batch) if batch.len() == usize::try_from(header.records).unwrap_or(usize::MAX) => {
            Step::Frame(header, Box::new(batch))
        }
        _ => Step::Skip {
            to: at.saturating_add(header.frame()),
            records: u64::from(header.records),
        },
    })
}

/// What the headers of a segment say.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Scan {
    pub(in super::super) records: u64,
    /// Places at which there is no frame, up to the next one.
    pub(in super::super) damaged: u64,
}

/// Counts what is in a segment without reading its payloads; `None` when it is of a version that
/// this program does not know.
pub(in super::super) fn scan(
    files: &dyn Files,
    name: SegmentName,
    bytes: u64,
) -> io::Result<Option<Scan>> {
    let text = name.to_string();
    let mut scan = Scan::default();
    let magic = files.read(&text, 0, SEGMENT_MAGIC.len())?;
    let version = magic.strip_prefix(SEGMENT_KIND).and_then(<[u8]>::first);
    // No version at all: the loss of power cut the header, and no frame follows.
    if version.is_some_and(|version| ![0, SEGMENT_VERSION].contains(version)) {
        return Ok(None);
    }
    let mut at = SEGMENT_HEADER;
    while at < bytes {
        let head = files.read(&text, at, HEADER)?;
        let left = bytes - at;
        if let Some(header) = Header::parse(&head).filter(|header| header.frame() <= left) {
            scan.records += u64::from(header.records);
            at += header.frame();
            continue;
        }
        scan.damaged += 1;
        let rest = files.read(&text, at, usize::try_from(left).unwrap_or(usize::MAX))?;
        at = frame::next_header(&rest).map_or(bytes, |ahead| at.saturating_add(ahead as u64));
    }
    Ok(Some(scan))
}
