//! Choosing the records of a page while candidates go by.

use std::cmp::Ordering;

use super::cursor::{Id, Newest};
use crate::codec::prefix;

struct Entry<T> {
    id: Id,
    bound: i64,
    item: T,
}

/// The newest records among those that were offered, newest first. They mostly come in this order,
/// so that nearly all of them go to the end.
pub(super) struct NewestFirst<T> {
    entries: Vec<Entry<T>>,
    limit: usize,
    /// Highest bound of a candidate that has a record which is not among them.
    left: Option<i64>,
}

impl<T> NewestFirst<T> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            // A caller may ask for any number.
            entries: Vec::with_capacity(limit.min(1_000) + 2),
            limit,
            left: None,
        }
    }

    /// The oldest one, once there is one more than fits.
    fn worst(&self) -> Option<&Entry<T>> {
        (self.entries.len() > self.limit)
            .then(|| self.entries.last())
            .flatten()
    }

    /// Whether no candidate with this bound or a lower one can change the page.
    pub(super) fn is_settled(&self, bound: i64) -> bool {
        self.worst().is_some_and(|worst| bound < prefix(&worst.id))
    }

    /// Whether a record of this identity would be in the page.
    pub(super) fn wants(&mut self, id: &Id, bound: i64) -> bool {
        let wanted = self.worst().is_none_or(|worst| *id > worst.id);
        if !wanted {
            self.left = self.left.max(Some(bound));
        }
        wanted
    }

    pub(super) fn offer(&mut self, id: Id, bound: i64, item: T) {
        let newer = match self.entries.last() {
            Some(last) if last.id < id => self.entries.partition_point(|entry| entry.id > id),
            _ => self.entries.len(),
        };
        self.entries.insert(newer, Entry { id, bound, item });
        // One more than fits tells that there is a next page.
        if self.entries.len() > self.limit + 1
            && let Some(worst) = self.entries.pop()
        {
            self.left = self.left.max(Some(worst.bound));
        }
    }

    /// The records, newest first, and where the next page begins.
    pub(super) fn finish(mut self) -> (Vec<T>, Option<Newest>) {
        let mut left = self.left;
        if self.entries.len() > self.limit {
            if let Some(extra) = self.entries.pop() {
                left = left.max(Some(extra.bound));
            }
        } else {
            left = None;
        }
        let last = self.entries.last().map(|entry| entry.id);
        let next = left
            .zip(last)
            .map(|(bound, before)| Newest { bound, before });
        let items = self.entries.into_iter().map(|entry| entry.item);
        (items.collect(), next)
    }
}

/// The first records in some order among those that were offered.
pub(super) struct FirstOf<T, F> {
    items: Vec<T>,
    keep: usize,
    order: F,
}

impl<T, F: Fn(&T, &T) -> Ordering> FirstOf<T, F> {
    pub(super) fn new(keep: usize, order: F) -> Self {
        Self {
            items: Vec::new(),
            keep,
            order,
        }
    }

    pub(super) fn offer(&mut self, item: T) {
        self.items.push(item);
        if self.items.len() >= 2 * self.keep + 1_000 {
            self.cut();
        }
    }

    fn cut(&mut self) {
        self.items.sort_by(&self.order);
        self.items.truncate(self.keep);
    }

    pub(super) fn finish(mut self) -> Vec<T> {
        self.cut();
        self.items
    }
}
