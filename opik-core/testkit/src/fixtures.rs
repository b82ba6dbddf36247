//! Recorded data that comes with this crate.
//!
//! | folder | what |
//! |---|---|
//! | `opik-wire` | what Opik's official clients and a server said to each other, one exchange per line |
//! | `traces` | failed agent runs with the step that people found to be at fault |
//! | `critical_path` | span trees with the critical path that another program found |
//!
//! Everything here stops the test with a message when a file is missing or broken: a fixture that
//! cannot be read is a defect of the checkout, not of the code under test.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::read::MultiGzDecoder;
use opik_core::{Span, SpanId, Trace};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The path of a fixture, for example `opik-wire/s01_track.jsonl`.
#[must_use]
pub fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures")
        .join(name)
}

/// The whole text of a fixture, unpacked when its name ends in `.gz`.
///
/// # Panics
/// When the fixture cannot be read.
#[must_use]
pub fn text(name: &str) -> String {
    let mut text = String::new();
    match open(name).read_to_string(&mut text) {
        Ok(_) => text,
        Err(error) => broken(name, &error),
    }
}

/// Every line of a JSONL fixture, decoded.
///
/// # Panics
/// When the fixture cannot be read or a line does not fit the type.
#[must_use]
pub fn jsonl<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let mut items = Vec::new();
    for (number, line) in BufReader::new(open(name)).lines().enumerate() {
        let line = line.unwrap_or_else(|error| broken(name, &error));
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str(&line) {
            Ok(item) => items.push(item),
            Err(error) => broken(&format!("{name} line {}", number + 1), &error),
        }
    }
    items
}

/// A recorded agent run and what people found in it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LabelledTrace {
    /// Where it is from, for example `agentrx/magentic/…`.
    pub source: String,
    /// The trace.
    pub trace: Trace,
    /// Its spans.
    pub spans: Vec<Span>,
    /// The labels as they were published.
    pub truth: Value,
}

impl LabelledTrace {
    /// The span that people found to be the root cause, where they named one.
    #[must_use]
    pub fn culprit(&self) -> Option<SpanId> {
        ["root_cause_span", "mistake_span"]
            .iter()
            .find_map(|key| self.truth.get(key)?.as_str()?.parse().ok())
    }
}

/// The runs of `agentrx` (34) or `who_and_when` (92).
///
/// # Panics
/// When there is no such fixture.
#[must_use]
pub fn labelled_traces(name: &str) -> Vec<LabelledTrace> {
    #[derive(Deserialize)]
    struct Line {
        source: String,
        trace: Trace,
        spans: Vec<Span>,
        #[serde(default)]
        truth: Value,
    }
    jsonl::<Line>(&format!("traces/{name}/opik.jsonl.gz"))
        .into_iter()
        .map(|line| LabelledTrace {
            source: line.source,
            trace: line.trace,
            spans: line.spans,
            truth: line.truth,
        })
        .collect()
}

/// Names of the wire captures, for [`jsonl`], in order.
///
/// # Panics
/// When the folder cannot be read.
#[must_use]
pub fn wire_captures() -> Vec<String> {
    let folder = path("opik-wire");
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| broken("opik-wire", &error));
    let mut names: Vec<String> = entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".jsonl"))
        .map(|name| format!("opik-wire/{name}"))
        .collect();
    names.sort_unstable();
    names
}

fn open(name: &str) -> Box<dyn Read> {
    let file = File::open(path(name)).unwrap_or_else(|error| broken(name, &error));
    if name.ends_with(".gz") {
        Box::new(MultiGzDecoder::new(file))
    } else {
        Box::new(file)
    }
}

#[expect(clippy::panic, reason = "documented: a missing fixture stops the test")]
fn broken(name: &str, error: &dyn std::fmt::Display) -> ! {
    panic!("fixture {name}: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use opik_core::TraceTree;

    #[test]
    fn labelled_traces_are_whole_and_name_a_span_of_theirs() {
        for (name, count, least_culprits) in [("agentrx", 34, 30), ("who_and_when", 92, 90)] {
            let runs = labelled_traces(name);
            assert_eq!(runs.len(), count);
            let mut culprits = 0;
            for run in runs {
                let culprit = run.culprit();
                let tree = TraceTree::build(run.trace, run.spans);
                assert!(!tree.is_empty(), "{}", run.source);
                culprits += usize::from(culprit.is_some_and(|id| tree.find(id).is_some()));
            }
            assert!(culprits >= least_culprits, "{name}: {culprits}");
        }
    }

    #[test]
    fn wire_captures_are_listed_and_packed_files_are_read() {
        assert!(wire_captures().contains(&"opik-wire/s01_track.jsonl".to_owned()));
        assert!(!jsonl::<Value>("critical_path/nezha.jsonl.gz").is_empty());
        assert!(text("critical_path/crisp_cases.jsonl").starts_with('{'));
    }
}
