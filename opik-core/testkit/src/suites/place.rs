//! Where records go in and come out.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use opik_core::wire::WireAttachment;
use opik_core::{Exporter, TraceSource};

type ReadFile = Box<
    dyn Fn(WireAttachment) -> Pin<Box<dyn Future<Output = Option<Vec<u8>>> + Send>> + Send + Sync,
>;
type Settle = Box<dyn Fn() -> Pin<Box<dyn Future<Output = ()> + Send>> + Send + Sync>;

/// An empty place with a way in and a way out: what a case of [`exporter_suite`] and
/// [`source_suite`] runs against.
///
/// [`exporter_suite`]: crate::exporter_suite
/// [`source_suite`]: crate::source_suite
pub struct Place {
    pub(crate) exporter: Arc<dyn Exporter>,
    pub(crate) source: Arc<dyn TraceSource>,
    pub(crate) read_file: Option<ReadFile>,
    settle: Option<Settle>,
    keep: Option<Box<dyn Any + Send>>,
}

impl Place {
    /// A way in and a way out of the same place.
    #[must_use]
    pub fn new(exporter: Arc<dyn Exporter>, source: Arc<dyn TraceSource>) -> Self {
        Self {
            exporter,
            source,
            read_file: None,
            settle: None,
            keep: None,
        }
    }

    /// A place that is its own way in and out.
    #[must_use]
    pub fn of<T: Exporter + TraceSource + 'static>(place: T) -> Self {
        let place = Arc::new(place);
        Self::new(Arc::clone(&place) as Arc<dyn Exporter>, place)
    }

    /// Keeps something alive as long as the place: a temporary folder, a server.
    #[must_use]
    pub fn keeping(mut self, what: impl Any + Send) -> Self {
        self.keep = Some(Box::new(what));
        self
    }

    /// How to wait for what is not part of the promise to be read at once: a text index.
    #[must_use]
    pub fn settling<F>(mut self, settle: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.settle = Some(Box::new(move || Box::pin(settle())));
        self
    }

    /// How to read a file that was sent: what is in it now, or `None` where it is not there.
    #[must_use]
    pub fn reading_files<F>(
        mut self,
        read: impl Fn(WireAttachment) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Option<Vec<u8>>> + Send + 'static,
    {
        self.read_file = Some(Box::new(move |file| Box::pin(read(file))));
        self
    }

    pub(crate) async fn settle(&self) {
        if let Some(settle) = &self.settle {
            settle().await;
        }
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Place")
            .field("exporter", &self.exporter)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}
