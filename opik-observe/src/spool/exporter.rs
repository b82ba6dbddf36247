//! The spool as an exporter.

use std::borrow::Cow;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use async_trait::async_trait;
use opik_core::exporter::{ExportErrorKind, Rejection};
use opik_core::wire::{WireBatch, WireExporter};
use opik_core::{Batch, ExportError, ExportReport, Exporter, Timestamp};

use super::clock::SteadyClock;
use super::counts::SpoolStatistics;
use super::files::Directory;
use super::journal::AppendError;
use super::options::{Durability, SpoolOptions};
use super::replay;
use super::shared::Shared;
use crate::context;

const THREAD: &str = "opik-spool";

/// Why a spool could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpoolError {
    /// The system gave no thread.
    #[error("cannot start the spool's thread `{THREAD}`")]
    Thread(#[source] io::Error),
}

/// An exporter that keeps on disk what the exporter behind it cannot take now.
///
/// See [the module](crate::spool) for what is kept and what is lost. Appending and syncing blocks the
/// thread that polls [`export`](Exporter::export): in a recorder, that of its branch.
///
/// ```no_run
/// use std::sync::Arc;
/// use opik_core::wire::WireExporter;
/// use opik_observe::{Policy, Recorder};
/// use opik_observe::spool::{Spool, SpoolOptions};
///
/// # fn f(server: Arc<dyn WireExporter>) -> Result<(), Box<dyn std::error::Error>> {
/// let spool = Arc::new(Spool::open("/var/lib/shop/opik", server, SpoolOptions::new())?);
/// let (recorder, guard) = Recorder::builder()
///     .branch("opik", spool.clone(), Policy::default())
///     .start()?;
/// println!("{} records wait", spool.statistics().pending_records);
/// # drop((recorder, guard));
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Spool {
    inner: Arc<dyn WireExporter>,
    on_disk: Option<OnDisk>,
}

impl Spool {
    /// A spool in a directory, which is made when it is first needed, before an exporter.
    ///
    /// A directory that cannot be used is no error: batches then go past the spool, which
    /// [`statistics`](Self::statistics) count and one warning says.
    ///
    /// # Errors
    /// [`SpoolError`] when the system gives no thread.
    pub fn open(
        directory: impl Into<PathBuf>,
        inner: Arc<dyn WireExporter>,
        options: SpoolOptions,
    ) -> Result<Self, SpoolError> {
        let on_disk = match options.durability {
            Durability::Memory => None,
            Durability::SpoolOnFailure | Durability::WriteAhead => {
                let inner = Arc::clone(&inner);
                Some(OnDisk::start(directory.into(), inner, options)?)
            }
        };
        Ok(Self { inner, on_disk })
    }

    fn disk(&self) -> Option<&OnDisk> {
        self.on_disk.as_ref().and_then(OnDisk::here)
    }

    /// A spool without a thread of its own, for tests that run its work themselves.
    #[cfg(test)]
    pub(super) fn of(shared: Arc<Shared>) -> Self {
        Self {
            inner: Arc::clone(&shared.inner),
            on_disk: Some(OnDisk::new(shared)),
        }
    }

    /// What became of the records so far. All zero with [`Durability::Memory`].
    #[must_use]
    pub fn statistics(&self) -> SpoolStatistics {
        let counts = self
            .on_disk
            .as_ref()
            .map(|disk| disk.shared.counts.snapshot());
        counts.unwrap_or_default()
    }

    /// Blocks until everything in the spool was sent, or lost and counted; `false` when that takes
    /// longer. What is not sent when the program ends is sent by the next one.
    pub fn drain(&self, timeout: Duration) -> bool {
        let disk = self.on_disk.as_ref();
        disk.is_none_or(|disk| disk.shared.wait_until_empty(timeout))
    }
}

/// Rows of records, and those that could not become rows.
struct Encoded<'a> {
    rows: Cow<'a, WireBatch>,
    rejected: Vec<Rejection>,
}

#[async_trait]
impl Exporter for Spool {
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        match self.disk() {
            Some(_) if batch.is_empty() => Ok(ExportReport::default()),
            Some(disk) => {
                let project = disk.shared.options.project.as_deref();
                disk.take(self.inner.export(batch), || encode(batch, project))
                    .await
            }
            None => self.inner.export(batch).await,
        }
    }

    async fn flush(&self) -> Result<(), ExportError> {
        match self.disk() {
            Some(disk) => disk.flush().await,
            None => self.inner.flush().await,
        }
    }

    fn wire(&self) -> Option<&dyn WireExporter> {
        Some(self)
    }
}

#[async_trait]
impl WireExporter for Spool {
    async fn export_rows(&self, batch: &WireBatch) -> Result<ExportReport, ExportError> {
        let encoded = || Encoded {
            rows: Cow::Borrowed(batch),
            rejected: Vec::new(),
        };
        match self.disk() {
            Some(_) if batch.is_empty() => Ok(ExportReport::default()),
            Some(disk) => disk.take(self.inner.export_rows(batch), encoded).await,
            None => self.inner.export_rows(batch).await,
        }
    }

    fn project_name(&self) -> Option<&str> {
        self.inner.project_name()
    }
}

fn encode<'a>(batch: &Batch, project: Option<&str>) -> Encoded<'a> {
    let mut rows = WireBatch::default();
    let mut rejected = Vec::new();
    let mut now = Timestamp::now();
    for trace in &batch.traces {
        let project = trace.project_name.as_deref().or(project);
        rejected.extend(rows.push_trace(trace, project, now).err());
        // Rows of one record without a moment keep their order.
        now = now.plus_micros(1);
    }
    for span in &batch.spans {
        let project = span.project_name.as_deref().or(project);
        rejected.extend(rows.push_span(span, project, now).err());
        now = now.plus_micros(1);
    }
    for score in &batch.scores {
        let project = score.project_name.as_deref().or(project);
        rejected.extend(rows.push_score(score, project).err());
    }
    Encoded {
        rows: Cow::Owned(rows),
        rejected,
    }
}

/// A spool that uses its directory.
#[derive(Debug)]
struct OnDisk {
    shared: Arc<Shared>,
    /// Ends when the thread has ended.
    ended: Option<std::sync::Mutex<mpsc::Receiver<()>>>,
    /// A call was cancelled while it waited for an answer: the next one does not wait.
    unanswered: AtomicBool,
    /// Something was handed to the exporter behind since it was last flushed.
    unflushed: AtomicBool,
}

impl OnDisk {
    fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            ended: None,
            unanswered: AtomicBool::new(false),
            unflushed: AtomicBool::new(false),
        }
    }

    fn start(
        directory: PathBuf,
        inner: Arc<dyn WireExporter>,
        options: SpoolOptions,
    ) -> Result<Self, SpoolError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .thread_name(format!("{THREAD}-pool"))
            .on_thread_start(context::suppress_thread)
            .build()
            .map_err(SpoolError::Thread)?;
        let shared = Arc::new(Shared::new(
            Arc::new(Directory(directory)),
            Arc::new(SteadyClock::start()),
            inner,
            options,
            runtime.handle().clone(),
        ));
        let (running, ended) = mpsc::sync_channel::<()>(0);
        let of_thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name(THREAD.to_owned())
            .spawn(move || {
                context::suppress_thread();
                let work = std::panic::AssertUnwindSafe(|| {
                    runtime.block_on(replay::run(&of_thread));
                });
                std::panic::catch_unwind(work).ok();
                drop(of_thread);
                // Whatever an exporter left running must not keep the thread.
                runtime.shutdown_background();
                drop(running);
            })
            .map_err(SpoolError::Thread)?;
        let mut disk = Self::new(shared);
        disk.ended = Some(std::sync::Mutex::new(ended));
        Ok(disk)
    }

    /// The disk of this process: none in a forked child, where batches go on as without a spool.
    fn here(&self) -> Option<&Self> {
        (!self.shared.is_forked()).then_some(self)
    }

    /// Sends a batch, or puts it on disk.
    async fn take<'a>(
        &self,
        direct: impl Future<Output = Result<ExportReport, ExportError>> + Send,
        encode: impl Fn() -> Encoded<'a> + Send,
    ) -> Result<ExportReport, ExportError> {
        let disk_first = self.shared.options.durability == Durability::WriteAhead
            || self.unanswered.load(Ordering::Relaxed)
            || self.shared.journal().has_own_backlog();
        let refused = if disk_first {
            match self.put(encode()) {
                Ok(report) => return Ok(report),
                Err(error) => Some(error),
            }
        } else {
            None
        };
        self.unflushed.store(true, Ordering::Relaxed);
        let mut waiting = Waiting {
            unanswered: &self.unanswered,
            answered: false,
        };
        let answer = self.shared.attempt(direct).await;
        waiting.answered = true;
        drop(waiting);
        let error = match answer {
            Ok(report) => {
                self.unanswered.store(false, Ordering::Relaxed);
                self.shared.note_direct(&report);
                return Ok(report);
            }
            Err(error) => error,
        };
        // A refusal of the whole batch, or a defect: not a matter of time.
        if !error.is_retryable() && error.kind() != ExportErrorKind::Unauthorized {
            return Err(error);
        }
        self.shared.note_failure(&error);
        match refused {
            // One that never fits: its parts may.
            Some(AppendError::TooLarge) => Err(too_large()),
            Some(AppendError::Refused) => Err(error),
            None => match self.put(encode()) {
                Err(AppendError::TooLarge) => Err(too_large()),
                Err(AppendError::Refused) => Err(error),
                Ok(report) => Ok(report),
            },
        }
    }

    fn put(&self, encoded: Encoded<'_>) -> Result<ExportReport, AppendError> {
        let mut report = ExportReport::accepted(encoded.rows.len());
        report.rejected = encoded.rejected;
        if !encoded.rows.is_empty() {
            self.shared.journal().append(&encoded.rows)?;
            self.unanswered.store(false, Ordering::Relaxed);
            self.shared.changed.notify_one();
        }
        Ok(report)
    }

    /// What is on disk is synced; what went past it is the matter of the exporter behind.
    async fn flush(&self) -> Result<(), ExportError> {
        if !self.unflushed.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let flushed = self.shared.attempt(self.shared.inner.flush()).await;
        if flushed.is_err() {
            self.unflushed.store(true, Ordering::Relaxed);
        }
        flushed
    }
}

fn too_large() -> ExportError {
    ExportError::new(
        ExportErrorKind::TooLarge,
        "the batch is larger than the spool may be",
    )
}

impl Drop for OnDisk {
    fn drop(&mut self) {
        if self.here().is_none() {
            return;
        }
        self.shared.close();
        if let Some(Ok(ended)) = self.ended.take().map(std::sync::Mutex::into_inner) {
            ended.recv_timeout(self.shared.options.close_timeout).ok();
        }
    }
}

/// A call that waits for the exporter behind.
struct Waiting<'a> {
    unanswered: &'a AtomicBool,
    answered: bool,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        // A panic is an answer, and passed on.
        if !self.answered && !std::thread::panicking() {
            self.unanswered.store(true, Ordering::Relaxed);
        }
    }
}
