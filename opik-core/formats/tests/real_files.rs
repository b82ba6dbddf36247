//! Whole files of each format from the test kit.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::HashSet;
use std::fs::File;
use std::path::PathBuf;

use opik_core::Batch;
use opik_formats::{Item, ReadOptions, Reader, Summary};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../testkit/fixtures")
        .join(name)
}

fn read(name: &str) -> (Vec<Batch>, Vec<String>, Summary) {
    let path = fixture(name);
    let length = path.metadata().unwrap().len();
    let mut reader = Reader::new(File::open(path).unwrap(), ReadOptions::default());
    let (mut batches, mut problems) = (Vec::new(), Vec::new());
    for item in &mut reader {
        match item.unwrap() {
            Item::Batch(batch) => batches.push(batch),
            Item::Problem(problem) => problems.push(problem.to_string()),
        }
    }
    assert_eq!(
        reader.bytes_consumed(),
        length,
        "progress ends at the file's size"
    );
    (batches, problems, reader.summary())
}

#[test]
fn every_trace_of_every_file_is_read() {
    // One trace of Nezha is in its file twice, under one identifier.
    for (name, traces, spans, distinct) in [
        ("traces/agentrx/opik.jsonl.gz", 34, 1360, 34),
        ("traces/who_and_when/opik.jsonl.gz", 92, 2267, 92),
        ("critical_path/nezha.jsonl.gz", 45, 3653, 44),
        ("critical_path/jaeger_ui_cases.jsonl", 6, 15, 6),
        ("critical_path/crisp_cases.jsonl", 20, 87, 20),
    ] {
        let (batches, problems, summary) = read(name);
        assert_eq!(problems, Vec::<String>::new(), "{name}");
        assert_eq!((summary.traces, summary.spans), (traces, spans), "{name}");
        let all: HashSet<_> = batches
            .iter()
            .flat_map(|it| &it.traces)
            .map(|it| it.id)
            .collect();
        assert_eq!(
            all.len(),
            distinct,
            "{name}: each trace has its own identifier"
        );
        for batch in batches {
            let ids: HashSet<_> = batch.traces.iter().map(|trace| trace.id).collect();
            let parents: HashSet<_> = batch.spans.iter().map(|span| span.id).collect();
            for span in &batch.spans {
                assert!(ids.contains(&span.trace_id), "{name}");
                assert!(span.last_updated_at.is_some(), "{name}");
            }
            let orphans = batch
                .spans
                .iter()
                .filter_map(|span| span.parent_span_id)
                .filter(|parent| !parents.contains(parent))
                .count();
            assert!(
                orphans * 2 <= batch.spans.len(),
                "{name}: {orphans} orphans"
            );
        }
    }
}

#[test]
fn reading_twice_gives_the_same_records() {
    for name in [
        "critical_path/nezha.jsonl.gz",
        "critical_path/jaeger_ui_cases.jsonl",
    ] {
        assert_eq!(read(name).0, read(name).0, "{name}");
    }
}
