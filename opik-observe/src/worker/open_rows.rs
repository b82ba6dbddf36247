//! Start rows that wait for their time.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::redact::Row;

/// Most spans that are watched at once; further ones get no start row.
const MOST: usize = 10_000;

/// Identifier of a trace or span.
type Key = [u8; 16];

/// Rows of spans and traces that began and have not ended, oldest first.
///
/// All wait equally long, so a queue in order of arrival is one in order of time.
#[derive(Default)]
pub(crate) struct OpenRows {
    rows: HashMap<Key, Row>,
    order: VecDeque<(Instant, Key)>,
}

impl OpenRows {
    pub(crate) fn began(&mut self, key: Key, row: Row, delay: Duration) {
        if self.rows.len() < MOST && self.order.len() < 2 * MOST {
            self.rows.insert(key, row);
            self.order.push_back((Instant::now() + delay, key));
        }
    }

    pub(crate) fn ended(&mut self, key: &Key) {
        self.rows.remove(key);
        while self
            .order
            .front()
            .is_some_and(|(_, key)| !self.rows.contains_key(key))
        {
            self.order.pop_front();
        }
    }

    /// When the next row is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.order.front().map(|(at, _)| *at)
    }

    /// The next row that is due by then.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Row> {
        while self.due().is_some_and(|at| at <= now) {
            if let Some((_, key)) = self.order.pop_front()
                && let Some(row) = self.rows.remove(&key)
            {
                return Some(row);
            }
        }
        None
    }

    /// Every row, due or not.
    pub(crate) fn drain(&mut self) -> Vec<Row> {
        let mut all = Vec::with_capacity(self.rows.len());
        while let Some((_, key)) = self.order.pop_front() {
            all.extend(self.rows.remove(&key));
        }
        all
    }
}
