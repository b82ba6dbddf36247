//! What one record costs each builder of datasets, and that memory does not grow with the input.
//!
//! `cargo bench -p opik-evals --bench datasets [RECORDS]` prints microseconds per record and the
//! peak of memory after a tenth of the records and after all of them (Linux).
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

use std::io::{self, BufRead, BufReader, Read};
use std::time::Instant;

use opik_evals::dataset::{Input, ItemBuilder, Lexicon, PrecisionBuilder, ToneBuilder, vyasa};

const LEXICON: &str = "hard_ban: [jaw-dropping, state of the art, shocking, unbelievable]\n\
    soft_ban: [clearly, massive, right now, of course]\n";

/// Lines that are made as they are read.
struct Lines {
    make: fn(u64) -> String,
    next: u64,
    count: u64,
    line: io::Cursor<Vec<u8>>,
}

impl Lines {
    fn reader(make: fn(u64) -> String, count: u64) -> impl BufRead + Send + 'static {
        BufReader::with_capacity(
            64 * 1024,
            Self {
                make,
                next: 0,
                count,
                line: io::Cursor::default(),
            },
        )
    }
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.line.read(buffer)?;
        if read > 0 || self.next == self.count {
            return Ok(read);
        }
        self.line = io::Cursor::new((self.make)(self.next).into_bytes());
        self.next += 1;
        self.line.read(buffer)
    }
}

fn block(n: u64) -> String {
    let extra = [
        "a plain remark",
        "a jaw-dropping claim",
        "clearly so",
        "naïve, but fine",
    ];
    let extra = extra.get(usize::try_from(n % 4).unwrap()).unwrap();
    format!(
        "{{\"block_id\": \"b{n}\", \"job_id\": \"j{}\", \"content\": \"Throughput rose by {} percent over \
         the quarter while latency stayed where it was, which the table below shows in detail; {extra}.\"}}\n",
        n / 50,
        n % 90
    )
}

fn table(n: u64) -> String {
    let rows: Vec<_> = (0..5)
        .map(|row| {
            format!(
                "{{\"ms\": \"{}.{:03}\", \"n\": {row}, \"name\": \"run {row}\"}}",
                n % 100,
                n % 1_000
            )
        })
        .collect();
    format!(
        "{{\"table_id\": \"t{n}\", \"rows\": [{}]}}\n",
        rows.join(", ")
    )
}

fn flagged(n: u64) -> String {
    table(n).replace(
        "\"rows\"",
        "\"precision_flags\": [{\"column\": \"ms\", \"issue\": \"X\"}], \"rows\"",
    )
}

/// The peak of memory so far, in MiB, where the system tells.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

fn measure(name: &str, records: u64, run: impl Fn(u64) -> u64) {
    run(records / 10);
    let early = peak();
    let began = Instant::now();
    let written = run(records);
    let each = began.elapsed().as_secs_f64() * 1e6 / records as f64;
    println!(
        "{name:22} {each:8.2} us a record, {written} written, peak {early} then {} MiB",
        peak()
    );
}

fn main() {
    let records = std::env::args()
        .find_map(|arg| arg.parse().ok())
        .unwrap_or(100_000);
    let lexicon = || Lexicon::parse("bench", LEXICON).unwrap();
    let input = |make, count| [Input::reader("bench", Lines::reader(make, count))];
    let tone = ToneBuilder::new(lexicon()).unwrap();
    measure("tone", records, |count| {
        tone.build(input(block, count), &mut io::sink())
            .unwrap()
            .written()
    });
    measure("precision", records, |count| {
        let builder = PrecisionBuilder::new();
        builder
            .build(input(table, count), &mut io::sink())
            .unwrap()
            .written()
    });
    measure("tone, as Vyasa", records, |count| {
        let reader = Lines::reader(block, count);
        vyasa::build_tone("bench", reader, Some(&lexicon()), &mut io::sink()).unwrap()
    });
    measure("precision, as Vyasa", records, |count| {
        let reader = Lines::reader(flagged, count);
        vyasa::build_precision("bench", reader, &mut io::sink()).unwrap()
    });
    measure("items", records, |count| {
        let builder = ItemBuilder::new();
        builder
            .build(input(block, count), &mut io::sink())
            .unwrap()
            .written()
    });
    measure("making the lines", records, |count| {
        let mut reader = Lines::reader(block, count);
        let mut line = String::new();
        let mut lines = 0;
        while reader.read_line(&mut line).unwrap() > 0 {
            line.clear();
            lines += 1;
        }
        lines
    });
}
