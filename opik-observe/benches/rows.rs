//! What a branch's thread costs per span, from the raw record to what an exporter gets: `cargo bench
//! -p opik-observe --bench rows`.
//!
//! Spans of model calls with a prompt, a reply and some metadata, about a kilobyte each, wait in the
//! branch's queue while its first export hangs. Then it is released, and the CPU time of the branch's
//! thread until it is done (the wall clock where the system does not tell) is divided by the spans.
//! The peer is the way over values: records of opik-core, which a client then encodes with serde.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program that prints its figures"
)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use opik_core::wire::{WireBatch, WireExporter};
use opik_core::{Batch, ExportError, ExportReport, Exporter, SpanType, Timestamp, Usage};
use opik_observe::{Branch, Policy, PromptHash, Recorder, StartRows};
use serde_json::json;

/// Blocks in its first export, then takes everything; values are encoded as a client would.
#[derive(Debug)]
struct Sink {
    rows: bool,
    entered: Arc<Latch>,
    open: Arc<Latch>,
    bytes: AtomicUsize,
    records: AtomicUsize,
}

#[derive(Debug, Default)]
struct Latch {
    is_set: Mutex<bool>,
    changed: Condvar,
}

impl Latch {
    fn set(&self) {
        *self.is_set.lock().unwrap() = true;
        self.changed.notify_all();
    }

    fn wait(&self) {
        let is_set = self.is_set.lock().unwrap();
        drop(self.changed.wait_while(is_set, |is_set| !*is_set).unwrap());
    }
}

impl Sink {
    fn take(&self, rows: &WireBatch) -> ExportReport {
        self.bytes.fetch_add(rows.bytes(), Ordering::Relaxed);
        self.records.fetch_add(rows.len(), Ordering::Relaxed);
        ExportReport::accepted(rows.len())
    }

    fn hang(&self) {
        self.entered.set();
        self.open.wait();
    }
}

#[async_trait]
impl Exporter for Sink {
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        self.hang();
        let mut rows = WireBatch::default();
        let now = Timestamp::EPOCH;
        for trace in &batch.traces {
            rows.push_trace(trace, None, now).ok();
        }
        for span in &batch.spans {
            rows.push_span(span, None, now).ok();
        }
        Ok(self.take(&rows))
    }
    async fn flush(&self) -> Result<(), ExportError> {
        Ok(())
    }
    fn wire(&self) -> Option<&dyn WireExporter> {
        self.rows.then_some(self)
    }
}

#[async_trait]
impl WireExporter for Sink {
    async fn export_rows(&self, batch: &WireBatch) -> Result<ExportReport, ExportError> {
        self.hang();
        Ok(self.take(batch))
    }
}

/// CPU time of the branch's thread, where the system tells.
fn cpu_of_branch() -> Option<Duration> {
    let tasks = std::fs::read_dir("/proc/self/task").ok()?;
    let mut newest = None;
    for task in tasks.flatten() {
        let comm = std::fs::read_to_string(task.path().join("comm")).ok()?;
        if comm.trim() == "opik-bench" {
            let spent = std::fs::read_to_string(task.path().join("schedstat")).ok()?;
            let nanos = spent.split_whitespace().next()?.parse().ok()?;
            newest = Some(Duration::from_nanos(nanos));
        }
    }
    newest
}

/// Microseconds per span, and bytes per span.
fn round(rows: bool, policy: &Policy, start_rows: StartRows, spans: u32) -> (f64, usize) {
    let (entered, open) = <(Arc<Latch>, Arc<Latch>)>::default();
    let sink = Arc::new(Sink {
        rows,
        entered: Arc::clone(&entered),
        open: Arc::clone(&open),
        bytes: AtomicUsize::new(0),
        records: AtomicUsize::new(0),
    });
    let exporter: Arc<dyn Exporter> = Arc::<Sink>::clone(&sink);
    let branch = Branch::new("bench", exporter, policy.clone()).start_rows(start_rows);
    let (recorder, guard) = Recorder::builder()
        .add_branch(branch)
        .project("checkout")
        .max_pending_records(1 << 20)
        .max_pending_bytes(1 << 30)
        .batch_delay(Duration::ZERO)
        .export_timeout(Duration::from_secs(60))
        .start()
        .unwrap();
    recorder.trace("first").end();
    entered.wait();

    let prompt = "You are the assistant of a shop. Answer shortly, name the order, and say \"sorry\" \
                  when it is late.\nIf you do not know, say so; do not make anything up. ";
    let question = "Where is my parcel with the blue teapot and the two cups that I ordered on \
                    Tuesday? The page says \"on its way\" since then, and nobody answers. ";
    let input = json!({"messages": [{"role": "system", "content": prompt},
                                    {"role": "user", "content": question}], "temperature": 0.2});
    let output = json!({"role": "assistant", "content": "It left the warehouse today, sorry for \
                        the delay, and it will be with you by tomorrow evening at the latest."});
    for _ in 0..spans / 100 {
        let trace = recorder.trace("answer");
        for _ in 0..100 {
            let mut span = trace.span("chat", SpanType::Llm);
            span.model("gpt-5-mini", "openai")
                .usage(&Usage::of_tokens(120, 34));
            span.input(&input).output(&output);
            span.metadata("attempt", 1)
                .metadata("expert", "shipping")
                .cost(0.00012);
        }
        // Let the collector keep up, so that all of it waits at the branch.
        std::thread::sleep(Duration::from_micros(500));
    }
    std::thread::sleep(Duration::from_millis(100));
    let (began, before) = (Instant::now(), cpu_of_branch());
    open.set();
    assert!(
        recorder.flush(Duration::from_secs(60)).complete,
        "it takes too long"
    );
    let wall = began.elapsed();
    let spent = before.and_then(|before| cpu_of_branch()?.checked_sub(before));
    let statistics = guard.shutdown(Duration::from_secs(10)).statistics;
    assert_eq!(
        statistics
            .branches
            .iter()
            .map(|branch| branch.dropped())
            .sum::<u64>(),
        0
    );
    let records = sink.records.load(Ordering::Relaxed).max(1);
    let micros = spent.unwrap_or(wall).as_secs_f64() * 1e6 / f64::from(spans);
    (micros, sink.bytes.load(Ordering::Relaxed) / records)
}

fn main() {
    // `cargo test` runs this as well; a look at it is enough there.
    let bench = std::env::args().any(|word| word == "--bench");
    let (rounds, spans) = if bench { (7, 20_000) } else { (1, 200) };
    let full = Policy::full_content().prompt_hash(PromptHash::Off);
    let cases = [
        ("everything", full.clone(), StartRows::Off),
        (
            "everything, start rows",
            full,
            StartRows::After(Duration::from_secs(1)),
        ),
        (
            "everything, prompt hash",
            Policy::full_content(),
            StartRows::Off,
        ),
        (
            "metadata only",
            Policy::metadata_only().prompt_hash(PromptHash::Off),
            StartRows::Off,
        ),
        (
            "metadata only, prompt hash",
            Policy::metadata_only(),
            StartRows::Off,
        ),
    ];
    println!(
        "{:<28} {:>12} {:>12} {:>7} {:>10}",
        "policy", "rows us", "values us", "ratio", "B/record"
    );
    for (name, policy, start_rows) in cases {
        let (mut rows, mut values) = (Vec::new(), Vec::new());
        let mut bytes = 0;
        for _ in 0..rounds {
            let (micros, size) = round(true, &policy, start_rows, spans);
            (bytes, _) = (size, rows.push(micros));
            values.push(round(false, &policy, start_rows, spans).0);
        }
        let median = |samples: &mut Vec<f64>| {
            samples.sort_unstable_by(f64::total_cmp);
            samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
        };
        let (rows, values) = (median(&mut rows), median(&mut values));
        println!(
            "{name:<28} {rows:>12.2} {values:>12.2} {:>7.2} {bytes:>10}",
            rows / values
        );
    }
}
