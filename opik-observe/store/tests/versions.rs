//! Files of every released schema are read by this version.
//!
//! `fixtures/v1.sql` is a dump of a file that `make_a_file_of_this_version` wrote when version 1
//! was the newest. A new version adds a dump; old ones stay as they are.

mod support;

use std::path::Path;

use opik_core::model::ScoreTarget;
use opik_core::{Batch, Exporter, PageRequest, TraceSource};
use opik_store::{Store, StoreOptions};
use opik_testkit::records;
use support::block_on;

fn batch() -> Batch {
    let spans = (0..3).map(|number| records::full_span(1, number)).collect();
    let mut batch = Batch::new(vec![records::full_trace(1)], spans);
    let score = records::score(ScoreTarget::Trace(records::trace_id(1)), "good", 0.5);
    batch.scores.push(score);
    batch
}

#[test]
#[ignore = "writes version.db into the current directory, for a new fixture"]
fn make_a_file_of_this_version() {
    let store = Store::open("version.db", StoreOptions::new().index_text(false)).unwrap();
    block_on(store.export(&batch())).unwrap();
    let mut again = records::full_span(1, 1);
    again.last_updated_at = Some(records::at(90_000));
    again.name = Some("replaced".to_owned());
    block_on(store.export(&Batch::new(Vec::new(), vec![again]))).unwrap();
}

#[test]
fn a_file_of_version_1_is_read_and_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("v1.db");
    let dump = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1.sql");
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch(&std::fs::read_to_string(dump).unwrap())
        .unwrap();
    drop(conn);

    let store = Store::open(&path, StoreOptions::new()).unwrap();
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
    let written = records::full_trace(1);
    let trace = block_on(store.trace(written.id)).unwrap().unwrap();
    assert_eq!(trace.input, written.input);
    assert_eq!(trace.error_info, written.error_info);
    assert_eq!((trace.span_count, trace.llm_span_count), (Some(3), Some(3)));
    assert_eq!(trace.usage.total_tokens(), Some(21));
    assert_eq!(trace.total_estimated_cost, Some(0.75));
    assert_eq!(trace.feedback_scores.len(), 1);
    let mut spans = block_on(store.spans(written.id, &PageRequest::default()))
        .unwrap()
        .items;
    spans.sort_by_key(|span| span.id);
    let names: Vec<_> = spans
        .iter()
        .map(|span| span.name.as_deref().unwrap())
        .collect();
    assert_eq!(names, ["span 0", "replaced", "span 2"]);
    assert_eq!(spans[2].output, records::full_span(1, 2).output);

    let mut late = records::full_span(1, 2);
    late.last_updated_at = Some(records::at(90_000));
    late.total_estimated_cost = None;
    block_on(store.export(&Batch::new(Vec::new(), vec![late]))).unwrap();
    let trace = block_on(store.trace(written.id)).unwrap().unwrap();
    assert_eq!(trace.total_estimated_cost, Some(0.5));
}
