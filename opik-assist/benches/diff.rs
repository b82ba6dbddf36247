//! Time of a trace diff for growing traces, and its growth.
//!
//! Run it with `cargo bench -p opik-assist --bench diff`. The peer is a plain Myers diff over the
//! list of (name, input) of all spans in pre-order, which knows nothing of trees, time or
//! content; it stands for the least that a comparison has to do. `ns/span` that stays level means
//! linear growth.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a bench prints its results"
)]

use std::time::{Duration, Instant};

use opik_assist::diff::diff_traces;
use opik_core::{Json, Span, SpanId, Timestamp, Trace, TraceId, TraceTree};
use similar::{Algorithm, capture_diff_slices_deadline};

/// How the spans of a trace hang together, and what the second run does otherwise.
#[derive(Debug, Clone, Copy)]
enum Shape {
    /// Steps of nine calls each; one step in fifty has one more call, one in a hundred another
    /// input.
    Steps,
    /// One parent with all calls of one name; one call in a hundred is missing in the second run.
    Flat,
    /// One parent with all calls of one name and no input; one in a hundred is missing.
    Blank,
    /// One parent with all calls; the second run has them in another order.
    Shuffled,
    /// Each span is the only child of the one before it, at most 10,000 deep.
    Chain,
}

fn tree(shape: Shape, spans: usize, second: bool) -> TraceTree {
    let trace = TraceId::from_bytes([u8::from(second); 16]);
    let id = |at: usize| {
        let mut bytes = [u8::from(second); 16];
        bytes[..8].copy_from_slice(&(at as u64).to_be_bytes());
        SpanId::from_bytes(bytes)
    };
    let at = |micros: usize| Timestamp::from_micros(1_000_000_000 + i64::try_from(micros).unwrap());
    let mut all = Vec::with_capacity(spans);
    for index in 0..spans {
        let step = index / 10;
        let (parent, name, input) = match shape {
            _ if index == 0 => (None, "agent".to_owned(), "question".to_owned()),
            Shape::Steps if index % 10 == 1 => (Some(0), "step".to_owned(), format!("step {step}")),
            Shape::Steps => {
                let parent = if index % 10 == 0 { 0 } else { step * 10 + 1 };
                let skip = !second && step % 50 == 0 && index % 10 == 9;
                if skip {
                    continue;
                }
                let changed = second && step % 100 == 7 && index % 10 == 3;
                let input = format!(
                    "call {} of step {step}{}",
                    index % 10,
                    if changed { " again" } else { "" }
                );
                (Some(parent), format!("tool{}", index % 3), input)
            }
            Shape::Flat | Shape::Blank if second && index % 100 == 50 => continue,
            Shape::Flat => (Some(0), "call".to_owned(), format!("input {index}")),
            Shape::Blank => (Some(0), "call".to_owned(), String::new()),
            Shape::Shuffled => (Some(0), "call".to_owned(), format!("input {index}")),
            Shape::Chain if index % 10_000 == 0 => {
                (Some(0), "call".to_owned(), format!("input {index}"))
            }
            Shape::Chain => (Some(index - 1), "call".to_owned(), format!("input {index}")),
        };
        let start = match shape {
            Shape::Chain => 0,
            Shape::Shuffled if second && index > 0 => (index * 7_919) % spans,
            _ => index * 10,
        };
        let slower = usize::from(second && index % 20 == 3) * 3;
        let end = match (parent, shape) {
            (None, _) | (_, Shape::Chain) => spans * 10 + 20,
            (Some(0), Shape::Steps) if index % 10 == 1 => start + 95,
            (_, Shape::Shuffled) => start + 1,
            _ => start + 5 + slower,
        };
        let mut span = Span::new(id(index), trace, at(start));
        span.end_time = Some(at(end));
        span.parent_span_id = parent.map(id);
        span.name = Some(name);
        span.input = (!input.is_empty()).then(|| Json::string(&input));
        span.output = Some(Json::string(&format!("result of {input}")));
        all.push(span);
    }
    TraceTree::build(Trace::new(trace, at(0)), all)
}

fn fastest<T>(times: usize, mut work: impl FnMut() -> T) -> Duration {
    let run = |_| {
        let start = Instant::now();
        std::hint::black_box(work());
        start.elapsed()
    };
    (0..times).map(run).min().unwrap()
}

/// The peer: no tree, no times, no contents.
fn plain(a: &TraceTree, b: &TraceTree) -> usize {
    let keys = |tree: &TraceTree| {
        let keys = tree.nodes().map(|node| {
            let span = tree.span(node);
            let input = span.input.as_ref().map_or("", Json::as_str).to_owned();
            (span.name.clone(), input)
        });
        keys.collect::<Vec<_>>()
    };
    let deadline = Instant::now() + Duration::from_secs(5);
    capture_diff_slices_deadline(Algorithm::Myers, &keys(a), &keys(b), Some(deadline)).len()
}

fn main() {
    // `cargo test` runs benches too; one small round is enough there.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let sizes: &[usize] = if is_bench {
        &[1_000, 10_000, 100_000, 300_000]
    } else {
        &[1_000]
    };
    println!(
        "{:<9} {:>8} {:>11} {:>9} {:>11} {:>7}",
        "shape", "spans", "diff", "ns/span", "plain", "ratio"
    );
    for shape in [
        Shape::Steps,
        Shape::Flat,
        Shape::Blank,
        Shape::Shuffled,
        Shape::Chain,
    ] {
        for &spans in sizes {
            let (a, b) = (tree(shape, spans, false), tree(shape, spans, true));
            let times = (300_000 / spans).clamp(2, 10);
            let ours = fastest(times, || diff_traces(&a, &b));
            let peer = fastest(1, || plain(&a, &b));
            println!(
                "{:<9} {spans:>8} {:>8.2} ms {:>9} {:>8.2} ms {:>7.2}",
                format!("{shape:?}"),
                ours.as_secs_f64() * 1e3,
                ours.as_nanos() / spans as u128,
                peer.as_secs_f64() * 1e3,
                ours.as_secs_f64() / peer.as_secs_f64(),
            );
        }
    }
}
