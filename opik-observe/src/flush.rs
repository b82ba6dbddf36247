//! Waiting for what was recorded so far.

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::recorder::Core;
use crate::stats::Statistics;

/// How a flush or shutdown ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[must_use = "an incomplete flush says so only here"]
pub struct FlushReport {
    /// Whether every branch was done with everything recorded before the call, and its exporter
    /// says that what it accepted is durable. What was lost on the way is in `statistics`.
    pub complete: bool,
    /// Names of the branches that did not finish in time, or whose exporter could not promise
    /// durability.
    pub unfinished: Vec<String>,
    /// What became of the records, at the end of the call.
    pub statistics: Statistics,
}

/// What the worker still owes to one call of `flush` or `shutdown`.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) deadline: Instant,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// Per branch: `None` while it works, then whether it succeeded.
    branches: Vec<Option<bool>>,
    /// Whether the collector has more to say before the caller may go on.
    held: bool,
    waker: Option<Waker>,
}

impl Ticket {
    pub(crate) fn new(branches: usize, timeout: Duration) -> Arc<Self> {
        let now = Instant::now();
        Arc::new(Self {
            deadline: now
                .checked_add(timeout)
                .unwrap_or(now + Duration::from_hours(24 * 365)),
            state: Mutex::new(State {
                branches: vec![None; branches],
                held: false,
                waker: None,
            }),
            changed: Condvar::new(),
        })
    }

    /// Keeps the caller until [`release`](Self::release), also when every branch has reported.
    pub(crate) fn hold(&self) {
        self.lock().held = true;
    }

    /// Lets the caller go, finished or not.
    pub(crate) fn release(&self) {
        let mut state = self.lock();
        state.held = false;
        let waker = state.waker.take();
        drop(state);
        self.changed.notify_all();
        wake(waker);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A branch reports.
    pub(crate) fn settle(&self, branch: usize, success: bool) {
        let mut state = self.lock();
        if let Some(slot) = state.branches.get_mut(branch) {
            slot.get_or_insert(success);
        }
        let waker = if state.is_done() {
            state.waker.take()
        } else {
            None
        };
        drop(state);
        self.changed.notify_all();
        wake(waker);
    }

    /// Wakes the one who waits, finished or not.
    pub(crate) fn expire(&self) {
        let waker = self.lock().waker.take();
        self.changed.notify_all();
        wake(waker);
    }

    pub(crate) fn is_done(&self) -> bool {
        self.lock().is_done()
    }

    /// Whether [`release`](Self::release) is still to come.
    fn is_held(&self) -> bool {
        self.lock().held
    }

    /// Whether every branch has reported.
    pub(crate) fn is_settled(&self) -> bool {
        self.lock().is_settled()
    }

    /// Blocks until every branch reported or the deadline passed.
    pub(crate) fn wait(&self) {
        let mut state = self.lock();
        while !state.is_done() {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Indexes of the branches that did not succeed.
    pub(crate) fn unfinished(&self) -> Vec<usize> {
        let state = self.lock();
        let failed =
            |(index, outcome): (usize, &Option<bool>)| (*outcome != Some(true)).then_some(index);
        state
            .branches
            .iter()
            .enumerate()
            .filter_map(failed)
            .collect()
    }
}

impl State {
    fn is_settled(&self) -> bool {
        self.branches.iter().all(Option::is_some)
    }

    fn is_done(&self) -> bool {
        !self.held && self.is_settled()
    }
}

/// Wakes foreign code without letting its panic in.
fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        catch_unwind(AssertUnwindSafe(|| waker.wake())).ok();
    }
}

/// A flush or shutdown under way; see [`Recorder::flush_async`](crate::Recorder::flush_async).
///
/// Needs no runtime: the recorder's own threads wake it, at the latest at its deadline. The work goes on
/// when it is dropped.
#[must_use = "futures do nothing unless awaited"]
pub struct Flush {
    pub(crate) core: Option<Arc<Core>>,
    pub(crate) ticket: Arc<Ticket>,
}

impl Future for Flush {
    type Output = FlushReport;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<FlushReport> {
        let mut state = self.ticket.lock();
        if !state.is_done() && Instant::now() < self.ticket.deadline {
            state.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        drop(state);
        Poll::Ready(report(self.core.as_deref(), &self.ticket))
    }
}

impl fmt::Debug for Flush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flush").finish_non_exhaustive()
    }
}

pub(crate) fn report(core: Option<&Core>, ticket: &Ticket) -> FlushReport {
    let unfinished = ticket.unfinished();
    if let Some(core) = core
        && ticket.is_held()
    {
        // Time was up before the collector could say it.
        core.warn_unsettled();
    }
    FlushReport {
        complete: unfinished.is_empty(),
        unfinished: core.map_or_else(Vec::new, |core| core.branch_names(&unfinished)),
        statistics: core.map_or_else(Statistics::default, Core::statistics),
    }
}
