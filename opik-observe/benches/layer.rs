//! What `OpikLayer` costs its caller: `cargo bench -p opik-observe --features tracing-layer --bench layer`.
//!
//! One operation is a tracing span with six fields, one of them a text of 200 bytes, below a root;
//! traces have ten spans. The peers of the same run: the registry of `tracing-subscriber` without
//! any layer, which the layer cannot go below, and the same spans by the recorder's own guards.
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
use opik_observe::layer::OpikLayer;
use opik_observe::{Policy, Recorder};
use tracing::info_span;
use tracing_subscriber::layer::SubscriberExt as _;

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

fn tracing_spans(text: &str) {
    let _root = info_span!("bench").entered();
    for _ in 1..SPANS {
        let span = info_span!(
            "step",
            service = "shop",
            region = "eu-west-1",
            attempt = 1,
            rows = 4_096,
            score = 0.5,
            text = black_box(text),
        );
        drop(span.entered());
    }
}

fn own_spans(recorder: &Recorder, text: &str) {
    let root = recorder.trace("bench");
    for _ in 1..SPANS {
        let mut span = root.span("step", SpanType::General);
        span.metadata("service", "shop")
            .metadata("region", "eu-west-1");
        span.metadata("attempt", 1).metadata("rows", 4_096);
        span.metadata("score", 0.5)
            .metadata("text", black_box(text));
    }
}

/// The median of nanoseconds per span.
fn median(rounds: usize, mut one_trace: impl FnMut()) -> f64 {
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
    samples.get(samples.len() / 2).copied().unwrap()
}

fn main() {
    // `cargo test` only looks whether it runs.
    let rounds = if std::env::args().any(|argument| argument == "--bench") {
        2_000
    } else {
        2
    };
    let text = "x".repeat(200);
    let (recorder, guard) = Recorder::builder()
        .branch("b", Arc::new(Nothing), Policy::default())
        .drop_timeout(Duration::ZERO)
        .start()
        .unwrap();

    let bare = tracing::subscriber::with_default(tracing_subscriber::registry(), || {
        median(rounds, || tracing_spans(&text))
    });
    let own = median(rounds, || own_spans(&recorder, &text));
    let subscriber = tracing_subscriber::registry().with(OpikLayer::new(recorder));
    let layer =
        tracing::subscriber::with_default(subscriber, || median(rounds, || tracing_spans(&text)));
    println!("registry without a layer   p50 {bare:>8.1} ns per span");
    println!("the recorder's own guards  p50 {own:>8.1} ns per span");
    println!("registry with OpikLayer    p50 {layer:>8.1} ns per span");
    println!(
        "the layer adds {:.1} ns, {:.2}x of a registry without one and {:.2}x of a guard",
        layer - bare,
        (layer - bare) / bare,
        (layer - bare) / own
    );
    drop(guard);
}
