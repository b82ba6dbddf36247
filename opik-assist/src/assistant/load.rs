//! One read of a trace and one computation of its evidence per turn.

use std::sync::Arc;
use std::time::Duration;

use opik_core::source::{MAX_PAGE, SourceErrorKind};
use opik_core::{PageRequest, SourceError, Span, TraceId, TraceSource, TraceTree};

use crate::analysis::{Evidence, analyse};

/// Traces with fewer spans are computed where they are, larger ones on a thread that may block.
const SMALL: usize = 300;

/// A trace as it was read.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) tree: Arc<TraceTree>,
    /// Whether it has more spans than may be read.
    pub(super) left_out: bool,
}

/// Reads a trace with at most `most` spans; `None` when it does not exist.
pub(super) async fn load(
    source: &dyn TraceSource,
    id: TraceId,
    most: usize,
    limit: Duration,
) -> Result<Option<Loaded>, SourceError> {
    let reading = async {
        let trace = source.trace(id).await?;
        let mut spans: Vec<Span> = Vec::new();
        let mut request = PageRequest::first(MAX_PAGE);
        let mut left_out = false;
        loop {
            let page = match &trace {
                Some(trace) => source.spans_of(trace, &request).await?,
                None => source.spans(id, &request).await?,
            };
            spans.extend(page.items);
            let Some(next) = page.next else { break };
            if spans.len() >= most {
                left_out = true;
                break;
            }
            request = PageRequest::after(next, MAX_PAGE);
        }
        Ok::<_, SourceError>((trace, spans, left_out))
    };
    let (trace, spans, left_out) = tokio::time::timeout(limit, reading).await.map_err(|_| {
        let context = format!("the trace was not read within {limit:?}");
        SourceError::new(SourceErrorKind::Timeout, context)
    })??;
    if trace.is_none() && spans.is_empty() {
        return Ok(None);
    }
    let count = spans.len();
    let build = move || match trace {
        Some(trace) => TraceTree::build(trace, spans),
        None => TraceTree::from_spans(id, spans),
    };
    let tree = heavy(count, build).await;
    let tree = tree.ok_or_else(|| {
        SourceError::new(
            SourceErrorKind::Internal,
            "the spans cannot be put in order",
        )
    })?;
    Ok(Some(Loaded {
        tree: Arc::new(tree),
        left_out,
    }))
}

/// The evidence about a trace; `None` when its computation is defective.
pub(super) async fn evidence(tree: &Arc<TraceTree>) -> Option<Arc<Evidence>> {
    let tree = Arc::clone(tree);
    heavy(tree.len(), move || Arc::new(analyse(&tree))).await
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
