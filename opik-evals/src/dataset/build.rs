//! Builders: from what a system leaves behind to records with labels.
//!
//! A builder reads blocks or tables, alone or in manifests, and writes one JSON object a line. Records
//! are worked on by all cores (the threads of [`rayon`]) and written in their order; a small input
//! stays on the caller's thread. Memory is that of a few MiB of records, or of one where it is larger,
//! and of the manifests that complete them, however long the input is.

mod batch;
mod items;
mod precision;
mod report;
mod tone;
mod traces;

pub use items::ItemBuilder;
pub use precision::PrecisionBuilder;
pub use report::BuildReport;
pub use tone::ToneBuilder;
pub use traces::TraceItems;

use std::io::Write;

use super::DatasetError;
use super::manifest::{Held, Origin, elements};
use super::node::View;
use super::records::{Records, view};
use batch::{Left, Made};

/// What a builder makes of a block or a table: records, or why there is none.
trait Make: Sync {
    /// The lists of a manifest that are read, and the fields by which a record of its own is known.
    const LISTS: &'static [&'static str];
    const OWN: &'static [&'static str];

    fn make(&self, element: View<'_>, origin: Origin<'_>, made: &mut Made) -> Result<(), String>;
}

/// Makes what becomes of the elements of a record.
fn make_all<M: Make>(
    maker: &M,
    held: Held<'_>,
    made: &mut Made,
    left: &mut Left,
) -> Result<(), DatasetError> {
    let (found, outer) = match held {
        Held::Nothing(reason) => return left.skip(reason),
        Held::Elements(found, outer) => (found, outer),
    };
    for element in found {
        let result = match element {
            None => Err("an element of a list is no object".to_owned()),
            Some(element) => maker.make(element, Origin::of(element).or(outer), made),
        };
        result.or_else(|reason| left.skip(reason))?;
    }
    Ok(())
}

/// Reads everything and writes what becomes of it.
fn run<M: Make>(
    maker: &M,
    records: Records,
    output: &mut dyn Write,
) -> Result<BuildReport, DatasetError> {
    batch::build(records, output, |bytes, document, made, left| {
        let held = view(document, bytes)
            .map_or_else(Held::Nothing, |view| elements(view, M::LISTS, M::OWN));
        make_all(maker, held, made, left)
    })
}
