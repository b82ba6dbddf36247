//! Random histories of processes, faults and outages against what must hold in all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use opik_core::wire::{List, RowId, WireBatch};
use opik_core::{Timestamp, TraceId};
use proptest::prelude::*;

use super::super::clock::SpoolClock;
use super::super::counts::Counts;
use super::super::journal::Journal;
use super::super::options::SpoolOptions;
use super::model_files::{Fault, ModelFiles};

#[derive(Debug, Default)]
pub(super) struct TestClock(AtomicI64);

impl TestClock {
    pub(super) fn advance(&self, by: Duration) {
        let micros = i64::try_from(by.as_micros()).unwrap();
        self.0.fetch_add(micros, Ordering::Relaxed);
    }
}

impl SpoolClock for TestClock {
    fn now(&self) -> Timestamp {
        let ticks = self.0.fetch_add(1, Ordering::Relaxed);
        Timestamp::from_micros(1_795_170_315_000_000 + ticks)
    }
}

#[derive(Debug, Clone)]
enum Operation {
    Append {
        slot: usize,
        rows: u32,
    },
    /// The server takes the oldest batch, or is down.
    Deliver {
        slot: usize,
        up: bool,
        rejected: usize,
    },
    Adopt(usize),
    Retire(usize),
    Evict(usize),
    /// Closes in order and opens again.
    Reopen(usize),
    Kill(usize),
    PowerLoss(u8),
    Advance(u32),
}

fn operation() -> impl Strategy<Value = Operation> {
    let slot = 0..2_usize;
    prop_oneof![
        8 => (slot.clone(), 1..5_u32).prop_map(|(slot, rows)| Operation::Append { slot, rows }),
        6 => (slot.clone(), any::<bool>(), 0..3_usize)
            .prop_map(|(slot, up, rejected)| Operation::Deliver { slot, up, rejected }),
        2 => slot.clone().prop_map(Operation::Adopt),
        1 => slot.clone().prop_map(Operation::Retire),
        1 => slot.clone().prop_map(Operation::Evict),
        1 => slot.clone().prop_map(Operation::Reopen),
        1 => slot.prop_map(Operation::Kill),
        1 => any::<u8>().prop_map(Operation::PowerLoss),
        1 => (1..40_000_u32).prop_map(Operation::Advance),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        80 => Just(Fault::None),
        1 => Just(Fault::NoSpace),
        1 => Just(Fault::ReadOnly),
        1 => Just(Fault::Broken),
        1 => any::<u8>().prop_map(Fault::Short),
        1 => any::<u8>().prop_map(Fault::Killed),
        1 => any::<u8>().prop_map(Fault::PowerLoss),
    ]
}

/// Rows of one number whose text is known from it.
fn batch(number: u32, rows: u32) -> WireBatch {
    let mut batch = WireBatch::default();
    for row in 0..rows {
        let trace = TraceId::from_parts(Timestamp::EPOCH, u64::from(number) << 8 | u64::from(row));
        let text = format!(
            "{{\"n\":{number},\"of\":{rows},\"x\":\"{}\"}}",
            "y".repeat(40)
        );
        batch
            .rows_mut(List::Traces)
            .push(RowId::Trace(trace), text.as_bytes());
    }
    batch
}

fn number_of(batch: &WireBatch) -> u32 {
    let text = String::from_utf8(batch.rows(List::Traces).text_of(&(0..1)).to_vec()).unwrap();
    let digits = text.strip_prefix("{\"n\":").unwrap();
    digits.split(',').next().unwrap().parse().unwrap()
}

struct Process {
    id: u32,
    files: ModelFiles,
    journal: Journal,
    counts: Arc<Counts>,
}

struct World {
    files: ModelFiles,
    clock: Arc<TestClock>,
    options: SpoolOptions,
    processes: u32,
    slots: Vec<Process>,
    /// Every batch that was tried: rows, and the process.
    tried: BTreeMap<u32, (u32, u32)>,
    /// Batches that were said to be on disk.
    acknowledged: BTreeSet<u32>,
    delivered: Vec<u32>,
    lost: u64,
}

impl World {
    fn new(options: SpoolOptions) -> Self {
        let mut world = Self {
            files: ModelFiles::new(),
            clock: Arc::default(),
            options,
            processes: 0,
            slots: Vec::new(),
            tried: BTreeMap::new(),
            acknowledged: BTreeSet::new(),
            delivered: Vec::new(),
            lost: 0,
        };
        world.slots = (0..2).map(|_| world.start()).collect();
        world
    }

    fn start(&mut self) -> Process {
        self.processes += 1;
        let files = self.files.of_process(self.processes);
        let counts = Arc::new(Counts::default());
        let clock = Arc::clone(&self.clock) as Arc<dyn SpoolClock>;
        let shared = Arc::new(files.clone());
        let journal = Journal::new(shared, clock, Arc::clone(&counts), self.options.clone());
        Process {
            id: self.processes,
            files,
            journal,
            counts,
        }
    }

    /// Ends a process, which writes to no file when it is dead, and starts another.
    fn replace(&mut self, slot: usize) {
        let next = self.start();
        let process = std::mem::replace(&mut self.slots[slot], next);
        self.lost += process.counts.snapshot().lost();
    }

    fn run(&mut self, operation: &Operation) {
        match *operation {
            Operation::Append { slot, rows } => {
                let number = u32::try_from(self.tried.len()).unwrap();
                let process = &mut self.slots[slot];
                self.tried.insert(number, (rows, process.id));
                if process.journal.append(&batch(number, rows)).is_ok() {
                    self.acknowledged.insert(number);
                }
            }
            Operation::Deliver { slot, up, rejected } => {
                let process = &mut self.slots[slot];
                if let Ok(Some(outstanding)) = process.journal.next()
                    && up
                {
                    let number = number_of(&outstanding.batch);
                    let rows = self.tried[&number].0;
                    assert_eq!(*outstanding.batch, batch(number, rows), "as it was written");
                    self.delivered.push(number);
                    process.journal.settle(&outstanding, rejected);
                }
            }
            Operation::Adopt(slot) => {
                self.slots[slot].journal.adopt().ok();
            }
            Operation::Retire(slot) => self.slots[slot].journal.retire(),
            Operation::Evict(slot) => self.slots[slot].journal.evict_old(),
            Operation::Reopen(slot) => self.replace(slot),
            Operation::Kill(slot) => {
                self.slots[slot].files.kill();
            }
            Operation::PowerLoss(kept) => {
                for process in &self.slots {
                    process.files.kill();
                }
                self.files.lose_power(kept);
            }
            Operation::Advance(seconds) => {
                self.clock.advance(Duration::from_secs(u64::from(seconds)));
            }
        }
        for slot in 0..self.slots.len() {
            self.assert_books(slot);
            if self.slots[slot].files.is_dead() {
                self.replace(slot);
            }
        }
    }

    fn assert_books(&self, slot: usize) {
        let s = self.slots[slot].counts.snapshot();
        let settled = s.replayed + s.rejected + s.lost();
        assert_eq!(
            s.appended + s.recovered,
            settled + s.pending_records,
            "{s:?}"
        );
        assert!(s.pending_bytes <= self.options.max_bytes, "{s:?}");
    }

    /// Everything works again: one process takes over what is there and sends it.
    fn settle_all(&mut self) {
        self.files.inject([]);
        for slot in [0, 1] {
            self.replace(slot);
        }
        let process = &mut self.slots[0];
        // A segment that could not be read is tried again by the next process, not by this one.
        process.journal.adopt().unwrap();
        while let Some(outstanding) = process.journal.next().unwrap() {
            self.delivered.push(number_of(&outstanding.batch));
            process.journal.settle(&outstanding, 0);
        }
        process.journal.retire();
        self.assert_books(0);
        let s = self.slots[0].counts.snapshot();
        assert_eq!((s.pending_records, s.pending_bytes), (0, 0));
        self.lost += s.lost();
    }

    /// Records that were said to be on disk and have not arrived.
    fn missing(&self) -> u64 {
        let arrived: BTreeSet<u32> = self.delivered.iter().copied().collect();
        assert!(arrived.iter().all(|number| self.tried.contains_key(number)));
        let missing = self.acknowledged.difference(&arrived);
        missing.map(|number| u64::from(self.tried[number].0)).sum()
    }

    fn assert_nothing_is_left(&self) {
        let segments = self
            .files
            .names()
            .into_iter()
            .filter(|name| name.ends_with(".seg"));
        assert_eq!(segments.collect::<Vec<_>>(), Vec::<String>::new());
    }

    fn assert_order(&self) {
        let mut last: BTreeMap<u32, u32> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for number in self.delivered.iter().filter(|number| seen.insert(**number)) {
            let process = self.tried[number].1;
            let before = last.insert(process, *number);
            assert!(
                before.is_none_or(|before| before < *number),
                "{:?}",
                self.delivered
            );
        }
    }
}

fn roomy() -> SpoolOptions {
    SpoolOptions::new()
        .max_bytes(1 << 20)
        .segment_bytes(700)
        .max_age(Duration::from_hours(24 * 365))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_acknowledged_is_lost_whatever_fails(
        operations in proptest::collection::vec(operation(), 1..60),
        faults in proptest::collection::vec(fault(), 0..300),
    ) {
        let mut world = World::new(roomy());
        world.files.inject(faults);
        for operation in &operations {
            world.run(operation);
        }
        world.settle_all();
        world.assert_nothing_is_left();
        prop_assert!(world.missing() <= world.lost);
        // A segment that cannot be read is given up after a while, and counted.
        if world.files.failed_reads() == 0 {
            prop_assert_eq!(world.missing(), 0);
            world.assert_order();
        }
    }

    #[test]
    fn what_the_caps_throw_away_is_counted(
        operations in proptest::collection::vec(operation(), 1..80),
        faults in proptest::collection::vec(fault(), 0..100),
    ) {
        let options = SpoolOptions::new()
            .max_bytes(3_000)
            .segment_bytes(300)
            .max_age(Duration::from_hours(12));
        let mut world = World::new(options);
        world.files.inject(faults);
        for operation in &operations {
            world.run(operation);
        }
        world.settle_all();
        world.assert_nothing_is_left();
        prop_assert!(world.missing() <= world.lost, "{} of {}", world.missing(), world.lost);
    }
}
