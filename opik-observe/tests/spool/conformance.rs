//! A spool keeps the promises of the exporter behind it, in every mode and through failures.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use opik_core::exporter::ExportErrorKind;
use opik_core::wire::{WireBatch, WireExporter};
use opik_core::{Batch, ExportError, ExportReport, Exporter};
use opik_observe::spool::{Durability, Spool};
use opik_testkit::{Place, Skip, WireStore, exporter_suite, wire_suite};

use super::{LONG, block_on, quick};

/// A store that fails every other call.
#[derive(Debug)]
struct Shaky {
    store: Arc<WireStore>,
    calls: AtomicUsize,
    fails: bool,
}

impl Shaky {
    fn fail(&self) -> Result<(), ExportError> {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        if self.fails && calls.is_multiple_of(2) {
            return Err(ExportError::new(ExportErrorKind::Unavailable, "shaky"));
        }
        Ok(())
    }
}

#[async_trait]
impl Exporter for Shaky {
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        self.fail()?;
        self.store.export(batch).await
    }
    async fn flush(&self) -> Result<(), ExportError> {
        self.store.flush().await
    }
    fn wire(&self) -> Option<&dyn WireExporter> {
        Some(self)
    }
}

#[async_trait]
impl WireExporter for Shaky {
    async fn export_rows(&self, batch: &WireBatch) -> Result<ExportReport, ExportError> {
        self.fail()?;
        self.store.export_rows(batch).await
    }
}

/// Waits after each call until the spool is empty, so that readers see what was accepted.
#[derive(Debug)]
struct Drained(Spool);

#[async_trait]
impl Exporter for Drained {
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        let report = self.0.export(batch).await?;
        assert!(self.0.drain(LONG));
        Ok(report)
    }
    async fn flush(&self) -> Result<(), ExportError> {
        self.0.flush().await
    }
    fn wire(&self) -> Option<&dyn WireExporter> {
        Some(self)
    }
}

#[async_trait]
impl WireExporter for Drained {
    async fn export_rows(&self, batch: &WireBatch) -> Result<ExportReport, ExportError> {
        let report = self.0.export_rows(batch).await?;
        assert!(self.0.drain(LONG));
        Ok(report)
    }
}

/// What becomes rows on its way.
const THROUGH_ROWS: [Skip; 1] = [(
    "an_older_score_changes_nothing",
    "the row of a score has no moment: the later one stays",
)];

/// What is judged when it is sent, long after the answer.
const JUDGED_LATER: [Skip; 1] = [(
    "one_bad_row_does_not_cost_the_others",
    "a row on disk is taken as it is; what the server thinks of it is in the spool's statistics",
)];

fn place(durability: Durability, fails: bool) -> Place {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(WireStore::new());
    let shaky = Shaky {
        store: Arc::clone(&store),
        calls: AtomicUsize::new(0),
        fails,
    };
    let spool = Spool::open(directory.path(), Arc::new(shaky), quick(durability)).unwrap();
    Place::new(Arc::new(Drained(spool)), store).keeping(directory)
}

fn conforms(durability: Durability, fails: bool, [records, rows]: [&[Skip]; 2]) {
    let make = || async { place(durability, fails) };
    block_on(exporter_suite(make, records)).assert_ok();
    block_on(wire_suite(make, rows)).assert_ok();
}

#[test]
fn memory_keeps_every_promise() {
    conforms(Durability::Memory, false, [&[], &[]]);
}

#[test]
fn spool_on_failure_keeps_every_promise_while_the_server_is_well() {
    conforms(Durability::SpoolOnFailure, false, [&[], &[]]);
}

#[test]
fn spool_on_failure_keeps_every_promise_through_failures() {
    conforms(
        Durability::SpoolOnFailure,
        true,
        [&THROUGH_ROWS, &JUDGED_LATER],
    );
}

#[test]
fn write_ahead_keeps_every_promise() {
    conforms(
        Durability::WriteAhead,
        false,
        [&THROUGH_ROWS, &JUDGED_LATER],
    );
    conforms(Durability::WriteAhead, true, [&THROUGH_ROWS, &JUDGED_LATER]);
}
