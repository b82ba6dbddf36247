//! What was left out, and why.

use std::collections::BTreeMap;

use super::Place;

/// Records that are named; the others are counted.
const NAMED: usize = 20;

/// One record that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skip {
    /// Where it begins.
    pub place: Place,
    /// Why it cannot be used; quotes nothing of it.
    pub reason: String,
}

/// The records of an input that were left out: how many, why, and where the first of them are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    count: u64,
    first: Vec<Skip>,
    reasons: BTreeMap<String, u64>,
}

impl Skipped {
    /// How many records were left out.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Whether nothing was left out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The first of them, 20 at most.
    #[must_use]
    pub fn first(&self) -> &[Skip] {
        &self.first
    }

    /// How many there are of each reason.
    pub fn reasons(&self) -> impl Iterator<Item = (&str, u64)> {
        self.reasons
            .iter()
            .map(|(reason, count)| (reason.as_str(), *count))
    }

    /// Adds one. Past 64 different reasons the rest are counted together, so that a report stays
    /// small whatever the input.
    pub(crate) fn add(&mut self, place: Place, reason: String) {
        self.count += 1;
        if self.reasons.len() < 64 || self.reasons.contains_key(&reason) {
            *self.reasons.entry(reason.clone()).or_default() += 1;
        } else {
            *self.reasons.entry("other reasons".to_owned()).or_default() += 1;
        }
        if self.first.len() < NAMED {
            self.first.push(Skip { place, reason });
        }
    }
}
