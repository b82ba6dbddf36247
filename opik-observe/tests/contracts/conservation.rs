//! Contract 2: recorded == exported + dropped, whatever happens.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier};

use opik_core::SpanType;
use opik_core::exporter::ExportErrorKind;
use opik_observe::{Branch, DropReason, Policy, Recorder};
use opik_testkit::doubles::Fault;
use opik_testkit::{FailingExporter, PanickingExporter, RecordingExporter};

use super::{LONG, balanced, settle};

/// Records from eight threads until told to stop and returns how many records were made.
fn storm(recorder: &Recorder, stop: &Arc<AtomicBool>, started: &Arc<Barrier>) -> Vec<Made> {
    (0..8)
        .map(|_| {
            let (recorder, stop, started) =
                (recorder.clone(), Arc::clone(stop), Arc::clone(started));
            std::thread::Builder::new()
                .spawn(move || {
                    let mut made = 0;
                    started.wait();
                    while !stop.load(Ordering::SeqCst) || made == 0 {
                        let trace = recorder.trace("t");
                        trace.span("s", SpanType::Tool).input("x");
                        trace.score("fine", 1.0);
                        made += 3;
                    }
                    made
                })
                .unwrap()
        })
        .collect()
}

type Made = std::thread::JoinHandle<u64>;

#[test]
fn the_books_balance_under_contention_and_through_shutdown() {
    for round in 0..8 {
        let fine = RecordingExporter::new();
        let flaky = FailingExporter::new([
            Fault::Lost(ExportErrorKind::Unavailable),
            Fault::Lost(ExportErrorKind::Internal),
            Fault::Lost(ExportErrorKind::TooLarge),
        ]);
        let (recorder, guard) = Recorder::builder()
            .branch("fine", Arc::new(fine.clone()), Policy::default())
            .branch("flaky", Arc::new(flaky), Policy::default())
            .branch(
                "panics",
                Arc::new(PanickingExporter::new(3)),
                Policy::default(),
            )
            .max_pending_records(if round % 2 == 0 { 64 } else { 4_096 })
            .batch_records(50)
            .export_attempts(2, std::time::Duration::from_millis(1))
            .start()
            .unwrap();
        let (stop, started) = (Arc::new(AtomicBool::new(false)), Arc::new(Barrier::new(9)));
        let threads = storm(&recorder, &stop, &started);
        started.wait();
        assert!(fine.wait_for_records(100, LONG));
        // Closed in the middle of the storm.
        let report = guard.shutdown(LONG);
        assert!(report.complete, "{report:?}");
        stop.store(true, Ordering::SeqCst);
        let made: u64 = threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .sum();

        settle(&recorder);
        let statistics = recorder.statistics();
        assert_eq!(statistics.recorded, made);
        for branch in ["fine", "flaky", "panics"] {
            assert_eq!(balanced(&statistics, branch).recorded, made);
        }
        let exported = statistics.branch("fine").unwrap().exported;
        assert_eq!(exported, fine.records() as u64);
        assert!(
            statistics
                .branch("panics")
                .unwrap()
                .dropped_for(DropReason::ExporterPanicked)
                > 0
        );
    }
}

#[test]
fn what_can_be_recorded_within_the_limits_is_exported() {
    let fine = RecordingExporter::new();
    let (recorder, guard) = Recorder::builder()
        .branch("b", Arc::new(fine.clone()), Policy::default())
        .max_pending_records(1 << 20)
        .start()
        .unwrap();
    let made = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    recorder.trace("t").end();
                    made.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
    });
    let branch = balanced(&guard.shutdown(LONG).statistics, "b");
    assert_eq!((branch.exported, branch.dropped()), (16_000, 0));
    assert_eq!(made.into_inner(), 16_000);
    let mut ids: Vec<_> = fine.traces().iter().map(|trace| trace.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 16_000);
}

#[test]
fn no_snapshot_knows_what_became_of_more_records_than_there_are() {
    let (recorder, guard) = Recorder::builder()
        .add_branch(Branch::discard("nowhere"))
        .branch(
            "flaky",
            Arc::new(PanickingExporter::new(3)),
            Policy::default(),
        )
        .max_pending_records(64)
        .batch_records(1)
        .start()
        .unwrap();
    let (stop, started) = (Arc::new(AtomicBool::new(false)), Arc::new(Barrier::new(9)));
    let threads = storm(&recorder, &stop, &started);
    started.wait();
    let look = |times: usize| {
        for _ in 0..times {
            for branch in recorder.statistics().branches {
                let known = branch.exported + branch.dropped();
                assert!(known <= branch.recorded, "{branch:?}");
            }
        }
    };
    look(2_000);
    let report = guard.shutdown(LONG);
    assert!(report.complete, "{report:?}");
    look(2_000);
    stop.store(true, Ordering::SeqCst);
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn every_loss_has_its_reason() {
    let (recorder, guard) = Recorder::builder()
        .branch("b", Arc::new(RecordingExporter::new()), Policy::default())
        .max_record_bytes(1_000)
        .max_pending_bytes(2_000)
        .max_field_bytes(10_000)
        .start()
        .unwrap();
    recorder.trace("t").input(&"x".repeat(1_000));
    let thousand = "x".repeat(800);
    for _ in 0..1_000 {
        recorder.trace("t").input(&thousand);
    }
    let trace = recorder.trace("t");
    trace.score("not a number", f64::NAN);
    drop(trace);
    assert!(recorder.flush(LONG).complete);
    drop(guard);
    recorder.trace("late").end();
    let branch = balanced(&recorder.statistics(), "b");
    assert_eq!(branch.dropped_for(DropReason::TooLarge), 1);
    assert!(
        branch.dropped_for(DropReason::BudgetExceeded) > 0,
        "{branch:?}"
    );
    assert_eq!(branch.dropped_for(DropReason::Closed), 1);
}
