//! A recorder with a spool and a client, as a host would have them, with short waits.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opik_core::rest::{OpikClient, RetryPolicy};
use opik_observe::spool::{Spool, SpoolOptions, SpoolStatistics};
use opik_observe::{BranchStatistics, FlushReport, Policy, Recorder, RecorderGuard};

use crate::server::LIMIT;

/// How long the client waits for an answer: the tests in which a server hangs take this long.
const ANSWER: Duration = Duration::from_millis(300);

pub(crate) struct Stack {
    pub(crate) recorder: Recorder,
    guard: Option<RecorderGuard>,
    spool: Arc<Spool>,
    _folder: tempfile::TempDir,
}

impl Stack {
    /// A stack that sends to this address.
    pub(crate) fn to(url: &str) -> Self {
        let moment = Duration::from_millis(5);
        let client = OpikClient::builder(url)
            .timeout(ANSWER)
            .retry(RetryPolicy::default().attempts(2).waits(moment, moment))
            .proxies(false)
            .build()
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let options = SpoolOptions::new().waits(moment, 4 * moment);
        let spool = Spool::open(folder.path(), Arc::new(client), options).unwrap();
        let spool = Arc::new(spool);
        let (recorder, guard) = Recorder::builder()
            .project("faults")
            .batch_delay(moment)
            .branch("opik", Arc::clone(&spool) as _, Policy::metadata_only())
            .start()
            .unwrap();
        Self {
            recorder,
            guard: Some(guard),
            spool,
            _folder: folder,
        }
    }

    /// Records so many traces, names them by number, and returns their identifiers.
    pub(crate) fn record(&self, count: usize) -> BTreeSet<String> {
        let named = |number| {
            let mut trace = self.recorder.trace("work");
            trace.tag(&format!("number-{number}-"));
            trace.trace_id().unwrap().to_string()
        };
        (0..count).map(named).collect()
    }

    pub(crate) fn spool(&self) -> SpoolStatistics {
        self.spool.statistics()
    }

    pub(crate) fn branch(&self) -> BranchStatistics {
        self.recorder.statistics().branch("opik").unwrap().clone()
    }

    /// Waits until the spool holds this many records.
    pub(crate) fn wait_for_spooled(&self, records: u64) {
        self.wait("spooled", |spool| spool.pending_records >= records);
    }

    /// Waits until the spool is empty.
    pub(crate) fn wait_for_empty_spool(&self) {
        self.wait("sent", |spool| spool.pending_records == 0);
    }

    fn wait(&self, what: &str, done: impl Fn(&SpoolStatistics) -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !done(&self.spool()) {
            let (spool, branch) = (self.spool(), self.branch());
            assert!(
                Instant::now() < deadline,
                "not {what}: {spool:?} {branch:?}"
            );
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    /// Ends the recorder.
    pub(crate) fn shut_down(&mut self) -> FlushReport {
        self.guard.take().unwrap().shutdown(LIMIT)
    }
}
