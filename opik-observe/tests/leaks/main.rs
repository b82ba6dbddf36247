//! No eight bytes of anything that a program records pass the default policy: not to a server, not
//! to a store, not to the disk, not into a log line, not into a `Debug` or `Display`.
//!
//! Programs are arbitrary, and every text that they give is a secret, wherever they give it. A branch
//! that lets everything through proves for each program that there was something to be found.
#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "tests")]

mod finding;
mod log;
mod program;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use opik_core::exporter::ExportErrorKind;
use opik_core::wire::{List, WireBatch, WireExporter};
use opik_core::{Batch, ExportError, ExportReport, Exporter, Secret, SpanType};
use opik_observe::spool::{Durability, Spool, SpoolOptions, inspect};
use opik_observe::{
    Branch, Field, Kinds, Policy, PromptHash, Recorder, RecorderBuilder, StartRows,
};
use opik_testkit::{RecordingExporter, WireStore};
use proptest::prelude::*;
use proptest::sample::select;

use finding::Pieces;
use program::{Call, Printed, programs, run};

/// Long enough for any machine; reached only by a test that fails.
const LONG: Duration = Duration::from_secs(60);
const KEY: &str = "Kq7ZtP2xWv9LmR4sYh";

/// A server that cannot be reached, or refuses everything.
#[derive(Debug)]
struct Fails(ExportErrorKind);

#[async_trait]
impl Exporter for Fails {
    async fn export(&self, _: &Batch) -> Result<ExportReport, ExportError> {
        Err(ExportError::new(self.0, "as scripted"))
    }
    async fn flush(&self) -> Result<(), ExportError> {
        Ok(())
    }
    fn wire(&self) -> Option<&dyn WireExporter> {
        Some(self)
    }
}

#[async_trait]
impl WireExporter for Fails {
    async fn export_rows(&self, _: &WireBatch) -> Result<ExportReport, ExportError> {
        Err(ExportError::new(self.0, "as scripted"))
    }
}

/// Everything that exporters, the disk, the log and `Debug` were given.
struct Seen {
    places: Vec<(&'static str, Vec<u8>)>,
    /// What the branch that hides nothing was given.
    everything: Vec<u8>,
}

fn policies() -> impl Strategy<Value = Policy> {
    let hashes = vec![
        PromptHash::Off,
        PromptHash::V1,
        PromptHash::V2,
        PromptHash::Both,
        PromptHash::Keyed(Secret::new(KEY)),
    ];
    (select(hashes), any::<bool>()).prop_map(|(hash, changed)| {
        let policy = Policy::metadata_only()
            .allow_metadata(["job_id"])
            .prompt_hash(hash);
        if !changed {
            return policy;
        }
        // Allowing and denying again, and denying more, lets nothing more through.
        policy
            .allow(Field::Output, [SpanType::Tool])
            .deny(Field::Output, Kinds::ALL)
            .deny(Field::Tags, Kinds::TRACE)
            .deny(Field::Model, SpanType::Llm)
            .deny(Field::Name, SpanType::Tool)
    })
}

fn rows_of(store: &WireStore) -> Vec<u8> {
    let mut rows = Vec::new();
    for batch in store.batches() {
        for (id, row) in List::ALL.iter().flat_map(|list| batch.rows(*list).iter()) {
            rows.extend(id.to_string().bytes().chain([b' ']));
            rows.extend(row.iter().chain(b"\n"));
        }
        for file in &batch.attachments {
            rows.extend(file.file_name.bytes().chain(file.bytes.iter().copied()));
        }
    }
    rows
}

fn values_of(seen: &RecordingExporter, printed: &mut Printed) -> Vec<u8> {
    let mut values = Vec::new();
    for batch in seen.batches() {
        printed.debug(&batch);
        for trace in &batch.traces {
            values.extend(serde_json::to_vec(trace).unwrap());
        }
        for span in &batch.spans {
            values.extend(serde_json::to_vec(span).unwrap());
        }
        for score in &batch.scores {
            printed.debug(score);
            values.extend(serde_json::to_vec(&score.score).unwrap());
            if let opik_core::model::ScoreTarget::Thread(thread) = &score.target {
                values.extend(thread.bytes());
            }
        }
    }
    values
}

fn files_below(directory: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        all.extend(path.to_string_lossy().bytes());
        all.extend(std::fs::read(&path).unwrap());
    }
    all
}

fn builder(policy: &Policy) -> RecorderBuilder {
    Recorder::builder()
        .project("p")
        // Small enough that long texts are cut.
        .max_field_bytes(20_000)
        .export_attempts(2, Duration::from_millis(1))
        .add_branch(
            Branch::new(
                "refused",
                Arc::new(Fails(ExportErrorKind::Rejected)),
                policy.clone(),
            )
            .start_rows(StartRows::Immediately),
        )
}

fn record(calls: &[Call], policy: &Policy) -> Seen {
    let directory = tempfile::tempdir().unwrap();
    let (rows, values, all) = (WireStore::new(), RecordingExporter::new(), WireStore::new());
    let unreachable = Arc::new(Fails(ExportErrorKind::Unavailable));
    let options = SpoolOptions::new().durability(Durability::WriteAhead);
    let spool = Arc::new(Spool::open(directory.path(), unreachable, options).unwrap());
    let mut printed = Printed::default();
    printed.debug(policy);

    let live = Branch::new("rows", Arc::new(rows.clone()), policy.clone())
        .start_rows(StartRows::Immediately);
    printed.debug(&live);
    let builder = builder(policy)
        .add_branch(live)
        .branch("values", Arc::new(values.clone()), policy.clone())
        .branch("spool", Arc::<Spool>::clone(&spool), policy.clone())
        .branch("all", Arc::new(all.clone()), Policy::full_content());
    printed.debug(&builder);
    let (recorder, guard) = builder.start().unwrap();
    run(&recorder, calls, &mut printed);
    printed.debug(&(&recorder, &guard, recorder.statistics()));
    let report = guard.shutdown(LONG);
    printed.debug(&report);
    for branch in &report.statistics.branches {
        branch
            .losses()
            .for_each(|(reason, _)| printed.display(&reason));
    }
    for batch in rows.batches() {
        printed.debug(&batch);
    }
    printed.debug(&(
        &spool,
        spool.statistics(),
        inspect(directory.path()).unwrap(),
    ));
    let twice = Recorder::builder()
        .branch("b", Arc::new(rows.clone()), policy.clone())
        .branch("b", Arc::new(rows.clone()), policy.clone())
        .start()
        .unwrap_err();
    printed.display(&twice);
    printed.debug(&twice);

    if report.statistics.recorded > 0 {
        // Said by a thread of its own, at the end.
        log::wait_for("records were lost", LONG);
    }
    let on_disk = files_below(directory.path());
    drop(spool);
    let values = values_of(&values, &mut printed);
    let row_bytes = rows_of(&rows);
    // Whoever looks for nothing finds nothing.
    assert!(calls.is_empty() || report.statistics.recorded == 0 || !row_bytes.is_empty());
    Seen {
        places: vec![
            ("rows", row_bytes),
            ("values", values),
            ("spool", on_disk),
            ("log", log::take().into_bytes()),
            ("Debug and Display", printed.0.into_bytes()),
        ],
        everything: rows_of(&all),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_a_program_gives_passes_the_default_policy(
        calls in programs(), policy in policies(),
    ) {
        log::capture();
        let mut pieces = Pieces::default();
        for secret in calls.iter().flat_map(Call::secrets).chain([KEY]) {
            pieces.add(secret);
        }
        let seen = record(&calls, &policy);
        for (place, text) in &seen.places {
            let found = pieces.find(text);
            prop_assert!(found.is_none(), "in {place}: {}", found.unwrap_or_default());
        }
        let begun = calls.iter().any(|call| matches!(call, Call::Trace(_)));
        prop_assert_eq!(begun && pieces.find(&seen.everything).is_none(), false);
        prop_assert!(!begun || seen.places.iter().all(|(_, text)| !text.is_empty()));
    }
}
