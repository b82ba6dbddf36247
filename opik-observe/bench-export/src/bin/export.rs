//! `cargo build --release --manifest-path opik-observe/bench-export/Cargo.toml`, then
//! `opik-observe/bench-export/target/release/export [spans] [rounds] [name of the only way]`.
//!
//! Every way has a process of its own, as it has in a program: in one process, the memory that one
//! way leaves behind is what the next one works with. They send in turn to the same server, and the
//! first two rounds do not count.

use opik_observe_bench_export::measure::{Figures, median};
use opik_observe_bench_export::server::Server;
use opik_observe_bench_export::ways::{NAMES, Turns, take_turns};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [word, name, address, spans] = arguments.as_slice()
        && word == "--way"
    {
        return take_turns(name, address, spans.parse().unwrap());
    }
    let number = |index: usize| arguments.get(index).and_then(|word| word.parse().ok());
    let spans: usize = number(0).unwrap_or(100_000);
    let rounds: usize = number(1).unwrap_or(7);
    let only = arguments.get(2);
    let server = Server::start(false);
    let names = NAMES
        .iter()
        .filter(|name| only.is_none_or(|only| only == *name));
    let mut ways: Vec<Turns> = names
        .map(|name| Turns::start(name, &server.address, spans))
        .collect();
    let mut figures: Vec<Vec<Figures>> = vec![Vec::new(); ways.len()];
    for number in 0..rounds + 2 {
        for (way, figures) in ways.iter_mut().zip(&mut figures) {
            let seen = way.turn();
            if number >= 2 {
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
        .map(|(way, figures)| (way.name, median(figures)))
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
    let bare = of("bare JSON writer");
    let otlp = [of("OTLP/HTTP 512"), of("OTLP/HTTP 1000")];
    let otlp_packed = of("OTLP/HTTP 1000, gzip");
    let fastest = otlp.iter().map(|o| o.spans_per_second).fold(0.0, f64::max);
    let leanest = otlp.iter().map(|o| o.cpu).fold(f64::MAX, f64::min);
    println!("\n{:24} {:>8} {:>12}", "", "no hash", "prompt hash");
    let line = |what: &str, ratio: &dyn Fn(&str) -> f64, goal: &str| {
        let (plain, hashed) = (ratio(""), ratio(", prompt hash"));
        println!("{what:24} {plain:8.3} {hashed:12.3}  goal {goal}");
    };
    let ours = |kind: &str| of(&format!("opik{kind}"));
    let packed = |kind: &str| of(&format!("opik{kind}, gzip"));
    line(
        "speed / OTLP",
        &|kind| ours(kind).spans_per_second / fastest,
        ">= 3",
    );
    line(
        "speed / bare",
        &|kind| ours(kind).spans_per_second / bare.spans_per_second,
        ">= 0.6",
    );
    line("CPU / OTLP", &|kind| ours(kind).cpu / leanest, "<= 0.35");
    line(
        "CPU / OTLP, gzip",
        &|kind| packed(kind).cpu / otlp_packed.cpu,
        "<= 0.15",
    );
    line(
        "bytes / OTLP, gzip",
        &|kind| packed(kind).bytes / otlp_packed.bytes,
        "<= 1.1",
    );
}
