//! Sources with one defect each: the suite has to find every one, in the case that names it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use opik_core::query::{SpanQuery, TraceQuery};
use opik_core::{
    Batch, Cursor, ExportError, ExportReport, Exporter, Page, PageRequest, SourceError, Span,
    Trace, TraceId, TraceSource,
};
use opik_testkit::{MemoryStore, Place, source_suite};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Defect {
    None,
    RepeatsAnItemAcrossPages,
    LosesAnItemBetweenPages,
    OmitsTheLastPage,
    IgnoresFilters,
    TakesTheFirstFilterOnly,
    StaleTotals,
    NoTotalsInLists,
    OldestFirst,
    OrdersByStart,
    TakesAnyCursor,
    PutsAbsentValuesFirst,
    IgnoresTheEndOfTime,
    InventsTraces,
    LeavesContentOut,
}

#[derive(Debug)]
struct Broken {
    defect: Defect,
    store: MemoryStore,
    seen: Mutex<HashMap<TraceId, Trace>>,
}

impl Broken {
    fn new(defect: Defect) -> Self {
        Self {
            defect,
            store: MemoryStore::new(),
            seen: Mutex::default(),
        }
    }

    /// Moves the borders of pages. The store's cursors say how many items are before them.
    fn request(&self, page: &PageRequest) -> PageRequest {
        let Some(cursor) = page.cursor() else {
            return page.clone();
        };
        let before: usize = match cursor.as_str().trim_start_matches("after-").parse() {
            Ok(before) => before,
            Err(_) if self.defect == Defect::TakesAnyCursor => {
                return PageRequest::first(page.limit());
            }
            Err(_) => return page.clone(),
        };
        let moved = match self.defect {
            Defect::RepeatsAnItemAcrossPages => before - 1,
            Defect::LosesAnItemBetweenPages => before + 1,
            _ => before,
        };
        PageRequest::after(Cursor::new(format!("after-{moved}")), page.limit())
    }

    fn page<T>(&self, mut page: Page<T>, limit: usize) -> Page<T> {
        let first = page
            .next
            .as_ref()
            .is_some_and(|next| next.as_str() == format!("after-{limit}"));
        if self.defect == Defect::OmitsTheLastPage && !first {
            page.next = None;
        }
        page
    }
}

#[async_trait]
impl Exporter for Broken {
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        self.store.export(batch).await
    }

    async fn flush(&self) -> Result<(), ExportError> {
        self.store.flush().await
    }
}

#[async_trait]
impl TraceSource for Broken {
    async fn trace(&self, id: TraceId) -> Result<Option<Trace>, SourceError> {
        let found = self.store.trace(id).await?;
        if self.defect == Defect::InventsTraces && found.is_none() {
            return Ok(Some(Trace::new(id, opik_core::Timestamp::EPOCH)));
        }
        if self.defect == Defect::StaleTotals {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            return Ok(found.map(|trace| seen.entry(id).or_insert(trace).clone()));
        }
        Ok(found)
    }

    async fn spans(&self, trace: TraceId, page: &PageRequest) -> Result<Page<Span>, SourceError> {
        let mut found = self.store.spans(trace, &self.request(page)).await?;
        if self.defect == Defect::LeavesContentOut {
            for span in &mut found.items {
                span.output = None;
            }
        }
        Ok(self.page(found, page.limit()))
    }

    async fn search_traces(&self, query: &TraceQuery) -> Result<Page<Trace>, SourceError> {
        let mut query = query.clone();
        query.page = self.request(&query.page);
        match self.defect {
            Defect::IgnoresFilters => query.filters.clear(),
            Defect::TakesTheFirstFilterOnly => query.filters.truncate(1),
            Defect::IgnoresTheEndOfTime => query.to = None,
            Defect::OldestFirst | Defect::OrdersByStart | Defect::PutsAbsentValuesFirst => {
                return self.reordered(&query).await;
            }
            _ => {}
        }
        let mut found = self.store.search_traces(&query).await?;
        if self.defect == Defect::NoTotalsInLists {
            for trace in &mut found.items {
                trace.span_count = None;
            }
        }
        Ok(self.page(found, query.page.limit()))
    }

    async fn search_spans(&self, query: &SpanQuery) -> Result<Page<Span>, SourceError> {
        let mut query = query.clone();
        query.page = self.request(&query.page);
        match self.defect {
            Defect::IgnoresFilters => query.filters.clear(),
            Defect::TakesTheFirstFilterOnly => query.filters.truncate(1),
            Defect::IgnoresTheEndOfTime => query.to = None,
            _ => {}
        }
        let found = self.store.search_spans(&query).await?;
        Ok(self.page(found, query.page.limit()))
    }
}

impl Broken {
    /// Everything on one page, in a wrong order.
    async fn reordered(&self, query: &TraceQuery) -> Result<Page<Trace>, SourceError> {
        let mut all = query.clone();
        all.page = PageRequest::first(1_000);
        let mut found = self.store.search_traces(&all).await?;
        match self.defect {
            Defect::OldestFirst if query.sort.is_none() => found.items.reverse(),
            Defect::OrdersByStart if query.sort.is_none() => {
                found
                    .items
                    .sort_by_key(|trace| std::cmp::Reverse(trace.start_time));
            }
            Defect::PutsAbsentValuesFirst if query.sort.is_some() => {
                found.items.sort_by_key(|trace| trace.end_time.is_some());
            }
            _ => {}
        }
        let skip: usize = query.page.cursor().map_or(0, |cursor| {
            cursor
                .as_str()
                .trim_start_matches("after-")
                .parse()
                .unwrap_or(0)
        });
        let end = skip + query.page.limit();
        let more = found.items.len() > end;
        found.items.truncate(end);
        found.items.drain(..skip.min(found.items.len()));
        found.next = more.then(|| Cursor::new(format!("after-{end}")));
        Ok(found)
    }
}

#[tokio::test]
async fn every_defect_fails_in_the_case_that_names_it() {
    for (defect, case) in [
        (
            Defect::RepeatsAnItemAcrossPages,
            "pages_of_spans_hold_every_span_once",
        ),
        (
            Defect::RepeatsAnItemAcrossPages,
            "pages_of_a_search_hold_every_match_once",
        ),
        (
            Defect::LosesAnItemBetweenPages,
            "pages_of_spans_hold_every_span_once",
        ),
        (
            Defect::LosesAnItemBetweenPages,
            "pages_of_a_sorted_search_hold_every_match_once",
        ),
        (
            Defect::OmitsTheLastPage,
            "pages_of_a_search_hold_every_match_once",
        ),
        (Defect::OmitsTheLastPage, "a_tree_is_loaded_whole"),
        (Defect::IgnoresFilters, "filters_of_traces"),
        (Defect::IgnoresFilters, "filters_of_spans"),
        (Defect::TakesTheFirstFilterOnly, "all_filters_have_to_hold"),
        (Defect::StaleTotals, "totals_follow_a_late_span"),
        (Defect::NoTotalsInLists, "totals_are_the_same_in_a_search"),
        (Defect::OldestFirst, "newest_first_by_identifier"),
        (Defect::OrdersByStart, "newest_first_by_identifier"),
        (Defect::TakesAnyCursor, "a_foreign_cursor_is_refused"),
        (
            Defect::PutsAbsentValuesFirst,
            "records_without_a_value_come_last",
        ),
        (
            Defect::IgnoresTheEndOfTime,
            "from_and_to_look_at_the_identifier",
        ),
        (Defect::InventsTraces, "an_unknown_trace_is_none"),
        (
            Defect::LeavesContentOut,
            "spans_are_read_with_all_their_content",
        ),
    ] {
        let report = source_suite(|| async { Place::of(Broken::new(defect)) }, &[]).await;
        assert!(report.has_failed(case), "{defect:?} {case}\n{report}");
        assert!(
            report.passed.len() > report.failed.len(),
            "{defect:?}\n{report}"
        );
    }
}

#[tokio::test]
async fn without_a_defect_the_same_source_passes() {
    let report = source_suite(|| async { Place::of(Broken::new(Defect::None)) }, &[]).await;
    report.assert_ok();
}
