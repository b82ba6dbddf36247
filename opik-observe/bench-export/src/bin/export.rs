//! `cargo build --release --manifest-path opik-observe/bench-export/Cargo.toml`, then
//! `opik-observe/bench-export/target/release/export [spans] [rounds] [name of the only way]`.
//!
//! All ways run in turn against the same server; the first round does not count.

use opik_observe::PromptHash;
use opik_observe_bench_export::bare::Bare;
use opik_observe_bench_export::measure::{Figures, Way, median, round};
use opik_observe_bench_export::opik::{Opik, Rows};
use opik_observe_bench_export::otlp::Otlp;
use opik_observe_bench_export::server::Server;
use opik_observe_bench_export::workload::prompts;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = || arguments.next().and_then(|word| word.parse().ok());
    let spans: usize = number().unwrap_or(50_000);
    let rounds: usize = number().unwrap_or(5);
    let only = arguments.next();
    let prompts = prompts();
    let server = Server::start(false);
    let at = server.address.as_str();
    let queue = spans * 2;
    let mut ways: Vec<(&str, Box<dyn Way>)> = vec![
        (
            "bare JSON writer",
            Box::new(Bare::connect(at, 1_000, false)),
        ),
        ("bare, zlib 6", Box::new(Bare::connect(at, 1_000, true))),
        (
            "opik",
            Box::new(Opik::start(at, false, queue, PromptHash::Off)),
        ),
        (
            "opik, gzip",
            Box::new(Opik::start(at, true, queue, PromptHash::Off)),
        ),
        (
            "opik, prompt hash",
            Box::new(Opik::start(at, false, queue, PromptHash::V2)),
        ),
        (
            "OTLP/HTTP 512",
            Box::new(Otlp::start(at, 512, false, queue)),
        ),
        (
            "OTLP/HTTP 1000",
            Box::new(Otlp::start(at, 1_000, false, queue)),
        ),
        (
            "OTLP/HTTP 1000, gzip",
            Box::new(Otlp::start(at, 1_000, true, queue)),
        ),
        (
            "(values to rows, sent)",
            Box::new(Rows::new(at, false, false)),
        ),
        ("(ready rows, sent)", Box::new(Rows::new(at, false, true))),
        ("(ready rows, gzip)", Box::new(Rows::new(at, true, true))),
    ];
    if let Some(only) = &only {
        ways.retain(|(name, _)| name == only);
    }
    let mut figures: Vec<Vec<Figures>> = vec![Vec::new(); ways.len()];
    for number in 0..=rounds {
        for ((_, way), figures) in ways.iter_mut().zip(&mut figures) {
            let seen = round(way.as_mut(), &prompts, spans, &server);
            // The first round warms up.
            if number > 0 {
                figures.push(seen);
            }
        }
    }
    println!(
        "{:24} {:>10} {:>9} {:>8} {:>8}",
        "", "spans/s", "CPU us", "bytes", "requests"
    );
    let medians: Vec<(&str, Figures)> = ways
        .iter()
        .zip(&figures)
        .map(|((name, _), figures)| (*name, median(figures)))
        .collect();
    for (name, seen) in &medians {
        println!(
            "{name:24} {:10.0} {:9.2} {:8.0} {:8}",
            seen.spans_per_second, seen.cpu, seen.bytes, seen.requests
        );
    }
    if only.is_some() {
        return;
    }
    let of = |name: &str| medians.iter().find(|(other, _)| *other == name).unwrap().1;
    let (ours, packed, bare) = (of("opik"), of("opik, gzip"), of("bare JSON writer"));
    let otlp = [of("OTLP/HTTP 512"), of("OTLP/HTTP 1000")];
    let otlp_packed = of("OTLP/HTTP 1000, gzip");
    let fastest = otlp.iter().map(|o| o.spans_per_second).fold(0.0, f64::max);
    let leanest = otlp.iter().map(|o| o.cpu).fold(f64::MAX, f64::min);
    println!();
    println!(
        "speed / OTLP            {:6.2}  goal >= 3",
        ours.spans_per_second / fastest
    );
    println!(
        "speed / bare            {:6.2}  goal >= 0.6",
        ours.spans_per_second / bare.spans_per_second
    );
    println!(
        "CPU / OTLP              {:6.2}  goal <= 0.35",
        ours.cpu / leanest
    );
    println!(
        "CPU / OTLP, gzip        {:6.2}  goal <= 0.15",
        packed.cpu / otlp_packed.cpu
    );
    println!(
        "bytes / OTLP, gzip      {:6.2}  goal <= 1.1",
        packed.bytes / otlp_packed.bytes
    );
}
