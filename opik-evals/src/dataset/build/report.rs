//! What a builder did.

use std::collections::BTreeMap;

use crate::dataset::Skipped;

/// Groups of one kind that are counted apart; the rest are counted together.
const GROUPS: usize = 200;

/// What a builder wrote and what it left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BuildReport {
    written: u64,
    /// Sorted by label and level of rigour.
    labels: Vec<(String, String, u64)>,
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
            .map(|(label, rigor, count)| (label.as_str(), rigor.as_str(), *count))
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

    pub(super) fn add(&mut self, label: &str, rigor: &str, column: Option<&str>) {
        self.written += 1;
        let rigor = if self.labels.len() < GROUPS {
            rigor
        } else {
            "(other)"
        };
        let known = self.labels.binary_search_by(|(own, level, _)| {
            (own.as_str(), level.as_str()).cmp(&(label, rigor))
        });
        match known.map(|at| self.labels.get_mut(at)) {
            Ok(Some((_, _, count))) => *count += 1,
            Ok(None) => {}
            Err(at) => (self.labels).insert(at, (label.to_owned(), rigor.to_owned(), 1)),
        }
        let Some(column) = column else { return };
        if let Some(count) = self.columns.get_mut(column) {
            *count += 1;
            return;
        }
        let known = self.columns.len() < GROUPS;
        let name = if known { column } else { "(other columns)" };
        *self.columns.entry(name.to_owned()).or_default() += 1;
    }
}
