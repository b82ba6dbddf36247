//! What recording costs its caller, beside opentelemetry_sdk and fastrace in the same run:
//!
//! ```text
//! cargo run --release --manifest-path opik-observe/bench/Cargo.toml --bin system
//! cargo run --release --manifest-path opik-observe/bench/Cargo.toml --bin mimalloc
//! ```
//!
//! Bursts: twenty traces back to back, then a pause of 200 us; nanoseconds per span on the caller's
//! thread. Paced: each child by itself. CPU: processor time of the whole process per span, without
//! that of the empty loop. Rounds of all competitors alternate. The exporters do nothing with what
//! they get: opentelemetry_sdk's and fastrace's get structs, that of `opik, values` structs, that of
//! `opik, rows` the JSON of Opik's write API, and `opik, discard` counts records undecoded.

mod measure;
mod opik;
mod peers;
mod workload;

use std::time::Duration;

use measure::{Figures, median, resident, round, saturate};
use opik::Opik;
use peers::{FastraceLocal, FastraceSpan, Otel};
use workload::{Empty, Tracer as _};

const ROUNDS: usize = 7;
const SATURATION: Duration = Duration::from_secs(10);

/// One competitor's line in the table: medians of the rounds.
struct Line {
    name: &'static str,
    one: f64,
    two: f64,
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
    let (discard, rows, values) = (Opik::discard(), Opik::rows(), Opik::values());
    let disabled = Opik::disabled();
    let (otel, otel_builder) = (Otel::new(false), Otel::new(true));
    let competitors: [(&str, &dyn Fn(&mut Figures)); 9] = [
        ("empty loop", &|figures| round(&Empty, &text, figures)),
        ("opik, discard", &|figures| round(&discard, &text, figures)),
        ("opik, rows", &|figures| round(&rows, &text, figures)),
        ("opik, values", &|figures| round(&values, &text, figures)),
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
    let mut figures: [Figures; 9] = Default::default();
    for _ in 0..ROUNDS {
        for ((_, measure), figures) in competitors.iter().zip(&mut figures) {
            measure(figures);
        }
    }
    println!("{allocator}; nanoseconds per span, medians of {ROUNDS} rounds");
    println!(
        "{:<20} {:>8} {:>8} {:>8} {:>8} {:>9} {:>9} {:>10} {:>9}",
        "", "1T p50", "p99", "2T p50", "p99", "paced p50", "p99", "p99.9", "CPU"
    );
    let idle = median(&figures[0].process);
    let mut lines = Vec::new();
    for ((name, _), figures) in competitors.into_iter().zip(&figures) {
        let line = Line {
            name,
            one: median(&figures.one_p50),
            two: median(&figures.two_p50),
            p99: median(&figures.paced_p99),
            p999: median(&figures.paced_p999),
            process: median(&figures.process) - idle,
        };
        println!(
            "{name:<20} {:>8.1} {:>8.1} {:>8.1} {:>8.1} {:>9.1} {:>9.1} {:>10.1} {:>9.1}",
            line.one,
            median(&figures.one_p99),
            line.two,
            median(&figures.two_p99),
            median(&figures.paced_p50),
            line.p99,
            line.p999,
            line.process,
        );
        lines.push(line);
    }
    goals(&lines, caller_goal);
    drop((otel, otel_builder));
    for (name, opik) in [("discard", discard), ("rows", rows), ("values", values)] {
        saturated(name, opik, &text);
    }
}

fn goals(lines: &[Line], caller_goal: f64) {
    let line = |name: &str| lines.iter().find(|line| line.name == name).expect("a line");
    let peers = &lines[5..];
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
