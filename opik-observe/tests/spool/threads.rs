//! The spool's own thread: what it does is not recorded, and it keeps nobody.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use async_trait::async_trait;
use opik_core::exporter::ExportErrorKind;
use opik_core::wire::{WireBatch, WireExporter};
use opik_core::{Batch, ExportError, ExportReport, Exporter};
use opik_observe::Recorder;
use opik_observe::spool::{Durability, Spool};
use opik_testkit::{Gate, RecordingExporter};

use super::server::rows;
use super::{LONG, block_on, quick};

/// Fails the first call and does something foreign in the second.
struct Second {
    calls: Mutex<usize>,
    work: Box<dyn Fn() + Send + Sync>,
}

impl std::fmt::Debug for Second {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Second")
    }
}

#[async_trait]
impl WireExporter for Second {
    async fn export_rows(&self, batch: &WireBatch) -> Result<ExportReport, ExportError> {
        let calls = {
            let mut calls = self.calls.lock().unwrap();
            *calls += 1;
            *calls
        };
        if calls == 1 {
            return Err(ExportError::new(ExportErrorKind::Unavailable, "down"));
        }
        (self.work)();
        Ok(ExportReport::accepted(batch.len()))
    }
}

#[async_trait]
impl Exporter for Second {
    async fn export(&self, _: &Batch) -> Result<ExportReport, ExportError> {
        Err(ExportError::new(ExportErrorKind::Internal, "rows only"))
    }
    async fn flush(&self) -> Result<(), ExportError> {
        Ok(())
    }
}

fn spool(directory: &std::path::Path, work: impl Fn() + Send + Sync + 'static) -> Spool {
    let server = Second {
        calls: Mutex::new(0),
        work: Box::new(work),
    };
    let options = quick(Durability::SpoolOnFailure);
    let spool = Spool::open(directory, Arc::new(server), options).unwrap();
    block_on(spool.export_rows(&rows([1]))).unwrap();
    spool
}

#[test]
fn nothing_that_the_thread_does_is_recorded() {
    let (recorder, guard) = Recorder::builder()
        .branch(
            "b",
            Arc::new(RecordingExporter::new()),
            opik_observe::Policy::default(),
        )
        .start()
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let inside = recorder.clone();
    let spool = spool(directory.path(), move || inside.trace("not mine").end());
    assert!(spool.drain(LONG));
    let statistics = recorder.statistics();
    assert_eq!(statistics.recorded, 0);
    assert!(statistics.suppressed > 0);
    drop(guard);
}

#[test]
fn dropping_is_bounded_while_the_exporter_blocks_the_thread() {
    let directory = tempfile::tempdir().unwrap();
    let gate = Gate::new();
    let (entered, is_blocked) = mpsc::channel();
    let of_server = gate.clone();
    let spool = spool(directory.path(), move || {
        entered.send(()).ok();
        assert!(of_server.wait_blocking(2 * LONG));
    });
    is_blocked.recv_timeout(LONG).unwrap();
    // Statistics do not wait for it either.
    assert_eq!(spool.statistics().pending_records, 1);
    let (done, dropped) = mpsc::channel();
    std::thread::Builder::new()
        .spawn(move || {
            drop(spool);
            done.send(())
        })
        .unwrap();
    dropped.recv_timeout(LONG).unwrap();
    gate.open();
}

/// A server whose second call hangs and panics when it is given up.
#[derive(Debug, Default)]
struct Mined(AtomicUsize);

#[derive(Debug)]
struct Mine;

impl Drop for Mine {
    fn drop(&mut self) {
        panic!("a destructor of the exporter");
    }
}

#[async_trait]
impl WireExporter for Mined {
    async fn export_rows(&self, batch: &WireBatch) -> Result<ExportReport, ExportError> {
        match self.0.fetch_add(1, Ordering::Relaxed) {
            0 => Err(ExportError::new(ExportErrorKind::Unavailable, "down")),
            1 => {
                let _mine = Mine;
                std::future::pending().await
            }
            _ => Ok(ExportReport::accepted(batch.len())),
        }
    }
}

#[async_trait]
impl Exporter for Mined {
    async fn export(&self, _: &Batch) -> Result<ExportReport, ExportError> {
        Err(ExportError::new(ExportErrorKind::Internal, "rows only"))
    }
    async fn flush(&self) -> Result<(), ExportError> {
        Ok(())
    }
}

#[test]
fn the_thread_outlives_a_panic_in_a_destructor_of_the_exporter() {
    let directory = tempfile::tempdir().unwrap();
    let options = quick(Durability::SpoolOnFailure).replay_timeout(Duration::from_millis(20));
    let spool = Spool::open(directory.path(), Arc::new(Mined::default()), options).unwrap();
    block_on(spool.export_rows(&rows([1, 2]))).unwrap();
    assert!(spool.drain(LONG), "{:?}", spool.statistics());
    assert_eq!(spool.statistics().replayed, 2);
}
