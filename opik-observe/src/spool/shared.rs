//! What a spool and its thread share.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::{Duration, Instant};

use opik_core::exporter::ExportErrorKind;
use opik_core::wire::WireExporter;
use opik_core::{ExportError, ExportReport};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::clock::SpoolClock;
use super::counts::{Counts, Trouble};
use super::files::Files;
use super::journal::Journal;
use super::name::Run;
use super::options::SpoolOptions;

/// When a caller ends, and how long its batches may wait for the server before they go to disk.
#[derive(Debug, Clone, Copy)]
struct CallerEnd {
    server_until: tokio::time::Instant,
    over: tokio::time::Instant,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) inner: Arc<dyn WireExporter>,
    pub(super) options: SpoolOptions,
    pub(super) counts: Arc<Counts>,
    run: Run,
    /// Of the runtime whose timers bound every attempt, so that callers need none.
    timers: Handle,
    journal: Mutex<Journal>,
    /// Something was appended, or the spool is closing.
    pub(super) changed: Notify,
    /// The thread has looked for what earlier runs left.
    looked: AtomicBool,
    closing: AtomicBool,
    closed: Notify,
    /// What is known of the end of a caller.
    caller_end: Mutex<Option<CallerEnd>>,
    announced: Notify,
    /// Something was sent, or will not be.
    settled: (Mutex<()>, Condvar),
}

impl Shared {
    pub(super) fn new(
        files: Arc<dyn Files>,
        clock: Arc<dyn SpoolClock>,
        inner: Arc<dyn WireExporter>,
        options: SpoolOptions,
        timers: Handle,
    ) -> Self {
        let counts = Arc::new(Counts::of(files.directory()));
        let journal = Journal::new(files, clock, Arc::clone(&counts), options.clone());
        Self {
            inner,
            options,
            counts,
            run: journal.run(),
            timers,
            journal: Mutex::new(journal),
            changed: Notify::new(),
            looked: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            closed: Notify::new(),
            caller_end: Mutex::new(None),
            announced: Notify::new(),
            settled: Default::default(),
        }
    }

    /// Whether this is a copy in a forked child, which has neither the thread nor the files, and in
    /// which the lock may be held for ever.
    pub(super) fn is_forked(&self) -> bool {
        !self.run.is_here()
    }

    #[cfg(test)]
    pub(super) fn fork(&mut self) {
        self.journal().fork();
        let forked = self.journal().run();
        self.run = forked;
    }

    pub(super) fn journal(&self) -> MutexGuard<'_, Journal> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.closed.notify_waiters();
        self.changed.notify_one();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Runs a future unless the spool closes before it is done.
    pub(super) async fn unless_closing<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        let mut closed = pin!(self.closed.notified());
        closed.as_mut().enable();
        poll_fn(|cx| {
            if self.is_closing() || closed.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
            work.as_mut().poll(cx).map(Some)
        })
        .await
    }

    /// Runs a call of the exporter behind for so long.
    pub(super) async fn attempt<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<T, ExportError>>,
    ) -> Result<T, ExportError> {
        let alarm = {
            let _timers = self.timers.enter();
            tokio::time::sleep(limit)
        };
        let (mut call, mut alarm) = (pin!(call), pin!(alarm));
        poll_fn(|cx| {
            if let Poll::Ready(answer) = call.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            let late = || ExportError::new(ExportErrorKind::Timeout, "no answer in time");
            alarm.as_mut().poll(cx).map(|()| Err(late()))
        })
        .await
    }

    /// Like [`attempt`](Self::attempt) for a batch that has the disk to go to: when the caller ends, also
    /// when it says so meanwhile, there is time left for that.
    pub(super) async fn attempt_before_disk<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<T, ExportError>>,
    ) -> Result<T, ExportError> {
        let cut_off = async {
            loop {
                let announced = self.announced.notified();
                let mut announced = pin!(announced);
                announced.as_mut().enable();
                let Some(until) = self.server_until() else {
                    announced.await;
                    continue;
                };
                let alarm = {
                    let _timers = self.timers.enter();
                    tokio::time::sleep_until(until)
                };
                alarm.await;
                return;
            }
        };
        let mut cut_off = pin!(cut_off);
        let mut call = pin!(self.attempt(limit, call));
        poll_fn(|cx| {
            if let Poll::Ready(answer) = call.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            let late = || ExportError::new(ExportErrorKind::Timeout, "no answer before the end");
            cut_off.as_mut().poll(cx).map(|()| Err(late()))
        })
        .await
    }

    /// A caller ends then. Half of the time is for the server, and the other one for the disk. Returns
    /// the moment between the two.
    pub(super) fn announce_end(&self, deadline: Instant) -> Instant {
        let (now, on_timers) = (Instant::now(), tokio::time::Instant::now());
        let left = deadline.saturating_duration_since(now);
        let end = CallerEnd {
            server_until: on_timers + left / 2,
            over: on_timers + left,
        };
        let mut known = self.caller_end();
        // Of several callers the first to end counts; of one that ended nobody waits any more.
        if known.is_none_or(|known| end.over < known.over || known.over <= on_timers) {
            *known = Some(end);
        }
        drop(known);
        self.announced.notify_waiters();
        now + left / 2
    }

    /// Until when a batch may wait for the server, while a caller is about to end.
    pub(super) fn server_until(&self) -> Option<tokio::time::Instant> {
        let now = tokio::time::Instant::now();
        let end = self.caller_end().filter(|end| now < end.over);
        end.map(|end| end.server_until)
    }

    /// Whether batches go to disk at once because a caller is about to end.
    pub(super) fn is_time_for_disk(&self) -> bool {
        self.server_until()
            .is_some_and(|until| until <= tokio::time::Instant::now())
    }

    fn caller_end(&self) -> MutexGuard<'_, Option<CallerEnd>> {
        self.caller_end
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// One warning for the first outage, another for a key that is refused.
    pub(super) fn note_failure(&self, error: &ExportError) {
        let trouble = match error.kind() {
            ExportErrorKind::Unauthorized => Trouble::KeyRefused,
            _ => Trouble::Outage,
        };
        self.counts.begin_outage();
        self.counts.warn(trouble, &error.kind());
    }

    pub(super) fn note_settled(&self) {
        drop(self.settled.0.lock());
        self.settled.1.notify_all();
    }

    /// What earlier runs left is taken over from now on, as far as it is there.
    pub(super) fn note_looked(&self) {
        self.looked.store(true, Ordering::SeqCst);
    }

    /// Blocks until nothing waits in the spool, what earlier runs left included; `false` when that
    /// takes longer.
    pub(super) fn wait_until_empty(&self, timeout: Duration) -> bool {
        let began = Instant::now();
        let mut guard = self
            .settled
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        while !self.looked.load(Ordering::SeqCst) || self.counts.pending_records.get() > 0 {
            let Some(left) = timeout
                .checked_sub(began.elapsed())
                .filter(|left| !left.is_zero())
            else {
                return false;
            };
            guard = self
                .settled
                .1
                .wait_timeout(guard, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    /// Counts what went past the spool.
    pub(super) fn note_direct(&self, report: &ExportReport) {
        self.counts.end_outage();
        self.counts.direct.add(report.accepted as u64);
    }
}
