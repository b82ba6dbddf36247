//! A spool in simulated time, on a directory in memory, before a server that may be down.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use opik_core::exporter::ExportErrorKind;
use opik_core::wire::WireExporter as _;
use opik_core::{ExportError, Timestamp};
use tokio::time::{Instant, sleep, timeout};

use super::super::clock::SpoolClock;
use super::super::exporter::Spool;
use super::super::options::SpoolOptions;
use super::super::replay;
use super::super::shared::Shared;
use super::model_files::ModelFiles;
use super::server::{Mood, Server, rows};

pub(super) const SECOND: Duration = Duration::from_secs(1);
pub(super) const HOUR: Duration = Duration::from_hours(1);
pub(super) const DOWN: Mood = Mood::Fails(ExportErrorKind::Unavailable);

#[derive(Debug)]
struct PausedClock(Instant);

impl SpoolClock for PausedClock {
    fn now(&self) -> Timestamp {
        let micros = i64::try_from(self.0.elapsed().as_micros()).unwrap();
        Timestamp::from_micros(1_795_170_315_000_000 + micros)
    }
}

pub(super) struct World {
    pub(super) files: ModelFiles,
    pub(super) server: Server,
    pub(super) shared: Arc<Shared>,
    pub(super) spool: Spool,
}

impl World {
    pub(super) fn new(files: ModelFiles, mood: Mood, options: SpoolOptions) -> Self {
        Self::before(files, Server::new(mood), options)
    }

    pub(super) fn before(files: ModelFiles, server: Server, options: SpoolOptions) -> Self {
        let shared = Arc::new(Shared::new(
            Arc::new(files.clone()),
            Arc::new(PausedClock(Instant::now())),
            Arc::new(server.clone()),
            options,
            tokio::runtime::Handle::current(),
        ));
        Self {
            files,
            server,
            spool: Spool::of(Arc::clone(&shared)),
            shared,
        }
    }

    /// Runs a test body beside the work of the spool's thread.
    pub(super) async fn beside_replay<T>(&self, body: impl Future<Output = T>) -> T {
        match select(pin!(body), pin!(replay::run(&self.shared))).await {
            Either::Left((value, _)) => value,
            Either::Right(_) => panic!("the spool ended before the test"),
        }
    }

    pub(super) async fn put(
        &self,
        numbers: impl IntoIterator<Item = u64>,
    ) -> Result<usize, ExportErrorKind> {
        let report = self.spool.export_rows(&rows(numbers)).await;
        report
            .map(|report| report.accepted)
            .map_err(|error: ExportError| error.kind())
    }

    pub(super) async fn until_empty(&self) {
        let empty = async {
            while self.spool.statistics().pending_records > 0 {
                sleep(SECOND).await;
            }
        };
        timeout(100 * HOUR, empty).await.unwrap();
    }

    pub(super) fn assert_books(&self) {
        let s = self.spool.statistics();
        let settled = s.replayed + s.rejected + s.lost();
        assert_eq!(
            s.appended + s.recovered,
            settled + s.pending_records,
            "{s:?}"
        );
    }
}

pub(super) fn simulated(body: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(body);
}
