//! What recording costs its caller: `cargo bench -p opik-observe`.
//!
//! One operation is a child span with six attributes, one of them a text of 200 bytes. Traces have
//! ten spans and come twenty at a time with a pause after, as in a program that does something
//! else too; the figure is nanoseconds per span on the caller's thread. The empty loop is what the
//! measurement itself costs.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a program that prints its figures"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use opik_core::{Batch, ExportError, ExportReport, Exporter, SpanType};
use opik_observe::{Policy, Recorder, SpanGuard};
use opik_testkit::HangingExporter;

const SPANS: u32 = 10;
const TRACES: usize = 20;

/// Accepts everything and keeps nothing.
#[derive(Debug)]
struct Nothing;

#[async_trait]
impl Exporter for Nothing {
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        Ok(ExportReport::accepted(batch.len()))
    }
    async fn flush(&self) -> Result<(), ExportError> {
        Ok(())
    }
}

fn attributes(span: &mut SpanGuard, text: &str) {
    span.metadata("service", "shop")
        .metadata("region", "eu-west-1");
    span.metadata("attempt", 1).metadata("rows", 4_096);
    span.metadata("score", 0.5).metadata("text", text);
}

fn trace(recorder: &Recorder, text: &str) {
    let trace = recorder.trace("bench");
    for _ in 1..SPANS {
        let mut span = trace.span("step", SpanType::Tool);
        attributes(&mut span, black_box(text));
    }
}

/// Nanoseconds per span of bursts of traces: p50, mean, p99.
fn bursts(rounds: usize, mut one_trace: impl FnMut()) -> [f64; 3] {
    let mut samples = Vec::with_capacity(rounds * TRACES);
    for _ in 0..rounds {
        for _ in 0..TRACES {
            let began = Instant::now();
            one_trace();
            samples.push(began.elapsed().as_secs_f64() * 1e9 / f64::from(SPANS));
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    samples.sort_unstable_by(f64::total_cmp);
    let at = |share: usize| samples.get(samples.len() * share / 100).copied().unwrap();
    let mean = samples.iter().sum::<f64>() / f64::from(u32::try_from(samples.len()).unwrap());
    [at(50), mean, at(99)]
}

fn show(name: &str, [p50, mean, p99]: [f64; 3]) {
    println!("{name:<34} p50 {p50:>8.1}  mean {mean:>8.1}  p99 {p99:>8.1}  ns per span");
}

fn enabled(exporter: Arc<dyn Exporter>) -> (Recorder, opik_observe::RecorderGuard) {
    Recorder::builder()
        .branch("b", exporter, Policy::default())
        .drop_timeout(Duration::ZERO)
        .start()
        .unwrap()
}

fn main() {
    // `cargo test` runs this as well; a look at it is enough there.
    let rounds = if std::env::args().any(|word| word == "--bench") {
        2_000
    } else {
        2
    };
    let text = "x".repeat(200);
    show(
        "empty loop",
        bursts(rounds, || {
            black_box(text.as_str());
        }),
    );
    show(
        "disabled",
        bursts(rounds, || trace(&Recorder::disabled(), &text)),
    );

    let (recorder, guard) = enabled(Arc::new(Nothing));
    show("enabled", bursts(rounds, || trace(&recorder, &text)));
    let statistics = guard.shutdown(Duration::from_secs(10)).statistics;
    println!(
        "{:<34} lost {} of {}",
        "",
        statistics.branches.iter().map(|b| b.dropped()).sum::<u64>(),
        statistics.recorded
    );

    let (recorder, guard) = enabled(Arc::new(Nothing));
    let contended: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| bursts(rounds / 8 + 1, || trace(&recorder, &text))))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let mean = |index: usize| contended.iter().filter_map(|of| of.get(index)).sum::<f64>() / 8.0;
    show("enabled, 8 threads", [mean(0), mean(1), mean(2)]);
    drop(guard);

    let (recorder, guard) = enabled(Arc::new(HangingExporter::new()));
    for _ in 0..10_000 {
        trace(&recorder, &text);
    }
    show("queue full", bursts(rounds, || trace(&recorder, &text)));
    drop(guard);
}
