//! Records that are cut from the input together, and what a builder makes of them on any core.

use std::io::Write;
use std::sync::Arc;

use super::BuildReport;
use super::report::Tally;
use crate::dataset::node::{Document, Record};
use crate::dataset::output::write_lines;
use crate::dataset::pieces::{PIECE, Piece, in_order};
use crate::dataset::records::Records;
use crate::dataset::{DatasetError, Place, Skipped};

/// What became of blocks and tables: lines of the output, and how many there are of each kind.
#[derive(Debug, Default)]
pub(super) struct Made {
    pub(super) text: String,
    pub(super) tally: Tally,
}

impl Made {
    /// Adds a record.
    pub(super) fn record(&mut self, fill: impl FnOnce(Record<'_>) -> Record<'_>) {
        fill(Record::new(&mut self.text)).end();
    }

    /// Writes the lines and counts them.
    pub(super) fn finish(
        &mut self,
        output: &mut dyn Write,
        report: &mut BuildReport,
    ) -> Result<(), DatasetError> {
        report.take(&mut self.tally);
        write_lines(output, &mut self.text)
    }
}

/// What is left out, at the record that is looked at.
#[derive(Debug, Default)]
pub(super) struct Left {
    strict: bool,
    file: Option<Arc<str>>,
    line: u64,
    skipped: Vec<(Place, String)>,
}

impl Left {
    /// Counts the record, or a part of it, as left out; an error when reading is strict.
    pub(super) fn skip(&mut self, reason: impl Into<String>) -> Result<(), DatasetError> {
        let file = self.file.clone().unwrap_or_else(|| Arc::from(""));
        let (place, reason) = (Place::new(file, self.line), reason.into());
        if self.strict {
            return Err(DatasetError::Unusable { place, reason });
        }
        self.skipped.push((place, reason));
        Ok(())
    }
}

/// A record of a batch: where its bytes end, the line at which it began, and what is wrong with it
/// already.
#[derive(Debug, Clone, Copy)]
struct Cut {
    end: usize,
    line: u64,
    damage: Option<&'static str>,
}

/// Records, and what became of them.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    cuts: Vec<Cut>,
    /// The files, each with its first record.
    files: Vec<(usize, Arc<str>)>,
    document: Document,
    made: Made,
    left: Left,
    failed: Option<DatasetError>,
}

/// What a record takes beside its bytes, where it is left out with a reason, give or take.
const BESIDE: usize = size_of::<Cut>() + 2 * size_of::<(Place, String)>();

impl Piece for Batch {
    fn bytes(&self) -> usize {
        self.bytes.len() + self.cuts.len() * BESIDE
    }
}

impl Batch {
    /// Cuts records off the input; whether there may be more.
    fn read(&mut self, records: &mut Records) -> Result<bool, DatasetError> {
        self.bytes.clear();
        self.bytes.shrink_to(4 * PIECE);
        self.cuts.clear();
        self.files.clear();
        while Piece::bytes(self) < PIECE {
            let Some(frame) = records.cut()? else {
                return Ok(false);
            };
            let file = records.file();
            if (self.files.last()).is_none_or(|(_, last)| !Arc::ptr_eq(last, file)) {
                self.files.push((self.cuts.len(), Arc::clone(file)));
            }
            if self.bytes.is_empty() {
                // One that is large is not held twice.
                records.take(&mut self.bytes);
            } else {
                self.bytes.extend_from_slice(records.bytes());
            }
            self.cuts.push(Cut {
                end: self.bytes.len(),
                line: frame.line,
                damage: frame.damage,
            });
        }
        Ok(true)
    }

    /// Makes what there is to make, up to the first error.
    fn work(&mut self, strict: bool, make: &impl MakeRecord) {
        self.left.strict = strict;
        let mut files = self.files.iter().peekable();
        let mut start = 0;
        for (at, cut) in self.cuts.iter().enumerate() {
            if let Some((_, file)) = files.next_if(|(first, _)| *first <= at) {
                self.left.file = Some(Arc::clone(file));
            }
            self.left.line = cut.line;
            let bytes = self.bytes.get(start..cut.end).unwrap_or_default();
            start = cut.end;
            let made = match cut.damage {
                Some(damage) => self.left.skip(damage),
                None => make(bytes, &mut self.document, &mut self.made, &mut self.left),
            };
            if made.is_err() {
                self.failed = made.err();
                return;
            }
        }
    }

    /// Writes what was made.
    fn finish(
        &mut self,
        output: &mut dyn Write,
        report: &mut BuildReport,
        skipped: &mut Skipped,
    ) -> Result<(), DatasetError> {
        self.made.finish(output, report)?;
        for (place, reason) in self.left.skipped.drain(..) {
            skipped.add(place, reason);
        }
        self.failed.take().map_or(Ok(()), Err)
    }
}

/// Makes what becomes of the bytes of a record; an error where reading is strict and it cannot be used.
pub(super) trait MakeRecord:
    Fn(&[u8], &mut Document, &mut Made, &mut Left) -> Result<(), DatasetError> + Sync
{
}

impl<F> MakeRecord for F where
    F: Fn(&[u8], &mut Document, &mut Made, &mut Left) -> Result<(), DatasetError> + Sync
{
}

/// Reads all records and writes what becomes of them, in their order.
pub(super) fn build(
    mut records: Records,
    output: &mut dyn Write,
    make: impl MakeRecord,
) -> Result<BuildReport, DatasetError> {
    let (mut report, mut skipped) = (BuildReport::default(), Skipped::default());
    let strict = records.is_strict();
    in_order(
        |batch: &mut Batch| batch.read(&mut records),
        |batch| batch.work(strict, &make),
        |batch| batch.finish(output, &mut report, &mut skipped),
    )?;
    report.skipped = skipped;
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::{Input, ReadOptions};
    use std::io::Cursor;

    #[test]
    fn records_fill_a_batch_however_short_they_are() {
        let short = "x\n".repeat(100_000);
        // All of them are longer than the limit: nothing of them is kept.
        let long = "123456789\n".repeat(100_000);
        for (text, limit) in [(short, 100), (long, 5)] {
            let input = Input::reader("in", Cursor::new(text));
            let mut records = Records::new([input], ReadOptions::new().limit(limit));
            let mut batch = Batch::default();
            assert!(batch.read(&mut records).unwrap());
            assert!(
                batch.cuts.len() <= PIECE / BESIDE + 1,
                "{}",
                batch.cuts.len()
            );
        }
    }
}
