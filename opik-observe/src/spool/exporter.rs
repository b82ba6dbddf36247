//! The spool as an exporter.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use opik_core::wire::{WireBatch, WireExporter};
use opik_core::{Batch, ExportError, ExportReport, Exporter};

use super::counts::SpoolStatistics;
use super::on_disk::{Encoded, OnDisk, THREAD};
use super::options::{Durability, SpoolOptions};
#[cfg(test)]
use super::shared::Shared;

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
    /// A spool in a directory, which is made when it is first needed, before an exporter. A relative
    /// path is one from the working directory of this moment.
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
                let directory = directory.into();
                // The program may change its working directory later.
                let directory = std::path::absolute(&directory).unwrap_or(directory);
                Some(OnDisk::start(directory, inner, options)?)
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

    /// Blocks until everything in the spool was sent, or lost and counted, also what earlier runs
    /// left there; `false` when that takes longer. What is not sent when the program ends is sent by the next one.
    pub fn drain(&self, timeout: Duration) -> bool {
        let disk = self.on_disk.as_ref();
        disk.is_none_or(|disk| disk.shared.wait_until_empty(timeout))
    }
}

#[async_trait]
impl Exporter for Spool {
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        match self.disk() {
            Some(_) if batch.is_empty() => Ok(ExportReport::default()),
            Some(disk) => {
                let project = disk.shared.options.project.as_deref();
                disk.take(self.inner.export(batch), || {
                    Encoded::of_records(batch, project)
                })
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

    /// Leaves half of the time for the disk.
    fn closing(&self, deadline: Instant) {
        let deadline = match self.disk() {
            Some(disk) => disk.shared.announce_end(deadline),
            None => deadline,
        };
        self.inner.closing(deadline);
    }

    fn wire(&self) -> Option<&dyn WireExporter> {
        Some(self)
    }
}

#[async_trait]
impl WireExporter for Spool {
    async fn export_rows(&self, batch: &WireBatch) -> Result<ExportReport, ExportError> {
        match self.disk() {
            Some(_) if batch.is_empty() => Ok(ExportReport::default()),
            Some(disk) => {
                disk.take(self.inner.export_rows(batch), || Encoded::of_rows(batch))
                    .await
            }
            None => self.inner.export_rows(batch).await,
        }
    }

    fn project_name(&self) -> Option<&str> {
        self.inner.project_name()
    }
}
