//! What a provider wants back with its tool calls.
//!
//! Anthropic signs the thinking before a tool call, Google signs the call; both want the signature
//! back with the call's result, and a conversation of [`opik_core::Message`]s has no place for it.
//! So it is kept here, by the identifier of the call, bounded and for this process only. Where it
//! is missing the request is written so that the provider does without.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most notes.
const MAX_NOTES: usize = 1_024;

/// Most bytes of all notes.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// Notes by the identifier of a tool call; the oldest go first.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    notes: HashMap<String, String>,
    order: VecDeque<String>,
    bytes: usize,
}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} notes", self.notes.len())
    }
}

impl Notes {
    pub(crate) fn keep(&self, call: String, note: String) {
        let mut kept = self.lock();
        if note.len() > MAX_BYTES {
            return;
        }
        kept.bytes += note.len();
        match kept.notes.insert(call.clone(), note) {
            Some(old) => kept.bytes = kept.bytes.saturating_sub(old.len()),
            None => kept.order.push_back(call),
        }
        while kept.notes.len() > MAX_NOTES || kept.bytes > MAX_BYTES {
            let Some(oldest) = kept.order.pop_front() else {
                return;
            };
            let gone = kept.notes.remove(&oldest).map_or(0, |note| note.len());
            kept.bytes = kept.bytes.saturating_sub(gone);
        }
    }

    pub(crate) fn of(&self, call: &str) -> Option<String> {
        self.lock().notes.get(call).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_are_bounded_in_number_and_size() {
        let notes = Notes::default();
        for number in 0..MAX_NOTES + 10 {
            notes.keep(format!("call-{number}"), "x".to_owned());
        }
        assert_eq!(notes.of("call-9"), None);
        assert_eq!(notes.of("call-10").as_deref(), Some("x"));
        notes.keep("big".to_owned(), "y".repeat(MAX_BYTES));
        assert_eq!(notes.of("call-10"), None);
        assert!(notes.of("big").is_some());
        notes.keep("big".to_owned(), "z".to_owned());
        notes.keep("other".to_owned(), "z".to_owned());
        assert_eq!(notes.of("big").as_deref(), Some("z"));
        notes.keep("huge".to_owned(), "y".repeat(MAX_BYTES + 1));
        assert_eq!(
            (notes.of("huge"), notes.of("other").is_some()),
            (None, true)
        );
    }
}
