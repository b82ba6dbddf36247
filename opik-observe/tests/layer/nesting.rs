//! Parents are tracing's own.

use std::sync::Barrier;

use opik_core::SpanType;
use opik_observe::Policy;
use opik_observe::layer::SpanExt as _;
use tracing::{Level, debug_span, error_span, info_span};
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;

use super::{Recorded, record};

#[test]
fn a_parent_is_the_current_span_or_the_given_one_and_a_root_begins_a_trace() {
    let outcome = record(|| {
        let root = info_span!("root");
        let entered = root.enter();
        let contextual = info_span!("contextual");
        contextual.in_scope(|| {
            info_span!(parent: &root, "explicit");
            info_span!(parent: None, "alone");
            info_span!("inner");
        });
        drop(entered);
        info_span!("another root");
    });
    assert_eq!(outcome.parent("root"), None);
    assert_eq!(outcome.parent("contextual"), Some("root"));
    assert_eq!(outcome.parent("explicit"), Some("root"));
    assert_eq!(outcome.parent("inner"), Some("contextual"));
    assert_eq!(outcome.parent("alone"), None);
    let mut traces: Vec<_> = outcome
        .traces
        .iter()
        .map(|trace| trace.name.as_deref().unwrap())
        .collect();
    traces.sort_unstable();
    assert_eq!(traces, ["alone", "another root", "root"]);
    let root = outcome.span("root");
    assert_eq!(outcome.span("inner").trace_id, root.trace_id);
    assert_ne!(outcome.span("alone").trace_id, root.trace_id);
    assert!(outcome.spans.iter().all(|span| span.end_time.is_some()));
    assert!(outcome.span("inner").end_time <= root.end_time);
}

#[test]
fn one_span_entered_by_two_threads_again_and_again_keeps_its_children_and_theirs() {
    let recorded = Recorded::new(Policy::full_content());
    let rounds = 50;
    let barrier = Barrier::new(2);
    tracing::subscriber::with_default(recorded.subscriber(), || {
        let shared = info_span!("shared");
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        std::thread::scope(|scope| {
            for thread in 0..2 {
                let (shared, dispatch, barrier) = (shared.clone(), dispatch.clone(), &barrier);
                scope.spawn(move || {
                    tracing::dispatcher::with_default(&dispatch, || {
                        for round in 0..rounds {
                            // Both are inside at the same time, twice, and leave in another order.
                            barrier.wait();
                            let outer = shared.enter();
                            let again = shared.enter();
                            let child = info_span!("child", thread, round);
                            let inside = child.enter();
                            barrier.wait();
                            info_span!("grandchild", thread, round);
                            drop(outer);
                            info_span!("second grandchild", thread, round);
                            drop(inside);
                            drop(again);
                        }
                        info_span!("after", thread);
                    });
                });
            }
        });
    });
    let outcome = recorded.finish();
    let shared = outcome.span("shared");
    let place = |span: &opik_core::Span| {
        let metadata = span.metadata.as_ref().unwrap().to_value().unwrap();
        (metadata["thread"].clone(), metadata["round"].clone())
    };
    let named = |name: &str| {
        let all = outcome.spans.iter();
        let name = name.to_owned();
        all.filter(move |span| span.name.as_deref() == Some(&name))
            .collect::<Vec<_>>()
    };
    let children = named("child");
    assert_eq!(children.len(), 2 * rounds);
    assert!(
        children
            .iter()
            .all(|it| it.parent_span_id == Some(shared.id))
    );
    for name in ["grandchild", "second grandchild"] {
        let found = named(name);
        assert_eq!(found.len(), 2 * rounds);
        for span in found {
            let own = children
                .iter()
                .find(|it| Some(it.id) == span.parent_span_id);
            assert_eq!(place(own.unwrap()), place(span));
            assert_eq!(span.trace_id, shared.trace_id);
        }
    }
    let after = named("after");
    assert_eq!(after.len(), 2);
    assert!(after.iter().all(|it| it.parent_span_id.is_none()));
    assert_eq!(outcome.traces.len(), 3);
}

#[test]
fn what_is_not_recorded_passes_its_children_on() {
    let recorded = Recorded::new(Policy::full_content());
    let layer = recorded
        .layer()
        .with_filter(filter_fn(|metadata| metadata.name() != "filtered"));
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        let _a = info_span!("root").entered();
        let _b = debug_span!("too detailed").entered();
        let _c = info_span!("filtered").entered();
        let _d = error_span!("leaf").entered();
        tracing::error!("in the leaf");
    });
    let outcome = recorded.finish();
    assert_eq!(outcome.parent("leaf"), Some("root"));
    assert_eq!(outcome.spans.len(), 2);

    let recorded = Recorded::new(Policy::full_content());
    let layer = recorded.layer().with_min_level(Level::DEBUG);
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        let _a = info_span!("root").entered();
        let _b = debug_span!("detail").entered();
        tracing::trace_span!("too detailed");
    });
    let outcome = recorded.finish();
    assert_eq!(outcome.parent("detail"), Some("root"));
    assert_eq!(outcome.spans.len(), 2);
}

#[test]
fn spans_of_the_recorder_and_of_tracing_nest_in_each_other() {
    let recorded = Recorded::new(Policy::full_content());
    tracing::subscriber::with_default(recorded.subscriber(), || {
        let trace = recorded.recorder.trace("trace");
        let entered = trace.enter();
        let span = info_span!("tracing");
        info_span!(parent: None, "alone");
        drop(entered);
        let handle = span.opik_handle().unwrap();
        handle.span("recorder", SpanType::Tool).end();
        assert_eq!(Some(handle.trace_id()), trace.trace_id());
        assert!(debug_span!("not recorded").opik_handle().is_none());
        assert!(tracing::Span::none().opik_handle().is_none());
    });
    let outcome = recorded.finish();
    assert_eq!(outcome.parent("tracing"), None);
    assert_eq!(outcome.parent("recorder"), Some("tracing"));
    let names: Vec<_> = outcome
        .traces
        .iter()
        .map(|trace| trace.name.clone())
        .collect();
    assert_eq!(names.len(), 2);
    assert_ne!(
        outcome.span("alone").trace_id,
        outcome.span("tracing").trace_id
    );
}
