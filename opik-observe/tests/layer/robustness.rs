//! The program's code that runs inside the layer, panics, and more than one layer.

use std::fmt;

use opik_observe::layer::OpikLayer;
use opik_observe::{Policy, Recorder};
use tracing::field::Empty;
use tracing::{Level, debug_span, error, info_span};
use tracing_subscriber::layer::SubscriberExt as _;

use super::{Recorded, record};

struct Panics;
impl fmt::Debug for Panics {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("a Debug that panics");
    }
}

/// Writes for ever, unless it is stopped.
struct Endless;
impl fmt::Debug for Endless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        loop {
            f.write_str("0123456789")?;
        }
    }
}

/// Logs, records and opens spans while it is written.
struct Logs;
impl fmt::Debug for Logs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        error!("from within");
        tracing::Span::current().record("seen", true);
        let _span = info_span!("from within").entered();
        f.write_str("logged")
    }
}

#[test]
fn a_value_that_panics_is_left_out_and_counted() {
    let outcome = record(|| {
        info_span!("plain", a = ?Panics, b = 1);
        let span = info_span!("with meaning", opik.input = ?Panics, b = 1, later = Empty);
        span.record("later", tracing::field::debug(Panics));
    });
    for name in ["plain", "with meaning"] {
        assert_eq!(outcome.metadata(name), serde_json::json!({"b": 1}));
    }
    assert_eq!(outcome.statistics.fields_lost, 3);
}

#[test]
fn a_value_without_an_end_is_cut() {
    let recorded = Recorder::builder().max_field_bytes(1_000);
    let seen = opik_testkit::RecordingExporter::new();
    let (recorder, guard) = recorded
        .branch(
            "b",
            std::sync::Arc::new(seen.clone()),
            Policy::full_content(),
        )
        .start()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(OpikLayer::new(recorder));
    tracing::subscriber::with_default(subscriber, || {
        info_span!("plain", long = ?Endless, text = "é".repeat(900));
        info_span!("with meaning", long = ?Endless, text = "é".repeat(900), opik.model = "m");
    });
    assert!(guard.shutdown(super::LONG).complete);
    for span in seen.spans() {
        let metadata = span.metadata.as_ref().unwrap().to_value().unwrap();
        for key in ["long", "text"] {
            assert_eq!(metadata[key].as_str().map(str::len), Some(1_000), "{key}");
        }
    }
    assert_eq!(seen.spans().len(), 2);
}

#[test]
fn a_value_that_logs_while_it_is_written_blocks_nothing() {
    let outcome = record(|| {
        let span = info_span!("s", seen = Empty, value = Empty);
        let _entered = span.enter();
        span.record("value", tracing::field::debug(Logs));
        error!(error = ?Logs);
    });
    let metadata = outcome.metadata("s");
    assert_eq!(
        (&metadata["seen"], &metadata["value"]),
        (&true.into(), &"logged".into())
    );
    // The event's own inner span is lost on tracing's guard against recursion.
    assert_eq!(outcome.spans.len(), 2);
}

#[test]
fn a_span_that_a_panic_passes_has_failed() {
    let outcome = record(|| {
        let panicked = std::panic::catch_unwind(|| {
            let _span = info_span!("s").entered();
            panic!("on its way");
        });
        assert!(panicked.is_err());
        info_span!("later");
    });
    let error = outcome.span("s").error_info.as_ref().unwrap();
    assert_eq!(error.exception_type, "panic");
    assert_eq!(outcome.span("later").error_info, None);
}

#[test]
fn two_layers_record_no_span_twice_and_nothing_of_the_others() {
    let first = Recorded::new(Policy::full_content());
    let second = Recorded::new(Policy::full_content());
    let detailed = second.layer().with_min_level(Level::DEBUG);
    let subscriber = first.subscriber().with(detailed);
    tracing::subscriber::with_default(subscriber, || {
        let _root = info_span!("root", opik.tags = "once").entered();
        let _detail = debug_span!("detail").entered();
        let child = info_span!("child", opik.tags = Empty);
        child.record("opik.tags", "once");
    });
    let outcome = second.finish();
    assert_eq!((outcome.spans.len(), outcome.parent("detail")), (1, None));
    let outcome = first.finish();
    assert_eq!(outcome.spans.len(), 2);
    assert_eq!(outcome.parent("child"), Some("root"));
    assert_eq!(outcome.span("root").tags, ["once"]);
    assert_eq!(outcome.span("child").tags, ["once"]);
}

#[test]
fn a_recorder_that_is_off_costs_no_span_anything() {
    let subscriber = tracing_subscriber::registry().with(OpikLayer::new(Recorder::disabled()));
    let runs = std::cell::Cell::new(0);
    let value = fmt::from_fn(|f| {
        runs.set(runs.get() + 1);
        f.write_str("x")
    });
    tracing::subscriber::with_default(subscriber, || {
        info_span!("s", value = tracing::field::debug(&value)).in_scope(|| error!(?value));
    });
    assert_eq!(runs.get(), 0);
}
