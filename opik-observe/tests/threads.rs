//! Contracts 7 and 11: which threads there are. One test, since threads belong to the process.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use opik_core::SpanType;
use opik_observe::{Branch, Policy, Recorder};
use opik_testkit::RecordingExporter;

const LONG: Duration = Duration::from_secs(60);

/// Names of this process's threads that belong to recorders.
fn recorder_threads() -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir("/proc/self/task")
        .unwrap()
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
        .map(|name| name.trim().to_owned())
        .filter(|name| name.starts_with("opik-"))
        .collect();
    names.sort();
    names
}

fn all_threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[test]
fn threads_are_named_few_and_gone_after_the_recorder() {
    let before = all_threads();
    let disabled = Recorder::disabled();
    let (no_branches, _guard) = Recorder::builder().project("p").start().unwrap();
    for recorder in [&disabled, &no_branches] {
        assert!(!recorder.is_enabled());
        let trace = recorder.trace("t");
        trace.span("s", SpanType::Tool).input("x");
        drop(trace);
        assert!(recorder.flush(LONG).complete);
    }
    assert_eq!((all_threads(), recorder_threads()), (before, vec![]));

    let (recorder, guard) = Recorder::builder()
        .branch(
            "local",
            Arc::new(RecordingExporter::new()),
            Policy::default(),
        )
        .branch(
            "remote",
            Arc::new(RecordingExporter::new()),
            Policy::default(),
        )
        .add_branch(Branch::discard("nowhere"))
        .start()
        .unwrap();
    recorder.trace("t").end();
    assert!(recorder.flush(LONG).complete);
    assert_eq!(
        recorder_threads(),
        ["opik-local", "opik-recorder", "opik-remote"]
    );
    drop((guard, recorder));

    let running: Vec<_> = (0..50)
        .map(|_| {
            let seen = RecordingExporter::new();
            let (recorder, guard) = Recorder::builder()
                .branch("b", Arc::new(seen.clone()), Policy::default())
                .start()
                .unwrap();
            (recorder, guard, seen)
        })
        .collect();
    for (recorder, ..) in &running {
        recorder.trace("t").end();
    }
    for (recorder, guard, seen) in running {
        let report = guard.shutdown(LONG);
        assert!(report.complete, "{report:?}");
        assert_eq!((seen.records(), recorder.statistics().recorded), (1, 1));
    }
    // A thread takes a moment to end after its last report.
    let deadline = Instant::now() + LONG;
    while !recorder_threads().is_empty() {
        assert!(
            Instant::now() < deadline,
            "still there: {:?}",
            recorder_threads()
        );
        std::thread::yield_now();
    }
}
