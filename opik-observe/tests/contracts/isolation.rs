//! Contracts 1, 4 and 5: an exporter can be slow, hang, block, panic or be gone; the caller, the
//! other branches and `Drop` do not notice.

use std::sync::Arc;

use opik_core::exporter::ExportErrorKind;
use opik_observe::{DropReason, FlushReport, Policy, Recorder};
use opik_testkit::doubles::Fault;
use opik_testkit::{
    BlockingExporter, FailingExporter, HangingExporter, PanickingExporter, RecordingExporter,
};

use super::{LONG, SHORT, balanced, must_return, recorder, settle};

fn record(recorder: &Recorder, traces: usize) {
    for _ in 0..traces {
        recorder.trace("t").input("a text of some length");
    }
}

#[test]
fn recording_does_not_block_while_the_exporter_hangs_or_blocks() {
    let hanging = HangingExporter::new();
    let blocking = BlockingExporter::new();
    let healthy = RecordingExporter::new();
    let (recorder, guard) = Recorder::builder()
        .branch("hangs", Arc::new(hanging.clone()), Policy::default())
        .branch("blocks", Arc::new(blocking.clone()), Policy::default())
        .branch("healthy", Arc::new(healthy.clone()), Policy::default())
        .max_pending_records(64)
        .batch_records(1)
        .start()
        .unwrap();
    record(&recorder, 1);
    assert!(hanging.entered().wait_blocking(LONG) && blocking.entered().wait_blocking(LONG));

    // In portions that the healthy branch can take, so that only the others are full.
    for portion in 0..20 {
        let recorder = recorder.clone();
        must_return(move || record(&recorder, 16));
        assert!(healthy.wait_for_records(1 + 16 * (portion + 1), LONG));
    }
    let statistics = recorder.statistics();
    for branch in ["hangs", "blocks"] {
        let branch = statistics.branch(branch).unwrap();
        assert_eq!(
            branch.dropped_for(DropReason::QueueFull),
            320 - 64,
            "{branch:?}"
        );
    }
    assert_eq!(statistics.branch("healthy").unwrap().dropped(), 0);

    hanging.release();
    blocking.release();
    let report = guard.shutdown(LONG);
    assert!(report.complete, "{report:?}");
    for (branch, exported) in [("hangs", 65), ("blocks", 65), ("healthy", 321)] {
        assert_eq!(balanced(&report.statistics, branch).exported, exported);
    }
}

#[test]
fn a_batch_is_made_while_the_one_before_is_exported() {
    let hanging = HangingExporter::new();
    let (seen, second_is_made) = std::sync::mpsc::channel();
    let policy = Policy::full_content().scrub(move |_, text| {
        seen.send(text.to_owned()).ok();
        Some(text.to_owned())
    });
    let (recorder, guard) = Recorder::builder()
        .branch("b", Arc::new(hanging.clone()), policy)
        .batch_records(1)
        .start()
        .unwrap();
    let record = |input: &str| {
        recorder.trace("t").input(input);
    };
    record("the first");
    assert!(hanging.entered().wait_blocking(LONG));
    record("the second");
    let made = || second_is_made.recv_timeout(LONG).unwrap();
    while made() != "the second" {}
    assert_eq!(recorder.statistics().branches[0].exported, 0);
    hanging.release();
    let report = guard.shutdown(LONG);
    assert!(report.complete, "{report:?}");
    assert_eq!(balanced(&report.statistics, "b").exported, 2);
}

#[test]
fn recording_does_not_block_when_nobody_takes_records_over() {
    let blocking = BlockingExporter::new();
    let (recorder, guard) = Recorder::builder()
        .branch("b", Arc::new(blocking.clone()), Policy::default())
        .max_pending_bytes(4_096)
        .start()
        .unwrap();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let recorder = recorder.clone();
            std::thread::Builder::new()
                .spawn(move || must_return(move || record(&recorder, 5_000)))
                .unwrap()
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    blocking.release();
    let report = guard.shutdown(LONG);
    let branch = balanced(&report.statistics, "b");
    assert_eq!(branch.recorded, 20_000);
    assert!(branch.dropped() > 0 && branch.exported > 0, "{branch:?}");
}

#[test]
fn recording_does_not_block_after_the_recorder_is_gone() {
    let (recorder, guard) = recorder(RecordingExporter::new());
    drop(guard);
    let again = recorder.clone();
    must_return(move || record(&again, 100));
    let branch = balanced(&recorder.statistics(), "b");
    assert_eq!(branch.dropped_for(DropReason::Closed), 100);
    assert_eq!(branch.recorded, 100);
}

#[test]
fn drop_is_bounded_when_the_exporter_hangs() {
    let hanging = HangingExporter::new();
    let (recorder, guard) = Recorder::builder()
        .branch("b", Arc::new(hanging.clone()), Policy::default())
        .drop_timeout(SHORT)
        .batch_records(1)
        .start()
        .unwrap();
    record(&recorder, 3);
    assert!(hanging.entered().wait_blocking(LONG));
    must_return(move || drop(guard));
    // On a busy machine the branch may make its last entries a moment after the bound.
    settle(&recorder);
    let branch = balanced(&recorder.statistics(), "b");
    assert_eq!(branch.dropped_for(DropReason::ShutdownTimeout), 3);
}

#[test]
fn the_report_of_a_shutdown_that_ran_out_of_time_has_the_losses() {
    // A tenth of the time is left to count them, which a busy machine may take for itself.
    let has_them = |_| {
        let (recorder, guard) = recorder(HangingExporter::new());
        record(&recorder, 3);
        let report = guard.shutdown(SHORT * 10);
        assert_eq!(report.unfinished, ["b"]);
        let branch = report.statistics.branch("b").unwrap();
        branch.pending() == 0 && branch.dropped_for(DropReason::ShutdownTimeout) == 3
    };
    assert!((0..5).any(has_them));
}

#[test]
fn drop_is_bounded_when_the_exporter_blocks_its_thread() {
    let blocking = BlockingExporter::new();
    let (recorder, guard) = Recorder::builder()
        .branch("b", Arc::new(blocking.clone()), Policy::default())
        .drop_timeout(SHORT)
        .batch_records(1)
        .start()
        .unwrap();
    record(&recorder, 3);
    assert!(blocking.entered().wait_blocking(LONG));
    must_return(move || drop(guard));
    // Nobody knows yet what becomes of them, and the report says so.
    let report = recorder.flush(SHORT);
    assert_eq!(
        (report.complete, &*report.unfinished),
        (false, &["b".to_owned()][..])
    );
    assert_eq!(report.statistics.branches[0].pending(), 3);
    blocking.release();
    assert!(blocking.arrived().wait_for_records(1, LONG));
}

#[test]
fn a_panicking_exporter_is_contained_and_later_batches_are_tried() {
    let panicking = PanickingExporter::new(2);
    let (recorder, guard) = recorder(panicking.clone());
    for _ in 0..4 {
        record(&recorder, 5);
        assert!(recorder.flush(LONG).complete);
    }
    let branch = balanced(&guard.shutdown(LONG).statistics, "b");
    assert_eq!(branch.dropped_for(DropReason::ExporterPanicked), 10);
    assert_eq!((branch.exported, panicking.arrived().records()), (10, 10));
}

#[test]
fn failures_are_repeated_as_long_as_that_may_help() {
    let flaky = Arc::new(FailingExporter::new([
        Fault::Lost(ExportErrorKind::Unavailable),
        Fault::Wait(std::time::Duration::from_millis(1)),
    ]));
    let down = Arc::new(FailingExporter::always(Fault::Lost(
        ExportErrorKind::Unavailable,
    )));
    let closed = Arc::new(FailingExporter::always(Fault::Lost(
        ExportErrorKind::Unauthorized,
    )));
    let (recorder, guard) = Recorder::builder()
        .branch("flaky", Arc::clone(&flaky) as _, Policy::default())
        .branch("down", Arc::clone(&down) as _, Policy::default())
        .branch("closed", Arc::clone(&closed) as _, Policy::default())
        .export_attempts(3, std::time::Duration::from_millis(1))
        .start()
        .unwrap();
    record(&recorder, 5);
    let statistics = guard.shutdown(LONG).statistics;
    assert_eq!(balanced(&statistics, "flaky").exported, 5);
    for branch in ["down", "closed"] {
        let branch = balanced(&statistics, branch);
        assert_eq!(branch.dropped_for(DropReason::ExportFailed), 5);
    }
    assert_eq!((flaky.calls(), down.calls(), closed.calls()), (3, 3, 1));
}

/// Refuses a batch as a whole when one trace in it has this name.
#[derive(Debug)]
struct Picky(RecordingExporter);

#[async_trait::async_trait]
impl opik_core::Exporter for Picky {
    async fn export(
        &self,
        batch: &opik_core::Batch,
    ) -> Result<opik_core::ExportReport, opik_core::ExportError> {
        let bad = |trace: &opik_core::Trace| trace.name.as_deref() == Some("bad");
        if batch.traces.iter().any(bad) {
            let context = "status 400";
            return Err(opik_core::ExportError::new(
                ExportErrorKind::Rejected,
                context,
            ));
        }
        self.0.export(batch).await
    }
    async fn flush(&self) -> Result<(), opik_core::ExportError> {
        Ok(())
    }
}

#[test]
fn one_bad_record_does_not_cost_the_others_of_its_batch() {
    let seen = RecordingExporter::new();
    let (recorder, guard) = recorder(Picky(seen.clone()));
    for name in ["a", "b", "bad", "c", "d", "e", "bad"] {
        recorder.trace(name).end();
    }
    let branch = balanced(&guard.shutdown(LONG).statistics, "b");
    assert_eq!(branch.dropped_for(DropReason::Rejected), 2);
    let names: Vec<_> = seen
        .traces()
        .into_iter()
        .filter_map(|trace| trace.name)
        .collect();
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
}

/// Hangs until it learns when its caller ends, which it does with a panic.
#[derive(Debug, Default)]
struct Told {
    entered: opik_testkit::doubles::Gate,
    told: opik_testkit::doubles::Gate,
}

#[async_trait::async_trait]
impl opik_core::Exporter for Told {
    async fn export(
        &self,
        batch: &opik_core::Batch,
    ) -> Result<opik_core::ExportReport, opik_core::ExportError> {
        self.entered.open();
        self.told.wait().await;
        Ok(opik_core::ExportReport::accepted(batch.len()))
    }
    async fn flush(&self) -> Result<(), opik_core::ExportError> {
        Ok(())
    }
    #[expect(clippy::panic, reason = "this is what the exporter is for")]
    fn closing(&self, deadline: std::time::Instant) {
        assert!(deadline <= std::time::Instant::now() + LONG);
        self.told.open();
        panic!("a defect of the exporter");
    }
}

#[test]
fn an_exporter_learns_of_the_end_during_a_call_and_may_panic_over_it() {
    let told = Arc::new(Told::default());
    let (recorder, guard) = Recorder::builder()
        .branch("b", told.clone(), Policy::default())
        .export_timeout(2 * LONG)
        .start()
        .unwrap();
    record(&recorder, 3);
    assert!(told.entered.wait_blocking(LONG));
    let report = must_return(move || guard.shutdown(LONG));
    assert!(report.complete, "{report:?}");
    assert_eq!(balanced(&report.statistics, "b").exported, 3);
}

#[test]
fn a_report_of_a_hanging_flush_names_the_branch() {
    let hanging = HangingExporter::new();
    let (recorder, _guard) = Recorder::builder()
        .branch(
            "fine",
            Arc::new(RecordingExporter::new()),
            Policy::default(),
        )
        .branch("hangs", Arc::new(hanging), Policy::default())
        .drop_timeout(SHORT)
        .start()
        .unwrap();
    record(&recorder, 1);
    let report: FlushReport = recorder.flush(SHORT);
    assert_eq!(report.unfinished, ["hangs"]);
    assert_eq!(report.statistics.branch("fine").unwrap().exported, 1);
}
