//! One warning for the first loss of a kind, and no content in it. One test, since the subscriber
//! belongs to the process.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opik_core::exporter::ExportErrorKind;
use opik_observe::{Policy, Recorder};
use opik_testkit::FailingExporter;
use opik_testkit::doubles::Fault;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

/// Keeps every event of this crate as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Level, String)>>>);

struct Text(String);
impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "opik_observe"
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0
            .lock()
            .unwrap()
            .push((*event.metadata().level(), text.0));
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[test]
fn the_first_loss_of_a_kind_is_a_warning_and_the_others_only_count() {
    let log = Log::default();
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    let long = Duration::from_secs(60);
    let broken = FailingExporter::always(Fault::Lost(ExportErrorKind::Unauthorized));
    let (recorder, guard) = Recorder::builder()
        .branch("b", Arc::new(broken), Policy::default())
        .max_record_bytes(2_000)
        .start()
        .unwrap();
    for round in 0..3 {
        recorder.trace("t").input("a secret text");
        recorder.trace("t").input(&"a secret text".repeat(1_000));
        assert!(recorder.flush(long).complete, "round {round}");
    }
    // The collector warns when it has passed the flush on, on a thread of its own.
    let deadline = Instant::now() + long;
    let warnings = || -> Vec<String> {
        let log = log.0.lock().unwrap();
        let warnings = log.iter().filter(|(level, _)| *level == Level::WARN);
        warnings.map(|(_, text)| text.clone()).collect()
    };
    while warnings().len() < 2 && Instant::now() < deadline {
        std::thread::yield_now();
    }
    drop(guard);
    let warnings = warnings();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    for reason in ["export_failed", "too_large"] {
        let of_it = |text: &&String| text.contains(&format!("reason={reason}"));
        assert_eq!(warnings.iter().filter(of_it).count(), 1, "{warnings:?}");
    }
    assert!(
        log.0
            .lock()
            .unwrap()
            .iter()
            .all(|(_, text)| !text.contains("secret"))
    );
}
