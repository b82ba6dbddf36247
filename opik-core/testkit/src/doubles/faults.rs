//! Exporters that fail in a way that a test chooses.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use opik_core::exporter::ExportErrorKind;
use opik_core::{Batch, ExportError, ExportReport, Exporter};

use super::{Gate, RecordingExporter};

/// One answer of a [`FailingExporter`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Passes the batch on.
    None,
    /// Fails, and nothing arrived.
    Lost(ExportErrorKind),
    /// Fails, and yet everything arrived: the answer got lost.
    Delivered(ExportErrorKind),
    /// Fails with a time to wait, and nothing arrived.
    Wait(Duration),
}

/// Answers as its script says, then passes everything on.
///
/// ```
/// use opik_core::exporter::ExportErrorKind;
/// use opik_testkit::FailingExporter;
/// use opik_testkit::doubles::Fault;
///
/// let exporter = FailingExporter::new([Fault::Lost(ExportErrorKind::Unavailable), Fault::None]);
/// assert_eq!(exporter.calls(), 0);
/// ```
#[derive(Debug)]
pub struct FailingExporter {
    script: Mutex<VecDeque<Fault>>,
    always: Option<Fault>,
    inner: Arc<dyn Exporter>,
    seen: RecordingExporter,
    calls: AtomicUsize,
}

impl FailingExporter {
    /// An exporter that answers one call with each fault, and then accepts everything.
    #[must_use]
    pub fn new(script: impl IntoIterator<Item = Fault>) -> Self {
        let seen = RecordingExporter::new();
        Self {
            script: Mutex::new(script.into_iter().collect()),
            always: None,
            inner: Arc::new(seen.clone()),
            seen,
            calls: AtomicUsize::new(0),
        }
    }

    /// An exporter that answers every call with the same fault.
    #[must_use]
    pub fn always(fault: Fault) -> Self {
        Self {
            always: Some(fault),
            ..Self::new([])
        }
    }

    /// The same script in front of another exporter; [`arrived`](Self::arrived) stays empty then.
    #[must_use]
    pub fn before(mut self, inner: Arc<dyn Exporter>) -> Self {
        self.inner = inner;
        self
    }

    /// What got through.
    #[must_use]
    pub fn arrived(&self) -> &RecordingExporter {
        &self.seen
    }

    /// How often it was asked to export.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn next(&self) -> Fault {
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        let next = script.pop_front().or_else(|| self.always.clone());
        next.unwrap_or(Fault::None)
    }
}

#[async_trait]
impl Exporter for FailingExporter {
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let context = "scripted failure";
        match self.next() {
            Fault::None => self.inner.export(batch).await,
            Fault::Lost(kind) => Err(ExportError::new(kind, context)),
            Fault::Delivered(kind) => {
                self.inner.export(batch).await?;
                Err(ExportError::new(kind, context))
            }
            Fault::Wait(wait) => {
                let error = ExportError::new(ExportErrorKind::RateLimited, context);
                Err(error.with_retry_after(wait))
            }
        }
    }

    async fn flush(&self) -> Result<(), ExportError> {
        self.inner.flush().await
    }

    fn closing(&self, deadline: Instant) {
        self.inner.closing(deadline);
    }
}

/// Never answers until it is released; then it passes everything on. Its thread stays free.
#[derive(Debug, Clone, Default)]
pub struct HangingExporter {
    entered: Gate,
    released: Gate,
    seen: RecordingExporter,
}

impl HangingExporter {
    /// An exporter that hangs.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens when the first call is inside.
    #[must_use]
    pub fn entered(&self) -> &Gate {
        &self.entered
    }

    /// Lets every call go on, now and later.
    pub fn release(&self) {
        self.released.open();
    }

    /// What got through.
    #[must_use]
    pub fn arrived(&self) -> &RecordingExporter {
        &self.seen
    }
}

#[async_trait]
impl Exporter for HangingExporter {
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        self.entered.open();
        self.released.wait().await;
        self.seen.export(batch).await
    }

    async fn flush(&self) -> Result<(), ExportError> {
        self.released.wait().await;
        self.seen.flush().await
    }
}

/// Blocks the thread that polls it until it is released, as an exporter that does IO in the wrong
/// way would; then it passes everything on.
///
/// It lets go by itself after a minute, so that a test that forgets to release it ends.
#[derive(Debug, Clone, Default)]
pub struct BlockingExporter {
    entered: Gate,
    released: Gate,
    seen: RecordingExporter,
}

impl BlockingExporter {
    const LIMIT: Duration = Duration::from_secs(60);

    /// An exporter that blocks.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Opens when the first call is inside.
    #[must_use]
    pub fn entered(&self) -> &Gate {
        &self.entered
    }

    /// Lets every call go on, now and later.
    pub fn release(&self) {
        self.released.open();
    }

    /// What got through.
    #[must_use]
    pub fn arrived(&self) -> &RecordingExporter {
        &self.seen
    }

    fn block(&self) -> Result<(), ExportError> {
        self.entered.open();
        if self.released.wait_blocking(Self::LIMIT) {
            Ok(())
        } else {
            Err(ExportError::new(
                ExportErrorKind::Internal,
                "nobody released the blocked call",
            ))
        }
    }
}

#[async_trait]
impl Exporter for BlockingExporter {
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        self.block()?;
        self.seen.export(batch).await
    }

    async fn flush(&self) -> Result<(), ExportError> {
        self.block()?;
        self.seen.flush().await
    }
}

/// Panics in its first calls; then it passes everything on.
#[derive(Debug, Clone)]
pub struct PanickingExporter {
    left: Arc<AtomicUsize>,
    seen: RecordingExporter,
}

impl PanickingExporter {
    /// An exporter that panics this often.
    #[must_use]
    pub fn new(times: usize) -> Self {
        Self {
            left: Arc::new(AtomicUsize::new(times)),
            seen: RecordingExporter::new(),
        }
    }

    /// What got through.
    #[must_use]
    pub fn arrived(&self) -> &RecordingExporter {
        &self.seen
    }
}

#[async_trait]
impl Exporter for PanickingExporter {
    #[expect(clippy::panic, reason = "this is what the double is for")]
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        let one_less = |left: usize| left.checked_sub(1);
        let took = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less);
        if took.is_ok() {
            panic!("scripted panic");
        }
        self.seen.export(batch).await
    }

    async fn flush(&self) -> Result<(), ExportError> {
        self.seen.flush().await
    }
}
