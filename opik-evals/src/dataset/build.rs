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

use super::manifest::{Held, elements};
use super::node::{Field, write_fields};
use super::records::Records;
use super::{DatasetError, Node};

/// Writes a record as a line.
fn write_line(
    output: &mut dyn Write,
    line: &mut String,
    record: &[Field<'_>],
) -> Result<(), DatasetError> {
    line.clear();
    write_fields(line, record.iter().map(|(name, value)| (*name, &**value)));
    line.push('\n');
    output
        .write_all(line.as_bytes())
        .map_err(|source| DatasetError::Write {
            path: Path::new("the output").to_owned(),
            source,
        })
}

/// What a builder makes of a block or a table: records, or why there is none.
trait Make {
    /// The lists of a manifest that are read, and the fields by which a record of its own is known.
    const LISTS: &'static [&'static str];
    const OWN: &'static [&'static str];

    fn make(
        &self,
        element: &Node,
        origin: &super::manifest::Origin,
        report: &mut BuildReport,
        write: &mut dyn FnMut(&[Field<'_>]) -> Result<(), DatasetError>,
    ) -> Result<Result<(), String>, DatasetError>;
}

/// Reads everything and writes what becomes of it.
fn run<M: Make>(
    maker: &M,
    mut records: Records,
    output: &mut dyn Write,
) -> Result<BuildReport, DatasetError> {
    let mut report = BuildReport::default();
    let mut line = String::new();
    while records.advance()? {
        let node = match records.node() {
            Ok(node) => node,
            Err(reason) => {
                records.skip(reason)?;
                continue;
            }
        };
        match elements(node, M::LISTS, M::OWN) {
            Held::Nothing(reason) => records.skip(reason)?,
            Held::Elements(found, origin) => {
                for element in found {
                    let Some(element) = element else {
                        records.skip("an element of a list is no object")?;
                        continue;
                    };
                    let origin = super::manifest::Origin::of(&element).or(&origin);
                    let made = maker.make(&element, &origin, &mut report, &mut |record| {
                        write_line(output, &mut line, record)
                    })?;
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
