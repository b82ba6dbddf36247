//! Verdicts by the content of the question, a bounded number of them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

/// Verdicts that are kept by default.
pub(super) const KEPT: usize = 10_000;

/// A map that forgets its oldest entry when it is full.
#[derive(Debug)]
pub(super) struct Memory<T> {
    most: usize,
    inner: Mutex<Inner<T>>,
}

#[derive(Debug)]
struct Inner<T> {
    entries: HashMap<[u8; 32], T>,
    order: VecDeque<[u8; 32]>,
}

impl<T: Clone> Memory<T> {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            inner: Mutex::new(Inner {
                entries: HashMap::new(),
                order: VecDeque::new(),
            }),
        }
    }

    pub(super) fn get(&self, key: &[u8; 32]) -> Option<T> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.entries.get(key).cloned()
    }

    pub(super) fn put(&self, key: [u8; 32], value: T) {
        if self.most == 0 {
            return;
        }
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if inner.entries.insert(key, value).is_none() {
            inner.order.push_back(key);
        }
        if inner.order.len() > self.most
            && let Some(oldest) = inner.order.pop_front()
        {
            inner.entries.remove(&oldest);
        }
    }
}
