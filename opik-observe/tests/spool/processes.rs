//! Processes that are killed, that end without a word, and that share a directory.
//!
//! The children are this test binary, told to run one ignored test in a directory of its own.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use async_trait::async_trait;
use opik_core::exporter::ExportErrorKind;
use opik_core::wire::{List, WireBatch, WireExporter};
use opik_core::{Batch, ExportError, ExportReport, Exporter};
use opik_observe::spool::{Durability, Spool, SpoolOptions, inspect};
use opik_observe::{Policy, Recorder};

use super::server::{Mood, Server, rows};
use super::{LONG, block_on, quick, replay, replay_with};

const DOWN: Mood = Mood::Fails(ExportErrorKind::Unavailable);

pub(super) fn child(directory: &Path, role: &str) -> Command {
    child_of(&std::env::current_exe().unwrap(), directory, role)
}

/// The same, run from a copy of these tests.
pub(super) fn child_of(program: &Path, directory: &Path, role: &str) -> Command {
    let mut command = Command::new(program);
    command
        .args(["--ignored", "--exact", "--nocapture", role])
        .current_dir(directory)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    command
}

/// Prints one line at once, so that it outlives the process.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// A server that says what arrives, and is down every other moment.
#[derive(Debug, Default)]
struct Outside(std::sync::atomic::AtomicUsize);

#[async_trait]
impl WireExporter for Outside {
    async fn export_rows(&self, batch: &WireBatch) -> Result<ExportReport, ExportError> {
        let calls = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if calls % 4 < 2 {
            return Err(ExportError::new(ExportErrorKind::Unavailable, "down"));
        }
        for (_, row) in batch.rows(List::Traces).iter() {
            let row: serde_json::Value = serde_json::from_slice(row).unwrap();
            say(&format!("arrived {}", row["name"].as_str().unwrap()));
        }
        Ok(ExportReport::accepted(batch.len()))
    }
}

#[async_trait]
impl Exporter for Outside {
    async fn export(&self, _: &Batch) -> Result<ExportReport, ExportError> {
        Err(ExportError::new(ExportErrorKind::Internal, "rows only"))
    }
    async fn flush(&self) -> Result<(), ExportError> {
        Ok(())
    }
}

/// Exports one batch after another and says which rows were accepted.
fn write_for_ever(inner: Arc<dyn WireExporter>, durability: Durability) {
    let first = 1_000_000 * u64::from(std::process::id());
    // Small segments, so that death meets new ones and removals too.
    let options = quick(durability).segment_bytes(4_000);
    let spool = Spool::open("spool", inner, options).unwrap();
    for batch in 0.. {
        let start = first + batch * 5;
        if block_on(spool.export_rows(&rows(start..start + 5))).is_ok() {
            say(&format!("accepted {start}"));
        } else {
            say(&format!("failed {start}"));
        }
    }
}

#[test]
#[ignore = "a child process of the other tests"]
fn child_with_write_ahead() {
    write_for_ever(Arc::new(Outside::default()), Durability::WriteAhead);
}

#[test]
#[ignore = "a child process of the other tests"]
fn child_with_spool_on_failure() {
    write_for_ever(Arc::new(Outside::default()), Durability::SpoolOnFailure);
}

#[test]
#[ignore = "a child process of the other tests"]
fn child_with_memory() {
    write_for_ever(Arc::new(Server::new(DOWN)), Durability::Memory);
}

/// What a child said before it was killed.
#[derive(Default)]
struct Said {
    accepted: BTreeSet<u64>,
    arrived: BTreeSet<u64>,
    failed: usize,
}

impl Said {
    fn note(&mut self, line: &str) {
        if let Some(start) = line.strip_prefix("accepted ") {
            let start: u64 = start.parse().unwrap();
            self.accepted.extend(start..start + 5);
        } else if let Some(row) = line.strip_prefix("arrived ") {
            self.arrived.insert(row.parse().unwrap());
        } else if line.starts_with("failed ") {
            self.failed += 1;
        }
    }
}

/// Kills a child after so many lines and returns all that it said, but a line that was cut.
fn kill_after(mut child: Child, mut lines_wanted: usize, said: &mut Said) {
    let mut out = BufReader::new(child.stdout.take().unwrap());
    while lines_wanted > 0 {
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        lines_wanted -= usize::from(line.contains(' '));
        said.note(line.trim_end());
    }
    child.kill().unwrap();
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    let whole = rest.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().for_each(|line| said.note(line));
    child.wait().unwrap();
}

fn kill_loop(role: &str) {
    let directory = tempfile::tempdir().unwrap();
    let mut said = Said::default();
    for round in 0..12 {
        let child = child(directory.path(), role).spawn().unwrap();
        // A different moment in every round.
        kill_after(child, 1 + round * 13, &mut said);
    }
    let left = replay(&directory.path().join("spool"));
    said.arrived.extend(left);
    let missing: Vec<_> = said.accepted.difference(&said.arrived).collect();
    assert!(missing.is_empty(), "{missing:?} were accepted and are lost");
    assert!(said.accepted.len() > 500, "{}", said.accepted.len());
}

#[test]
fn write_ahead_loses_nothing_that_was_accepted_when_it_is_killed() {
    kill_loop("processes::child_with_write_ahead");
}

#[test]
fn spool_on_failure_loses_nothing_that_was_accepted_when_it_is_killed() {
    kill_loop("processes::child_with_spool_on_failure");
}

#[test]
fn memory_accepts_nothing_that_the_server_has_not_and_touches_no_file() {
    let directory = tempfile::tempdir().unwrap();
    let mut said = Said::default();
    let child = child(directory.path(), "processes::child_with_memory");
    kill_after({ child }.spawn().unwrap(), 50, &mut said);
    assert!(said.accepted.is_empty() && said.failed > 30);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

/// Writes so many batches while the server is down, and ends.
#[test]
#[ignore = "a child process of the other tests"]
fn child_that_writes_thirty_batches() {
    let first = 1_000_000 * u64::from(std::process::id());
    let options = quick(Durability::SpoolOnFailure).segment_bytes(4_000);
    let spool = Spool::open("spool", Arc::new(Server::new(DOWN)), options).unwrap();
    for batch in 0..30 {
        let start = first + batch * 5;
        block_on(spool.export_rows(&rows(start..start + 5))).unwrap();
        say(&format!("accepted {start}"));
    }
}

#[test]
fn processes_share_a_directory_and_each_record_is_the_matter_of_one() {
    let directory = tempfile::tempdir().unwrap();
    let spool = directory.path().join("spool");
    let children: Vec<Child> = (0..4)
        .map(|_| {
            let role = "processes::child_that_writes_thirty_batches";
            child(directory.path(), role).spawn().unwrap()
        })
        .collect();
    // Others look for what is over, again and again, while the four still write.
    let server = Server::new(Mood::Up);
    let open = || {
        let options = quick(Durability::SpoolOnFailure);
        Spool::open(&spool, Arc::new(server.clone()), options).unwrap()
    };
    let mut said = Said::default();
    for child in children {
        let pair = (open(), open());
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().for_each(|line| said.note(line));
        drop(pair);
    }
    let left = replay_with(&spool, 3);
    let once: BTreeSet<u64> = left.iter().copied().collect();
    assert_eq!(once.len(), left.len(), "two sent the same");
    let arrived: BTreeSet<u64> = server.rows().into_iter().chain(left).collect();
    assert_eq!(said.accepted.len(), 600);
    assert_eq!(arrived, said.accepted);
}

/// Records, and says how many traces were flushed. All times are the defaults.
fn record(mood: Mood, flush: bool) {
    let server = Arc::new(Server::new(mood));
    let spool = Spool::open("spool", server, SpoolOptions::new()).unwrap();
    let (recorder, guard) = Recorder::builder()
        .branch("opik", Arc::new(spool), Policy::full_content())
        .start()
        .unwrap();
    for number in 0..20 {
        recorder.trace(format!("{number}")).end();
    }
    if flush {
        assert!(recorder.flush(LONG).complete);
        say("accepted 0");
        for number in 20..40 {
            recorder.trace(format!("{number}")).end();
        }
        // As a crash does: no destructor runs.
        std::process::abort();
    }
    drop(guard);
}

#[test]
#[ignore = "a child process of the other tests"]
fn child_that_flushes_and_crashes() {
    record(DOWN, true);
}

#[test]
#[ignore = "a child process of the other tests"]
fn child_that_ends_without_a_flush() {
    record(DOWN, false);
}

#[test]
fn what_was_flushed_survives_a_crash_and_what_was_not_may_not() {
    let directory = tempfile::tempdir().unwrap();
    let role = "processes::child_that_flushes_and_crashes";
    let output = child(directory.path(), role).output().unwrap();
    assert!(!output.status.success());
    assert!(
        String::from_utf8(output.stdout)
            .unwrap()
            .contains("accepted 0")
    );
    let arrived = replay(&directory.path().join("spool"));
    let flushed: Vec<u64> = (0..20).collect();
    assert_eq!(arrived[..20], flushed);
    assert!(arrived.len() <= 40);
}

#[test]
#[ignore = "a child process of the other tests"]
fn child_that_ends_while_the_server_hangs() {
    record(Mood::Hangs, false);
}

#[test]
fn a_program_that_ends_without_a_flush_leaves_all_on_disk() {
    for role in [
        "processes::child_that_ends_without_a_flush",
        "processes::child_that_ends_while_the_server_hangs",
    ] {
        let directory = tempfile::tempdir().unwrap();
        let output = child(directory.path(), role).output().unwrap();
        assert!(output.status.success());
        let spool = directory.path().join("spool");
        assert_eq!(inspect(&spool).unwrap().records, 20, "{role}");
        assert_eq!(replay(&spool), (0..20).collect::<Vec<u64>>());
    }
}
