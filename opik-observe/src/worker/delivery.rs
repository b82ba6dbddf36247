//! Getting a batch to its exporter: retries with growing waits, halves instead of wholes, and an
//! entry in the books for every record.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use opik_core::exporter::ExportErrorKind;
use opik_core::{ExportError, Exporter, Timestamp};

use super::attempt::{Attempt, attempt};
use super::queue::BranchQueue;
use super::shipment::Shipment;
use crate::stats::DropReason;

/// Longest wait between two attempts, also where the other side asks for more.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// How often and how patiently an export is repeated.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Retry {
    pub(crate) attempts: u32,
    pub(crate) first_wait: Duration,
}

impl Retry {
    /// The wait after this many failures: doubling, with half of it left to chance.
    fn wait(&self, failures: u32, error: Option<&ExportError>) -> Duration {
        let doubled = self.first_wait.saturating_mul(
            1_u32
                .checked_shl(failures.saturating_sub(1))
                .unwrap_or(u32::MAX),
        );
        let chance = Timestamp::now().as_micros().unsigned_abs() % 1_000;
        let full = doubled.min(MAX_WAIT);
        let jittered = full / 2 + (full / 2).mul_f64(chance_share(chance));
        let asked = error.and_then(ExportError::retry_after).unwrap_or_default();
        jittered.max(asked.min(MAX_WAIT))
    }
}

fn chance_share(thousandths: u64) -> f64 {
    f64::from(u32::try_from(thousandths).unwrap_or(0)) / 1_000.0
}

/// What became of one batch.
enum Verdict {
    /// Taken, except for so many records.
    Taken {
        rejected: usize,
    },
    /// Not in one piece.
    Split,
    Lost(DropReason),
}

/// A branch's exporter and how to treat it.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) exporter: Arc<dyn Exporter>,
    pub(crate) queue: Arc<BranchQueue>,
    pub(crate) timeout: Duration,
    pub(crate) retry: Retry,
}

impl Delivery {
    /// Exports a batch and settles all its records.
    pub(super) async fn deliver(&self, batch: &Shipment) {
        let mut parts = self
            .deliver_part(batch)
            .await
            .map_or_else(Vec::new, reversed);
        while let Some(part) = parts.pop() {
            if let Some(halves) = self.deliver_part(&part).await {
                parts.extend(reversed(halves));
            }
        }
    }

    /// Exports a part and settles its records, or returns its halves.
    async fn deliver_part(&self, part: &Shipment) -> Option<[Shipment; 2]> {
        let records = part.len();
        if records == 0 {
            return None;
        }
        match self.export(part).await {
            Verdict::Taken { rejected } => {
                let rejected = rejected.min(records);
                self.queue.settle_exported(records - rejected);
                if rejected > 0 {
                    self.queue.settle_lost(DropReason::Rejected, rejected);
                }
            }
            Verdict::Split => return Some(part.halves()),
            Verdict::Lost(reason) => self.queue.settle_lost(reason, records),
        }
        None
    }

    async fn export(&self, batch: &Shipment) -> Verdict {
        let mut failures = 0;
        loop {
            if self.queue.is_abandoned() {
                return Verdict::Lost(DropReason::ShutdownTimeout);
            }
            let call = async { batch.send(&*self.exporter).await };
            let error = match self.attempt(call).await {
                Attempt::Done(Ok(report)) => {
                    return Verdict::Taken {
                        rejected: report.rejected.len(),
                    };
                }
                Attempt::Done(Err(error)) => Some(error),
                Attempt::TimedOut => None,
                Attempt::Panicked => return Verdict::Lost(DropReason::ExporterPanicked),
                Attempt::Abandoned => return Verdict::Lost(DropReason::ShutdownTimeout),
            };
            failures += 1;
            if let Some(error) = &error {
                let whole = matches!(
                    error.kind(),
                    ExportErrorKind::TooLarge | ExportErrorKind::Rejected
                );
                if whole && batch.len() > 1 {
                    return Verdict::Split;
                }
                if whole {
                    return Verdict::Lost(DropReason::Rejected);
                }
            }
            let repeat = error.as_ref().is_none_or(ExportError::is_retryable);
            if !repeat || failures >= self.retry.attempts {
                tracing::debug!(
                    target: "opik_observe",
                    branch = %self.queue.name,
                    kind = ?error.as_ref().map_or(ExportErrorKind::Timeout, ExportError::kind),
                    failures,
                    "a batch could not be exported"
                );
                return Verdict::Lost(DropReason::ExportFailed);
            }
            self.pause(self.retry.wait(failures, error.as_ref())).await;
        }
    }

    /// Waits before the next attempt. When the recorder closes, that comes at once, and later waits
    /// leave time for it.
    async fn pause(&self, wait: Duration) {
        let pause = async {
            match self.queue.closing() {
                Some(abandon_at) => {
                    let left = abandon_at.saturating_duration_since(Instant::now());
                    tokio::time::sleep(wait.min(left / 2)).await;
                }
                None => {
                    let closing = self.queue.when_closing();
                    tokio::time::timeout(wait, closing).await.ok();
                }
            }
        };
        attempt(pause, Duration::MAX, &self.queue, |_| {}).await;
    }

    /// Runs a call of the exporter, which learns when the recorder closes meanwhile.
    async fn attempt<T>(&self, call: impl Future<Output = T>) -> Attempt<T> {
        let tell = |abandon_at| {
            let tell = AssertUnwindSafe(|| self.exporter.closing(abandon_at));
            if catch_unwind(tell).is_err() {
                tracing::debug!(
                    target: "opik_observe",
                    branch = %self.queue.name,
                    "the exporter panicked when it was told of the end"
                );
            }
        };
        attempt(call, self.timeout, &self.queue, tell).await
    }

    /// Waits until the exporter says that what it took is durable; `false` when it does not.
    pub(crate) async fn sync(&self) -> bool {
        let call = async { self.exporter.flush().await };
        matches!(self.attempt(call).await, Attempt::Done(Ok(())))
    }
}

/// For taking from the end: the first one last.
fn reversed([first, second]: [Shipment; 2]) -> Vec<Shipment> {
    vec![second, first]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_stay_within_their_bounds_and_respect_the_other_side() {
        let retry = Retry {
            attempts: 5,
            first_wait: Duration::from_millis(100),
        };
        for (failures, most) in [(1, 100), (2, 200), (3, 400), (40, 30_000)] {
            let wait = retry.wait(failures, None).as_millis();
            assert!(wait >= most / 2 && wait <= most, "{failures}: {wait}");
        }
        let asked = ExportError::new(ExportErrorKind::RateLimited, "status 429")
            .with_retry_after(Duration::from_secs(7));
        assert_eq!(retry.wait(1, Some(&asked)), Duration::from_secs(7));
    }
}
