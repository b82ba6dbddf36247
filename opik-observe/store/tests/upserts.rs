//! Any history of writes reads like the model store of the testkit, which keeps plain maps.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use opik_core::query::{Direction, Entity, Filter, Operator, Sort, SpanQuery, TraceQuery};
use opik_core::{
    Batch, ErrorInfo, Exporter, Json, Page, PageRequest, Span, SpanType, Trace, TraceSource,
};
use opik_store::{Store, StoreOptions};
use opik_testkit::{MemoryStore, records};
use proptest::prelude::*;
use support::block_on;

#[derive(Debug, Clone)]
enum Write {
    Trace {
        number: u32,
        version: i64,
        tag: u8,
    },
    Span {
        trace: u32,
        number: u32,
        version: i64,
        kind: u8,
    },
}

fn write() -> impl Strategy<Value = Write> {
    prop_oneof![
        1 => (0..4u32, 0..5i64, 0..3u8)
            .prop_map(|(number, version, tag)| Write::Trace { number, version, tag }),
        4 => (0..4u32, 0..40u32, 0..5i64, 0..8u8)
            .prop_map(|(trace, number, version, kind)| Write::Span { trace, number, version, kind }),
    ]
}

fn record(batch: &mut Batch, write: &Write) {
    match *write {
        Write::Trace {
            number,
            version,
            tag,
        } => {
            let mut trace = records::full_trace(number);
            trace.last_updated_at = Some(records::at(version));
            trace.created_at = Some(records::at(0));
            trace.name = Some(format!("version {version} {tag}"));
            trace.tags = vec![format!("tag {tag}")];
            if tag == 0 {
                trace.error_info = None;
                trace.input = None;
            }
            batch.traces.push(trace);
        }
        Write::Span {
            trace,
            number,
            version,
            kind,
        } => {
            let mut span = records::full_span(trace, number);
            span.last_updated_at = Some(records::at(version));
            span.created_at = Some(records::at(0));
            span.r#type = match kind {
                0 => None,
                1 => Some(SpanType::Tool),
                _ => Some(SpanType::Llm),
            };
            span.model = (kind > 2).then(|| format!("Model {kind}"));
            span.provider = (kind > 3).then(|| format!("provider {}", kind % 2));
            span.total_estimated_cost = (kind > 4).then(|| 0.1 * f64::from(kind));
            span.error_info = (kind == 5).then(|| ErrorInfo::new("Oops", format!("m {version}")));
            span.output = Some(Json::string(&format!("{version} {kind}")));
            span.tags = if kind == 6 {
                vec!["six".to_owned()]
            } else {
                Vec::new()
            };
            batch.spans.push(span);
        }
    }
}

fn comparable_trace(mut trace: Trace) -> Trace {
    trace.project_id = None;
    // Sums of floats depend on their order; ours is exact.
    trace.total_estimated_cost = trace.total_estimated_cost.map(|cost| (cost * 1e6).round());
    trace
}

fn comparable_span(mut span: Span) -> Span {
    span.project_id = None;
    span
}

fn all<T>(mut next: impl FnMut(PageRequest) -> Page<T>, size: usize) -> Vec<T> {
    let mut items = Vec::new();
    let mut request = PageRequest::first(size);
    loop {
        let page = next(request);
        items.extend(page.items);
        match page.next {
            Some(cursor) => request = PageRequest::after(cursor, size),
            None => return items,
        }
    }
}

fn traces(source: &dyn TraceSource, query: &TraceQuery, size: usize) -> Vec<Trace> {
    let found = all(
        |page| {
            let mut query = query.clone();
            query.page = page;
            block_on(source.search_traces(&query)).unwrap()
        },
        size,
    );
    found.into_iter().map(comparable_trace).collect()
}

fn spans(source: &dyn TraceSource, query: &SpanQuery, size: usize) -> Vec<Span> {
    let found = all(
        |page| {
            let mut query = query.clone();
            query.page = page;
            block_on(source.search_spans(&query)).unwrap()
        },
        size,
    );
    found.into_iter().map(comparable_span).collect()
}

fn span_filter(field: &str, operator: Operator, value: &str) -> SpanQuery {
    let mut query = SpanQuery::default();
    query.filters = vec![Filter::new(Entity::Span, field, operator, None, value).unwrap()];
    query
}

fn assert_equal(store: &Store, model: &MemoryStore, size: usize) {
    let mut by_name = TraceQuery::default();
    by_name.sort = Sort::by(Entity::Trace, "name", Direction::Ascending);
    let mut tagged = TraceQuery::default();
    tagged.filters =
        vec![Filter::new(Entity::Trace, "tags", Operator::Equal, None, "tag 1").unwrap()];
    for query in [TraceQuery::default(), by_name, tagged] {
        assert_eq!(traces(store, &query, size), traces(model, &query, size));
    }
    for query in [
        SpanQuery::default(),
        span_filter("model", Operator::Equal, "model 4"),
        span_filter("tags", Operator::Equal, "six"),
        span_filter("error_info", Operator::IsNotEmpty, ""),
        span_filter("type", Operator::Equal, "tool"),
        span_filter("total_estimated_cost", Operator::Greater, "0.55"),
        span_filter("output", Operator::Contains, "4 5"),
    ] {
        assert_eq!(
            spans(store, &query, size),
            spans(model, &query, size),
            "{query:?}"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_history_reads_like_the_model(
        history in proptest::collection::vec(proptest::collection::vec(write(), 1..12), 1..40),
        size in 1..9usize,
    ) {
        let store = Store::open_in_memory().unwrap();
        let model = MemoryStore::new();
        for writes in &history {
            let mut batch = Batch::default();
            for write in writes {
                record(&mut batch, write);
            }
            block_on(store.export(&batch)).unwrap();
            block_on(model.export(&batch)).unwrap();
        }
        assert_equal(&store, &model, size);
        prop_assert_eq!(store.check().unwrap(), Vec::<String>::new());
    }
}

#[test]
fn a_trace_written_span_by_span_is_merged_and_stays_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let store = Store::open(&path, StoreOptions::new()).unwrap();
    for number in 0..600 {
        let span = records::llm_span(1, number, (1, 2), 0.001);
        block_on(store.export(&Batch::new(Vec::new(), vec![span]))).unwrap();
    }
    let trace = records::trace(1);
    let id = trace.id;
    block_on(store.export(&Batch::new(vec![trace], Vec::new()))).unwrap();
    let trace = block_on(store.trace(id)).unwrap().unwrap();
    assert_eq!(
        (trace.span_count, trace.usage.total_tokens()),
        (Some(600), Some(1_800))
    );
    assert_eq!(trace.total_estimated_cost, Some(0.6));
    let read = all(|page| block_on(store.spans(id, &page)).unwrap(), 70);
    let mut ids: Vec<_> = read.iter().map(|span| span.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 600);
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
    assert!(store.close());
    let conn = rusqlite::Connection::open(&path).unwrap();
    let parts: i64 = conn
        .query_row("SELECT count(*) FROM part", [], |row| row.get(0))
        .unwrap();
    assert!(parts < 40, "{parts} parts");
}

#[test]
fn the_same_batch_again_changes_nothing_not_even_the_number_of_the_change() {
    let store = Store::open_in_memory().unwrap();
    let batch = Batch::new(
        vec![records::full_trace(1), records::full_trace(2)],
        (0..100)
            .map(|number| records::full_span(1, number))
            .collect(),
    );
    block_on(store.export(&batch)).unwrap();
    let before = (store.last_change().unwrap(), store.stats().unwrap());
    block_on(store.export(&batch)).unwrap();
    assert!(
        store
            .wait_for_text_index(std::time::Duration::from_secs(60))
            .unwrap()
    );
    assert_eq!(store.last_change().unwrap(), before.0);
    assert_eq!(store.stats().unwrap().spans, before.1.spans);
}
