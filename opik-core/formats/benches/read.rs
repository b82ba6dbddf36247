//! Reading Opik JSONL and flat span lists, beside parsing each line into `serde_json::Value`.
//!
//! Prints the ratio of the two, measured in turns in one run; the lower the better.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a benchmark"
)]

use std::hint::black_box;
use std::io::{BufRead, Read};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use opik_formats::{Item, ReadOptions, Reader};

const ROUNDS: usize = 5;

fn main() {
    for (name, repeat) in [
        ("traces/agentrx/opik.jsonl.gz", 10),
        ("critical_path/nezha.jsonl.gz", 10),
    ] {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../testkit/fixtures")
            .join(name);
        let mut text = Vec::new();
        let file = std::fs::File::open(path).unwrap();
        GzDecoder::new(file).read_to_end(&mut text).unwrap();
        let text = text.repeat(repeat);
        let (mut ours, mut peer) = (Vec::new(), Vec::new());
        let mut spans = 0;
        for _ in 0..ROUNDS {
            ours.push(timed(|| spans = read(&text)));
            peer.push(timed(|| parse(&text)));
        }
        let (ours, peer) = (median(ours), median(peer));
        let megabytes = text.len() as f64 / 1e6;
        println!(
            "{name} x{repeat}: {megabytes:.0} MB, {spans} spans; reader {:.0} MB/s, {:.0} k spans/s; \
             serde_json::Value {:.0} MB/s; time ratio {:.2}",
            megabytes / ours.as_secs_f64(),
            spans as f64 / ours.as_secs_f64() / 1e3,
            megabytes / peer.as_secs_f64(),
            ours.as_secs_f64() / peer.as_secs_f64(),
        );
    }
}

fn timed(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

fn read(text: &[u8]) -> usize {
    let options = ReadOptions::default().batch_records(1_000);
    Reader::new(text, options)
        .map(|item| match item.unwrap() {
            Item::Batch(batch) => black_box(batch).spans.len(),
            Item::Problem(problem) => panic!("{problem}"),
        })
        .sum()
}

fn parse(text: &[u8]) {
    for line in text.lines() {
        black_box(serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap());
    }
}
