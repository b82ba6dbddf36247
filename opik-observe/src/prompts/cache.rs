//! What is known of each prompt, and when it is asked for again. No clock and no IO in here.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::source::FetchedPrompt;
use super::text::Origin;

/// A prompt and the tag that points to one of its versions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) tag: String,
}

/// How long things are good for, and how many there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) ttl: Duration,
    pub(super) retry_after: Duration,
    pub(super) max_prompts: usize,
}

/// What a fetch came to.
pub(super) enum Outcome {
    Found(FetchedPrompt),
    Missing,
    Failed,
}

/// What a caller gets.
pub(super) enum Answer {
    Known(Arc<FetchedPrompt>, Origin),
    Unknown,
    /// As unknown, and it stays so: there are too many prompts.
    Full,
}

#[derive(Debug)]
struct Entry {
    found: Option<Arc<FetchedPrompt>>,
    /// Until when `found` is fresh, and before when nothing is fetched.
    next: Instant,
    /// Failures since the last answer.
    failures: u32,
    /// The fetch has been asked for and has not ended.
    pending: bool,
}

#[derive(Debug)]
pub(super) struct Cache {
    terms: Terms,
    entries: HashMap<Arc<Key>, Entry>,
}

impl Cache {
    pub(super) fn new(terms: Terms) -> Self {
        Self {
            terms,
            entries: HashMap::new(),
        }
    }

    /// What is known, and whether it must be fetched now. Whoever is told so, and nobody else, asks
    /// for it.
    pub(super) fn look(&mut self, key: &Arc<Key>, now: Instant) -> (Answer, bool) {
        if !self.entries.contains_key(key) && self.entries.len() >= self.terms.max_prompts {
            return (Answer::Full, false);
        }
        let entry = self.entries.entry(Arc::clone(key)).or_insert(Entry {
            found: None,
            next: now,
            failures: 0,
            pending: false,
        });
        let due = now >= entry.next;
        let fetch = due && !entry.pending;
        entry.pending |= fetch;
        let answer = match &entry.found {
            Some(found) => {
                let fresh = !due && entry.failures == 0;
                let origin = if fresh { Origin::Cached } else { Origin::Stale };
                Answer::Known(Arc::clone(found), origin)
            }
            None => Answer::Unknown,
        };
        (answer, fetch)
    }

    /// Takes what a fetch came to.
    pub(super) fn settle(&mut self, key: &Key, outcome: Outcome, now: Instant) {
        let Terms {
            ttl, retry_after, ..
        } = self.terms;
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        entry.pending = false;
        let wait = match outcome {
            Outcome::Failed => {
                let doubled = 2_u32.saturating_pow(entry.failures);
                entry.failures = entry.failures.saturating_add(1);
                retry_after.saturating_mul(doubled).min(ttl)
            }
            Outcome::Found(prompt) => {
                entry.failures = 0;
                entry.found = Some(Arc::new(prompt));
                ttl
            }
            Outcome::Missing => {
                entry.failures = 0;
                entry.found = None;
                ttl
            }
        };
        // A wait beyond the end of time is for ever.
        entry.next = now.checked_add(wait).unwrap_or_else(|| {
            let far = Duration::from_secs(100 * 365 * 24 * 3_600);
            now.checked_add(far).unwrap_or(now)
        });
    }

    /// How many of these are known, and how many are being fetched.
    pub(super) fn count(&self, keys: &[Arc<Key>]) -> (usize, usize) {
        let entries = keys.iter().filter_map(|key| self.entries.get(key));
        entries.fold((0, 0), |(known, pending), entry| {
            (
                known + usize::from(entry.found.is_some()),
                pending + usize::from(entry.pending),
            )
        })
    }
}
