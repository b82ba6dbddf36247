//! The two builders: lines in, records out.

use std::io::{BufRead, Write};

use super::records::{self, Lines, Made};
use super::{Raised, VyasaTerms};
use crate::dataset::node::{Document, NodeError, View};
use crate::dataset::output::write_lines;
use crate::dataset::pieces::{PIECE, Piece, in_order};
use crate::dataset::{DatasetError, Lexicon, Node, Place};

/// What Vyasa's `build_tone_dataset.py` writes for the same input and lexicon; gives the number of
/// records. A lexicon that was read from no file counts as a missing one: every text is neutral.
///
/// # Errors
///
/// Where the script stops with a traceback, with the line at fault, and when reading or writing fails.
pub fn build_tone(
    name: &str,
    input: impl BufRead,
    lexicon: Option<&Lexicon>,
    output: &mut dyn Write,
) -> Result<u64, DatasetError> {
    let terms = match lexicon {
        Some(lexicon) => VyasaTerms::new(lexicon),
        None => VyasaTerms::from_config(&Node::Null),
    };
    build(name, input, "blocks", output, |block, made| {
        // The script reads its lexicon for each block, so without blocks a bad one does no harm.
        let terms = terms.as_ref().map_err(Clone::clone)?;
        records::tone(block, terms, made)
    })
}

/// What Vyasa's `build_precision_dataset.py` writes for the same input; gives the number of records.
///
/// # Errors
///
/// As [`build_tone`].
pub fn build_precision(
    name: &str,
    input: impl BufRead,
    output: &mut dyn Write,
) -> Result<u64, DatasetError> {
    build(name, input, "tables", output, records::precision)
}

/// Lines that are read together, and what becomes of them.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Where the lines end.
    ends: Vec<usize>,
    /// How many lines there are before them.
    before: u64,
    document: Document,
    made: Made,
    failed: Option<DatasetError>,
}

impl Piece for Batch {
    fn bytes(&self) -> usize {
        // A blank line is one, too.
        self.bytes.len() + self.ends.len() * size_of::<usize>()
    }
}

impl Batch {
    /// Whether there may be more.
    fn read<R: BufRead>(&mut self, name: &str, lines: &mut Lines<R>) -> Result<bool, DatasetError> {
        self.bytes.clear();
        self.bytes.shrink_to(4 * PIECE);
        self.ends.clear();
        self.before = lines.read();
        while Piece::bytes(self) < PIECE {
            let more = lines.next_line(&mut self.bytes);
            let more = more.map_err(|source| DatasetError::Read {
                file: name.to_owned(),
                source,
            })?;
            if !more {
                return Ok(false);
            }
            self.ends.push(self.bytes.len());
        }
        Ok(true)
    }

    fn work(&mut self, name: &str, key: &str, make: &impl MakeElement) {
        let mut start = 0;
        for (line, end) in (self.before + 1..).zip(&self.ends) {
            let bytes = self.bytes.get(start..*end).unwrap_or_default();
            start = *end;
            let made = of_line(bytes, key, &mut self.document, &mut self.made, make);
            if let Err(raised) = made {
                self.failed = Some(DatasetError::Unusable {
                    place: Place::new(name, line),
                    reason: raised.to_string(),
                });
                return;
            }
        }
    }

    fn write(&mut self, output: &mut dyn Write) -> Result<u64, DatasetError> {
        write_lines(output, &mut self.made.text)?;
        let count = std::mem::take(&mut self.made.count);
        self.failed.take().map_or(Ok(count), Err)
    }
}

/// Adds what becomes of a block or a table.
trait MakeElement: Fn(View<'_>, &mut Made) -> Result<(), Raised> + Sync {}

impl<F: Fn(View<'_>, &mut Made) -> Result<(), Raised> + Sync> MakeElement for F {}

/// Adds what becomes of a line.
fn of_line(
    line: &[u8],
    key: &str,
    document: &mut Document,
    made: &mut Made,
    make: &impl MakeElement,
) -> Result<(), Raised> {
    let text = simdutf8::basic::from_utf8(line)
        .map_err(|_| Raised::new("UnicodeDecodeError", "not UTF-8"))?;
    let value = match document.read_python(text) {
        Ok(value) => value,
        Err(NodeError::TooDeep) => {
            return Err(Raised::new("RecursionError", "nested too deeply"));
        }
        // Lines that are no JSON are passed over in silence there.
        Err(_) => return Ok(()),
    };
    for element in records::elements(value, key) {
        // Of a block or a table that cannot be written whole nothing is.
        let whole = made.text.len();
        let mut result = make(element, made);
        if result.is_ok() && made.torn {
            result = Err(Raised::new(
                "UnicodeEncodeError",
                "a text has half a surrogate pair",
            ));
        }
        if result.is_err() {
            made.text.truncate(whole);
            return result;
        }
    }
    Ok(())
}

fn build(
    name: &str,
    input: impl BufRead,
    key: &str,
    output: &mut dyn Write,
    make: impl MakeElement,
) -> Result<u64, DatasetError> {
    let (mut lines, mut count) = (Lines::new(input), 0);
    in_order(
        |batch: &mut Batch| batch.read(name, &mut lines),
        |batch| batch.work(name, key, &make),
        |batch| {
            count += batch.write(output)?;
            Ok(())
        },
    )?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_lines_fill_a_batch_too() {
        let text = "\n".repeat(100_000);
        let (mut lines, mut batch) = (Lines::new(text.as_bytes()), Batch::default());
        assert!(batch.read("in", &mut lines).unwrap());
        assert_eq!(lines.read(), (PIECE / size_of::<usize>()) as u64);
        assert!(Piece::bytes(&batch) <= PIECE + size_of::<usize>());
    }
}
