//! Rows of spans that are still open.

use std::sync::Arc;
use std::time::Duration;

use opik_core::SpanType;
use opik_observe::{Branch, Policy, Recorder, RecorderGuard, StartRows};
use opik_testkit::RecordingExporter;

use super::{LONG, balanced};

fn with(
    when: StartRows,
) -> (
    Recorder,
    RecorderGuard,
    RecordingExporter,
    RecordingExporter,
) {
    let (live, plain) = (RecordingExporter::new(), RecordingExporter::new());
    let branch = Branch::new("live", Arc::new(live.clone()), Policy::full_content());
    let (recorder, guard) = Recorder::builder()
        .add_branch(branch.start_rows(when))
        .branch("plain", Arc::new(plain.clone()), Policy::full_content())
        .start()
        .unwrap();
    (recorder, guard, live, plain)
}

#[test]
fn open_spans_are_seen_at_once_and_replaced_by_newer_rows() {
    let (recorder, guard, live, plain) = with(StartRows::Immediately);
    let trace = recorder.trace("t");
    let mut span = trace.span("s", SpanType::Tool);
    assert!(live.wait_for_records(2, LONG));
    let open = live.spans().remove(0);
    assert_eq!((open.end_time, open.name.as_deref()), (None, Some("s")));
    assert_eq!(open.kind(), &SpanType::Tool);
    span.output("done");
    drop((span, trace));
    let statistics = guard.shutdown(LONG).statistics;
    let done = live.spans().pop().unwrap();
    assert_eq!((done.id, done.start_time), (open.id, open.start_time));
    assert!(done.end_time.is_some() && done.last_updated_at > open.last_updated_at);
    let branch = balanced(&statistics, "live");
    assert_eq!(
        (branch.recorded, branch.start_rows, branch.exported),
        (4, 2, 4)
    );
    assert_eq!(balanced(&statistics, "plain").exported, 2);
    assert_eq!(plain.records(), 2);
}

#[test]
fn only_spans_that_outlive_the_delay_get_one() {
    let (recorder, guard, live, _plain) = with(StartRows::After(Duration::from_millis(50)));
    let trace = recorder.trace("long");
    for _ in 0..5 {
        trace.span("short", SpanType::Tool).end();
    }
    let long = |row: &opik_core::Trace| row.end_time.is_none();
    while !live.traces().iter().any(long) {
        assert!(live.wait_for_records(live.records() + 1, LONG));
    }
    drop(trace);
    let statistics = guard.shutdown(LONG).statistics;
    assert_eq!(live.traces().len(), 2);
    assert_eq!(statistics.branch("plain").unwrap().start_rows, 0);
    balanced(&statistics, "live");
}

#[test]
fn what_never_ends_is_exported_as_open_at_shutdown() {
    let (recorder, guard, live, plain) = with(StartRows::After(LONG));
    let trace = recorder.trace("never");
    trace.span("done", SpanType::Tool).end();
    assert!(guard.shutdown(LONG).complete);
    assert_eq!((live.traces().len(), live.spans().len()), (1, 1));
    assert_eq!(live.traces()[0].end_time, None);
    assert!(live.spans()[0].end_time.is_some());
    assert_eq!(plain.traces().len(), 0);
    drop(trace);
}
