//! Choosing the records of a page while candidates go by.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::cursor::{Id, Newest};
use crate::codec::prefix;

struct Entry<T> {
    id: Id,
    bound: i64,
    item: T,
}

impl<T> PartialEq for Entry<T> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<T> Eq for Entry<T> {}

impl<T> PartialOrd for Entry<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T> Ord for Entry<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }
}

/// The newest records among those that were offered.
pub(super) struct NewestFirst<T> {
    heap: BinaryHeap<Reverse<Entry<T>>>,
    limit: usize,
    /// Highest bound of a candidate that has a record which is not in the heap.
    left: Option<i64>,
}

impl<T> NewestFirst<T> {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            heap: BinaryHeap::with_capacity(limit + 2),
            limit,
            left: None,
        }
    }

    /// Whether no candidate with this bound or a lower one can change the page.
    pub(super) fn is_settled(&self, bound: i64) -> bool {
        self.heap.len() > self.limit
            && self
                .heap
                .peek()
                .is_some_and(|Reverse(worst)| bound < prefix(&worst.id))
    }

    /// Whether a record of this identity would be in the page.
    pub(super) fn wants(&mut self, id: &Id, bound: i64) -> bool {
        let full = self.heap.len() > self.limit;
        let wanted = !full
            || self
                .heap
                .peek()
                .is_some_and(|Reverse(worst)| *id > worst.id);
        if !wanted {
            self.left = self.left.max(Some(bound));
        }
        wanted
    }

    pub(super) fn offer(&mut self, id: Id, bound: i64, item: T) {
        self.heap.push(Reverse(Entry { id, bound, item }));
        // One more than fits tells that there is a next page.
        if self.heap.len() > self.limit + 1
            && let Some(Reverse(worst)) = self.heap.pop()
        {
            self.left = self.left.max(Some(worst.bound));
        }
    }

    /// The records, newest first, and where the next page begins.
    pub(super) fn finish(mut self) -> (Vec<T>, Option<Newest>) {
        let mut left = self.left;
        if self.heap.len() > self.limit {
            if let Some(Reverse(extra)) = self.heap.pop() {
                left = left.max(Some(extra.bound));
            }
        } else {
            left = None;
        }
        let entries = self.heap.into_sorted_vec();
        let last = entries.last().map(|Reverse(entry)| entry.id);
        let next = left
            .zip(last)
            .map(|(bound, before)| Newest { bound, before });
        (
            entries
                .into_iter()
                .map(|Reverse(entry)| entry.item)
                .collect(),
            next,
        )
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
