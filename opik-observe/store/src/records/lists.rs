//! Numbered pages and totals, which Opik's lists have.

use opik_core::query::{SpanQuery, TraceQuery};
use opik_core::source::MAX_PAGE;
use opik_core::{Cursor, Page, PageRequest, Span, SpanId, Trace, TraceId};
use rusqlite::OptionalExtension;

use crate::codec::prefix;
use crate::error::StoreError;
use crate::facet::{Entity, Kind};
use crate::read::{Newest, Reader};
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
            let mut walk = Walk::new(skip, take);
            if query.filters.is_empty()
                && query.text.is_none()
                && (query.from, query.to) == (None, None)
            {
                walk.total = Some(reader.count_traces(&query)?);
            }
            let mut query = query;
            walk.all(|page, skipped| {
                query.page = page;
                let without = query.without_content;
                query.without_content |= skipped;
                let page = reader.search_traces(&query);
                query.without_content = without;
                page
            })
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
            let mut walk = Walk::new(skip, take);
            walk.total = Some(reader.count_spans(&query)?);
            let mut query = query;
            walk.all(|page, skipped| {
                query.page = page;
                let without = query.without_content;
                query.without_content |= skipped;
                let page = reader.search_spans(&query);
                query.without_content = without;
                page
            })
        })
        .await
    }
}

/// Goes through a search page by page: over what is skipped, through what is taken, and on to the
/// end to count it, unless the total is known.
struct Walk {
    skip: usize,
    take: usize,
    total: Option<u64>,
}

impl Walk {
    fn new(skip: usize, take: usize) -> Self {
        Self {
            skip,
            take,
            total: None,
        }
    }

    fn all<T>(
        self,
        mut ask: impl FnMut(PageRequest, bool) -> Result<Page<T>, StoreError>,
    ) -> Result<(Vec<T>, u64), StoreError> {
        let mut taken = Vec::new();
        let mut seen = 0_usize;
        let mut cursor = None;
        loop {
            let skipping = seen < self.skip || taken.len() == self.take;
            let wanted = if seen < self.skip {
                self.skip - seen
            } else if skipping {
                MAX_PAGE
            } else {
                self.take - taken.len()
            };
            let limit = wanted.clamp(1, MAX_PAGE);
            let request = match cursor.take() {
                None => PageRequest::first(limit),
                Some(cursor) => PageRequest::after(cursor, limit),
            };
            let page = ask(request, skipping)?;
            seen += page.items.len();
            if !skipping {
                taken.extend(page.items);
            }
            cursor = page.next;
            let done = taken.len() == self.take && self.total.is_some();
            if cursor.is_none() || done {
                let total = self
                    .total
                    .unwrap_or(u64::try_from(seen).unwrap_or(u64::MAX));
                return Ok((taken, total));
            }
        }
    }
}

impl Reader {
    /// How many traces a project has.
    fn count_traces(&self, query: &TraceQuery) -> Result<u64, StoreError> {
        let project = self.selected(&query.project)?;
        let count: Option<i64> = self
            .conn()
            .prepare_cached(
                "SELECT count(*) FROM facet_name n JOIN facet f ON f.fid = n.fid
                 WHERE n.entity = ?1 AND n.kind = ?2 AND (?3 IS NULL OR n.project = ?3)",
            )?
            .query_row(
                rusqlite::params![Entity::Trace.code(), Kind::All.code(), project],
                |row| row.get(0),
            )
            .optional()?;
        Ok(count.unwrap_or(0).max(0).cast_unsigned())
    }
}
