//! Builders: from what a system leaves behind to records with labels.
//!
//! A builder reads blocks or tables, alone or in manifests, and writes one JSON object a line. Its
//! memory is that of one record (and of the manifests that complete it), however long the input is.

mod precision;
mod report;
mod tone;
mod traces;

pub use precision::PrecisionBuilder;
pub use report::BuildReport;
pub use tone::ToneBuilder;
pub use traces::TraceItems;

use std::io::Write;
use std::path::Path;

use super::DatasetError;
use super::manifest::{Held, Origin, elements};
use super::node::{Document, Record, View};
use super::records::{Records, view};

/// Where a builder writes its records, each a line, through one buffer.
struct Output<'a> {
    to: &'a mut dyn Write,
    line: &'a mut String,
}

impl Output<'_> {
    /// Writes a record.
    fn record(&mut self, fill: impl FnOnce(Record<'_>) -> Record<'_>) -> Result<(), DatasetError> {
        self.line.clear();
        fill(Record::new(self.line)).end();
        let written = self.to.write_all(self.line.as_bytes());
        written.map_err(|source| DatasetError::Write {
            path: Path::new("the output").to_owned(),
            source,
        })
    }
}

/// What a builder makes of a block or a table: records, or why there is none.
trait Make {
    /// The lists of a manifest that are read, and the fields by which a record of its own is known.
    const LISTS: &'static [&'static str];
    const OWN: &'static [&'static str];

    fn make(
        &self,
        element: View<'_>,
        origin: Origin<'_>,
        report: &mut BuildReport,
        output: &mut Output<'_>,
    ) -> Result<Result<(), String>, DatasetError>;
}

/// Reads everything and writes what becomes of it.
fn run<M: Make>(
    maker: &M,
    mut records: Records,
    output: &mut dyn Write,
) -> Result<BuildReport, DatasetError> {
    let mut report = BuildReport::default();
    let mut output = Output {
        to: output,
        line: &mut String::new(),
    };
    let (mut record, mut document) = (Vec::new(), Document::default());
    while records.advance()? {
        records.take(&mut record);
        let held = view(&mut document, &record)
            .map_or_else(Held::Nothing, |view| elements(view, M::LISTS, M::OWN));
        match held {
            Held::Nothing(reason) => records.skip(reason)?,
            Held::Elements(found, outer) => {
                for element in found {
                    let Some(element) = element else {
                        records.skip("an element of a list is no object")?;
                        continue;
                    };
                    let origin = Origin::of(element).or(outer);
                    let made = maker.make(element, origin, &mut report, &mut output)?;
                    if let Err(reason) = made {
                        records.skip(reason)?;
                    }
                }
            }
        }
    }
    report.skipped = records.skipped().clone();
    Ok(report)
}
