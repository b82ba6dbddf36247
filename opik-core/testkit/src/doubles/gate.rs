//! A door that tasks and threads wait at until a test opens it.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Closed until [`open`](Self::open) is called, then open for ever. Clones are the same gate.
///
/// ```
/// use std::time::Duration;
/// use opik_testkit::Gate;
///
/// let gate = Gate::new();
/// assert!(!gate.wait_blocking(Duration::ZERO));
/// gate.open();
/// assert!(gate.wait_blocking(Duration::ZERO));
/// ```
#[derive(Debug, Clone, Default)]
pub struct Gate(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    opened: Condvar,
}

#[derive(Debug, Default)]
struct State {
    open: bool,
    waiting: Vec<Waker>,
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens it and wakes everyone who waits.
    pub fn open(&self) {
        let waiting = {
            let mut state = self.state();
            state.open = true;
            std::mem::take(&mut state.waiting)
        };
        self.0.opened.notify_all();
        for waker in waiting {
            waker.wake();
        }
    }

    /// Whether it is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state().open
    }

    /// Waits until it is open, in any runtime.
    pub fn wait(&self) -> Opened {
        Opened(self.clone())
    }

    /// Blocks the thread until it is open; `false` when that took longer than `limit`.
    #[must_use]
    pub fn wait_blocking(&self, limit: Duration) -> bool {
        let deadline = Instant::now().checked_add(limit);
        let mut state = self.state();
        while !state.open {
            let left = deadline.map_or(Duration::from_secs(3_600), |deadline| {
                deadline.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                return false;
            }
            let waited = self.0.opened.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.0.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ready when its gate is open; see [`Gate::wait`].
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Opened(Gate);

impl Future for Opened {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.state();
        if state.open {
            return Poll::Ready(());
        }
        if !state
            .waiting
            .iter()
            .any(|known| known.will_wake(context.waker()))
        {
            state.waiting.push(context.waker().clone());
        }
        Poll::Pending
    }
}
