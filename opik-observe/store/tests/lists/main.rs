//! Lists that are longer than what is read at a time.
#![expect(clippy::unwrap_used, clippy::cast_precision_loss, reason = "tests")]

#[path = "../support/mod.rs"]
mod support;
mod totals;

use opik_core::query::{Entity, Filter, Operator, ProjectSelector, SpanQuery, TraceQuery};
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
    query.project = ProjectSelector::Name("one".to_owned());
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

/// Totals are counted apart from pages, and found spans by part of a tag; both have to agree with
/// what a search finds, also among replaced spans and several projects.
#[test]
fn totals_of_span_lists_are_those_of_a_search() {
    let store = Store::open_in_memory().unwrap();
    let id = |number: u32, span: u32| records::full_span(number, span).id;
    for number in 0..60 {
        let mut spans: Vec<_> = (0..7)
            .map(|span| records::full_span(number, span))
            .collect();
        for (at, span) in spans.iter_mut().enumerate() {
            span.project_name = Some(if number % 3 == 0 { "one" } else { "two" }.to_owned());
            span.model = Some(["Alpha", "beta"][at % 2].to_owned());
            span.tags = match at {
                0 => vec!["Rare one".to_owned(), "rare two".to_owned()],
                1 => vec!["common".to_owned()],
                _ => Vec::new(),
            };
            if at != 2 {
                span.error_info = None;
            }
        }
        block_on(store.export(&Batch::new(Vec::new(), spans.clone()))).unwrap();
        // One is replaced, and has another model now.
        let mut again = spans.swap_remove(3);
        again.model = Some("gamma".to_owned());
        again.last_updated_at = Some(records::at(900_000_000));
        block_on(store.export(&Batch::new(Vec::new(), vec![again]))).unwrap();
    }
    let filter = |field: &str, operator, value: &str| {
        vec![Filter::new(Entity::Span, field, operator, None, value).unwrap()]
    };
    let questions = [
        (Vec::new(), 420),
        (filter("model", Operator::Equal, "ALPHA"), 240),
        (filter("model", Operator::Equal, "beta"), 120),
        (filter("model", Operator::Equal, "gamma"), 60),
        (filter("tags", Operator::Contains, "rare"), 60),
        (filter("tags", Operator::Contains, "none"), 0),
        (filter("error_info", Operator::IsNotEmpty, ""), 60),
        (filter("name", Operator::Contains, "span"), 420),
        (
            [
                filter("model", Operator::Equal, "alpha"),
                filter("tags", Operator::Contains, "RARE"),
            ]
            .concat(),
            60,
        ),
    ];
    for (filters, expected) in questions {
        for (project, part) in [(None, 1.0), (Some("one"), 1.0 / 3.0)] {
            let mut query = SpanQuery::default();
            query.filters.clone_from(&filters);
            if let Some(name) = project {
                query.project = ProjectSelector::Name(name.to_owned());
            }
            let (items, total) = block_on(store.list_spans(query.clone(), 0, 1_000)).unwrap();
            assert_eq!(
                total as f64,
                f64::from(expected) * part,
                "{filters:?} in {project:?}"
            );
            assert_eq!(items.len() as u64, total, "{filters:?}");
            let (items, again) = block_on(store.list_spans(query, 5, 3)).unwrap();
            assert_eq!(
                (again, items.len() as u64),
                (total, total.saturating_sub(5).min(3))
            );
        }
    }
    // A span is found among the parts of all projects.
    for number in [0, 1, 31, 59] {
        for span in [0, 3, 6] {
            let found = block_on(store.span(id(number, span))).unwrap().unwrap();
            assert_eq!(found.id, id(number, span));
        }
    }
    assert!(
        block_on(store.span(opik_core::SpanId::from_bytes([1; 16])))
            .unwrap()
            .is_none()
    );
}
