//! The conformance suite on every store, in both layouts.

use std::sync::Arc;

use opik_sessions::{Layout, MemorySessions, SessionOptions, open};
use opik_testkit::{SessionPlace, session_suite};

use crate::place::Kind;

async fn run(kind: Kind, layout: Layout, test: &str) {
    if kind.fresh(test).is_none() {
        return;
    }
    let make = || async {
        let place = kind.fresh(test).unwrap();
        let options = || SessionOptions::new().layout(layout).max_connections(4);
        let store = place.open_with(options()).await;
        assert!(matches!(store.layout(), Some(found) if layout == Layout::Auto || found == layout));
        let other = place.open_with(options()).await;
        SessionPlace::new(Arc::new(store))
            .with_other_handle(Arc::new(other))
            .keeping(place)
    };
    let report = session_suite(make, &[]).await;
    report.assert_ok();
    assert_eq!(report.passed.len(), 23, "{report}");
}

#[tokio::test]
async fn memory_keeps_the_contract() {
    let make = || async {
        let store = MemorySessions::new();
        SessionPlace::new(Arc::new(store.clone())).with_other_handle(Arc::new(store))
    };
    let report = session_suite(make, &[]).await;
    report.assert_ok();
    assert_eq!(report.passed.len(), 23, "{report}");
}

#[tokio::test]
async fn what_open_picks_for_memory_keeps_the_contract() {
    let make = || async {
        let store = open("sqlite::memory:", SessionOptions::new())
            .await
            .unwrap();
        SessionPlace::new(Arc::new(store))
    };
    session_suite(make, &[]).await.assert_ok();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_the_contract() {
    run(Kind::Sqlite, Layout::Auto, "sqlite_keeps_the_contract").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sqlite_keeps_the_contract_in_the_newer_layout() {
    run(
        Kind::Sqlite,
        Layout::V1,
        "sqlite_keeps_the_contract_in_the_newer_layout",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_keeps_the_contract() {
    run(Kind::MariaDb, Layout::Auto, "mariadb_keeps_the_contract").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mariadb_keeps_the_contract_in_the_newer_layout() {
    run(
        Kind::MariaDb,
        Layout::V1,
        "mariadb_keeps_the_contract_in_the_newer_layout",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_keeps_the_contract() {
    run(
        Kind::Postgres,
        Layout::Auto,
        "postgresql_keeps_the_contract",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgresql_keeps_the_contract_in_the_newer_layout() {
    run(
        Kind::Postgres,
        Layout::V1,
        "postgresql_keeps_the_contract_in_the_newer_layout",
    )
    .await;
}
