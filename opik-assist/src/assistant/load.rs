//! One read of a trace and one computation of its evidence per turn.

use std::sync::Arc;
use std::time::Duration;

use opik_core::source::{MAX_PAGE, SourceErrorKind};
use opik_core::{PageRequest, SourceError, Span, SpanId, Trace, TraceId, TraceSource, TraceTree};

use crate::analysis::{Evidence, analyse};

/// Traces with fewer spans are computed where they are, larger ones on a thread that may block.
const SMALL: usize = 300;

/// A trace as it was read.
#[derive(Debug)]
pub(super) struct Loaded {
    id: TraceId,
    trace: Option<Trace>,
    /// Page by page: putting a large trace into one list takes longer than a turn may take to say
    /// that it has begun.
    pages: Vec<Vec<Span>>,
    /// Whether it has more spans than may be read.
    pub(super) left_out: bool,
}

impl Loaded {
    /// How many spans were read.
    pub(super) fn len(&self) -> usize {
        self.pages.iter().map(Vec::len).sum()
    }

    pub(super) fn has(&self, id: SpanId) -> bool {
        self.pages.iter().flatten().any(|span| span.id == id)
    }

    /// The trace with the evidence about it; `None` when the computation is defective.
    pub(super) async fn computed(self) -> Option<(Arc<TraceTree>, Arc<Evidence>)> {
        heavy(self.len(), move || {
            let spans = self.pages.into_iter().flatten().collect();
            let tree = match self.trace {
                Some(trace) => TraceTree::build(trace, spans),
                None => TraceTree::from_spans(self.id, spans),
            };
            let evidence = analyse(&tree);
            (Arc::new(tree), Arc::new(evidence))
        })
        .await
    }
}

/// Reads a trace with at most about `most` spans; `None` when it does not exist.
pub(super) async fn load(
    source: &dyn TraceSource,
    id: TraceId,
    most: usize,
    limit: Duration,
) -> Result<Option<Loaded>, SourceError> {
    let reading = async {
        let trace = source.trace(id).await?;
        let (mut pages, mut count) = (Vec::new(), 0);
        let mut request = PageRequest::first(MAX_PAGE);
        let mut left_out = false;
        loop {
            let page = match &trace {
                Some(trace) => source.spans_of(trace, &request).await?,
                None => source.spans(id, &request).await?,
            };
            count += page.items.len();
            pages.push(page.items);
            let Some(next) = page.next else { break };
            if count >= most {
                left_out = true;
                break;
            }
            request = PageRequest::after(next, MAX_PAGE);
        }
        Ok::<_, SourceError>(Loaded {
            id,
            trace,
            pages,
            left_out,
        })
    };
    let read = tokio::time::timeout(limit, reading).await.map_err(|_| {
        let context = format!("the trace was not read within {limit:?}");
        SourceError::new(SourceErrorKind::Timeout, context)
    })?;
    read.map(|loaded| (loaded.trace.is_some() || loaded.len() > 0).then_some(loaded))
}

/// Runs a computation whose effort grows with a trace; `None` when it panics. It is not cancelled,
/// and bounded by the size of the trace.
pub(super) async fn heavy<T: Send + 'static>(
    spans: usize,
    compute: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    if spans < SMALL {
        return std::panic::catch_unwind(std::panic::AssertUnwindSafe(compute)).ok();
    }
    tokio::task::spawn_blocking(compute).await.ok()
}
