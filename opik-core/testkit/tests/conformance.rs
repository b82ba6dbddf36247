//! The doubles keep the contracts that the suites check.

use std::sync::Arc;
use std::time::Duration;

use opik_testkit::{
    MemorySessions, MemoryStore, ModelUnderTest, Piece, Place, Scenario, ScriptedModel,
    SessionPlace, WireStore, exporter_suite, model_suite, session_suite, source_suite, wire_suite,
};

#[tokio::test]
async fn the_memory_store_is_an_exporter() {
    let report = exporter_suite(|| async { Place::of(MemoryStore::new()) }, &[]).await;
    report.assert_ok();
    assert_eq!(report.passed.len(), 26, "{report}");
}

#[tokio::test]
async fn the_memory_store_is_a_source() {
    let report = source_suite(|| async { Place::of(MemoryStore::new()) }, &[]).await;
    report.assert_ok();
    assert_eq!(report.passed.len(), 31, "{report}");
}

#[tokio::test]
async fn the_wire_store_is_an_exporter_with_and_without_rows() {
    let make = || async {
        let store = WireStore::new();
        let files = store.clone();
        Place::of(store).reading_files(move |file| {
            let found = files.file(file.trace, file.span, &file.file_name);
            async move { found }
        })
    };
    let report = wire_suite(make, &[]).await;
    report.assert_ok();
    assert_eq!(report.passed.len(), 15, "{report}");
    exporter_suite(make, &[]).await.assert_ok();
    source_suite(make, &[]).await.assert_ok();
}

#[tokio::test]
async fn memory_sessions_are_a_session_store() {
    let make = || async {
        let store = MemorySessions::new();
        SessionPlace::new(Arc::new(store.clone())).with_other_handle(Arc::new(store))
    };
    let report = session_suite(make, &[]).await;
    report.assert_ok();
    assert_eq!(report.passed.len(), 23, "{report}");
}

#[tokio::test]
async fn a_scripted_model_is_a_chat_model() {
    let report = model_suite(|scenario| async move { scripted(&scenario) }, &[]).await;
    report.assert_ok();
    assert_eq!(report.passed.len(), 18, "{report}");
}

/// A model that answers four questions as the scenario says.
fn scripted(scenario: &Scenario) -> ModelUnderTest {
    let mut model = ScriptedModel::new("scripted/one");
    for _ in 0..4 {
        model = match scenario.pieces.as_slice() {
            [Piece::Fails(kind)] => model.refuses(*kind),
            _ => model.reply(scenario.steps()),
        };
    }
    let probe = model.clone();
    ModelUnderTest::new(Arc::new(model)).with_probe(move || {
        let cancelled = probe.cancelled();
        async move { cancelled == 1 }
    })
}

#[tokio::test]
async fn skips_are_reported_and_have_to_name_a_case() {
    let make = || async { Place::of(MemoryStore::new()) };
    let report = exporter_suite(make, &[("unknown_fields_are_kept", "not kept")]).await;
    report.assert_ok();
    assert_eq!(
        report.skipped,
        [("unknown_fields_are_kept", "not kept".to_owned())]
    );
    let report = exporter_suite(make, &[("no_such_case", "typo")]).await;
    assert!(report.has_failed("no_such_case"), "{report}");
}

#[tokio::test]
async fn a_gate_holds_tasks_back_until_it_opens() {
    let gate = opik_testkit::Gate::new();
    let early = futures_util::FutureExt::now_or_never(gate.wait());
    assert!(early.is_none(), "a closed gate let a task through");
    assert!(!gate.wait_blocking(Duration::ZERO));
    let opener = async {
        tokio::task::yield_now().await;
        gate.open();
    };
    futures_util::future::join3(gate.wait(), gate.clone().wait(), opener).await;
    assert!(gate.is_open() && gate.wait_blocking(Duration::ZERO));
}
