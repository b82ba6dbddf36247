//! What is lost at the end of a program is said before the call that ends it returns. One test, since
//! the subscriber belongs to the process.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opik_core::exporter::ExportErrorKind;
use opik_observe::{Policy, Recorder};
use opik_testkit::doubles::Fault;
use opik_testkit::{BlockingExporter, FailingExporter, HangingExporter};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

/// Keeps every warning of this crate as text.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

struct Text(String);
impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "opik_observe" && *metadata.level() == Level::WARN
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        // A slow one: a caller that does not wait for it is gone by now.
        std::thread::sleep(Duration::from_millis(2));
        self.0.lock().unwrap().push(text.0);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[test]
fn the_warning_is_there_when_shutdown_returns() {
    let log = Log::default();
    tracing::subscriber::set_global_default(log.clone()).unwrap();

    for round in 0..50 {
        let broken = FailingExporter::always(Fault::Lost(ExportErrorKind::Unauthorized));
        let (recorder, guard) = Recorder::builder()
            .branch("b", Arc::new(broken), Policy::default())
            .start()
            .unwrap();
        recorder.trace("t").end();
        if round % 2 == 0 {
            assert!(guard.shutdown(Duration::from_secs(60)).complete);
        } else {
            drop(guard);
        }
        let warnings = log.take();
        assert_eq!(warnings.len(), 1, "round {round}: {warnings:?}");
        assert!(warnings[0].contains("reason=export_failed"), "{warnings:?}");

        // The worker is gone, so that the one who records says it, once.
        recorder.trace("t").end();
        recorder.trace("t").end();
        let warnings = log.take();
        assert_eq!(warnings.len(), 1, "round {round}: {warnings:?}");
        assert!(
            warnings[0].contains("keep the guard until the program ends"),
            "{warnings:?}"
        );
    }

    // One that never answers, and one that holds its thread.
    for millis in [0, 1, 50, 300] {
        let timeout = Duration::from_millis(millis);
        let hangs = HangingExporter::new();
        let blocks = BlockingExporter::new();
        let (recorder, guard) = Recorder::builder()
            .branch("hangs", Arc::new(hangs.clone()), Policy::default())
            .branch("blocks", Arc::new(blocks.clone()), Policy::default())
            .batch_delay(Duration::ZERO)
            .start()
            .unwrap();
        recorder.trace("t").end();
        assert!(hangs.entered().wait_blocking(Duration::from_secs(60)));
        assert!(blocks.entered().wait_blocking(Duration::from_secs(60)));
        assert!(!guard.shutdown(timeout).complete);
        let warnings = log.take().join("\n");
        assert!(!warnings.is_empty(), "{millis} ms");
        if millis >= 300 {
            assert!(warnings.contains("reason=shutdown_timeout"), "{warnings}");
            assert!(warnings.contains("branch=blocks"), "{warnings}");
        }
        blocks.release();
        hangs.release();
    }
}
