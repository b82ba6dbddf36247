//! The two builders: lines in, records out.

use std::io::{BufRead, Write};
use std::path::Path;

use super::records::{self, Lines, Made};
use super::{Raised, VyasaTerms};
use crate::dataset::node::{Document, NodeError, View};
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

fn build(
    name: &str,
    input: impl BufRead,
    key: &str,
    output: &mut dyn Write,
    make: impl Fn(View<'_>, &mut Made) -> Result<(), Raised>,
) -> Result<u64, DatasetError> {
    let mut lines = Lines::new(input);
    let (mut document, mut made) = (Document::default(), Made::default());
    let mut line = 0;
    loop {
        let bytes = lines.next_line().map_err(|source| DatasetError::Read {
            file: name.to_owned(),
            source,
        })?;
        let Some(bytes) = bytes else {
            return Ok(made.count);
        };
        line += 1;
        let stop = |raised: &Raised| DatasetError::Unusable {
            place: Place::new(name, line),
            reason: raised.to_string(),
        };
        let utf8 = std::str::from_utf8(bytes)
            .map_err(|_| stop(&Raised::new("UnicodeDecodeError", "not UTF-8")))?;
        let value = match document.read_python(utf8) {
            Ok(value) => value,
            Err(NodeError::TooDeep) => {
                return Err(stop(&Raised::new("RecursionError", "nested too deeply")));
            }
            // Lines that are no JSON are passed over in silence there.
            Err(_) => continue,
        };
        for element in records::elements(value, key) {
            made.text.clear();
            make(element, &mut made).map_err(|raised| stop(&raised))?;
            if made.torn {
                return Err(stop(&Raised::new(
                    "UnicodeEncodeError",
                    "a text has half a surrogate pair",
                )));
            }
            output
                .write_all(made.text.as_bytes())
                .map_err(|source| DatasetError::Write {
                    path: Path::new("the output").to_owned(),
                    source,
                })?;
        }
    }
}
