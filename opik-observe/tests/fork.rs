//! Contract 10: after `fork` the child neither hangs nor sends twice.
#![cfg(unix)]

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fork::{Fork, fork, waitpid_nohang};
use opik_core::SpanType;
use opik_observe::{Policy, Recorder, RecorderGuard};
use opik_testkit::RecordingExporter;

const HOUR: Duration = Duration::from_secs(3_600);
const LIMIT: Duration = Duration::from_secs(60);

/// What a child of a prefork server does with a recorder that it inherited. Every wait here lasts an hour
/// if it waits for threads that are not there.
fn use_it_as_if_nothing_had_happened(recorder: &Recorder, guard: RecorderGuard) -> bool {
    for _ in 0..1_000 {
        let trace = recorder.trace("child");
        trace.span("step", SpanType::Tool).end();
    }
    let flushed = recorder.flush(HOUR);
    drop(guard);
    let closed = recorder.shutdown(HOUR);
    // A recorder of its own works.
    let own = RecordingExporter::new();
    let started = Recorder::builder()
        .branch("own", Arc::new(own.clone()), Policy::metadata_only())
        .start();
    let Ok((fresh, fresh_guard)) = started else {
        return false;
    };
    fresh.trace("child").end();
    let complete = fresh_guard.shutdown(LIMIT).complete;
    !flushed.complete && !closed.complete && complete && own.records() == 1
}

#[test]
fn a_forked_child_hangs_nowhere_and_sends_nothing() {
    let exporter = RecordingExporter::new();
    let (recorder, guard) = Recorder::builder()
        .branch("b", Arc::new(exporter.clone()), Policy::metadata_only())
        .drop_timeout(HOUR)
        .start()
        .unwrap();
    // Some are exported, some under way while the process splits.
    for _ in 0..100 {
        recorder.trace("parent").end();
    }
    assert!(recorder.flush(LIMIT).complete);
    let open = recorder.trace("parent");
    let child = match fork().unwrap() {
        Fork::Child => {
            let well = use_it_as_if_nothing_had_happened(&recorder, guard);
            drop(open);
            // Not through the test harness, whose threads are not here either.
            #[expect(
                clippy::disallowed_methods,
                reason = "the child has nowhere to return to"
            )]
            #[expect(clippy::exit, reason = "the child has nowhere to return to")]
            std::process::exit(if well { 0 } else { 1 });
        }
        Fork::Parent(child) => child,
    };
    let deadline = Instant::now() + LIMIT;
    let status = loop {
        if let Some(status) = waitpid_nohang(child).unwrap() {
            break status;
        }
        if Instant::now() >= deadline {
            let number = child.to_string();
            Command::new("kill").args(["-9", &number]).status().unwrap();
            panic!("the child hangs");
        }
        std::thread::park_timeout(Duration::from_millis(5));
    };
    assert_eq!(status, 0, "wait status of the child");
    drop(open);
    assert!(guard.shutdown(LIMIT).complete);
    assert_eq!(
        exporter.records(),
        101,
        "the child sent nothing in the parent's name"
    );
}
