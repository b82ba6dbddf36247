//! All records of a search, page by page.

use opik_core::query::{SpanQuery, TraceQuery};
use opik_core::source::MAX_PAGE;
use opik_core::{PageRequest, Span, Trace, TraceSource as _};

use crate::app::App;
use crate::http::ApiError;

/// Calls `see` with every trace of a search.
pub(super) async fn each_trace(
    app: &App,
    mut query: TraceQuery,
    mut see: impl FnMut(Trace) + Send,
) -> Result<(), ApiError> {
    let mut next = Some(PageRequest::first(MAX_PAGE));
    while let Some(page) = next.take() {
        query.page = page;
        let page = app.store().search_traces(&query).await?;
        page.items.into_iter().for_each(&mut see);
        next = page.next.map(|next| PageRequest::after(next, MAX_PAGE));
    }
    Ok(())
}

/// Calls `see` with every span of a search.
pub(super) async fn each_span(
    app: &App,
    mut query: SpanQuery,
    mut see: impl FnMut(Span) + Send,
) -> Result<(), ApiError> {
    let mut next = Some(PageRequest::first(MAX_PAGE));
    while let Some(page) = next.take() {
        query.page = page;
        let page = app.store().search_spans(&query).await?;
        page.items.into_iter().for_each(&mut see);
        next = page.next.map(|next| PageRequest::after(next, MAX_PAGE));
    }
    Ok(())
}
