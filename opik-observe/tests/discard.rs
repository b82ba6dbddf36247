//! A branch that discards keeps the books as any other and costs no other branch anything.

use std::sync::Arc;
use std::time::Duration;

use opik_core::SpanType;
use opik_observe::{Branch, DropReason, Policy, Recorder};
use opik_testkit::{HangingExporter, RecordingExporter};

const LONG: Duration = Duration::from_secs(60);

#[test]
fn what_is_discarded_counts_as_exported() {
    let kept = RecordingExporter::new();
    let (recorder, guard) = Recorder::builder()
        .add_branch(Branch::discard("nowhere"))
        .branch("kept", Arc::new(kept.clone()), Policy::default())
        .max_pending_records(1 << 20)
        .start()
        .unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..1_000 {
                    recorder.trace("t").span("s", SpanType::Tool).input("x");
                }
            });
        }
    });
    assert!(recorder.flush(LONG).complete);
    let report = guard.shutdown(LONG);
    assert!(report.complete);
    for branch in ["nowhere", "kept"] {
        let branch = report.statistics.branch(branch).unwrap();
        assert_eq!((branch.recorded, branch.exported), (8_000, 8_000));
        assert_eq!(branch.dropped(), 0);
    }
    assert_eq!(kept.records(), 8_000);
    recorder.trace("late").end();
    let statistics = recorder.statistics();
    let nowhere = statistics.branch("nowhere").unwrap();
    assert_eq!(nowhere.dropped_for(DropReason::Closed), 1);
    assert_eq!(nowhere.pending(), 0);
}

#[test]
fn a_discarding_branch_is_done_beside_one_that_hangs() {
    let (recorder, guard) = Recorder::builder()
        .branch("hangs", Arc::new(HangingExporter::new()), Policy::default())
        .add_branch(Branch::discard("nowhere"))
        .start()
        .unwrap();
    recorder.trace("t").end();
    let report = guard.shutdown(Duration::from_millis(200));
    assert_eq!(report.unfinished, ["hangs"]);
    assert_eq!(report.statistics.branch("nowhere").unwrap().exported, 1);
}
