//! What a spool says: that an outage began, where, and that it is over. One test, since the subscriber
//! belongs to the process.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use opik_core::exporter::ExportErrorKind;
use opik_core::wire::{WireBatch, WireExporter};
use opik_core::{Batch, ExportError, ExportReport, Exporter};
use opik_observe::spool::{Spool, SpoolOptions};
use opik_observe::{Policy, Recorder};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

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
        metadata.target() == "opik_observe" && *metadata.level() <= Level::INFO
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        let level = *event.metadata().level();
        self.0.lock().unwrap().push((level, text.0));
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// Down until told otherwise.
#[derive(Debug, Default)]
struct Server(AtomicBool);

#[async_trait]
impl WireExporter for Server {
    async fn export_rows(&self, batch: &WireBatch) -> Result<ExportReport, ExportError> {
        if self.0.load(Ordering::SeqCst) {
            Ok(ExportReport::accepted(batch.len()))
        } else {
            Err(ExportError::new(ExportErrorKind::Unavailable, "down"))
        }
    }
}

#[async_trait]
impl Exporter for Server {
    async fn export(&self, _: &Batch) -> Result<ExportReport, ExportError> {
        Err(ExportError::new(ExportErrorKind::Internal, "rows only"))
    }
    async fn flush(&self) -> Result<(), ExportError> {
        Ok(())
    }
}

#[test]
fn an_outage_is_said_with_its_directory_and_so_is_its_end() {
    let log = Log::default();
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    let long = Duration::from_secs(60);
    let directory = tempfile::tempdir().unwrap();
    let server = Arc::new(Server::default());
    let options = SpoolOptions::new().waits(Duration::from_millis(1), Duration::from_millis(5));
    let spool = Arc::new(Spool::open(directory.path(), server.clone(), options).unwrap());
    let (recorder, guard) = Recorder::builder()
        .branch("b", spool.clone(), Policy::full_content())
        .start()
        .unwrap();
    for _ in 0..2 {
        for _ in 0..3 {
            recorder.trace("t").input("a secret text");
        }
        assert!(recorder.flush(long).complete);
        server.0.store(true, Ordering::SeqCst);
        assert!(spool.drain(long));
        server.0.store(false, Ordering::SeqCst);
    }
    drop((guard, recorder, spool));
    let lines = log.0.lock().unwrap().clone();
    let place = format!("directory={}", directory.path().display());
    assert!(
        lines.iter().all(|(_, text)| text.contains(&place)),
        "{lines:?}"
    );
    assert!(
        lines.iter().all(|(_, text)| !text.contains("secret")),
        "{lines:?}"
    );
    let of = |level| {
        let lines = lines.iter().filter(|(other, _)| *other == level);
        lines.map(|(_, text)| text.as_str()).collect::<Vec<_>>()
    };
    // The first of each kind, not the second outage.
    let (warnings, backs) = (of(Level::WARN), of(Level::INFO));
    assert_eq!((warnings.len(), backs.len()), (1, 1), "{lines:?}");
    let (warning, back) = (warnings.concat(), backs.concat());
    assert!(warning.contains("records wait on disk"), "{warning}");
    assert!(back.contains("the server is back"), "{back}");
    assert!(
        back.contains("written=3") && back.contains("waiting=3"),
        "{back}"
    );
}
