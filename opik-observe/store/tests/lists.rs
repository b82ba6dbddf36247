//! Lists that are longer than what is read at a time.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use opik_core::query::{Entity, Filter, Operator, TraceQuery};
use opik_core::{Batch, Exporter, PageRequest, TraceId, TraceSource};
use opik_store::Store;
use opik_testkit::records;
use support::block_on;

/// Identifiers of all pages, one after the other.
fn pages(store: &Store, mut query: TraceQuery, limit: usize) -> Vec<TraceId> {
    query.page = PageRequest::first(limit);
    let mut ids = Vec::new();
    loop {
        let page = block_on(store.search_traces(&query)).unwrap();
        assert!(page.items.len() <= limit);
        ids.extend(page.items.iter().map(|trace| trace.id));
        match page.next {
            Some(next) => query.page = PageRequest::after(next, limit),
            None => return ids,
        }
    }
}

#[test]
fn every_trace_of_a_project_is_in_one_page_newest_first() {
    let store = Store::open_in_memory().unwrap();
    let mut traces: Vec<_> = (0..1_500).map(records::trace).collect();
    for (number, trace) in traces.iter_mut().enumerate() {
        trace.project_name = Some("one".to_owned());
        trace.ttft = Some(if number % 5 == 0 { 1.0 } else { 2.0 });
    }
    let mut all: Vec<TraceId> = traces.iter().map(|trace| trace.id).collect();
    all.sort_unstable_by(|a, b| b.cmp(a));
    let mut some: Vec<TraceId> = traces.iter().step_by(5).map(|trace| trace.id).collect();
    some.sort_unstable_by(|a, b| b.cmp(a));
    block_on(store.export(&Batch::new(traces, Vec::new()))).unwrap();
    let mut other = records::trace(2_000);
    other.project_name = Some("two".to_owned());
    block_on(store.export(&Batch::new(vec![other], Vec::new()))).unwrap();

    let mut query = TraceQuery::default();
    query.project = opik_core::query::ProjectSelector::Name("one".to_owned());
    for limit in [7, 62, 100, 510, 600] {
        assert_eq!(pages(&store, query.clone(), limit), all, "by {limit}");
    }
    // No postings help with this one: most of what is read together is not wanted.
    let filter = Filter::new(Entity::Trace, "ttft", Operator::Equal, None, "1").unwrap();
    query.filters = vec![filter];
    for limit in [7, 100] {
        assert_eq!(pages(&store, query.clone(), limit), some, "by {limit}");
    }
}
