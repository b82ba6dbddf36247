//! Builders of datasets, from a file to a file.

use std::fs::File;
use std::io::{BufReader, BufWriter, Write as _};
use std::path::Path;
use std::time::Instant;

use opik_evals::dataset::{Input, ItemBuilder, Lexicon, PrecisionBuilder, ToneBuilder, vyasa};
use serde_json::json;

use crate::clock::Clock;
use crate::python::Python;
use crate::{OneCore, Row};

const HARD: [&str; 4] = [
    "jaw-dropping",
    "state of the art",
    "shocking",
    "unbelievable",
];
const SOFT: [&str; 4] = ["clearly", "massive", "right now", "of course"];

/// Blocks for which the lexicon is read each time.
const EACH: u64 = 2_000;

/// A pass of ours takes a twentieth of a second, so that the middle one of several is told.
const PASSES: usize = 5;

type Build = fn(&Path, &Path) -> u64;

fn lexicon() -> Lexicon {
    let (hard, soft) = (HARD.join(", "), SOFT.join(", "));
    Lexicon::parse(
        "bench",
        &format!("hard_ban: [{hard}]\nsoft_ban: [{soft}]\n"),
    )
    .unwrap()
}

fn open(path: &Path) -> BufReader<File> {
    BufReader::with_capacity(64 * 1024, File::open(path).unwrap())
}

fn create(path: &Path) -> BufWriter<File> {
    // As much as the files of the command line.
    BufWriter::with_capacity(64 * 1024, File::create(path).unwrap())
}

fn tone(from: &Path, to: &Path) -> u64 {
    let builder = ToneBuilder::new(lexicon()).unwrap();
    builder
        .build([Input::path(from)], &mut create(to))
        .unwrap()
        .written()
}

fn precision(from: &Path, to: &Path) -> u64 {
    PrecisionBuilder::new()
        .build([Input::path(from)], &mut create(to))
        .unwrap()
        .written()
}

fn tone_vyasa(from: &Path, to: &Path) -> u64 {
    vyasa::build_tone("bench", open(from), Some(&lexicon()), &mut create(to)).unwrap()
}

fn precision_vyasa(from: &Path, to: &Path) -> u64 {
    vyasa::build_precision("bench", open(from), &mut create(to)).unwrap()
}

fn items(from: &Path, to: &Path) -> u64 {
    ItemBuilder::new()
        .build([Input::path(from)], &mut create(to))
        .unwrap()
        .written()
}

const BUILDERS: &[(&str, &str, Build)] = &[
    ("tone", "blocks", tone),
    ("precision", "tables", precision),
    ("tone, as Vyasa", "blocks", tone_vyasa),
    ("tone, lexicon for each", "blocks", tone_vyasa),
    ("precision, as Vyasa", "flagged", precision_vyasa),
    ("items", "blocks", items),
];

/// Lines of the three kinds of input.
fn inputs(folder: &Path, records: u64) {
    let extras = [
        "a plain remark",
        "a jaw-dropping claim",
        "clearly so",
        "naïve, but fine",
    ];
    let mut files = ["blocks", "tables", "flagged"].map(|name| create(&folder.join(name)));
    for n in 0..records {
        let extra = extras.get(usize::try_from(n % 4).unwrap()).unwrap();
        let text = format!(
            "Throughput rose by {} percent over the quarter while latency stayed where it was, which the \
             table below shows in detail; {extra}.",
            n % 90
        );
        let block = json!({ "block_id": format!("b{n}"), "job_id": format!("j{}", n / 50), "content": text });
        let row = |row| json!({ "ms": format!("{}.{:03}", n % 100, n % 1_000), "n": row, "name": format!("run {row}") });
        let rows: Vec<_> = (0..5).map(row).collect();
        let table = json!({ "table_id": format!("t{n}"), "rows": rows });
        let mut flagged = table.clone();
        flagged["precision_flags"] = json!([{ "column": "ms", "issue": "X" }]);
        for (file, line) in files.iter_mut().zip([block, table, flagged]) {
            writeln!(file, "{line}").unwrap();
        }
    }
    for file in &mut files {
        file.flush().unwrap();
    }
}

/// The peak of memory so far, in MiB, where the system tells.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.unwrap_or(0) / 1024
}

/// Every builder beside its Python program.
pub(crate) fn all(
    mut python: Option<&mut Python>,
    folder: &Path,
    records: u64,
    only: &str,
) -> Vec<Row> {
    let builders: Vec<_> = BUILDERS
        .iter()
        .filter(|(name, _, _)| name.starts_with(only))
        .collect();
    if builders.is_empty() {
        return Vec::new();
    }
    inputs(folder, records);
    let one = rayon::ThreadPoolBuilder::new().num_threads(1);
    let one = one.build().unwrap();
    let mut rows = Vec::new();
    for (name, input, build) in builders {
        // Reading the lexicon for each block, as Vyasa's script does, takes a millisecond and more.
        let reads_each = *name == "tone, lexicon for each";
        let most = if reads_each { EACH } else { u64::MAX };
        let (from, theirs, ours) = (
            folder.join(input),
            folder.join("theirs"),
            folder.join("ours"),
        );
        let asked = json!({
            "builder": name, "input": from, "output": theirs, "most": most.min(1 << 40), "lexicon": { "hard": HARD, "soft": SOFT },
        });
        // Neither side pays for taking away what a run before has left.
        for path in [&theirs, &ours] {
            drop(std::fs::remove_file(path));
        }
        let answer = match python.as_mut() {
            Some(python) => python.ask(&asked),
            None => Err("no Python".to_owned()),
        };
        let each = |seconds: f64, records: u64| seconds * 1e6 / records as f64;
        // The only thread of a pool does everything itself.
        let alone = one.install(|| {
            let began = Clock::now();
            build(&from, &ours);
            each(began.seconds(), records)
        });
        let before = peak();
        let mut written = 0;
        let mut passes = [(); PASSES].map(|()| {
            std::fs::remove_file(&ours).unwrap();
            let began = Instant::now();
            written = build(&from, &ours);
            began.elapsed().as_secs_f64()
        });
        passes.sort_by(f64::total_cmp);
        let own = each(passes[PASSES / 2], records);
        let grown = peak().saturating_sub(before);
        let mut remark = format!("{written} written, memory grew by {grown} MiB");
        let mut one_core = OneCore {
            theirs: None,
            ours: alone,
        };
        let theirs_us = answer.map(|answer| {
            let count = answer["records"].as_u64().unwrap();
            let same = std::fs::read(&theirs).unwrap() == std::fs::read(&ours).unwrap();
            remark.push_str(match (count == written, same) {
                (true, true) => ", the same bytes",
                (true, false) => ", as many records",
                (false, _) if reads_each => ", Python wrote 2000",
                (false, _) => ", ANOTHER NUMBER OF RECORDS",
            });
            let each = |of: &str| each(answer[of].as_f64().unwrap(), count);
            one_core.theirs = Some(each("seconds"));
            each("wall")
        });
        rows.push(Row {
            name: (*name).to_owned(),
            theirs: theirs_us,
            ours: own,
            one_core: Some(one_core),
            remark,
        });
    }
    rows
}
