//! Where traces are read: the [`TraceSource`] trait.
//!
//! Lists are read page by page: a [`PageRequest`] says how many items and after which [`Cursor`],
//! a [`Page`] has the items and the cursor of the next page. [`load_tree`] reads a whole trace.

use std::fmt;

use async_trait::async_trait;

use crate::error::provider_error;
use crate::query::{SpanQuery, TraceQuery};
use crate::{Span, Trace, TraceId, TraceTree};

/// Most items that a page may have.
pub const MAX_PAGE: usize = 2_000;

/// Where the next page begins. Only the source that made it can read it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cursor(String);

impl Cursor {
    /// A cursor with a source's own text.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The source's own text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Which page is wanted.
///
/// ```
/// use opik_core::{Cursor, PageRequest};
///
/// let first = PageRequest::first(100);
/// assert_eq!((first.limit(), first.cursor()), (100, None));
/// let next = PageRequest::after(Cursor::new("what the page said"), 100);
/// assert!(next.cursor().is_some());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PageRequest {
    after: Option<Cursor>,
    limit: usize,
}

impl PageRequest {
    /// The first page, of 1 to [`MAX_PAGE`] items (other numbers are moved into that range).
    #[must_use]
    pub fn first(limit: usize) -> Self {
        Self {
            after: None,
            limit: limit.clamp(1, MAX_PAGE),
        }
    }

    /// The page that begins at a cursor.
    #[must_use]
    pub fn after(cursor: Cursor, limit: usize) -> Self {
        Self {
            after: Some(cursor),
            limit: limit.clamp(1, MAX_PAGE),
        }
    }

    /// Where it begins; `None` at the start.
    #[must_use]
    pub fn cursor(&self) -> Option<&Cursor> {
        self.after.as_ref()
    }

    /// Most items that it may have.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.limit
    }
}

impl Default for PageRequest {
    /// The first 500 items.
    fn default() -> Self {
        Self::first(500)
    }
}

/// Some items and where to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// Where the next page begins; `None` when this is the last.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// A last page.
    #[must_use]
    pub fn last(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

/// Reads recorded traces.
///
/// Contract, checked by `opik_testkit::source_suite`:
/// - An unknown trace is `None`; spans of a trace that has no trace row are still found.
/// - While nothing is written, the pages of one query hold every match exactly once, in one order.
/// - Default order is newest first, by identifier.
/// - Traces carry their totals (`span_count`, `llm_span_count`, `usage`, `total_estimated_cost`,
///   `duration`), exact at the time of reading.
/// - A filter means the same everywhere: [`crate::query`] defines it.
#[async_trait]
pub trait TraceSource: Send + Sync + fmt::Debug {
    /// One trace with its totals.
    ///
    /// # Errors
    /// [`SourceError`] when the source cannot tell.
    async fn trace(&self, id: TraceId) -> Result<Option<Trace>, SourceError>;

    /// A page of the spans of one trace, in any fixed order, with all their content.
    ///
    /// # Errors
    /// [`SourceError`] when the source cannot tell or the cursor is not its own.
    async fn spans(&self, trace: TraceId, page: &PageRequest) -> Result<Page<Span>, SourceError>;

    /// A page of the spans of a trace whose record is at hand, as [`trace`](Self::trace) gave it.
    ///
    /// The same as [`spans`](Self::spans), which it is by default; a source that would have to read
    /// the record again saves that.
    ///
    /// # Errors
    /// As [`spans`](Self::spans).
    async fn spans_of(&self, trace: &Trace, page: &PageRequest) -> Result<Page<Span>, SourceError> {
        self.spans(trace.id, page).await
    }

    /// A page of the traces that match.
    ///
    /// # Errors
    /// [`SourceError`] when the source cannot tell, the cursor is not its own, or the query asks
    /// for what this source does not support.
    async fn search_traces(&self, query: &TraceQuery) -> Result<Page<Trace>, SourceError>;

    /// A page of the spans that match.
    ///
    /// # Errors
    /// As [`search_traces`](Self::search_traces).
    async fn search_spans(&self, query: &SpanQuery) -> Result<Page<Span>, SourceError>;
}

/// Reads a whole trace, page by page, and indexes it.
///
/// Spans without a trace row make a trace that is inferred from them. `None` when there is
/// neither.
///
/// ```
/// use opik_core::source::load_tree;
/// use opik_core::{Batch, Exporter};
/// use opik_testkit::{MemoryStore, records};
///
/// # let run = tokio::runtime::Builder::new_current_thread().build()?;
/// # run.block_on(async {
/// let store = MemoryStore::new();
/// let spans = vec![records::span(1, 1), records::span(1, 2)];
/// store.export(&Batch::new(vec![records::trace(1)], spans)).await?;
///
/// let tree = load_tree(&store, records::trace_id(1)).await?.ok_or("no such trace")?;
/// assert_eq!(tree.len(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// [`SourceError`] of the first read that fails.
pub async fn load_tree(
    source: &dyn TraceSource,
    id: TraceId,
) -> Result<Option<TraceTree>, SourceError> {
    let trace = source.trace(id).await?;
    let mut spans = Vec::new();
    let mut request = PageRequest::first(MAX_PAGE);
    loop {
        let page = match &trace {
            Some(trace) => source.spans_of(trace, &request).await?,
            None => source.spans(id, &request).await?,
        };
        spans.extend(page.items);
        let Some(next) = page.next else { break };
        request = PageRequest::after(next, MAX_PAGE);
    }
    Ok(match trace {
        Some(trace) => Some(TraceTree::build(trace, spans)),
        None if spans.is_empty() => None,
        None => Some(TraceTree::from_spans(id, spans)),
    })
}

provider_error! {
    /// Why a [`TraceSource`] failed.
    SourceError,
    /// Kinds of failure of a [`TraceSource`].
    SourceErrorKind {
        /// The source cannot be reached or failed.
        Unavailable,
        /// No answer within the time allowed.
        Timeout,
        /// Too many requests; see [`SourceError::retry_after`].
        RateLimited,
        /// Key or workspace not accepted.
        Unauthorized,
        /// The project that was asked for does not exist.
        UnknownProject,
        /// The query or cursor makes no sense to this source.
        InvalidQuery,
        /// What was read is not what the format says.
        Corrupt,
        /// A defect of the source.
        Internal,
    },
    retryable: Unavailable | Timeout | RateLimited
}
