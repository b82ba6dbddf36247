//! Start rows that wait for their time.

use std::collections::{HashSet, VecDeque};

use tokio::time::Instant;

/// Most spans that are watched at once; further ones get no start row.
const MOST: usize = 10_000;
/// Bytes of records that are watched at once.
const MOST_BYTES: usize = 4 << 20;

/// Identifier of a trace or span.
type Key = [u8; 16];

/// Beginnings of spans and traces that have not ended, oldest first, as the program recorded them:
/// most of them end before anyone asks for their row.
///
/// All wait equally long, so a queue in order of arrival is one in order of time. What ended stays in
/// the queue until its turn or until the queue is full.
#[derive(Default)]
pub(crate) struct OpenRows {
    live: HashSet<Key, foldhash::fast::RandomState>,
    order: VecDeque<Waiting>,
    /// The records of `order`, one after the other.
    records: VecDeque<u8>,
}

struct Waiting {
    due: Instant,
    key: Key,
    length: usize,
}

impl OpenRows {
    /// Keeps the beginning of a record until it is due.
    pub(crate) fn began(&mut self, key: Key, record: &[u8], due: Instant) {
        let full = |rows: &Self| {
            rows.order.len() >= 2 * MOST || rows.records.len() + record.len() > MOST_BYTES
        };
        if full(self) {
            self.forget_ended();
        }
        if self.live.len() < MOST && !full(self) && self.live.insert(key) {
            let length = record.len();
            self.order.push_back(Waiting { due, key, length });
            self.records.extend(record);
        }
    }

    pub(crate) fn ended(&mut self, key: &Key) {
        if self.live.remove(key) {
            while self
                .order
                .front()
                .is_some_and(|first| !self.live.contains(&first.key))
            {
                self.forget_first();
            }
        }
    }

    /// When the next row is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.order.front().map(|first| first.due)
    }

    /// The next record that is due by then; all are without a moment.
    pub(crate) fn pop_due(&mut self, now: Option<Instant>) -> Option<Vec<u8>> {
        while self
            .due()
            .is_some_and(|due| now.is_none_or(|now| due <= now))
        {
            let first = self.order.front()?;
            let live = self.live.remove(&first.key);
            let record = live.then(|| self.records.iter().take(first.length).copied().collect());
            self.forget_first();
            if record.is_some() {
                return record;
            }
        }
        None
    }

    fn forget_first(&mut self) {
        if let Some(first) = self.order.pop_front() {
            self.records.drain(..first.length.min(self.records.len()));
        }
    }

    fn forget_ended(&mut self) {
        let mut kept = VecDeque::with_capacity(self.records.len());
        let mut at = 0;
        self.order.retain(|waiting| {
            let range = at..at + waiting.length;
            at = range.end;
            let lives = self.live.contains(&waiting.key);
            if lives {
                kept.extend(self.records.range(range));
            }
            lives
        });
        self.records = kept;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn key(number: usize) -> Key {
        (number as u128).to_le_bytes()
    }

    fn begin(rows: &mut OpenRows, number: usize, at: Instant) {
        rows.began(key(number), &number.to_le_bytes(), at);
    }

    #[test]
    fn only_what_is_open_comes_out_and_in_order() {
        let (mut rows, now) = (OpenRows::default(), Instant::now());
        let later = |seconds| now + Duration::from_secs(seconds);
        for number in 0..4 {
            begin(&mut rows, number, later(number as u64));
        }
        rows.ended(&key(0));
        rows.ended(&key(2));
        assert_eq!(rows.due(), Some(later(1)));
        assert_eq!(rows.pop_due(Some(now)), None);
        let record = |number: usize| Some(number.to_le_bytes().to_vec());
        assert_eq!(rows.pop_due(Some(later(9))), record(1));
        assert_eq!(rows.pop_due(None), record(3));
        assert_eq!((rows.pop_due(None), rows.records.len()), (None, 0));
    }

    #[test]
    fn a_long_one_does_not_keep_room_from_those_behind_it() {
        let (mut rows, now) = (OpenRows::default(), Instant::now());
        begin(&mut rows, 0, now);
        for number in 1..10 * MOST {
            begin(&mut rows, number, now);
            rows.ended(&key(number));
        }
        assert!(rows.order.len() <= 2 * MOST && rows.records.len() <= MOST_BYTES);
        begin(&mut rows, 10 * MOST, now);
        let record = |number: usize| Some(number.to_le_bytes().to_vec());
        assert_eq!(rows.pop_due(None), record(0));
        assert_eq!(rows.pop_due(None), record(10 * MOST));
    }

    #[test]
    fn a_flood_of_open_ones_stays_within_bounds() {
        let (mut rows, now) = (OpenRows::default(), Instant::now());
        for number in 0..3 * MOST {
            begin(&mut rows, number, now);
        }
        assert_eq!((rows.live.len(), rows.order.len()), (MOST, MOST));
        let mut rows = OpenRows::default();
        for number in 0..100 {
            rows.began(key(number), &vec![0; 100_000], now);
        }
        assert!(rows.records.len() <= MOST_BYTES && rows.live.len() > 10);
    }
}
