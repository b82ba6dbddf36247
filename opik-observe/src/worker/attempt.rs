//! Running foreign futures: contained, bounded and cancellable.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use super::queue::BranchQueue;

/// How a foreign future ended.
pub(crate) enum Attempt<T> {
    Done(T),
    Panicked,
    TimedOut,
    /// Shutdown ran out of time.
    Abandoned,
}

/// Runs a future until it is done, panics, takes longer than `timeout` or the branch is abandoned.
/// Calls `on_closing` as soon as the recorder closes, before or during the future.
///
/// A future that blocks its thread blocks this one too; that is why each branch has its own.
pub(crate) async fn attempt<T>(
    work: impl Future<Output = T>,
    timeout: Duration,
    queue: &BranchQueue,
    on_closing: impl Fn(Instant),
) -> Attempt<T> {
    let mut work = pin!(work);
    let mut alarm = pin!(tokio::time::sleep(timeout));
    let mut abandoned = pin!(queue.when_abandoned());
    let mut closing = pin!(queue.when_closing());
    let mut told = false;
    poll_fn(|cx| {
        if !told && let Poll::Ready(abandon_at) = closing.as_mut().poll(cx) {
            told = true;
            on_closing(abandon_at);
        }
        match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx))) {
            Ok(Poll::Ready(value)) => return Poll::Ready(Attempt::Done(value)),
            Ok(Poll::Pending) => {}
            Err(_) => return Poll::Ready(Attempt::Panicked),
        }
        if abandoned.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Attempt::Abandoned);
        }
        alarm.as_mut().poll(cx).map(|()| Attempt::TimedOut)
    })
    .await
}
