use super::*;

#[test]
fn records_that_nobody_takes_out_are_counted_when_their_chunk_goes() {
    let limits = Limits {
        // So few that no room is taken ahead.
        pending_records: 10,
        ..Limits::default()
    };
    let (intake, outlet) = Intake::new(&limits);
    // The second finds its slot taken and goes into the queue by itself.
    intake.record(b"one");
    let slot = Arc::clone(intake.registry.slots().first().unwrap());
    {
        let _both = (slot.cell().unwrap(), slot.cell().unwrap());
        intake.record(b"two");
    }
    intake.record(b"three");
    let account = Arc::clone(intake.account());
    assert_eq!(account.waiting(), 3);
    drop(outlet);
    assert_eq!(account.lost.of(DropReason::Closed), 1);
    slot.each_cell(|cell| cell.chunk = None);
    assert_eq!(account.lost.of(DropReason::Closed), 3);
    assert_eq!(account.waiting.load(Ordering::SeqCst), 0);
}

#[test]
fn chunks_of_ended_threads_and_full_ones_are_handed_over() {
    let (intake, outlet) = Intake::new(&Limits::default());
    let record = vec![7; 1_000];
    std::thread::scope(|scope| {
        let ends = scope.spawn(|| (0..100).for_each(|_| intake.record(&record)));
        // Joined, so that its thread-locals are gone as well.
        ends.join().unwrap();
    });
    intake.record(&record);
    let mut handed_over = 0;
    intake.drain(&outlet, |bytes, counted| {
        assert!(records(bytes.as_slice()).all(|found| found == record));
        assert_eq!(records(bytes.as_slice()).count(), counted);
        handed_over += counted;
    });
    assert_eq!((handed_over, intake.account().waiting()), (101, 0));
    // The thread that ended has no slot any more, once that was seen to be empty.
    intake.drain(&outlet, |_, _| {});
    assert_eq!(intake.registry.slots().len(), 1);
}

/// What a drain hands over, in its order.
fn handed_over(intake: &Intake, outlet: &Outlet) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    intake.drain(outlet, |bytes, _| {
        all.extend(records(bytes.as_slice()).map(<[u8]>::to_vec));
    });
    all
}

#[test]
fn what_a_thread_records_stays_in_its_order_through_full_chunks() {
    let (intake, outlet) = Intake::new(&Limits::default());
    let sent: Vec<Vec<u8>> = (0..=255).map(|n| vec![n; 1_000]).collect();
    assert!(sent.len() * 1_000 > 3 * CHUNK);
    sent.iter().for_each(|record| intake.record(record));
    assert_eq!(handed_over(&intake, &outlet), sent);
}

#[test]
fn a_record_that_finds_the_worker_in_its_way_keeps_its_place() {
    let (intake, outlet) = Intake::new(&Limits::default());
    intake.record(b"one");
    assert_eq!(handed_over(&intake, &outlet), [b"one"]);
    let slot = Arc::clone(intake.registry.slots().first().unwrap());
    {
        // The worker leaves the one cell for the other between the two tries.
        let _both = (slot.cell().unwrap(), slot.cell().unwrap());
        intake.record(b"two");
    }
    intake.record(b"three");
    let found = handed_over(&intake, &outlet);
    assert_eq!(found, [&b"two"[..], b"three"]);
}

#[test]
fn a_full_queue_makes_chunks_grow_instead_of_losing_them() {
    let limits = Limits {
        pending_records: 3,
        ..Limits::default()
    };
    let (mut intake, outlet) = Intake::new(&limits);
    intake.limits.records = 1_000;
    let record = vec![7; CHUNK - 100];
    for _ in 0..10 {
        intake.record(&record);
    }
    let mut handed_over = Vec::new();
    intake.drain(&outlet, |_, counted| handed_over.push(counted));
    handed_over.sort_unstable();
    assert_eq!(handed_over, [1, 1, 1, 7]);
    assert_eq!(intake.account().lost.of(DropReason::BudgetExceeded), 0);
}

#[test]
fn the_budget_counts_records_and_bytes_and_is_given_back() {
    let account = Account::default();
    let limits = Room {
        records: 2,
        bytes: 100,
    };
    let reserve = |bytes| {
        let taken = account.reserve(Room::of(bytes), Room::default(), limits);
        taken.is_some()
    };
    assert!(reserve(60));
    assert!(!reserve(60), "bytes");
    assert!(reserve(40));
    assert!(!reserve(0), "records");
    assert_eq!(account.waiting(), 2);
    account.release(limits);
    assert!(reserve(100));
}

#[test]
fn room_is_taken_ahead_only_while_there_is_plenty() {
    let account = Account::default();
    let limits = Room {
        records: 100,
        bytes: 10_000,
    };
    let ahead = Room {
        records: 20,
        bytes: 400,
    };
    let taken: Vec<_> = (0..40)
        .filter_map(|_| account.reserve(Room::of(30), ahead, limits))
        .map(|(taken, _)| taken.records)
        .collect();
    assert_eq!(taken[..3], [21, 21, 1]);
    assert_eq!(taken.iter().sum::<usize>(), 80);
    let bytes = |_| account.reserve(Room::of(4_000), ahead, limits);
    assert_eq!((0..3).filter_map(bytes).count(), 2);
}

#[test]
fn room_that_a_chunk_did_not_use_comes_back_with_it() {
    let (intake, outlet) = Intake::new(&Limits::default());
    for size in [10, 700, 2_000, CHUNK / 2, CHUNK / 2, 10, CHUNK, 3 * CHUNK] {
        intake.record(&vec![7; size]);
        assert!(intake.account().waiting() > 0);
        assert!(!intake.may_sleep());
    }
    let mut handed_over = 0;
    intake.drain(&outlet, |_, counted| handed_over += counted);
    assert_eq!((handed_over, intake.recorded(0)), (8, 8));
    assert_eq!(intake.account().waiting.load(Ordering::SeqCst), 0);
    assert!(intake.may_sleep());
}

#[test]
fn counting_ends_though_the_list_of_slots_stays_locked() {
    let (intake, _outlet) = Intake::new(&Limits::default());
    intake.record(b"one");
    assert_eq!(intake.recorded(0), 1);
    let forked = intake.registry.slots();
    intake.record(b"two");
    assert_eq!(intake.recorded(0), 1, "what was last known");
    assert_eq!(intake.recorded(5), 5, "and what is known to have ended");
    drop(forked);
    assert_eq!(intake.recorded(0), 2);
}

#[test]
fn what_an_ended_thread_recorded_stays_counted() {
    let (intake, outlet) = Intake::new(&Limits::default());
    for round in 1..4 {
        std::thread::scope(|scope| {
            let ends = scope.spawn(|| (0..5).for_each(|_| intake.record(b"one")));
            ends.join().unwrap();
        });
        assert_eq!(intake.recorded(0), round * 5);
        intake.drain(&outlet, |_, _| {});
        assert_eq!(intake.recorded(0), round * 5);
    }
    assert!(intake.registry.slots().len() <= 1);
}

#[test]
fn the_worker_keeps_no_thread_from_its_slot_or_the_list() {
    let limits = Limits {
        // The queue would take one record.
        pending_records: 1,
        ..Limits::default()
    };
    let (mut intake, outlet) = Intake::new(&limits);
    intake.limits.records = 1_000;
    intake.record(b"first");
    let slots = intake.registry.slots();
    slots.first().unwrap().each_cell(|_worker| {
        for _ in 0..10 {
            intake.record(b"while the worker is at a cell");
        }
    });
    std::thread::scope(|scope| {
        for _ in 0..10 {
            // The worker still goes through the list.
            let arrives = scope.spawn(|| (0..10).for_each(|_| intake.record(b"new")));
            arrives.join().unwrap();
        }
    });
    drop(slots);
    assert_eq!(intake.account().lost.of(DropReason::BudgetExceeded), 0);
    let mut handed_over = 0;
    intake.drain(&outlet, |_, counted| handed_over += counted);
    assert_eq!((handed_over, intake.recorded(0)), (121, 121));
    assert!(outlet.0.try_recv().is_err());
}

#[test]
fn nothing_enters_a_closed_intake() {
    let (intake, outlet) = Intake::new(&Limits::default());
    intake.record(b"before");
    intake.close();
    intake.record(b"after");
    std::thread::scope(|scope| {
        let late = scope.spawn(|| intake.record(b"of a new thread"));
        late.join().unwrap();
    });
    assert_eq!(intake.account().lost.of(DropReason::Closed), 2);
    // Nor where the thread writes while the worker is at its first cell.
    let slot = Arc::clone(intake.registry.slots().first().unwrap());
    let worker = slot.cell().unwrap();
    intake.record(b"beside the worker");
    drop(worker);
    assert_eq!(intake.account().lost.of(DropReason::Closed), 3);
    let mut handed_over = 0;
    intake.drain(&outlet, |_, counted| handed_over += counted);
    assert_eq!((handed_over, intake.recorded(0)), (1, 4));
}

#[test]
fn the_worker_is_woken_from_its_sleep_at_half_of_the_budget_and_when_it_is_used_up() {
    let limits = Limits {
        pending_records: 10,
        ..Limits::default()
    };
    let (intake, _outlet) = Intake::new(&limits);
    intake.served_by(std::thread::current());
    let woken = || {
        let (began, long) = (Instant::now(), Duration::from_secs(20));
        std::thread::park_timeout(long);
        began.elapsed() < long
    };
    assert!(intake.may_sleep());
    intake.record(b"one");
    assert!(woken(), "from its sleep");
    (1..5).for_each(|_| intake.record(b"one"));
    assert!(woken(), "at half of the budget");
    (5..10).for_each(|_| intake.record(b"one"));
    // Whatever woke it meanwhile does not count.
    std::thread::park_timeout(Duration::ZERO);
    intake.record(b"one too many");
    assert_eq!(intake.account().lost.of(DropReason::BudgetExceeded), 1);
    assert!(woken(), "when it is used up");
}

#[test]
fn a_thread_forgets_its_slots_of_closed_intakes() {
    let records = || {
        for _ in 0..10 {
            let (intake, _outlet) = Intake::new(&Limits::default());
            intake.record(b"one");
            intake.close();
        }
        SLOTS.with_borrow(Vec::len)
    };
    let kept = std::thread::scope(|scope| scope.spawn(records).join().unwrap());
    assert_eq!(kept, 1);
}

#[test]
fn what_ends_right_after_it_began_is_one_record() {
    let (intake, outlet) = Intake::new(&Limits::default());
    let record = |kind: u8, id: u8, text: u8| {
        let head = [kind, 0, 0, 0, 0, 0, 0, 0];
        [&head[..], &[id; 16], &[0; 48], &[text; 9]].concat()
    };
    let (begins, ends) = (record(2, 1, b'b'), record(2, 1, b'e'));
    intake.preview(&begins);
    intake.record(&ends);
    assert_eq!(handed_over(&intake, &outlet), std::slice::from_ref(&ends));
    // Something between the two, another span, a trace of the same identifier, a worker that came by.
    let between = record(2, 9, b'x');
    intake.preview(&begins);
    intake.record(&between);
    intake.record(&ends);
    let all = [begins.clone(), between.clone(), ends.clone()];
    assert_eq!(handed_over(&intake, &outlet), all);
    intake.preview(&begins);
    intake.preview(&between);
    intake.record(&ends);
    assert_eq!(handed_over(&intake, &outlet), all);
    for other in [record(2, 2, b'e'), record(1, 1, b'e')] {
        intake.preview(&begins);
        intake.record(&other);
        assert_eq!(handed_over(&intake, &outlet), [begins.clone(), other]);
    }
    intake.preview(&begins);
    assert_eq!(handed_over(&intake, &outlet), [begins]);
    intake.record(&ends);
    assert_eq!(handed_over(&intake, &outlet), [ends]);
    assert_eq!(intake.account().waiting(), 0);
    assert_eq!(intake.recorded(0), 7);
}
