//! What the recorder promises, one module per promise.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "tests"
)]

mod conservation;
mod context;
mod encoded;
mod flushing;
mod isolation;
mod rows;
mod secrecy;
mod start_rows;
mod suppression;

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use opik_core::Exporter;
use opik_observe::{BranchStatistics, Policy, Recorder, RecorderGuard, Statistics};

/// Long enough for any machine; reached only by a test that fails.
const LONG: Duration = Duration::from_secs(60);
/// A bound that a hanging exporter makes the recorder reach.
const SHORT: Duration = Duration::from_millis(200);

/// A recorder with one branch that keeps everything.
fn recorder(exporter: impl Exporter + 'static) -> (Recorder, RecorderGuard) {
    Recorder::builder()
        .branch("b", Arc::new(exporter), Policy::full_content())
        .start()
        .unwrap()
}

/// Runs something that must not block, in a thread of its own; fails when it does not come back.
fn must_return<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    std::thread::Builder::new()
        .spawn(move || sender.send(work()))
        .unwrap();
    receiver
        .recv_timeout(LONG)
        .expect("it blocks, or it panicked")
}

/// Waits until nothing is on its way; the worker may need a moment after the last caller left.
fn settle(recorder: &Recorder) {
    let deadline = std::time::Instant::now() + LONG;
    while recorder
        .statistics()
        .branches
        .iter()
        .any(|b| b.pending() > 0)
    {
        assert!(
            std::time::Instant::now() < deadline,
            "{:?}",
            recorder.statistics()
        );
        std::thread::yield_now();
    }
}

/// The branch's numbers, after checking that its books balance.
#[track_caller]
fn balanced(statistics: &Statistics, branch: &str) -> BranchStatistics {
    let branch = statistics.branch(branch).unwrap();
    assert_eq!(
        branch.recorded,
        branch.exported + branch.dropped(),
        "{branch:?}"
    );
    branch.clone()
}
