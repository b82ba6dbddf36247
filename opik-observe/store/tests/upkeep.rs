//! Deleting, pruning, changes, text, versions and permissions.
#![expect(clippy::unwrap_used, reason = "tests")]

mod support;

use std::time::Duration;

use opik_core::model::ScoreTarget;
use opik_core::query::{SpanQuery, TraceQuery};
use opik_core::{Batch, Exporter, Json, PageRequest, TraceSource};
use opik_store::{Retention, Store, StoreError, StoreOptions};
use opik_testkit::records;
use support::block_on;

fn filled(path: &std::path::Path, traces: u32) -> Store {
    let store = Store::open(path, StoreOptions::new()).unwrap();
    for number in 0..traces {
        let mut trace = records::full_trace(number);
        trace.input = Some(Json::string(&format!(
            "secretword{number} {}",
            "pad ".repeat(300)
        )));
        let spans = (0..10)
            .map(|span| records::full_span(number, span))
            .collect();
        let mut batch = Batch::new(vec![trace], spans);
        batch.scores.push(records::score(
            ScoreTarget::Trace(records::trace_id(number)),
            "good",
            0.5,
        ));
        block_on(store.export(&batch)).unwrap();
    }
    store
}

#[test]
fn deleted_traces_leave_nothing_and_the_rest_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(&dir.path().join("store.db"), 30);
    let gone: Vec<_> = (0..10).map(records::trace_id).collect();
    assert_eq!(store.delete_traces(&gone).unwrap(), 10);
    assert_eq!(store.delete_traces(&gone).unwrap(), 0);
    for id in gone {
        assert!(block_on(store.trace(id)).unwrap().is_none());
        assert!(
            block_on(store.spans(id, &PageRequest::default()))
                .unwrap()
                .items
                .is_empty()
        );
    }
    let stats = store.stats().unwrap();
    assert_eq!((stats.traces, stats.spans), (20, 200));
    let kept = block_on(store.trace(records::trace_id(20)))
        .unwrap()
        .unwrap();
    assert_eq!((kept.span_count, kept.feedback_scores.len()), (Some(10), 1));
    assert!(store.wait_for_text_index(Duration::from_secs(60)).unwrap());
    let mut query = TraceQuery::default();
    query.text = Some("secretword3".to_owned());
    assert!(
        block_on(store.search_traces(&query))
            .unwrap()
            .items
            .is_empty()
    );
    query.text = Some("SecretWord13".to_owned());
    assert_eq!(
        block_on(store.search_traces(&query)).unwrap().items.len(),
        1
    );
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
}

#[test]
fn pruning_by_age_and_by_size_takes_the_oldest_and_shrinks_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(&dir.path().join("store.db"), 200);
    let report = store
        .prune(Retention::new().started_after(records::at(50_000)))
        .unwrap();
    assert_eq!((report.traces, report.spans), (50, 500));
    assert!(
        block_on(store.trace(records::trace_id(49)))
            .unwrap()
            .is_none()
    );
    assert!(
        block_on(store.trace(records::trace_id(50)))
            .unwrap()
            .is_some()
    );

    let most = report.bytes_after / 2;
    let report = store.prune(Retention::new().max_bytes(most)).unwrap();
    assert!(report.bytes_after <= most, "{report:?} over {most}");
    let left = store.stats().unwrap().traces;
    assert!(left > 5 && left < 150, "{left} traces left");
    assert!(
        block_on(store.trace(records::trace_id(199)))
            .unwrap()
            .is_some()
    );
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
}

#[test]
fn changes_are_numbered_in_their_order_and_once_per_trace() {
    let store = Store::open_in_memory().unwrap();
    let start = store.last_change().unwrap();
    for number in [3, 1, 2, 1] {
        let mut trace = records::trace(number);
        trace.last_updated_at = None;
        block_on(store.export(&Batch::new(vec![trace], Vec::new()))).unwrap();
    }
    let changes = store.changed_since(start, 10).unwrap();
    let ids: Vec<_> = changes.iter().map(|change| change.1).collect();
    assert_eq!(ids, [3, 2, 1].map(records::trace_id));
    let last = changes.last().unwrap().0;
    assert_eq!(last, store.last_change().unwrap());
    assert!(store.changed_since(last, 10).unwrap().is_empty());
    assert_eq!(store.changed_since(start, 1).unwrap(), changes[..1]);
}

#[test]
fn words_are_found_before_and_after_the_index_has_them() {
    let store = Store::open_in_memory().unwrap();
    let mut span = records::span(1, 1);
    span.input = Some(Json::parse(r#"{"q": "Wetter in\nMünchen"}"#).unwrap());
    block_on(store.export(&Batch::new(
        Vec::new(),
        vec![span.clone(), records::span(1, 2)],
    )))
    .unwrap();
    let mut query = SpanQuery::default();
    query.text = Some("münchen WETTER".to_owned());
    let found = || block_on(store.search_spans(&query)).unwrap().items;
    assert_eq!(found().len(), 1);
    assert!(store.wait_for_text_index(Duration::from_secs(60)).unwrap());
    assert_eq!(found().len(), 1);
    assert_eq!(store.stats().unwrap().index_lag, 0);

    span.last_updated_at = None;
    span.input = None;
    block_on(store.export(&Batch::new(Vec::new(), vec![span]))).unwrap();
    assert!(found().is_empty());
    assert!(store.wait_for_text_index(Duration::from_secs(60)).unwrap());
    assert!(found().is_empty());
}

#[test]
fn a_lost_text_index_is_built_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    drop(filled(&path, 5));
    std::fs::write(
        dir.path().join("store.db-text"),
        b"not a database, but long enough to look at",
    )
    .unwrap();
    let store = Store::open(&path, StoreOptions::new()).unwrap();
    assert!(store.wait_for_text_index(Duration::from_secs(60)).unwrap());
    let mut query = TraceQuery::default();
    query.text = Some("secretword4".to_owned());
    assert_eq!(
        block_on(store.search_traces(&query)).unwrap().items.len(),
        1
    );
}

#[test]
fn newer_and_foreign_files_are_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    drop(filled(&path, 1));
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    drop(conn);
    let error = Store::open(&path, StoreOptions::new()).unwrap_err();
    assert!(
        matches!(error, StoreError::NewerSchema { found: 99, .. }),
        "{error}"
    );

    let text = dir.path().join("notes.txt");
    let content = "these are my notes\n".repeat(100);
    std::fs::write(&text, &content).unwrap();
    let error = Store::open(&text, StoreOptions::new()).unwrap_err();
    assert!(matches!(error, StoreError::NotAStore { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&text).unwrap(), content);

    let missing = dir.path().join("missing.db");
    let error = Store::open(&missing, StoreOptions::new().create(false)).unwrap_err();
    assert!(matches!(error, StoreError::Open { .. }), "{error}");
    assert!(!missing.exists());
}

#[cfg(unix)]
#[test]
fn new_files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let store = filled(&dir.path().join("store.db"), 1);
    for entry in std::fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", entry.file_name());
    }
    drop(store);
}

#[test]
fn a_closed_store_says_so_and_has_kept_everything() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let store = filled(&path, 3);
    assert!(store.close());
    assert!(matches!(store.projects(), Err(StoreError::Closed)));
    let error =
        block_on(store.export(&Batch::new(vec![records::trace(9)], Vec::new()))).unwrap_err();
    assert_eq!(error.kind(), opik_core::exporter::ExportErrorKind::Closed);
    let again = Store::open(&path, StoreOptions::new()).unwrap();
    assert_eq!(again.stats().unwrap().spans, 30);
    assert_eq!(again.projects().unwrap().len(), 1);
}

#[test]
fn damage_inside_content_and_wrong_totals_are_found_by_the_deep_check() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    drop(filled(&path, 20));
    let change = |sql: &str| {
        let conn = rusqlite::Connection::open(&path).unwrap();
        assert_eq!(conn.execute(sql, []).unwrap(), 1);
    };
    let checks = || {
        let store = Store::open(&path, StoreOptions::new()).unwrap();
        (store.check().unwrap(), store.check_content().unwrap())
    };
    assert_eq!(checks(), (Vec::new(), Vec::new()));

    // A bit in the middle of a block: the file is whole as far as SQLite can tell.
    change(
        "UPDATE block SET data = CAST(substr(data, 1, 200) || x'ff00ff' || substr(data, 204) AS BLOB)
         WHERE key = (SELECT min(key) FROM block)",
    );
    let (shallow, deep) = checks();
    assert_eq!(shallow, Vec::<String>::new());
    let first = format!("trace {}: ", records::trace_id(0));
    assert!(deep.len() == 1 && deep[0].starts_with(&first), "{deep:?}");

    change(
        "UPDATE trace SET totals = CAST(x'00' || substr(totals, 2) AS BLOB)
         WHERE key = (SELECT max(key) FROM trace)",
    );
    let (shallow, deep) = checks();
    assert_eq!(shallow, Vec::<String>::new());
    let last = format!("trace {}: ", records::trace_id(19));
    assert!(deep.len() == 2 && deep[1].starts_with(&last), "{deep:?}");
}
