//! What recording costs its caller, beside fastrace in the same run:
//! `cargo run --release --manifest-path opik-observe/bench/Cargo.toml`.
//!
//! A trace is a root and nine children, every child with six attributes: two fixed texts, two whole
//! numbers, one other number and a text of 200 bytes that is copied. Twenty traces come back to
//! back, then a pause of 200 us. Rounds of all competitors alternate; figures are nanoseconds per
//! span on the caller's thread.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrace::collector::{Config, Reporter, SpanRecord};
use fastrace::prelude::{LocalSpan, Span, SpanContext};
use opik_core::{Batch, ExportError, ExportReport, Exporter, SpanType};
use opik_observe::{Policy, Recorder};

const SPANS: u32 = 10;
const TRACES: usize = 20;
const ROUNDS: usize = 7;
const BURSTS: usize = 300;

#[derive(Debug)]
struct Nothing;

#[async_trait::async_trait]
impl Exporter for Nothing {
    async fn export(&self, batch: &Batch) -> Result<ExportReport, ExportError> {
        Ok(ExportReport::accepted(batch.len()))
    }
    async fn flush(&self) -> Result<(), ExportError> {
        Ok(())
    }
}

impl Reporter for Nothing {
    fn report(&mut self, spans: Vec<SpanRecord>) {
        black_box(spans.len());
    }
}

fn opik(recorder: &Recorder, text: &str) {
    let trace = recorder.trace("bench");
    for number in 1..SPANS {
        let mut span = trace.span("step", SpanType::Tool);
        span.metadata("service", "shop")
            .metadata("region", "eu-west-1");
        span.metadata("attempt", number).metadata("rows", 4_096);
        span.metadata("score", 0.5)
            .metadata("text", black_box(text));
    }
}

fn properties(number: u32, text: &str) -> [(&'static str, String); 4] {
    [
        ("attempt", number.to_string()),
        ("rows", 4_096.to_string()),
        ("score", 0.5.to_string()),
        ("text", black_box(text).to_owned()),
    ]
}

const FIXED: [(&str, &str); 2] = [("service", "shop"), ("region", "eu-west-1")];

fn fastrace_local(text: &str) {
    let root = Span::root("bench", SpanContext::random());
    let _entered = root.set_local_parent();
    for number in 1..SPANS {
        let _span = LocalSpan::enter_with_local_parent("step")
            .with_properties(|| FIXED)
            .with_properties(|| properties(number, text));
    }
}

fn fastrace_span(text: &str) {
    let root = Span::root("bench", SpanContext::random());
    for number in 1..SPANS {
        let _span = Span::enter_with_parent("step", &root)
            .with_properties(|| FIXED)
            .with_properties(|| properties(number, text));
    }
}

fn round(samples: &mut Vec<f64>, one_trace: impl Fn()) {
    for _ in 0..BURSTS {
        for _ in 0..TRACES {
            let began = Instant::now();
            one_trace();
            samples.push(began.elapsed().as_secs_f64() * 1e9 / f64::from(SPANS));
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn main() {
    let text = "x".repeat(200);
    fastrace::set_reporter(Nothing, Config::default());
    let (recorder, _guard) = Recorder::builder()
        .branch("bench", Arc::new(Nothing), Policy::default())
        .start()
        .expect("threads");
    let disabled = Recorder::disabled();
    let competitors: [(&str, &dyn Fn()); 4] = [
        ("opik-observe", &|| opik(&recorder, &text)),
        ("opik-observe, disabled", &|| opik(&disabled, &text)),
        ("fastrace, Span", &|| fastrace_span(&text)),
        ("fastrace, LocalSpan", &|| fastrace_local(&text)),
    ];
    let mut samples: [Vec<f64>; 4] = Default::default();
    for _ in 0..ROUNDS {
        for ((_, one_trace), samples) in competitors.iter().zip(&mut samples) {
            round(samples, one_trace);
        }
    }
    let mut first = 0.0;
    for ((name, _), mut samples) in competitors.iter().zip(samples) {
        samples.sort_unstable_by(f64::total_cmp);
        let at = |share: usize| samples[samples.len() * share / 100];
        let mean = samples.iter().sum::<f64>() / samples.len() as f64;
        if first == 0.0 {
            first = at(50);
        }
        println!(
            "{name:<24} p50 {:>7.1}  mean {mean:>7.1}  p99 {:>8.1}  ns per span; opik-observe is {:.2}x",
            at(50),
            at(99),
            first / at(50)
        );
    }
    let statistics = recorder.statistics();
    let lost: u64 = statistics
        .branches
        .iter()
        .map(|branch| branch.dropped())
        .sum();
    println!(
        "opik-observe recorded {} and lost {lost}",
        statistics.recorded
    );
}
