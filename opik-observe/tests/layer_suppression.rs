//! Contract 8 with the layer: what the recorder's own threads log is not recorded. A test binary of
//! its own, since those threads see only the subscriber of the process.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use opik_core::{Batch, ExportError, ExportReport, Exporter};
use opik_observe::layer::OpikLayer;
use opik_observe::{Policy, Recorder};
use opik_testkit::RecordingExporter;
use tracing::{Instrument as _, info_span};
use tracing_subscriber::layer::SubscriberExt as _;

const LONG: Duration = Duration::from_secs(60);

/// An exporter like any client of a network: it traces what it does.
#[derive(Debug)]
struct Traces {
    /// A span of the program.
    of_program: Arc<Mutex<tracing::Span>>,
    /// A span of the exporter.
    of_exporter: Arc<Mutex<tracing::Span>>,
    seen: RecordingExporter,
}

impl Traces {
    fn work(&self) {
        let _request = info_span!("request", opik.input = "x").entered();
        tracing::error!("refused");
        let program = self.of_program.lock().unwrap().clone();
        tracing::error!(parent: &program, "of the exporter");
        program.record("late", "of the exporter");
        let below = info_span!(parent: &program, "below a span of the program");
        *self.of_exporter.lock().unwrap() = below;
    }
}

#[async_trait]
impl Exporter for Traces {
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        self.work();
        let request = info_span!("awaited request");
        let report = self.seen.export(batch).instrument(request).await;
        tokio::task::spawn_blocking(|| info_span!("name lookup").in_scope(|| ()))
            .await
            .unwrap();
        report
    }

    async fn flush(&self) -> Result<(), ExportError> {
        self.work();
        Ok(())
    }
}

#[test]
fn what_the_exporter_traces_does_not_feed_it() {
    let exporter = Traces {
        of_program: Arc::new(Mutex::new(tracing::Span::none())),
        of_exporter: Arc::new(Mutex::new(tracing::Span::none())),
        seen: RecordingExporter::new(),
    };
    let (span, seen) = (Arc::clone(&exporter.of_program), exporter.seen.clone());
    let of_exporter = Arc::clone(&exporter.of_exporter);
    let (recorder, guard) = Recorder::builder()
        .branch("b", Arc::new(exporter), Policy::full_content())
        .start()
        .unwrap();
    let subscriber = tracing_subscriber::registry().with(OpikLayer::new(recorder.clone()));
    tracing::subscriber::set_global_default(subscriber).unwrap();
    *span.lock().unwrap() = info_span!("program", late = tracing::field::Empty);
    // The exporter works while the span of the program is open.
    info_span!("first").in_scope(|| ());
    assert!(recorder.flush(LONG).complete);
    assert_eq!(seen.records(), 2);
    // What the program does below a span that is not recorded is recorded.
    let of_exporter = std::mem::replace(&mut *of_exporter.lock().unwrap(), tracing::Span::none());
    assert!(!of_exporter.is_none());
    info_span!(parent: &of_exporter, "second").in_scope(|| ());
    drop(of_exporter);
    *span.lock().unwrap() = tracing::Span::none();
    let statistics = guard.shutdown(LONG).statistics;
    assert_eq!((statistics.recorded, seen.records()), (5, 5));
    let spans = seen.spans();
    let named = |name| spans.iter().find(|span| span.name.as_deref() == Some(name));
    let (program, second) = (named("program").unwrap(), named("second").unwrap());
    assert_eq!(second.parent_span_id, Some(program.id));
    assert_eq!((&program.error_info, &program.metadata), (&None, &None));
    assert!(statistics.suppressed >= 4, "{statistics:?}");
}
