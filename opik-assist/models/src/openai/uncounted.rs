//! Models whose servers refuse to count tokens while they stream.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Most names that are remembered; beyond, they are found out anew.
const MOST: usize = 1_000;

/// The names of the models; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Uncounted(Arc<Mutex<HashSet<String>>>);

impl Uncounted {
    pub(crate) fn has(&self, model: &str) -> bool {
        let names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        names.contains(model)
    }

    pub(crate) fn add(&self, model: &str) {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= MOST {
            names.clear();
        }
        names.insert(model.to_owned());
    }
}
