//! The ambient context: threads, tasks, several recorders.

use std::collections::BTreeMap;

use opik_core::{Span, SpanType};
use opik_observe::{FutureExt as _, Recorder};
use opik_testkit::{Gate, RecordingExporter};

use super::{LONG, recorder};

/// Name of every span with that of its parent.
fn parents(spans: &[Span]) -> BTreeMap<String, Option<String>> {
    let name = |span: &Span| span.name.clone().unwrap();
    let by_id: BTreeMap<_, _> = spans.iter().map(|span| (span.id, name(span))).collect();
    spans
        .iter()
        .map(|span| (name(span), span.parent_span_id.map(|id| by_id[&id].clone())))
        .collect()
}

fn tree(list: &[(&str, Option<&str>)]) -> BTreeMap<String, Option<String>> {
    list.iter()
        .map(|(name, parent)| ((*name).to_owned(), parent.map(str::to_owned)))
        .collect()
}

fn inner(recorder: &Recorder, name: &str) {
    recorder
        .span_in_context(name.to_owned(), SpanType::Tool)
        .end();
}

#[test]
fn entered_spans_are_parents_until_they_are_left_in_any_order() {
    let seen = RecordingExporter::new();
    let (recorder, guard) = recorder(seen.clone());
    let trace = recorder.trace("t");
    let in_trace = trace.enter();
    let a = recorder.span_in_context("a", SpanType::General);
    let in_a = a.enter();
    let b = recorder.span_in_context("b", SpanType::General);
    let in_b = b.enter();
    drop(in_a);
    inner(&recorder, "under b");
    drop(in_b);
    inner(&recorder, "under the trace");
    drop(in_trace);
    assert!(recorder.current().is_none());
    drop((a, b, trace));
    assert!(guard.shutdown(LONG).complete);
    assert_eq!(
        parents(&seen.spans()),
        tree(&[
            ("a", None),
            ("b", Some("a")),
            ("under b", Some("b")),
            ("under the trace", None)
        ])
    );
    assert_eq!(seen.traces().len(), 1);
}

#[test]
fn tasks_on_one_thread_keep_their_own_context() {
    let seen = RecordingExporter::new();
    let (recorder, guard) = recorder(seen.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let trace = recorder.trace("t");
        let gate = Gate::new();
        let task = |name: &'static str, child: &'static str| {
            let (recorder, gate) = (recorder.clone(), gate.clone());
            async move {
                inner(&recorder, &format!("{child} before"));
                gate.wait().await;
                inner(&recorder, &format!("{child} after"));
            }
            .in_span(trace.span(name, SpanType::General))
        };
        let opens = async {
            assert!(recorder.current().is_none());
            gate.open();
        };
        futures_util::future::join3(task("a", "1"), task("b", "2"), opens).await;
    });
    assert!(guard.shutdown(LONG).complete);
    assert_eq!(
        parents(&seen.spans()),
        tree(&[
            ("a", None),
            ("b", None),
            ("1 before", Some("a")),
            ("1 after", Some("a")),
            ("2 before", Some("b")),
            ("2 after", Some("b")),
        ])
    );
}

#[test]
fn handles_carry_a_parent_to_other_threads() {
    let seen = RecordingExporter::new();
    let (recorder, guard) = recorder(seen.clone());
    let trace = recorder.trace("t");
    let parent = trace.span("parent", SpanType::General);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let handle = parent.handle();
            let spawned = std::thread::Builder::new().spawn(move || {
                handle.span("child", SpanType::Tool).input("x");
            });
            spawned.unwrap()
        })
        .collect();
    threads
        .into_iter()
        .for_each(|thread| thread.join().unwrap());
    let (trace_id, parent_id) = (trace.trace_id().unwrap(), parent.id());
    drop((parent, trace));
    assert!(guard.shutdown(LONG).complete);
    let children: Vec<_> = seen
        .spans()
        .into_iter()
        .filter(|s| s.input.is_some())
        .collect();
    assert_eq!(children.len(), 4);
    assert!(
        children
            .iter()
            .all(|s| s.parent_span_id == parent_id && s.trace_id == trace_id)
    );
}

#[test]
fn a_span_outside_of_any_trace_brings_its_own() {
    let seen = RecordingExporter::new();
    let (recorder, guard) = recorder(seen.clone());
    let mut span = recorder.span_in_context("solo", SpanType::Llm);
    span.input("q").output("a");
    drop(span);
    assert!(guard.shutdown(LONG).complete);
    let (trace, span) = (seen.traces().remove(0), seen.spans().remove(0));
    assert_eq!((span.trace_id, span.parent_span_id), (trace.id, None));
    assert_eq!((trace.name, trace.input), (span.name, span.input));
    assert_eq!(
        (trace.start_time, trace.end_time),
        (span.start_time, span.end_time)
    );
}

#[test]
fn two_recorders_do_not_mix() {
    let (seen_a, seen_b) = (RecordingExporter::new(), RecordingExporter::new());
    let (a, guard_a) = recorder(seen_a.clone());
    let (b, guard_b) = recorder(seen_b.clone());
    let (trace_a, trace_b) = (a.trace("a"), b.trace("b"));
    let (_in_a, _in_b) = (trace_a.enter(), trace_b.enter());
    inner(&a, "of a");
    inner(&b, "of b");
    let (id_a, id_b) = (trace_a.trace_id().unwrap(), trace_b.trace_id().unwrap());
    assert!(guard_a.shutdown(LONG).complete && guard_b.shutdown(LONG).complete);
    for (seen, id, name) in [(seen_a, id_a, "of a"), (seen_b, id_b, "of b")] {
        let spans = seen.spans();
        assert_eq!(
            (spans.len(), spans[0].trace_id, spans[0].name.as_deref()),
            (1, id, Some(name))
        );
    }
}

#[test]
fn a_dropped_future_ends_its_span_as_cancelled_and_a_panicking_one_as_failed() {
    let seen = RecordingExporter::new();
    let (recorder, guard) = recorder(seen.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        let trace = recorder.trace("t");
        let never = std::future::pending::<()>().in_span(trace.span("never", SpanType::General));
        let mut never = Box::pin(never);
        assert!(futures_util::FutureExt::now_or_never(never.as_mut()).is_none());
        drop(never);
        std::future::ready(())
            .in_span(trace.span("ready", SpanType::General))
            .await;
        let panics = async { panic!("the program's own") };
        let panics = panics.in_span(trace.span("panics", SpanType::General));
        let caught = futures_util::FutureExt::catch_unwind(std::panic::AssertUnwindSafe(panics));
        let result: Result<(), _> = caught.await;
        assert!(result.is_err());
        assert!(
            recorder.current().is_none(),
            "the panic left the context behind"
        );
    });
    assert!(guard.shutdown(LONG).complete);
    let outcome: BTreeMap<_, _> = seen
        .spans()
        .into_iter()
        .map(|span| {
            let metadata = span.metadata.map(|json| json.as_str().to_owned());
            let error = span.error_info.map(|error| error.exception_type);
            (span.name.unwrap(), (metadata, error))
        })
        .collect();
    assert_eq!(
        outcome["never"],
        (Some("{\"cancelled\":true}".to_owned()), None)
    );
    assert_eq!(outcome["ready"], (None, None));
    assert_eq!(outcome["panics"], (None, Some("panic".to_owned())));
}

#[test]
fn a_disabled_recorder_does_nothing_everywhere() {
    let recorder = Recorder::disabled();
    let mut trace = recorder.trace("t");
    trace
        .input("x")
        .metadata("k", 1)
        .fail("E", "m")
        .score("s", 1.0);
    let mut span = trace.span("s", SpanType::Llm);
    span.usage(&opik_core::Usage::of_tokens(1, 1))
        .error(&std::fmt::Error);
    let _entered = span.enter();
    assert!(recorder.current().is_none() && span.id().is_none() && trace.trace_id().is_none());
    inner(&recorder, "s");
    assert_eq!(recorder.statistics().recorded, 0);
}
