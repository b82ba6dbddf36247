//! What Vyasa's `run_evals.py` says about a dataset.

use std::collections::HashMap;
use std::io::BufRead;

use super::Raised;
use super::records::Lines;
use crate::dataset::node::{Document, NodeError, View};
use crate::dataset::{DatasetError, Place};

/// How many records a dataset has, and how many of each label.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VyasaSummary {
    loaded: u64,
    labels: Vec<(String, u64)>,
    no_object: bool,
}

impl VyasaSummary {
    /// Reads a dataset as the script does: lines that are no JSON are passed over; the label is
    /// `label`, else `flags`, as Python prints it.
    ///
    /// # Errors
    ///
    /// Where the script stops while it reads, with the line at fault.
    pub fn read(name: &str, input: impl BufRead) -> Result<Self, DatasetError> {
        let mut lines = Lines::new(input);
        let mut own = Self::default();
        let mut places: HashMap<String, usize> = HashMap::new();
        let (mut bytes, mut document) = (Vec::new(), Document::default());
        loop {
            bytes.clear();
            let more = lines.next_line(&mut bytes);
            let more = more.map_err(|source| DatasetError::Read {
                file: name.to_owned(),
                source,
            })?;
            if !more {
                return Ok(own);
            }
            let line = lines.read();
            let stop = |raised: &Raised| DatasetError::Unusable {
                place: Place::new(name, line),
                reason: raised.to_string(),
            };
            let text = std::str::from_utf8(&bytes)
                .map_err(|_| stop(&Raised::new("UnicodeDecodeError", "not UTF-8")))?;
            let record = match document.read_python(text) {
                Ok(record) => record,
                Err(NodeError::TooDeep) => {
                    return Err(stop(&Raised::new("RecursionError", "nested too deeply")));
                }
                Err(_) => continue,
            };
            own.loaded += 1;
            if record.fields().is_none() {
                own.no_object = true;
                continue;
            }
            let label = record.get("label").filter(|label| label.is_truthy());
            let label = label.or_else(|| record.get("flags")).unwrap_or(View::Null);
            let label = label.to_python();
            match places.get(&*label).and_then(|at| own.labels.get_mut(*at)) {
                Some((_, count)) => *count += 1,
                None => {
                    let label = label.into_owned();
                    places.insert(label.clone(), own.labels.len());
                    own.labels.push((label, 1));
                }
            }
        }
    }

    /// How many records were read.
    #[must_use]
    pub fn loaded(&self) -> u64 {
        self.loaded
    }

    /// How many records there are of each label, in the order of first appearance.
    pub fn labels(&self) -> impl Iterator<Item = (&str, u64)> {
        self.labels.iter().map(|(label, n)| (label.as_str(), *n))
    }

    /// What the script prints about it, up to what it says about sending; and where it stops behind
    /// the first line because a record is no object.
    ///
    /// # Errors
    ///
    /// The first line, and what Python raises.
    pub fn text(&self) -> Result<String, (String, Raised)> {
        let mut text = format!("Loaded {} records.\n", self.loaded);
        if self.no_object {
            let raised = Raised::new("AttributeError", "a record is no object");
            return Err((text, raised));
        }
        text.push_str("Label/flag distribution:\n");
        for (label, count) in self.labels() {
            text.push_str(&format!("  {label}: {count}\n"));
        }
        Ok(text)
    }
}
