//! What a builder did.

use std::collections::BTreeMap;

use crate::dataset::Skipped;

/// Groups of one kind that are counted apart; the rest are counted together.
const GROUPS: usize = 200;

/// What a builder wrote and what it left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildReport {
    written: u64,
    labels: BTreeMap<(String, String), u64>,
    columns: BTreeMap<String, u64>,
    pub(super) skipped: Skipped,
}

impl BuildReport {
    /// How many records were written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// How many records there are of each label and level of rigour, sorted.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        self.labels
            .iter()
            .map(|((label, rigor), count)| (label.as_str(), rigor.as_str(), *count))
    }

    /// How many records there are of each column with an issue, sorted; past 200 columns the rest
    /// are `(other columns)`.
    pub fn columns(&self) -> impl Iterator<Item = (&str, u64)> {
        self.columns
            .iter()
            .map(|(column, count)| (column.as_str(), *count))
    }

    /// What was left out.
    #[must_use]
    pub fn skipped(&self) -> &Skipped {
        &self.skipped
    }

    pub(super) fn add(&mut self, label: &str, rigor: String, column: Option<&str>) {
        self.written += 1;
        let group = if self.labels.len() < GROUPS {
            (label.to_owned(), rigor)
        } else {
            (label.to_owned(), "(other)".to_owned())
        };
        *self.labels.entry(group).or_default() += 1;
        if let Some(column) = column {
            let known = self.columns.len() < GROUPS || self.columns.contains_key(column);
            let name = if known { column } else { "(other columns)" };
            *self.columns.entry(name.to_owned()).or_default() += 1;
        }
    }
}
