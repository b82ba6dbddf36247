//! The ways that are compared, each in a process of its own.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use opik_observe::PromptHash;

use crate::bare::Bare;
use crate::measure::{Figures, Way, round};
use crate::opik::{Opik, Rows};
use crate::otlp::Otlp;
use crate::server::count;
use crate::workload::prompts;

pub const NAMES: [&str; 12] = [
    "bare JSON writer",
    "bare, zlib 6",
    "opik",
    "opik, gzip",
    "opik, prompt hash",
    "opik, prompt hash, gzip",
    "OTLP/HTTP 512",
    "OTLP/HTTP 1000",
    "OTLP/HTTP 1000, gzip",
    "(values to rows, sent)",
    "(ready rows, sent)",
    "(ready rows, gzip)",
];

fn make(name: &str, at: &str, spans: usize) -> Box<dyn Way> {
    // Nothing may be lost, whatever the way: each has room for all spans of a round, and ours takes
    // room for the beginning of a span, too.
    let queue = spans * 3;
    match name {
        "bare JSON writer" => Box::new(Bare::connect(at, 1_000, false)),
        "bare, zlib 6" => Box::new(Bare::connect(at, 1_000, true)),
        "opik" => Box::new(Opik::start(at, false, queue, PromptHash::Off)),
        "opik, gzip" => Box::new(Opik::start(at, true, queue, PromptHash::Off)),
        "opik, prompt hash" => Box::new(Opik::start(at, false, queue, PromptHash::V2)),
        "opik, prompt hash, gzip" => Box::new(Opik::start(at, true, queue, PromptHash::V2)),
        "OTLP/HTTP 512" => Box::new(Otlp::start(at, 512, false, queue)),
        "OTLP/HTTP 1000" => Box::new(Otlp::start(at, 1_000, false, queue)),
        "OTLP/HTTP 1000, gzip" => Box::new(Otlp::start(at, 1_000, true, queue)),
        "(values to rows, sent)" => Box::new(Rows::new(at, false, false)),
        "(ready rows, sent)" => Box::new(Rows::new(at, false, true)),
        "(ready rows, gzip)" => Box::new(Rows::new(at, true, true)),
        other => panic!("no way is called {other}"),
    }
}

/// The process of a way: a round for every line of input.
pub fn take_turns(name: &str, address: &str, spans: usize) {
    let prompts = prompts();
    let mut way = make(name, address, spans);
    for line in std::io::stdin().lines() {
        line.unwrap();
        let seen = round(way.as_mut(), &prompts, spans, || count(address));
        println!(
            "{} {} {} {}",
            seen.spans_per_second, seen.cpu, seen.bytes, seen.requests
        );
    }
}

/// A way in its process, which ends with this value.
#[derive(Debug)]
pub struct Turns {
    pub name: &'static str,
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Turns {
    pub fn start(name: &'static str, address: &str, spans: usize) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--way", name, address, &spans.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        Self {
            name,
            input: process.stdin.take().unwrap(),
            output: BufReader::new(process.stdout.take().unwrap()),
            process,
        }
    }

    /// One round, while all other ways rest.
    pub fn turn(&mut self) -> Figures {
        self.input.write_all(b"\n").unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let mut words = line.split_whitespace();
        let mut number = || words.next().unwrap().parse::<f64>().unwrap();
        Figures {
            spans_per_second: number(),
            cpu: number(),
            bytes: number(),
            requests: number() as u64,
        }
    }
}

impl Drop for Turns {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
