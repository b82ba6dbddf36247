//! What a builder did.

use std::collections::BTreeMap;

use foldhash::HashMap;

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

    /// Adds what was counted elsewhere and empties it.
    pub(super) fn take(&mut self, tally: &mut Tally) {
        self.written += std::mem::take(&mut tally.plain);
        let mut labels: Vec<_> = tally
            .labels
            .drain()
            .flat_map(|(label, levels)| {
                let levels = levels.into_iter();
                levels.map(move |(rigor, seen)| (seen, label.clone(), rigor))
            })
            .collect();
        labels.sort_unstable_by_key(|(seen, _, _)| seen.first);
        for (seen, label, rigor) in labels {
            self.written += seen.count;
            self.label(label, rigor, seen.count);
        }
        let mut columns: Vec<_> = tally.columns.drain().collect();
        columns.sort_unstable_by_key(|(_, seen)| seen.first);
        for (column, seen) in columns {
            self.column(column, seen.count);
        }
    }

    fn label(&mut self, label: String, rigor: String, more: u64) {
        let find = |labels: &[(String, String, u64)], rigor: &str| {
            labels.binary_search_by(|(own, level, _)| {
                (own.as_str(), level.as_str()).cmp(&(label.as_str(), rigor))
            })
        };
        let mut name = rigor;
        let mut known = find(&self.labels, &name);
        if known.is_err() && self.labels.len() >= GROUPS {
            "(other)".clone_into(&mut name);
            known = find(&self.labels, &name);
        }
        match known.map(|at| self.labels.get_mut(at)) {
            Ok(Some((_, _, count))) => *count += more,
            Ok(None) => {}
            Err(at) => self.labels.insert(at, (label, name, more)),
        }
    }

    fn column(&mut self, column: String, more: u64) {
        if let Some(count) = self.columns.get_mut(&column) {
            *count += more;
            return;
        }
        let known = self.columns.len() < GROUPS;
        let name = if known {
            column
        } else {
            "(other columns)".to_owned()
        };
        *self.columns.entry(name).or_default() += more;
    }
}

/// How often something came, and when first.
#[derive(Debug, Clone, Copy)]
struct Seen {
    first: usize,
    count: u64,
}

/// Records that were counted, of a part of the input. Reports that take the parts in their order are
/// those of the whole, as groups are taken up in the order in which they came first.
#[derive(Debug, Default)]
pub(super) struct Tally {
    labels: HashMap<String, HashMap<String, Seen>>,
    columns: HashMap<String, Seen>,
    /// Names that came first so far.
    names: usize,
    /// Records without a label.
    plain: u64,
}

impl Tally {
    /// Counts a record without a label.
    pub(super) fn add_plain(&mut self) {
        self.plain += 1;
    }

    /// Counts a record.
    pub(super) fn add(&mut self, label: &str, rigor: &str, column: Option<&str>) {
        let levels = match self.labels.get_mut(label) {
            Some(levels) => levels,
            None => self.labels.entry(label.to_owned()).or_default(),
        };
        count(levels, rigor, &mut self.names);
        if let Some(column) = column {
            count(&mut self.columns, column, &mut self.names);
        }
    }
}

fn count(groups: &mut HashMap<String, Seen>, name: &str, names: &mut usize) {
    if let Some(seen) = groups.get_mut(name) {
        seen.count += 1;
        return;
    }
    let first = *names;
    *names += 1;
    groups.insert(name.to_owned(), Seen { first, count: 1 });
}
