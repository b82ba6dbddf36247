//! What a caller feels of a server: the time of single spans beside one that is well and one that takes
//! requests and never answers, with a spool and without.
//!
//! One thread records 10,000 spans a second for two seconds, in rounds that take turns. Figures are
//! nanoseconds per span, the middle of the rounds.

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use opik_core::SpanType;
use opik_observe::spool::{Spool, SpoolOptions};
use opik_observe::{Policy, Recorder};
use opik_observe_bench_export::opik::client;
use opik_observe_bench_export::server::Server;
use opik_observe_bench_export::workload::prompts;

const ROUNDS: usize = 7;
const SPANS: usize = 20_000;
const PACE: Duration = Duration::from_micros(100);
const SHARES: [f64; 3] = [0.5, 0.99, 0.999];

/// Percentiles of one round.
fn round(recorder: &Recorder, prompts: &[String]) -> [u128; 3] {
    let trace = recorder.trace("job");
    let mut times = Vec::with_capacity(SPANS);
    let begin = Instant::now();
    for number in 0..SPANS {
        while begin.elapsed() < PACE * u32::try_from(number).unwrap() {
            std::hint::spin_loop();
        }
        let prompt = black_box(prompts[number % prompts.len()].as_str());
        let before = Instant::now();
        let mut span = trace.span("chat", SpanType::Llm);
        span.model("model", "provider").input(prompt);
        drop(span);
        times.push(before.elapsed().as_nanos());
    }
    times.sort_unstable();
    SHARES.map(|share| times[(times.len() as f64 * share) as usize])
}

fn middle(mut values: Vec<u128>) -> u128 {
    values.sort_unstable();
    values[values.len() / 2]
}

fn main() {
    let prompts = prompts();
    let folder = std::env::temp_dir().join(format!("opik-caller-{}", std::process::id()));
    let mut ways = Vec::new();
    for (name, hangs, spools) in [
        ("well", false, false),
        ("hangs", true, false),
        ("well, spool", false, true),
        ("hangs, spool", true, true),
    ] {
        let server = Server::start(hangs);
        let exporter = Arc::new(client(&server.address, true));
        let builder = Recorder::builder().drop_timeout(Duration::from_millis(100));
        let builder = if spools {
            let spool = Spool::open(folder.join(name), exporter, SpoolOptions::new()).unwrap();
            builder.branch("opik", Arc::new(spool), Policy::full_content())
        } else {
            builder.branch("opik", exporter, Policy::full_content())
        };
        ways.push((name, server, builder.start().unwrap(), Vec::new()));
    }
    for _ in 0..=ROUNDS {
        for (_, _, (recorder, _), rounds) in &mut ways {
            rounds.push(round(recorder, &prompts));
        }
    }
    println!("server            p50      p99    p99.9   recorded  exported  dropped");
    for (name, _server, (recorder, guard), rounds) in ways {
        // The first round warms up.
        let of = |index: usize| middle(rounds.iter().skip(1).map(|round| round[index]).collect());
        let statistics = recorder.statistics();
        let branch = &statistics.branches[0];
        println!(
            "{name:14} {:6} {:8} {:8} {:10} {:9} {:8}",
            of(0),
            of(1),
            of(2),
            branch.recorded,
            branch.exported,
            branch.dropped()
        );
        drop(guard);
    }
    std::fs::remove_dir_all(folder).ok();
}
