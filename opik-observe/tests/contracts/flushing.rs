//! Contracts 3 and 6: flush and shutdown end within their time, in any runtime and under load.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use opik_core::{Batch, ExportError, ExportReport, Exporter};
use opik_observe::{FlushReport, Policy, Recorder};
use opik_testkit::{HangingExporter, RecordingExporter};

use super::{LONG, SHORT, must_return, recorder};

/// Runs a future without any runtime.
fn foreign<T>(work: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut work = std::pin::pin!(work);
    loop {
        match work.as_mut().poll(&mut context) {
            std::task::Poll::Ready(value) => return value,
            std::task::Poll::Pending => std::thread::park(),
        }
    }
}

fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

fn one_worker() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .build()
        .unwrap()
}

type Way = fn(Recorder, Duration) -> FlushReport;

/// Every way to wait: blocking and async, on every kind of executor.
fn ways() -> Vec<(&'static str, Way)> {
    vec![
        ("blocking, no runtime", |r, t| r.flush(t)),
        ("blocking, current thread", |r, t| {
            current_thread().block_on(async { r.flush(t) })
        }),
        ("blocking, one worker", |r, t| {
            let runtime = one_worker();
            runtime.block_on(async { runtime.spawn(async move { r.flush(t) }).await.unwrap() })
        }),
        ("async, foreign executor", |r, t| foreign(r.flush_async(t))),
        ("async, current thread", |r, t| {
            current_thread().block_on(r.flush_async(t))
        }),
        ("async, one worker", |r, t| {
            let runtime = one_worker();
            runtime.block_on(async { runtime.spawn(r.flush_async(t)).await.unwrap() })
        }),
        ("async, futures executor", |r, t| {
            foreign(futures_util::future::join(
                r.flush_async(t),
                std::future::ready(()),
            ))
            .0
        }),
        ("shutdown, no runtime", |r, t| r.shutdown(t)),
        ("shutdown, foreign executor", |r, t| {
            foreign(r.shutdown_async(t))
        }),
        ("shutdown, current thread", |r, t| {
            current_thread().block_on(r.shutdown_async(t))
        }),
    ]
}

#[test]
fn every_way_to_wait_waits_until_the_exporter_has_everything() {
    for (way, wait) in ways() {
        let seen = RecordingExporter::new();
        let (recorder, _guard) = Recorder::builder()
            .branch("b", Arc::new(seen.clone()), Policy::default())
            .batch_delay(LONG)
            .start()
            .unwrap();
        for _ in 0..10 {
            recorder.trace("t").end();
        }
        let report = must_return(move || wait(recorder, LONG));
        assert!(report.complete, "{way}: {report:?}");
        assert_eq!((seen.records(), seen.flushes() > 0), (10, true), "{way}");
    }
}

#[test]
fn every_way_to_wait_ends_in_time_when_the_exporter_hangs() {
    for (way, wait) in ways() {
        let (recorder, guard) = Recorder::builder()
            .branch("b", Arc::new(HangingExporter::new()), Policy::default())
            .drop_timeout(Duration::ZERO)
            .start()
            .unwrap();
        recorder.trace("t").end();
        let began = Instant::now();
        let report = must_return(move || wait(recorder, SHORT));
        // A timeout that is taken for no timeout at all would end early.
        let early = began.elapsed() < SHORT && !way.starts_with("shutdown");
        assert!(!report.complete && !early, "{way}: {report:?}");
        drop(guard);
    }
}

#[test]
fn a_flush_ends_under_constant_load() {
    let (recorder, guard) = recorder(RecordingExporter::new());
    let stop = Arc::new(AtomicBool::new(false));
    let load: Vec<_> = (0..2)
        .map(|_| {
            let (recorder, stop) = (recorder.clone(), Arc::clone(&stop));
            std::thread::Builder::new()
                .spawn(move || {
                    while !stop.load(Ordering::SeqCst) {
                        recorder.trace("t").end();
                    }
                })
                .unwrap()
        })
        .collect();
    for _ in 0..5 {
        let recorder = recorder.clone();
        let report = must_return(move || recorder.flush(LONG));
        assert!(report.complete, "{report:?}");
    }
    stop.store(true, Ordering::SeqCst);
    load.into_iter().for_each(|thread| thread.join().unwrap());
    drop(guard);
}

/// Brings another record with every call, and returns when that has arrived at all branches.
#[derive(Debug)]
struct Breeds {
    recorder: Arc<OnceLock<Recorder>>,
    watched: RecordingExporter,
    stop: Arc<AtomicBool>,
}

#[async_trait::async_trait]
impl Exporter for Breeds {
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        if !self.stop.load(Ordering::SeqCst) {
            let (recorder, before) = (self.recorder.get().unwrap().clone(), self.watched.records());
            // A thread of the program: on this one nothing is recorded.
            let program = std::thread::Builder::new().spawn(move || recorder.trace("t").end());
            program.unwrap().join().unwrap();
            assert!(self.watched.wait_for_records(before + 1, LONG));
        }
        Ok(ExportReport::accepted(batch.len()))
    }

    async fn flush(&self) -> Result<(), ExportError> {
        Ok(())
    }
}

#[test]
fn a_flush_ends_although_the_queue_is_never_empty() {
    let (own, stop) = (Arc::new(OnceLock::new()), Arc::new(AtomicBool::new(false)));
    let watched = RecordingExporter::new();
    let breeds = Breeds {
        recorder: Arc::clone(&own),
        watched: watched.clone(),
        stop: Arc::clone(&stop),
    };
    let (recorder, guard) = Recorder::builder()
        .branch("breeds", Arc::new(breeds), Policy::default())
        .branch("watched", Arc::new(watched), Policy::default())
        .batch_records(1)
        .start()
        .unwrap();
    own.set(recorder.clone()).unwrap();
    recorder.trace("t").end();
    recorder.trace("t").end();
    let report = must_return(move || recorder.flush(SHORT * 50));
    stop.store(true, Ordering::SeqCst);
    assert!(report.complete, "{report:?}");
    drop(guard);
}

#[test]
fn waiting_twice_or_on_nothing_is_fine() {
    let (recorder, guard) = recorder(RecordingExporter::new());
    assert!(recorder.flush(LONG).complete);
    assert!(recorder.shutdown(LONG).complete);
    assert!(must_return(move || recorder.shutdown(LONG)).complete);
    assert!(guard.shutdown(LONG).complete);
    assert!(Recorder::disabled().flush(Duration::ZERO).complete);
}

#[test]
fn a_forgotten_flush_holds_nothing_up() {
    let seen = RecordingExporter::new();
    let (recorder, guard) = recorder(seen.clone());
    recorder.trace("t").end();
    drop(recorder.flush_async(LONG));
    assert!(seen.wait_for_records(1, LONG));
    drop(guard);
}
