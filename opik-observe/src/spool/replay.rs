//! Sending what waits: in order, paced, with growing pauses while the server is gone.

use std::borrow::Cow;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use opik_core::ExportError;
use opik_core::exporter::ExportErrorKind;
use opik_core::wire::WireBatch;
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep, timeout};

use super::counts::Trouble;
use super::name::random;
use super::payload::halves;
use super::shared::Shared;

/// How often a process looks for what others have left.
const ADOPTION: Duration = Duration::from_secs(30);

/// A segment that was sent in full is removed when nothing came for this long.
const IDLE: Duration = Duration::from_secs(1);

/// Longest wait that a server may ask for.
const LONGEST_ASKED: Duration = Duration::from_secs(600);

/// Defects of the exporter in a row on one batch before the batch is given up.
const MAX_DEFECTS: u32 = 3;

/// What became of a batch.
enum Outcome {
    Sent { rejected: usize },
    Failed(ExportError),
    Closing,
}

/// Works on this thread until the spool is closed.
pub(super) fn run_on(runtime: &Runtime, shared: &Shared) {
    while !shared.is_closing() {
        // A call that is cancelled may panic in foreign destructors.
        let work = AssertUnwindSafe(|| runtime.block_on(run(shared)));
        if catch_unwind(work).is_err() {
            shared.counts.failed_attempts.add(1);
            runtime.block_on(pause(shared, wait(shared, 1, None)));
        }
    }
}

/// Works until the spool is closed.
pub(super) async fn run(shared: &Shared) {
    let mut failures = 0;
    let mut defects = 0;
    let mut adoption = Instant::now();
    while !shared.is_closing() {
        if Instant::now() >= adoption {
            adoption = Instant::now() + ADOPTION;
            if let Err(error) = shared.journal().adopt() {
                shared.counts.warn(Trouble::NotWritable, &error.kind());
            }
            shared.note_looked();
        }
        let next = {
            let mut journal = shared.journal();
            journal.evict_old();
            journal.next()
        };
        let outstanding = match next {
            Ok(Some(outstanding)) => outstanding,
            Ok(None) => {
                shared.note_settled();
                idle(shared, adoption).await;
                continue;
            }
            Err(error) => {
                shared.counts.warn(Trouble::Unreadable, &error.kind());
                failures += 1;
                pause(shared, wait(shared, failures, None)).await;
                continue;
            }
        };
        let began = Instant::now();
        let appended = shared.counts.appended.get();
        let records = outstanding.batch.len();
        match deliver(shared, &outstanding.batch).await {
            Outcome::Sent { rejected } => {
                shared.counts.end_outage();
                if rejected > 0 {
                    shared.counts.warn(Trouble::Rejected, &rejected);
                }
                shared.journal().settle(&outstanding, rejected);
                shared.note_settled();
                (failures, defects) = (0, 0);
                let due = began + pace(records, shared.options.records_per_second);
                if shared.counts.appended.get() == appended {
                    // Whatever comes now ends the pause.
                    tokio::time::timeout_at(due, shared.changed.notified())
                        .await
                        .ok();
                }
            }
            Outcome::Failed(error) => {
                shared.counts.failed_attempts.add(1);
                shared.note_failure(&error);
                failures += 1;
                defects = match error.kind() {
                    ExportErrorKind::Internal => defects + 1,
                    _ => 0,
                };
                if defects >= MAX_DEFECTS {
                    shared.counts.warn(Trouble::Rejected, &records);
                    shared.journal().settle(&outstanding, records);
                    (failures, defects) = (0, 0);
                    continue;
                }
                pause(shared, wait(shared, failures, Some(&error))).await;
            }
            Outcome::Closing => {}
        }
    }
}

/// Waits for something to do, and removes what was sent when nothing comes.
async fn idle(shared: &Shared, adoption: Instant) {
    if timeout(IDLE, shared.changed.notified()).await.is_err() {
        shared.journal().retire();
        shared.note_settled();
        tokio::time::timeout_at(adoption, shared.changed.notified())
            .await
            .ok();
    }
}

async fn pause(shared: &Shared, wait: Duration) {
    shared.unless_closing(sleep(wait)).await;
}

/// How long so many records take at this pace.
fn pace(records: usize, per_second: u32) -> Duration {
    let records = u32::try_from(records).unwrap_or(u32::MAX);
    Duration::from_secs(1).saturating_mul(records) / per_second.max(1)
}

/// The wait after this many failures: doubling, moved by chance into the upper half of itself.
fn wait(shared: &Shared, failures: u32, error: Option<&ExportError>) -> Duration {
    let options = &shared.options;
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    let full = match error.map(ExportError::kind) {
        // Neither gets better by asking soon.
        Some(ExportErrorKind::Unauthorized | ExportErrorKind::Closed) => options.longest_wait,
        _ => options
            .first_wait
            .saturating_mul(doubled)
            .min(options.longest_wait),
    };
    let half = full / 2;
    let chance = u32::try_from(random() % 1_024).unwrap_or(0);
    let jittered = half + half.saturating_mul(chance) / 1_024;
    let asked = error.and_then(ExportError::retry_after).unwrap_or_default();
    jittered.max(asked.min(LONGEST_ASKED))
}

/// Sends one batch, in halves where the whole is refused.
async fn deliver(shared: &Shared, batch: &WireBatch) -> Outcome {
    let mut refused = 0;
    let mut parts = vec![Cow::Borrowed(batch)];
    while let Some(part) = parts.pop() {
        let call = contained(shared.inner.export_rows(&part));
        let call = shared.attempt(shared.options.replay_timeout, call);
        let Some(answer) = shared.unless_closing(call).await else {
            return Outcome::Closing;
        };
        match answer {
            Ok(report) => refused += report.rejected.len().min(part.len()),
            Err(error) => match error.kind() {
                ExportErrorKind::Rejected | ExportErrorKind::TooLarge if part.len() > 1 => {
                    let [first, second] = halves(&part);
                    parts.extend([Cow::Owned(second), Cow::Owned(first)]);
                }
                ExportErrorKind::Rejected | ExportErrorKind::TooLarge => refused += 1,
                _ => return Outcome::Failed(error),
            },
        }
    }
    Outcome::Sent { rejected: refused }
}

/// Turns a panic of foreign code into an error.
async fn contained<T>(
    call: impl Future<Output = Result<T, ExportError>>,
) -> Result<T, ExportError> {
    let mut call = pin!(call);
    poll_fn(|cx| {
        catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(cx))).unwrap_or_else(|_| {
            let error = ExportError::new(ExportErrorKind::Internal, "the exporter panicked");
            Poll::Ready(Err(error))
        })
    })
    .await
}
