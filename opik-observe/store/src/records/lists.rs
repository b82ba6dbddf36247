//! Numbered pages and totals, which Opik's lists have.

use opik_core::query::{SpanQuery, TraceQuery};
use opik_core::source::MAX_PAGE;
use opik_core::{Cursor, Page, PageRequest, Span, SpanId, Trace, TraceId};

use crate::codec::prefix;
use crate::error::StoreError;
use crate::read::Newest;
use crate::store::Store;

impl Store {
    /// Where a search for traces in the default order goes on below an identifier.
    #[must_use]
    pub fn traces_below(id: TraceId) -> Cursor {
        Newest {
            bound: prefix(id.as_bytes()),
            before: *id.as_bytes(),
        }
        .to_cursor()
    }

    /// Where a search for spans in the default order goes on below an identifier.
    #[must_use]
    pub fn spans_below(id: SpanId) -> Cursor {
        // The part of a span has the bound of its newest span, which is not known here.
        Newest {
            bound: i64::MAX,
            before: *id.as_bytes(),
        }
        .to_cursor()
    }

    /// One span, wherever it is.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn span(&self, id: SpanId) -> Result<Option<Span>, StoreError> {
        self.look(move |reader| reader.span(id)).await
    }

    /// Deletes traces with everything that hangs on them. Unknown ones are passed over.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn remove_traces(&self, ids: Vec<TraceId>) -> Result<u64, StoreError> {
        self.change(move |writer| writer.delete(&ids).map(|deleted| deleted.traces))
            .await
    }

    /// Records of a list after the first `skip`, `take` at most, and how many there are in all.
    /// The page of the query is not looked at.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read or has no such project.
    pub async fn list_traces(
        &self,
        query: TraceQuery,
        skip: usize,
        take: usize,
    ) -> Result<(Vec<Trace>, u64), StoreError> {
        self.look(move |reader| {
            let walk = Walk { skip, take };
            let mut query = query;
            let mut ahead = None;
            let (items, seen) = walk.all(|page, skipped| {
                query.page = page;
                let without = query.without_content;
                query.without_content |= skipped;
                let page = reader.search_traces_then(&query, |reader| {
                    if !skipped && ahead.is_none() {
                        ahead = Some(reader.traces_ahead(&query)?);
                    }
                    Ok(())
                });
                query.without_content = without;
                page
            })?;
            if seen.is_none() {
                ahead.unwrap_or_default().wait();
            }
            let total = reader.total_of_traces(&query, seen)?;
            Ok((items, total))
        })
        .await
    }

    /// As [`list_traces`](Self::list_traces), for spans.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read or has no such project.
    pub async fn list_spans(
        &self,
        query: SpanQuery,
        skip: usize,
        take: usize,
    ) -> Result<(Vec<Span>, u64), StoreError> {
        self.look(move |reader| {
            let walk = Walk { skip, take };
            let mut query = query;
            let mut ahead = None;
            let (items, seen) = walk.all(|page, skipped| {
                query.page = page;
                let without = query.without_content;
                query.without_content |= skipped;
                let page = reader.search_spans_then(&query, |reader| {
                    if !skipped && ahead.is_none() {
                        ahead = Some(reader.spans_ahead(&query)?);
                    }
                    Ok(())
                });
                query.without_content = without;
                page
            })?;
            if seen.is_none() {
                ahead.unwrap_or_default().wait();
            }
            let total = reader.total_of_spans(&query, seen)?;
            Ok((items, total))
        })
        .await
    }
}

/// Goes through a search page by page: over what is skipped, and through what is taken. Tells how
/// many records there are when it came to the end.
struct Walk {
    skip: usize,
    take: usize,
}

impl Walk {
    fn all<T>(
        self,
        mut ask: impl FnMut(PageRequest, bool) -> Result<Page<T>, StoreError>,
    ) -> Result<(Vec<T>, Option<u64>), StoreError> {
        let mut taken = Vec::new();
        let mut skipped = 0_usize;
        let mut cursor = None;
        while taken.len() < self.take {
            let skipping = skipped < self.skip;
            let wanted = if skipping {
                self.skip - skipped
            } else {
                self.take - taken.len()
            };
            let limit = wanted.clamp(1, MAX_PAGE);
            let request = match cursor.take() {
                None => PageRequest::first(limit),
                Some(cursor) => PageRequest::after(cursor, limit),
            };
            let page = ask(request, skipping)?;
            if skipping {
                skipped += page.items.len();
            } else {
                taken.extend(page.items);
            }
            cursor = page.next;
            if cursor.is_none() {
                let seen = skipped + taken.len();
                return Ok((taken, u64::try_from(seen).ok()));
            }
        }
        Ok((taken, None))
    }
}
