//! Searches by words: in traces, in their spans, and in the types of errors.
//!
//! The store looks for words in traces and in spans apart; a person looks for a run. So the hits
//! in spans are joined to their traces, which must fit the other conditions of the search.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use opik_core::query::{Entity, Filter, Operator, SpanQuery, TraceQuery};
use opik_core::source::{MAX_PAGE, PageRequest};
use opik_core::{Trace, TraceId, TraceSource};
use opik_store::Store;
use pollster::block_on;

use crate::exit::{Code, Failure};

/// Longest wait for the text index.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most hits in spans that are looked at for a list.
const LOOKED_AT: usize = 20_000;

/// What was found.
#[derive(Debug)]
pub(super) struct Found {
    /// In the order of the search, each once.
    pub(super) traces: Vec<Trace>,
    /// Whether there are more than were asked for.
    pub(super) more: bool,
}

/// Words get into the index a moment after they were written: gives them that moment. False when
/// it was not enough.
pub(super) fn wait(store: &Store) -> Result<bool, Failure> {
    store.wait_for_text_index(PATIENCE).map_err(|error| {
        Failure::new(Code::Store, "cannot read the text index")
            .cause(error)
            .hint("opik-rs doctor")
    })
}

/// Searches for `query.text`. `None` finds all there is.
pub(super) fn search(
    store: &Store,
    query: &TraceQuery,
    limit: Option<usize>,
) -> Result<Found, Failure> {
    let wanted = limit.map_or(usize::MAX, |limit| limit + 1);
    let words = query.text.as_deref().unwrap_or_default();
    let mut found = BTreeMap::new();
    in_traces(store, query, wanted, &mut found)?;
    let mut by_type = query.clone();
    by_type.text = None;
    by_type.filters.extend(error_type(Entity::Trace, words)?);
    in_traces(store, &by_type, wanted, &mut found)?;

    let mut spans = SpanQuery::default();
    spans.project = query.project.clone();
    spans.without_content = true;
    let mut by_type = spans.clone();
    by_type.filters = error_type(Entity::Span, words)?;
    spans.text.clone_from(&query.text);
    // Another order than that of the hits needs them all.
    let enough = query.sort.as_ref().map_or(wanted, |_| usize::MAX);
    let most = limit.map_or(usize::MAX, |_| LOOKED_AT);
    let mut complete = true;
    for spans in [spans, by_type] {
        complete &= in_spans(store, query, spans, (enough, most), &mut found)?;
    }

    let mut traces: Vec<Trace> = found.into_values().rev().collect();
    if let Some(sort) = &query.sort {
        traces.sort_by(|a, b| sort.compare_traces(a, b));
    }
    let more = !complete || traces.len() >= wanted;
    traces.truncate(limit.unwrap_or(usize::MAX));
    Ok(Found { traces, more })
}

fn in_traces(
    store: &Store,
    query: &TraceQuery,
    wanted: usize,
    found: &mut BTreeMap<TraceId, Trace>,
) -> Result<(), Failure> {
    let mut query = query.clone();
    let mut seen = 0;
    query.page = PageRequest::first(wanted.min(MAX_PAGE));
    loop {
        let page = block_on(store.search_traces(&query))?;
        seen += page.items.len();
        found.extend(page.items.into_iter().map(|trace| (trace.id, trace)));
        match page.next {
            Some(next) if seen < wanted => query.page = PageRequest::after(next, MAX_PAGE),
            _ => return Ok(()),
        }
    }
}

/// Adds the traces of spans until there are `enough`, and says whether all hits were looked at or
/// need not be.
fn in_spans(
    store: &Store,
    query: &TraceQuery,
    mut spans: SpanQuery,
    (enough, most): (usize, usize),
    found: &mut BTreeMap<TraceId, Trace>,
) -> Result<bool, Failure> {
    let mut tried = HashSet::new();
    let (mut hits, mut seen) = (0, 0);
    spans.page = PageRequest::first(MAX_PAGE);
    loop {
        let page = block_on(store.search_spans(&spans))?;
        seen += page.items.len();
        for span in page.items {
            if !tried.insert(span.trace_id) {
                continue;
            }
            if found.contains_key(&span.trace_id) {
                hits += 1;
            } else if let Some(trace) = fitting(store, query, span.trace_id)? {
                found.insert(trace.id, trace);
                hits += 1;
            }
        }
        match page.next {
            None => return Ok(true),
            Some(_) if hits >= enough => return Ok(true),
            Some(_) if seen >= most => return Ok(false),
            Some(next) => spans.page = PageRequest::after(next, MAX_PAGE),
        }
    }
}

/// The trace, if it fits everything but the words.
fn fitting(store: &Store, query: &TraceQuery, id: TraceId) -> Result<Option<Trace>, Failure> {
    let mut query = query.clone();
    (query.text, query.sort) = (None, None);
    let own = condition(Entity::Trace, "id", Operator::Equal, &id.to_string())?;
    query.filters.push(own);
    query.page = PageRequest::first(1);
    Ok(block_on(store.search_traces(&query))?.items.pop())
}

/// All words in the type of an error, which the index does not have.
fn error_type(entity: Entity, words: &str) -> Result<Vec<Filter>, Failure> {
    // The first condition narrows the search to what failed.
    let mut filters = vec![condition(entity, "error_info", Operator::IsNotEmpty, "")?];
    for word in words.split_whitespace() {
        filters.push(condition(entity, "error_type", Operator::Contains, word)?);
    }
    Ok(filters)
}

fn condition(
    entity: Entity,
    field: &str,
    operator: Operator,
    value: &str,
) -> Result<Filter, Failure> {
    Filter::new(entity, field, operator, None, value)
        .map_err(|error| Failure::new(Code::Usage, "these words cannot be searched").cause(error))
}
