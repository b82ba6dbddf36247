//! Which way a batch takes: to the exporter behind, or to disk.

use std::borrow::Cow;
use std::future::Future;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use opik_core::exporter::{ExportErrorKind, Rejection};
use opik_core::wire::{WireBatch, WireExporter};
use opik_core::{Batch, ExportError, ExportReport, Timestamp};

use super::clock::SteadyClock;
use super::exporter::SpoolError;
use super::files::Directory;
use super::journal::AppendError;
use super::options::{Durability, SpoolOptions};
use super::replay;
use super::shared::Shared;
use crate::context;

pub(super) const THREAD: &str = "opik-spool";

/// Rows of records, and those that could not become rows.
pub(super) struct Encoded<'a> {
    rows: Cow<'a, WireBatch>,
    rejected: Vec<Rejection>,
}

impl<'a> Encoded<'a> {
    pub(super) fn of_rows(batch: &'a WireBatch) -> Self {
        Self {
            rows: Cow::Borrowed(batch),
            rejected: Vec::new(),
        }
    }

    pub(super) fn of_records(batch: &Batch, project: Option<&str>) -> Self {
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
        Self {
            rows: Cow::Owned(rows),
            rejected,
        }
    }
}

/// A spool that uses its directory.
#[derive(Debug)]
pub(super) struct OnDisk {
    pub(super) shared: Arc<Shared>,
    /// Ends when the thread has ended.
    ended: Option<Mutex<mpsc::Receiver<()>>>,
    /// A call was cancelled while it waited for an answer: the next one does not wait.
    unanswered: AtomicBool,
    /// The exporter behind took something since it was last flushed.
    unflushed: AtomicBool,
}

impl OnDisk {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            ended: None,
            unanswered: AtomicBool::new(false),
            unflushed: AtomicBool::new(false),
        }
    }

    pub(super) fn start(
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
                replay::run_on(&runtime, &of_thread);
                drop(of_thread);
                // Whatever an exporter left running must not keep the thread.
                runtime.shutdown_background();
                drop(running);
            })
            .map_err(SpoolError::Thread)?;
        let mut disk = Self::new(shared);
        disk.ended = Some(Mutex::new(ended));
        Ok(disk)
    }

    /// The disk of this process: none in a forked child, where batches go on as without a spool.
    pub(super) fn here(&self) -> Option<&Self> {
        (!self.shared.is_forked()).then_some(self)
    }

    /// Sends a batch, or puts it on disk.
    pub(super) async fn take<'a>(
        &self,
        direct: impl Future<Output = Result<ExportReport, ExportError>> + Send,
        encode: impl Fn() -> Encoded<'a> + Send,
    ) -> Result<ExportReport, ExportError> {
        let disk_first = self.shared.options.durability == Durability::WriteAhead
            || self.unanswered.load(Ordering::Relaxed)
            || self.shared.is_time_for_disk()
            || self.shared.journal().has_own_backlog();
        let refused = if disk_first {
            match self.put(encode()) {
                Ok(report) => return Ok(report),
                Err(error) => Some(error),
            }
        } else {
            None
        };
        let mut waiting = Waiting {
            unanswered: &self.unanswered,
            answered: false,
        };
        let limit = self.shared.options.attempt_timeout;
        let answer = match refused {
            // There is no time to leave for a disk that refuses.
            Some(_) => self.shared.attempt(limit, direct).await,
            None => self.shared.attempt_before_disk(limit, direct).await,
        };
        waiting.answered = true;
        drop(waiting);
        let error = match answer {
            Ok(report) => {
                self.unanswered.store(false, Ordering::Relaxed);
                self.unflushed.store(true, Ordering::Relaxed);
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
    pub(super) async fn flush(&self) -> Result<(), ExportError> {
        if !self.unflushed.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let limit = self.shared.options.attempt_timeout;
        let flushed = self.shared.attempt(limit, self.shared.inner.flush()).await;
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
        if let Some(Ok(ended)) = self.ended.take().map(Mutex::into_inner) {
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
