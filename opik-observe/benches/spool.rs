//! What the spool costs: `cargo bench -p opik-observe --bench spool`.
//!
//! Throughput: batches of rows of about 1.27 KB are appended and synced one by one, by the spool and
//! to a raw file that gets the same bytes, batch by batch in turns. Caller: a child span with six attributes, in
//! bursts, into a recorder whose branch exports to nothing, with a spool that writes ahead between
//! them and without, in turns. Every figure is the median of the rounds.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a program that prints its figures"
)]

use std::fs::OpenOptions;
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use opik_core::wire::{List, RowId, WireBatch, WireExporter};
use opik_core::{Batch, ExportError, ExportReport, Exporter, SpanId, SpanType, Timestamp};
use opik_observe::spool::{Durability, Spool, SpoolOptions};
use opik_observe::{Policy, Recorder};

/// Accepts everything and keeps nothing, or never answers.
#[derive(Debug)]
struct Nothing {
    answers: bool,
}

#[async_trait]
impl Exporter for Nothing {
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        Ok(ExportReport::accepted(batch.len()))
    }
    async fn flush(&self) -> Result<(), ExportError> {
        Ok(())
    }
    fn wire(&self) -> Option<&dyn WireExporter> {
        Some(self)
    }
}

#[async_trait]
impl WireExporter for Nothing {
    async fn export_rows(&self, batch: &WireBatch) -> Result<ExportReport, ExportError> {
        if !self.answers {
            std::future::pending::<()>().await;
        }
        Ok(ExportReport::accepted(batch.len()))
    }
}

fn spool(directory: &Path, answers: bool) -> Spool {
    let options = SpoolOptions::new()
        .durability(Durability::WriteAhead)
        .max_bytes(8 << 30);
    Spool::open(directory, Arc::new(Nothing { answers }), options).unwrap()
}

fn rows(count: usize) -> WireBatch {
    let mut batch = WireBatch::default();
    let filling = "the quick brown fox jumps over the lazy dog ".repeat(26);
    for number in 0..count {
        let row = format!(
            "{{\"id\":\"{}\",\"n\":{number},\"input\":\"{filling}\"}}",
            SpanId::generate()
        );
        let id = RowId::Span(SpanId::generate_at(Timestamp::now()));
        batch.rows_mut(List::Spans).push(id, row.as_bytes());
    }
    batch
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Seconds per batch, appended and synced in turns: by the spool and to a raw file.
fn one_round(batch: &WireBatch, batches: usize) -> [f64; 2] {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let spool = spool(directory.path(), false);
    runtime.block_on(spool.export_rows(batch)).unwrap();
    let frame = usize::try_from(spool.statistics().pending_bytes).unwrap();
    let text = vec![b'x'; frame];
    let mut options = OpenOptions::new();
    let path = directory.path().join("raw");
    let mut raw = options.append(true).create(true).open(path).unwrap();
    let mut seconds = [0.0, 0.0];
    for _ in 0..batches {
        let began = Instant::now();
        runtime.block_on(spool.export_rows(batch)).unwrap();
        seconds[0] += began.elapsed().as_secs_f64();
        let began = Instant::now();
        raw.write_all(black_box(&text)).unwrap();
        raw.sync_data().unwrap();
        seconds[1] += began.elapsed().as_secs_f64();
    }
    let count = f64::from(u32::try_from(batches).unwrap());
    seconds.map(|seconds| seconds / count)
}

/// Nanoseconds per span on the caller's thread: p50 and p99 of traces.
fn caller(exporter: Arc<dyn Exporter>, bursts: usize) -> [f64; 2] {
    let (recorder, guard) = Recorder::builder()
        .branch("b", exporter, Policy::full_content())
        .drop_timeout(Duration::ZERO)
        .start()
        .unwrap();
    let text = "x".repeat(200);
    let mut samples = Vec::with_capacity(bursts * 20);
    for _ in 0..bursts {
        for _ in 0..20 {
            let began = Instant::now();
            let trace = recorder.trace("bench");
            for _ in 1..10 {
                let mut span = trace.span("step", SpanType::Tool);
                span.metadata("service", "shop")
                    .metadata("region", "eu-west-1");
                span.metadata("attempt", 1).metadata("rows", 4_096);
                span.metadata("score", 0.5)
                    .metadata("text", black_box(text.as_str()));
            }
            drop(trace);
            samples.push(began.elapsed().as_secs_f64() * 1e8);
        }
        // As a busy service: about 20,000 spans a second, which one disk takes.
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(guard);
    samples.sort_unstable_by(f64::total_cmp);
    let at = |share: usize| samples[(samples.len() - 1) * share / 100];
    [at(50), at(99)]
}

fn main() {
    // `cargo test` runs this as well; a look at it is enough there.
    let is_bench = std::env::args().any(|word| word == "--bench");
    let rounds = if is_bench { 9 } else { 1 };
    for (count, batches) in [(50, 400), (1_000, 60)] {
        let batch = rows(count);
        let batches = if is_bench { batches } else { 2 };
        let times: Vec<[f64; 2]> = (0..rounds).map(|_| one_round(&batch, batches)).collect();
        let [spool, raw] = [0, 1].map(|of| median(times.iter().map(|round| round[of]).collect()));
        let ratio = median(times.iter().map(|[spool, raw]| raw / spool).collect());
        let rows = f64::from(u32::try_from(count).unwrap());
        println!(
            "append and sync, {count:>4} rows   spool {:>8.0} rows/s   raw file {:>8.0} rows/s   ratio {ratio:.2}",
            rows / spool,
            rows / raw
        );
    }
    let bursts = if is_bench { 60 } else { 1 };
    let mut pairs = Vec::new();
    for _ in 0..rounds {
        let without = caller(Arc::new(Nothing { answers: true }), bursts);
        let directory = tempfile::tempdir().unwrap();
        let with = caller(Arc::new(spool(directory.path(), true)), bursts);
        pairs.push((without, with));
    }
    for (index, name) in ["p50", "p99"].into_iter().enumerate() {
        let without = median(pairs.iter().map(|(without, _)| without[index]).collect());
        let with = median(pairs.iter().map(|(_, with)| with[index]).collect());
        let ratio = median(pairs.iter().map(|(a, b)| b[index] / a[index]).collect());
        println!(
            "caller, {name}   without a spool {without:>6.0} ns   with {with:>6.0} ns per span   ratio {ratio:.2}"
        );
    }
}
