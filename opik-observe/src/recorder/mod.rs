//! The recorder: a cheap handle on what all handles share.

mod shared;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use opik_core::{ScoreRecord, SpanType};

use crate::builder::RecorderBuilder;
use crate::context::{self, SpanHandle};
use crate::flush::{Flush, FlushReport, Ticket, report};
use crate::guard::{SpanGuard, TraceGuard};
use crate::name::Name;
use crate::stats::Statistics;

pub(crate) use shared::{Core, Request};

/// Records what a program does, and nothing about it can fail, block or slow the program.
///
/// A clone is a second handle on the same recorder. All methods return at once, except for
/// [`flush`](Self::flush) and [`shutdown`](Self::shutdown), which wait no longer than they are told.
/// Made by [`Recorder::builder`]; see the [crate's documentation](crate) for an example.
#[derive(Clone, Default)]
pub struct Recorder {
    pub(crate) core: Option<Arc<Core>>,
}

impl Recorder {
    /// A recorder that records nothing, starts no thread and costs next to nothing.
    #[must_use]
    pub const fn disabled() -> Self {
        Self { core: None }
    }

    /// Configures a recorder.
    pub fn builder() -> RecorderBuilder {
        RecorderBuilder::new()
    }

    pub(crate) fn from_core(core: Arc<Core>) -> Self {
        Self { core: Some(core) }
    }

    /// Whether it records. A recorder that was shut down still counts what it is given.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.core.is_some()
    }

    /// Begins a trace, which ends when the guard is dropped.
    #[inline(always)]
    pub fn trace<'a>(&self, name: impl Into<Name<'a>>) -> TraceGuard {
        match self.active_core() {
            Some(core) => TraceGuard::begin(core, &name.into()),
            None => TraceGuard::disabled(),
        }
    }

    /// Begins a span below the one that this thread or task is in; see
    /// [`SpanGuard::enter`] and [`FutureExt::in_span`](crate::FutureExt::in_span).
    ///
    /// Outside of any span it begins a trace of the same name as well, which ends with the span and
    /// gets the same input, output, metadata, tags and error.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers write a variant; borrowing it would only add a sign"
    )]
    pub fn span_in_context<'a>(&self, name: impl Into<Name<'a>>, kind: SpanType) -> SpanGuard {
        let Some(core) = self.active_core() else {
            return SpanGuard::disabled();
        };
        let name = name.into();
        match context::current(core) {
            Some(parent) => SpanGuard::begin(&parent, &name, &kind),
            None => SpanGuard::begin_with_trace(core, &name, &kind),
        }
    }

    /// The span or trace of this recorder that this thread or task is in.
    #[must_use]
    pub fn current(&self) -> Option<SpanHandle> {
        context::current(self.core.as_ref()?)
    }

    /// Records a feedback score.
    ///
    /// ```
    /// # let recorder = opik_observe::Recorder::disabled();
    /// # let trace_id = opik_core::TraceId::generate();
    /// use opik_core::model::{FeedbackScore, ScoreRecord, ScoreTarget};
    ///
    /// let score = FeedbackScore::new("helpful", 1.0);
    /// recorder.score(&ScoreRecord::new(ScoreTarget::Trace(trace_id), score));
    /// ```
    pub fn score(&self, record: &ScoreRecord) {
        if let Some(core) = self.active_core() {
            core.record_score(record);
        }
    }

    /// Waits until everything recorded before the call is exported, at most `timeout`.
    ///
    /// Blocks the thread and needs no runtime. In async code prefer
    /// [`flush_async`](Self::flush_async). A disabled recorder is done at once.
    pub fn flush(&self, timeout: Duration) -> FlushReport {
        let flush = self.flush_async(timeout);
        flush.ticket.wait();
        report(flush.core.as_deref(), &flush.ticket)
    }

    /// Like [`flush`](Self::flush), as a future that any executor can run.
    ///
    /// The work begins with this call, not with the first poll.
    pub fn flush_async(&self, timeout: Duration) -> Flush {
        self.request(timeout, Request::Flush)
    }

    /// Stops recording and waits until what was recorded is exported, at most `timeout`. What is
    /// not exported by then is counted as lost. Later calls wait for the first one.
    pub fn shutdown(&self, timeout: Duration) -> FlushReport {
        let shutdown = self.shutdown_async(timeout);
        shutdown.ticket.wait();
        report(shutdown.core.as_deref(), &shutdown.ticket)
    }

    /// Like [`shutdown`](Self::shutdown), as a future that any executor can run.
    pub fn shutdown_async(&self, timeout: Duration) -> Flush {
        // Exporters are given up a little earlier, so that the report tells what became of their
        // records.
        let reserve = (timeout / 10).min(Duration::from_millis(200));
        self.request(timeout, |ticket| {
            let at = ticket.deadline.checked_sub(reserve);
            let at = at.unwrap_or(ticket.deadline);
            ticket.hold();
            Request::Close(ticket, at)
        })
    }

    fn request(&self, timeout: Duration, request: impl FnOnce(Arc<Ticket>) -> Request) -> Flush {
        let branches = self.core.as_ref().map_or(0, |core| core.queues().len());
        let ticket = Ticket::new(branches, timeout);
        if let Some(core) = &self.core {
            core.request(request(Arc::clone(&ticket)), &ticket);
        }
        Flush {
            core: self.core.clone(),
            ticket,
        }
    }

    /// What became of the records so far.
    #[must_use]
    pub fn statistics(&self) -> Statistics {
        self.core
            .as_ref()
            .map_or_else(Statistics::default, |core| core.statistics())
    }

    /// The core, unless this thread must not record.
    pub(crate) fn active_core(&self) -> Option<&Arc<Core>> {
        self.core.as_ref().filter(|core| core.admits_this_thread())
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("enabled", &self.is_enabled())
            .finish_non_exhaustive()
    }
}

/// Drains and closes the recorder when it is dropped, within a bound.
///
/// Keep it until the program ends. Dropping it waits for the exporters at most as long as
/// [`RecorderBuilder::drop_timeout`] says and joins no thread, so an exporter that hangs cannot
/// hold up the program.
#[derive(Debug)]
#[must_use = "dropping the guard closes the recorder; bind it to a variable that lives as long as the program"]
pub struct RecorderGuard {
    pub(crate) recorder: Recorder,
    pub(crate) timeout: Duration,
}

impl RecorderGuard {
    /// Shuts down with a bound of its own; see [`Recorder::shutdown`].
    pub fn shutdown(mut self, timeout: Duration) -> FlushReport {
        std::mem::take(&mut self.recorder).shutdown(timeout)
    }
}

impl Drop for RecorderGuard {
    fn drop(&mut self) {
        if self.recorder.is_enabled() {
            let _report: FlushReport = self.recorder.shutdown(self.timeout);
        }
    }
}
