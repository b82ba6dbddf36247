//! What recording costs its caller, beside opentelemetry_sdk and fastrace in the same run:
//!
//! ```text
//! cargo run --release --manifest-path opik-observe/bench/Cargo.toml --bin system
//! cargo run --release --manifest-path opik-observe/bench/Cargo.toml --bin mimalloc
//! ```
//!
//! Bursts: twenty traces back to back, then a pause of 200 us; nanoseconds per span on the caller's
//! thread. Paced: each child by itself. CPU: processor time of the whole process per span, without
//! that of the empty loop. Rounds of all competitors alternate. `opik, rows` makes finished rows
//! for an exporter that does nothing with them; `opik, discard` counts the records undecoded.

mod measure;
mod opik;
mod peers;
mod workload;

use std::time::Duration;

use measure::{Figures, mean, quantile, resident, round, saturate};
use opik::Opik;
use peers::{FastraceLocal, FastraceSpan, Otel};
use workload::{Empty, Tracer as _};

const ROUNDS: usize = 7;
const SATURATION: Duration = Duration::from_secs(10);

/// One competitor's line in the table.
struct Line {
    name: &'static str,
    one: f64,
    two: f64,
    disabled_mean: f64,
    p99: f64,
    p999: f64,
    process: f64,
}

fn verdict(met: bool) -> &'static str {
    if met { "PASS" } else { "MISS" }
}

fn goal(what: &str, value: f64, most: f64, unit: &str) {
    println!(
        "{}  {what:<58} {value:>8.2}{unit} (goal {most}{unit})",
        verdict(value <= most)
    );
}

/// Measures everything and prints tables and goals; `caller_goal` is the largest share of the
/// fastest peer's time that the caller may need.
pub fn run(allocator: &str, caller_goal: f64) {
    let text = "x".repeat(200);
    peers::start_fastrace();
    let (rows, discard, disabled) = (Opik::rows(), Opik::discard(), Opik::disabled());
    let (otel, otel_builder) = (Otel::new(false), Otel::new(true));
    let competitors: [(&str, &dyn Fn(&mut Figures)); 8] = [
        ("empty loop", &|figures| round(&Empty, &text, figures)),
        ("opik, rows", &|figures| round(&rows, &text, figures)),
        ("opik, discard", &|figures| round(&discard, &text, figures)),
        ("opik, disabled", &|figures| {
            round(&disabled, &text, figures)
        }),
        ("fastrace Span", &|figures| {
            round(&FastraceSpan, &text, figures)
        }),
        ("fastrace LocalSpan", &|figures| {
            round(&FastraceLocal, &text, figures)
        }),
        ("otel set_attribute", &|figures| {
            round(&otel, &text, figures)
        }),
        ("otel builder", &|figures| {
            round(&otel_builder, &text, figures)
        }),
    ];
    let mut figures: [Figures; 8] = Default::default();
    for _ in 0..ROUNDS {
        for ((_, measure), figures) in competitors.iter().zip(&mut figures) {
            measure(figures);
        }
    }
    println!("{allocator}; nanoseconds per span");
    println!(
        "{:<20} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9} {:>10} {:>9}",
        "", "1T p50", "mean", "p99", "2T p50", "paced p50", "p99", "p99.9", "CPU"
    );
    let mut idle = 0.0;
    let mut lines = Vec::new();
    for ((name, _), mut figures) in competitors.into_iter().zip(figures) {
        let process = quantile(&mut figures.process, 0.5);
        if name == "empty loop" {
            idle = process;
        }
        let line = Line {
            name,
            one: quantile(&mut figures.one, 0.5),
            two: quantile(&mut figures.two, 0.5),
            disabled_mean: mean(&figures.one),
            p99: quantile(&mut figures.paced, 0.99),
            p999: quantile(&mut figures.paced, 0.999),
            process: process - idle,
        };
        println!(
            "{name:<20} {:>8.1} {:>8.1} {:>8.1} {:>8.1} {:>9.1} {:>9.1} {:>10.1} {:>9.1}",
            line.one,
            line.disabled_mean,
            quantile(&mut figures.one, 0.99),
            line.two,
            quantile(&mut figures.paced, 0.5),
            line.p99,
            line.p999,
            line.process,
        );
        lines.push(line);
    }
    goals(&lines, caller_goal);
    drop((otel, otel_builder));
    for (name, opik) in [("discard", discard), ("rows", rows)] {
        saturated(name, opik, &text);
    }
}

fn goals(lines: &[Line], caller_goal: f64) {
    let line = |name: &str| lines.iter().find(|line| line.name == name).expect("a line");
    let peers = &lines[4..];
    let fastest = |of: fn(&Line) -> f64| peers.iter().map(of).fold(f64::INFINITY, f64::min);
    let (rows, discard, builder) = (
        line("opik, rows"),
        line("opik, discard"),
        line("otel builder"),
    );
    goal(
        "caller p50 of the fastest peer's, 1 thread",
        rows.one / fastest(|l| l.one),
        caller_goal,
        "x",
    );
    goal(
        "caller p50 of the fastest peer's, 2 threads",
        rows.two / fastest(|l| l.two),
        caller_goal,
        "x",
    );
    goal("paced p99", rows.p99, 300.0, " ns");
    goal(
        "paced p99.9 of otel builder's",
        rows.p999 / builder.p999,
        0.1,
        "x",
    );
    goal(
        "process CPU of otel builder's, discarding",
        discard.process / builder.process,
        0.4,
        "x",
    );
    goal(
        "process CPU of otel builder's, making rows",
        rows.process / builder.process,
        0.4,
        "x",
    );
    goal("disabled", line("opik, disabled").one, 2.0, " ns");
}

fn saturated(name: &str, opik: Opik, text: &str) {
    opik.settle();
    let lost = |opik: &Opik| opik.recorder.statistics().branches[0].dropped();
    let (before, lost_before) = (resident(), lost(&opik));
    let recorded_before = opik.recorder.statistics().recorded;
    let made = saturate(&opik, text, SATURATION);
    let grown = resident().saturating_sub(before);
    opik.settle();
    let lost = lost(&opik) - lost_before;
    let statistics = opik.shutdown().expect("enabled");
    let branch = &statistics.branches[0];
    let balanced = statistics.recorded - recorded_before == made
        && branch.recorded == branch.exported + branch.dropped();
    println!(
        "{}  a million spans a second for 10 s, {name}: {made} made, {lost} lost, {:.0} MB more, books {}",
        verdict(lost * 100 <= made && balanced && grown <= 64 << 20),
        grown as f64 / 1e6,
        if balanced {
            "balance"
        } else {
            "DO NOT BALANCE"
        },
    );
}
