//! Contract 8: nothing that the worker itself does is recorded.

use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use opik_core::{Batch, ExportError, ExportReport, Exporter, SpanType};
use opik_observe::{FlushReport, Policy, Recorder};
use opik_testkit::RecordingExporter;

use super::LONG;

/// An exporter made of code that records: on its thread, in a task and on the blocking pool,
/// where names of hosts are looked up.
#[derive(Debug)]
struct RecordsItself {
    recorder: Arc<OnceLock<Recorder>>,
    seen: RecordingExporter,
}

fn work(recorder: &Recorder) {
    recorder
        .trace("from the exporter")
        .span("s", SpanType::Tool)
        .input("x");
    recorder
        .span_in_context("from the exporter", SpanType::Tool)
        .end();
}

#[async_trait]
impl Exporter for RecordsItself {
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        let recorder = self.recorder.get().unwrap();
        work(recorder);
        let again = recorder.clone();
        tokio::task::spawn_blocking(move || work(&again))
            .await
            .unwrap();
        let again = recorder.clone();
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move { work(&again) });
        tasks.join_all().await;
        // Would wait for itself.
        let report: FlushReport = recorder.flush(LONG);
        assert!(!report.complete);
        self.seen.export(batch).await
    }

    async fn flush(&self) -> Result<(), ExportError> {
        work(self.recorder.get().unwrap());
        Ok(())
    }
}

#[test]
fn an_exporter_made_of_code_that_records_does_not_feed_itself() {
    let (own, seen) = (Arc::new(OnceLock::new()), RecordingExporter::new());
    let exporter = RecordsItself {
        recorder: Arc::clone(&own),
        seen: seen.clone(),
    };
    let (recorder, guard) = Recorder::builder()
        .branch("b", Arc::new(exporter), Policy::full_content())
        .start()
        .unwrap();
    own.set(recorder.clone()).unwrap();
    recorder.trace("from the program").end();
    assert!(recorder.flush(LONG).complete);
    let statistics = guard.shutdown(LONG).statistics;
    assert_eq!((statistics.recorded, seen.records()), (1, 1));
    assert!(statistics.suppressed >= 6, "{statistics:?}");
    assert_eq!(seen.traces()[0].name.as_deref(), Some("from the program"));
}
