//! The recorder of the whole program: one test, because a program has one.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use opik_observe::{Policy, Recorder, default_recorder, observe, set_default};
use opik_testkit::RecordingExporter;

const LONG: Duration = Duration::from_secs(60);

#[observe]
fn outer() -> u32 {
    inner() + 1
}

#[observe]
fn inner() -> u32 {
    1
}

fn recorder(seen: &RecordingExporter) -> (Recorder, opik_observe::RecorderGuard) {
    Recorder::builder()
        .branch("b", Arc::new(seen.clone()), Policy::full_content())
        .start()
        .unwrap()
}

#[test]
fn observed_functions_outside_of_any_span_use_the_recorder_of_the_program() {
    assert!(!default_recorder().is_enabled());
    assert_eq!(outer(), 2);

    let (seen, other) = (RecordingExporter::new(), RecordingExporter::new());
    let (program, guard) = recorder(&seen);
    assert!(set_default(program).is_ok());
    assert_eq!(outer(), 2);

    // Inside a span of another recorder that one is used.
    let (second, second_guard) = recorder(&other);
    let refused = set_default(second.clone()).unwrap_err();
    assert!(refused.is_enabled());
    {
        let trace = second.trace("t");
        let _here = trace.enter();
        assert_eq!(outer(), 2);
    }

    assert!(guard.shutdown(LONG).complete && second_guard.shutdown(LONG).complete);
    let names = |seen: &RecordingExporter| -> Vec<_> {
        let traces = seen.traces().into_iter().map(|trace| trace.name.unwrap());
        let spans = seen.spans().into_iter().map(|span| span.name.unwrap());
        traces.chain(spans).collect()
    };
    assert_eq!(names(&seen), ["outer", "inner", "outer"]);
    assert_eq!(names(&other), ["t", "inner", "outer"]);
}
