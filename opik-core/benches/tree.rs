//! Time to build the tree of a large trace, beside the time to sort the same spans by start: what
//! anyone has to do at least. `cargo bench -p opik-core --bench tree`.

use std::hint::black_box;
use std::io::Write as _;
use std::time::{Duration, Instant};

use opik_core::{Span, SpanId, Timestamp, Trace, TraceId, TraceTree};

const BEGIN: i64 = 1_767_225_600_000_000;

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(BEGIN + micros)
}

fn id(number: u64) -> SpanId {
    SpanId::from_parts(at(0), number << 2)
}

/// A shape says parent, start and end of a span by its number; the parent `u64::MAX` is missing.
type Shape = (&'static str, fn(u64) -> (Option<u64>, i64, i64));

const MISSING: Option<u64> = Some(1 << 40);

const SHAPES: [Shape; 6] = [
    ("tree of 8 children each", |n| {
        let start = i64::try_from(n).unwrap_or(0);
        (n.checked_sub(1).map(|n| n / 8), start, 1_000_000 - start)
    }),
    ("chain of 10,000, ten times", |n| {
        let start = i64::try_from(n % 10_000).unwrap_or(0);
        ((n % 10_000 > 0).then(|| n - 1), start, 1_000_000 - start)
    }),
    ("all orphans, nested", |n| {
        let start = i64::try_from(n).unwrap_or(0);
        (MISSING, start, 1_000_000 - start)
    }),
    ("all orphans, one moment", |_| (MISSING, 5, 9)),
    ("orphans of their own children", |n| {
        if n % 1_000 == 0 {
            (MISSING, 500, 600)
        } else {
            (Some(n - n % 1_000), 400, 700)
        }
    }),
    ("one cycle", |n| (Some((n + 1) % 100_000), 0, 1_000_000)),
];

fn spans(shape: &Shape, count: u64) -> Vec<Span> {
    let trace = TraceId::from_parts(at(0), 4);
    let mut spans: Vec<Span> = (0..count)
        .map(|number| {
            let (parent, start, end) = shape.1(number);
            let mut span = Span::new(id(number), trace, at(start));
            span.parent_span_id = parent.map(id);
            span.end_time = Some(at(end));
            span.name = Some("step".to_owned());
            span
        })
        .collect();
    // In an order that says nothing: by a multiplicative hash of the number.
    spans.sort_by_key(|span| {
        let bytes = span.id.as_bytes();
        bytes.iter().fold(7u64, |hash, &byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
        })
    });
    spans
}

fn best_of<T>(times: usize, mut prepare: impl FnMut() -> T, run: impl Fn(T)) -> Duration {
    let measured = (0..times).map(|_| {
        let input = prepare();
        let begin = Instant::now();
        run(input);
        begin.elapsed()
    });
    measured.min().unwrap_or_default()
}

fn main() -> std::io::Result<()> {
    // `cargo test --benches` only has to see that it works.
    let quick = !std::env::args().any(|argument| argument == "--bench");
    let count = if quick { 1_000 } else { 100_000 };
    let times = if quick { 1 } else { 5 };
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{:32} {:>10} {:>10} {:>7}",
        format!("{count} spans"),
        "build ms",
        "sort ms",
        "ratio"
    )?;
    for shape in SHAPES {
        let spans = spans(&shape, count);
        let trace = Trace::new(TraceId::from_parts(at(0), 4), at(0));
        let build = best_of(
            times,
            || spans.clone(),
            |spans| {
                black_box(TraceTree::build(trace.clone(), spans));
            },
        );
        let sort = best_of(
            times,
            || spans.clone(),
            |mut spans| {
                spans.sort_by_key(|span| (span.start_time, span.id));
                black_box(spans);
            },
        );
        let (build, sort) = (build.as_secs_f64() * 1e3, sort.as_secs_f64() * 1e3);
        writeln!(
            out,
            "{:32} {build:>10.1} {sort:>10.1} {:>7.1}",
            shape.0,
            build / sort.max(1e-9)
        )?;
    }
    Ok(())
}
