//! The store keeps the contracts of the provider traits, without any async runtime.

mod support;

use opik_store::{Store, StoreOptions};
use opik_testkit::{Place, exporter_suite, source_suite};
use support::block_on;

/// An upsert names its trace, and only that trace is looked at.
const MOVED: (&str, &str) = (
    "totals_follow_a_span_to_another_trace",
    "a span is identified within its trace; in another trace it is another span",
);

#[test]
fn the_exporter_contract_holds_in_memory_and_in_a_file() {
    let in_memory = || async { Place::of(Store::open_in_memory().unwrap()) };
    block_on(exporter_suite(in_memory, &[])).assert_ok();

    let dir = tempfile::tempdir().unwrap();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let in_file = || async {
        let number = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = dir.path().join(format!("{number}.db"));
        Place::of(Store::open(path, StoreOptions::new()).unwrap())
    };
    block_on(exporter_suite(in_file, &[])).assert_ok();
}

#[test]
fn the_source_contract_holds() {
    let in_memory = || async { Place::of(Store::open_in_memory().unwrap()) };
    block_on(source_suite(in_memory, &[MOVED])).assert_ok();
}
