//! Several processes on one file, and processes that are killed at any moment.
//!
//! The children are this test binary, told to run one ignored test in a directory of its own.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod support;

use std::io::{BufRead, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use opik_core::{Batch, Exporter, Timestamp, Trace, TraceId, TraceSource};
use opik_store::{Store, StoreOptions};
use opik_testkit::records;
use support::block_on;

fn spawn(dir: &Path, role: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", role])
        .current_dir(dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn next_batch(number: u32) -> Batch {
    let id = TraceId::generate();
    let mut trace = Trace::new(id, Timestamp::now());
    trace.name = Some("child".to_owned());
    let spans = (0..1 + number % 20)
        .map(|span| {
            let mut span = records::full_span(number, span);
            span.trace_id = id;
            span
        })
        .collect();
    Batch::new(vec![trace], spans)
}

/// Writes batches and prints the identifier of each trace after it was acknowledged.
fn write_batches(count: u32) {
    let store = Store::open("store.db", StoreOptions::new()).unwrap();
    for number in 0..count {
        let batch = next_batch(number);
        block_on(store.export(&batch)).unwrap();
        let line = format!(
            "acknowledged {} {}\n",
            batch.traces[0].id,
            batch.spans.len()
        );
        let mut out = std::io::stdout().lock();
        out.write_all(line.as_bytes()).unwrap();
        out.flush().unwrap();
    }
}

#[test]
#[ignore = "a child process of the other tests"]
fn child_that_writes_for_ever() {
    write_batches(u32::MAX);
}

#[test]
#[ignore = "a child process of the other tests"]
fn child_that_writes_fifty_batches() {
    write_batches(50);
    println!("done");
}

type Acknowledged = Vec<(TraceId, u64)>;

fn parse(line: &str) -> Option<(TraceId, u64)> {
    // The harness may print on the same line.
    let (_, rest) = line.split_once("acknowledged ")?;
    let (id, spans) = rest.split_once(' ')?;
    Some((id.parse().unwrap(), spans.trim().parse().unwrap()))
}

fn assert_all_there(store: &Store, acknowledged: &Acknowledged) {
    for (id, spans) in acknowledged {
        let trace = block_on(store.trace(*id)).unwrap();
        let found = trace.map(|trace| trace.span_count);
        assert_eq!(found, Some(Some(*spans)), "{id} was acknowledged");
    }
    assert_eq!(store.check().unwrap(), Vec::<String>::new());
}

#[test]
fn a_killed_process_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Acknowledged::new();
    for round in 0..12 {
        let mut child = spawn(dir.path(), "child_that_writes_for_ever");
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // A different moment in every round: after more and more batches, in the middle of one.
        let mut wanted = 1 + round * 7;
        while wanted > 0 {
            let line = lines.next().unwrap().unwrap();
            if let Some(batch) = parse(&line) {
                acknowledged.push(batch);
                wanted -= 1;
            }
        }
        child.kill().unwrap();
        // What it still said before it died counts, except a line that was cut.
        let rest: Vec<String> = lines.map_while(Result::ok).collect();
        let whole = rest.len().saturating_sub(1);
        acknowledged.extend(rest.iter().take(whole).filter_map(|line| parse(line)));
        child.wait().unwrap();
        let store = Store::open(dir.path().join("store.db"), StoreOptions::new()).unwrap();
        assert_all_there(&store, &acknowledged);
    }
    assert!(acknowledged.len() > 400);
}

#[test]
fn several_processes_write_and_read_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let children: Vec<Child> = (0..4)
        .map(|_| spawn(dir.path(), "child_that_writes_fifty_batches"))
        .collect();
    let mut acknowledged = Acknowledged::new();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains("done"), "{text}");
        acknowledged.extend(text.lines().filter_map(parse));
    }
    assert_eq!(acknowledged.len(), 200);
    let store = Store::open(dir.path().join("store.db"), StoreOptions::new()).unwrap();
    assert_all_there(&store, &acknowledged);
    let stats = store.stats().unwrap();
    assert_eq!(stats.traces, 200);
    assert_eq!(
        stats.spans,
        acknowledged.iter().map(|batch| batch.1).sum::<u64>()
    );
    assert_eq!(stats.projects, 2);
}
