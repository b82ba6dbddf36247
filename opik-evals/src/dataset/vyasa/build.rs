//! The two builders: lines in, records out.

use std::io::{BufRead, Write};
use std::path::Path;

use super::records::{self, Lines};
use super::{Raised, VyasaTerms};
use crate::dataset::node::{Field, NodeError, write_fields};
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
    build(name, input, "blocks", output, |block, write| {
        // The script reads its lexicon for each block, so without blocks a bad one does no harm.
        let terms = terms.as_ref().map_err(Clone::clone)?;
        write(&records::tone(block, terms)?);
        Ok(())
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
    build(name, input, "tables", output, |table, write| {
        records::precision(table, write)
    })
}

fn build(
    name: &str,
    input: impl BufRead,
    key: &str,
    output: &mut dyn Write,
    mut make: impl FnMut(&Node, &mut dyn FnMut(&[Field<'_>])) -> Result<(), Raised>,
) -> Result<u64, DatasetError> {
    let mut lines = Lines::new(input);
    let (mut line, mut count) = (0, 0);
    let mut text = String::new();
    loop {
        let bytes = lines.next_line().map_err(|source| DatasetError::Read {
            file: name.to_owned(),
            source,
        })?;
        let Some(bytes) = bytes else { return Ok(count) };
        line += 1;
        let stop = |raised: &Raised| DatasetError::Unusable {
            place: Place::new(name, line),
            reason: raised.to_string(),
        };
        let utf8 = std::str::from_utf8(bytes)
            .map_err(|_| stop(&Raised::new("UnicodeDecodeError", "not UTF-8")))?;
        let node = match Node::parse_python(utf8) {
            Ok(node) => node,
            Err(NodeError::TooDeep) => {
                return Err(stop(&Raised::new("RecursionError", "nested too deeply")));
            }
            // Lines that are no JSON are passed over in silence there.
            Err(_) => continue,
        };
        for element in records::elements(node, key) {
            let mut torn = false;
            make(&element, &mut |record| {
                torn |= record.iter().any(|(_, value)| value.is_torn());
                write_fields(
                    &mut text,
                    record.iter().map(|(name, value)| (*name, &**value)),
                );
                text.push('\n');
                count += 1;
            })
            .map_err(|raised| stop(&raised))?;
            if torn {
                return Err(stop(&Raised::new(
                    "UnicodeEncodeError",
                    "a text has half a surrogate pair",
                )));
            }
            output
                .write_all(text.as_bytes())
                .map_err(|source| DatasetError::Write {
                    path: Path::new("the output").to_owned(),
                    source,
                })?;
            text.clear();
        }
    }
}
