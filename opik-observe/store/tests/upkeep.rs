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

#[test]
fn a_copy_has_everything_is_private_and_whole_and_can_be_brought_back() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("store.db"), dir.path().join("copy.db"));
    let store = filled(&path, 20);
    let report = store.backup(&copy).unwrap();
    assert_eq!((report.traces, &report.path), (20, &copy));
    assert!(
        store
            .upkeep()
            .unwrap()
            .backup
            .is_some_and(|(_, to)| to == copy)
    );
    assert!(matches!(
        store.backup(&copy),
        Err(StoreError::Exists { .. })
    ));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&copy).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    store.delete_traces(&[records::trace_id(3)]).unwrap();

    // Not while somebody uses the store, and not over a store without being told.
    let error = Store::restore(&copy, &path, false).unwrap_err();
    assert!(matches!(error, StoreError::Exists { .. }), "{error}");
    let error = Store::restore(&copy, &path, true).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }), "{error}");
    assert!(store.close());
    let report = Store::restore(&copy, &path, true).unwrap();
    assert_eq!(report.traces, 20);

    let store = Store::open(&path, StoreOptions::new()).unwrap();
    assert_eq!(store.check_content().unwrap(), Vec::<String>::new());
    assert!(
        block_on(store.trace(records::trace_id(3)))
            .unwrap()
            .is_some()
    );
    // The text index is built again.
    assert!(store.wait_for_text_index(Duration::from_secs(60)).unwrap());
    let mut query = TraceQuery::default();
    query.text = Some("secretword13".to_owned());
    assert_eq!(
        block_on(store.search_traces(&query)).unwrap().items.len(),
        1
    );
    // What was there is kept.
    let old = Store::open(report.kept.unwrap(), StoreOptions::new()).unwrap();
    assert_eq!(old.stats().unwrap().traces, 19);
}

#[test]
fn what_is_no_whole_copy_is_not_brought_back() {
    let dir = tempfile::tempdir().unwrap();
    let (path, copy) = (dir.path().join("store.db"), dir.path().join("copy.db"));
    filled(&path, 30).backup(&copy).unwrap();
    let before = std::fs::read(&path).unwrap();
    let text = dir.path().join("notes.txt");
    std::fs::write(&text, "notes").unwrap();
    let error = Store::restore(&text, &path, true).unwrap_err();
    assert!(matches!(error, StoreError::NotAStore { .. }), "{error}");
    let mut bytes = std::fs::read(&copy).unwrap();
    bytes.truncate(bytes.len() / 2);
    std::fs::write(&copy, bytes).unwrap();
    let error = Store::restore(&copy, &path, true).unwrap_err();
    assert!(
        matches!(error, StoreError::Damaged(_) | StoreError::Corrupt(_)),
        "{error}"
    );
    assert_eq!(std::fs::read(&path).unwrap(), before);
    assert!(Store::restore(dir.path().join("none"), &path, true).is_err());
}

/// Two writers note what was acknowledged while copies are made: each copy has what was
/// acknowledged before it began, and is whole.
#[test]
fn a_copy_made_under_load_has_what_was_acknowledged_before() {
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
    let dir = tempfile::tempdir().unwrap();
    let store = filled(&dir.path().join("store.db"), 10);
    let (stop, acknowledged) = (
        AtomicBool::new(false),
        [AtomicU32::new(0), AtomicU32::new(0)],
    );
    let number_of = |writer: u32, at: u32| 1_000 + writer * 100_000 + at;
    std::thread::scope(|scope| {
        for writer in 0..2 {
            let (store, stop, acknowledged) = (&store, &stop, &acknowledged);
            scope.spawn(move || {
                let mut at = 0;
                while !stop.load(Ordering::Relaxed) {
                    let number = number_of(writer, at);
                    let spans = (0..5)
                        .map(|span| records::full_span(number, span))
                        .collect();
                    let batch = Batch::new(vec![records::full_trace(number)], spans);
                    block_on(store.export(&batch)).unwrap();
                    at += 1;
                    acknowledged[writer as usize].store(at, Ordering::Release);
                }
            });
        }
        for copy in 0..3 {
            // Something is written before and after each.
            let goal = acknowledged[0].load(Ordering::Acquire) + 20;
            while acknowledged[0].load(Ordering::Acquire) < goal {
                std::thread::yield_now();
            }
            let before = [0, 1].map(|writer: usize| acknowledged[writer].load(Ordering::Acquire));
            let path = dir.path().join(format!("copy-{copy}.db"));
            store.backup(&path).unwrap();
            let copy = Store::open(&path, StoreOptions::new()).unwrap();
            for (writer, count) in (0..2).zip(before) {
                for at in 0..count {
                    let id = records::trace_id(number_of(writer, at));
                    let trace = block_on(copy.trace(id)).unwrap();
                    assert_eq!(trace.unwrap().span_count, Some(5));
                }
            }
            assert_eq!(copy.check_content().unwrap(), Vec::<String>::new());
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn space_is_given_back_in_steps_or_all_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(&dir.path().join("store.db"), 100);
    let gone: Vec<_> = (0..60).map(records::trace_id).collect();
    store.delete_traces(&gone).unwrap();
    assert!(store.upkeep().unwrap().free_bytes > 0);
    let report = store.vacuum(false).unwrap();
    assert!(report.bytes_after < report.bytes_before, "{report:?}");
    assert_eq!(store.upkeep().unwrap().free_bytes, 0);
    let report = store.vacuum(true).unwrap();
    assert!(report.bytes_after <= report.bytes_before, "{report:?}");
    assert_eq!(store.check_content().unwrap(), Vec::<String>::new());
}

/// While a retention works, batches of the same process are written in between.
#[test]
fn pruning_does_not_hold_up_those_who_write() {
    let dir = tempfile::tempdir().unwrap();
    let store = filled(&dir.path().join("store.db"), 800);
    std::thread::scope(|scope| {
        let pruned = scope.spawn(|| {
            let keep = Retention::new().started_after(records::at(10_000_000));
            store.prune(keep).unwrap()
        });
        let mut written = 0;
        while !pruned.is_finished() {
            let late = records::full_trace(20_000 + written);
            block_on(store.export(&Batch::new(vec![late], Vec::new()))).unwrap();
            written += 1;
        }
        assert_eq!(pruned.join().unwrap().traces, 800);
        assert!(written > 2, "{written}");
    });
}

#[test]
fn the_beginning_of_a_foreign_trace_is_forgotten_when_nobody_asks_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.db");
    let store = Store::open(&path, StoreOptions::new()).unwrap();
    let ask = |name: &str, at: u32| {
        let starts = [(name.to_owned(), records::at(at.into()))].into();
        block_on(store.otlp_starts(starts)).unwrap()[name]
    };
    assert_eq!(ask("old", 1), records::at(1));
    assert_eq!(ask("used", 2), records::at(2));
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.busy_timeout(Duration::from_secs(10)).unwrap();
    let aged = "UPDATE otlp_trace SET used = used - 6 * 86400 * 1000000";
    conn.execute(aged, []).unwrap();
    assert_eq!(
        ask("used", 9),
        records::at(2),
        "it is known, and used again"
    );
    conn.execute(aged, []).unwrap();
    ask("new", 3);
    let left: i64 = conn
        .query_row("SELECT count(*) FROM otlp_trace", [], |row| row.get(0))
        .unwrap();
    assert_eq!(left, 2, "what was asked for lately stays");
    assert_eq!(ask("used", 9), records::at(2));
    assert_eq!(ask("old", 9), records::at(9));
}
