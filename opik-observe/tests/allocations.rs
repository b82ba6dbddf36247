//! Recording allocates nothing on the caller's thread once that is warm.
#![expect(clippy::expect_used, reason = "tests")]

use std::sync::Arc;
use std::time::Duration;

use opik_core::SpanType;
use opik_observe::{Branch, Policy, Recorder, TraceGuard};
use opik_testkit::RecordingExporter;

fn span(trace: &TraceGuard, text: &str) {
    let mut span = trace.span("step", SpanType::Tool);
    span.metadata("service", "shop")
        .metadata("attempt", 1)
        .metadata("score", 0.5);
    span.metadata("hot", true)
        .tag("eu")
        .input(text)
        .model("m", "p");
    span.child("inner", SpanType::Llm).output(text);
}

#[test]
fn a_warm_thread_allocates_nothing_to_record() {
    let long = Duration::from_secs(60);
    let text = "x".repeat(200);
    let (recorder, guard) = Recorder::builder()
        .branch("b", Arc::new(RecordingExporter::new()), Policy::default())
        .start()
        .expect("threads");
    let trace = recorder.trace("t");
    let rounds = 50;
    let mut allocated = Vec::new();
    for _ in 0..rounds {
        // A flush takes the thread's chunk away; the next one comes out of the pool.
        let info = allocation_counter::measure(|| (0..20).for_each(|_| span(&trace, &text)));
        allocated.push(info.count_total);
        assert!(recorder.flush(long).complete);
    }
    drop(trace);
    let report = guard.shutdown(long);
    assert_eq!(report.statistics.branches[0].exported, rounds * 40 + 1);
    // A chunk that is still being exported is missing in the pool for a moment.
    let quiet = allocated.iter().filter(|count| **count == 0).count();
    assert!(quiet >= 40, "{allocated:?}");
    assert!(
        allocated.iter().skip(10).all(|count| *count <= 1),
        "{allocated:?}"
    );

    spans_as_large_as_a_chunk_allocate_nothing_either();

    let disabled = Recorder::disabled();
    let info = allocation_counter::measure(|| span(&disabled.trace("t"), &text));
    assert_eq!(info.count_total, 0);
}

/// Whole traces, as large as what a thread writes into.
fn spans_as_large_as_a_chunk_allocate_nothing_either() {
    let (recorder, guard) = Recorder::builder()
        .add_branch(Branch::discard("b"))
        .start()
        .expect("threads");
    let large = "x".repeat(50_000);
    let mut allocated = Vec::new();
    for _ in 0..50 {
        let info = allocation_counter::measure(|| {
            let trace = recorder.trace("t");
            for _ in 0..3 {
                trace.span("s", SpanType::Llm).input(&large);
            }
        });
        allocated.push(info.count_total);
        assert!(recorder.flush(Duration::from_secs(60)).complete);
    }
    drop(guard);
    let quiet = allocated.iter().filter(|count| **count == 0).count();
    assert!(quiet >= 40, "{allocated:?}");
}
