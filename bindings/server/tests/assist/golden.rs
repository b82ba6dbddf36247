//! The Python program's exchanges, replayed byte by byte.
//!
//! `exchanges.jsonl.gz` holds what it was asked and what it answered. Identifiers and times aside,
//! the answers are equal. Where they differ on purpose, [`DIFFERENT`] names the defect.

use std::collections::HashMap;
use std::io::Read as _;

use serde::Deserialize;

use crate::exchange::{Answer, exchange};
use crate::world::World;

#[derive(Debug, Deserialize)]
pub(crate) struct Exchange {
    pub(crate) group: String,
    pub(crate) scenario: String,
    step: usize,
    pub(crate) request: String,
    status: String,
    headers: Vec<(String, String)>,
    chunks: usize,
    body: String,
}

/// Scenarios and steps in which we answer better, and why; all steps for 0.
const DIFFERENT: &[(&str, usize, &str)] = &[
    (
        "d-unknown",
        1,
        "2: an unknown tool is answered to the model, which goes on",
    ),
    ("d-unknown", 2, "2: the answer is in the history"),
    ("d-unknown", 4, "2: the answer is in the history"),
    (
        "e2-badargs",
        1,
        "2: arguments that are no JSON are answered to the model, which goes on",
    ),
    ("e2-badargs", 2, "2: the answer is in the history"),
    ("e2-badargs", 4, "2: the answer is in the history"),
    (
        "f-cut",
        0,
        "3, 16: an answer that broke off is replaced by a computed one, without the provider's words",
    ),
    (
        "f-err401",
        0,
        "3, 16: the answer is computed, without the provider's words",
    ),
    (
        "f-err401-nostream",
        0,
        "3, 16: the answer is computed, without the provider's words",
    ),
    (
        "f-err429",
        0,
        "3, 16: the answer is computed, without the provider's words",
    ),
    (
        "f-err500",
        0,
        "3, 16: the answer is computed, without the provider's words",
    ),
    ("g-trace404", 1, "8: a trace that does not exist is 404"),
    ("g2-trace401", 0, "8: a session that is not valid is 401"),
    ("g3-trace500", 0, "8: an Opik that fails is 502"),
    ("g5-noproject", 0, "8: a trace without a project is a trace"),
    ("m-length", 0, "3: an answer that was cut is stored"),
    (
        "m2-empty",
        0,
        "3: an empty answer is replaced by a computed one",
    ),
    (
        "m7-empty-nostream",
        0,
        "3: an empty answer is replaced by a computed one",
    ),
    (
        "q-fb-values",
        4,
        "12: a value other than 0 and 1 is refused",
    ),
    (
        "q-fb-values",
        5,
        "12: a value other than 0 and 1 is refused",
    ),
    (
        "r2-cors-simple",
        6,
        "8: a trace that does not exist is 404, with the headers of CORS",
    ),
    (
        "l-disconnect",
        0,
        "20: a turn outlives its listener; tested by itself",
    ),
];

pub(crate) fn exchanges() -> Vec<Exchange> {
    let bytes = include_bytes!("../fixtures/exchanges.jsonl.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&bytes[..])
        .read_to_string(&mut text)
        .unwrap();
    let exchanges = text.lines().map(|line| serde_json::from_str(line).unwrap());
    let mut exchanges: Vec<Exchange> = exchanges.collect();
    // The others speak of the conversation that this one makes.
    exchanges.sort_by_key(|exchange| exchange.scenario != "q-fb-values");
    exchanges
}

fn is_different(exchange: &Exchange) -> bool {
    DIFFERENT.iter().any(|(scenario, step, _)| {
        let is_it = *scenario == exchange.scenario && (*step == 0 || *step == exchange.step);
        // With a server for its own records the Python program refuses such values, too.
        is_it && !(exchange.group == "internal" && exchange.scenario == "q-fb-values")
    })
}

pub(crate) fn variables(group: &str) -> Vec<(&'static str, &'static str)> {
    match group {
        "internal" => vec![("OPIK_INTERNAL_URL", "$OPIK")],
        "prefix" => vec![
            ("URL_PREFIX", "/opik-ai"),
            ("ALLOWED_ORIGINS", "https://opik.example"),
        ],
        _ => Vec::new(),
    }
}

/// Identifiers that were made up get numbers, times a word.
fn normal(body: &str) -> String {
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut out = String::new();
    let mut rest = body;
    while !rest.is_empty() {
        if let Some(id) = rest.get(..36).filter(|id| is_made_up(id)) {
            let next = known.len() + 1;
            let number = *known.entry(id.to_owned()).or_insert(next);
            out.push_str(&format!("UUID{number}"));
            rest = &rest[36..];
            continue;
        }
        let mut chars = rest.chars();
        out.push(chars.next().unwrap());
        rest = chars.as_str();
        if out.ends_with("\"timestamp\": ") {
            let end = rest.find(',').unwrap();
            assert!(rest[..end].parse::<f64>().is_ok(), "{rest}");
            out.push_str("TS");
            rest = &rest[end..];
        }
    }
    out
}

fn is_made_up(id: &str) -> bool {
    !id.starts_with("0198ec6e-")
        && id.char_indices().all(|(at, c)| match at {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_hexdigit(),
        })
}

fn problems(wanted: &Exchange, seen: &Answer) -> Vec<String> {
    let mut problems = Vec::new();
    if seen.status != wanted.status {
        problems.push(format!(
            "status {} instead of {}",
            seen.status, wanted.status
        ));
    }
    for (name, value) in &wanted.headers {
        let name = name.to_ascii_lowercase();
        if seen.header(&name) != Some(value.as_str()) {
            problems.push(format!(
                "{name}: {:?} instead of {value}",
                seen.header(&name)
            ));
        }
    }
    let is_stream = seen.header("transfer-encoding").is_some();
    if is_stream && seen.chunks.len() != wanted.chunks {
        problems.push(format!(
            "{} chunks instead of {}",
            seen.chunks.len(),
            wanted.chunks
        ));
    }
    // The bodies of the Python program are stored in this form.
    let (ours, theirs) = (normal(&seen.body()), wanted.body.clone());
    if ours != theirs {
        problems.push(format!("body\n{ours}\ninstead of\n{theirs}"));
    }
    problems
}

#[tokio::test]
async fn the_python_programs_exchanges_are_answered_alike() {
    let mut groups: Vec<String> = Vec::new();
    let (mut equal, mut different, mut failures) = (0, 0, Vec::new());
    let all = exchanges();
    for exchange in &all {
        if !groups.contains(&exchange.group) {
            groups.push(exchange.group.clone());
        }
    }
    for group in groups {
        let world = World::new(&variables(&group)).await;
        for wanted in all.iter().filter(|exchange| exchange.group == group) {
            if wanted.scenario == "l-disconnect" {
                different += 1;
                continue;
            }
            let seen = exchange(world.address(), wanted.request.as_bytes()).await;
            let problems = problems(wanted, &seen);
            let place = format!("{group}/{} {}", wanted.scenario, wanted.step);
            match (is_different(wanted), problems.is_empty()) {
                (false, true) => equal += 1,
                (true, false) => different += 1,
                (false, false) => failures.push(format!("{place}: {}", problems.join("\n"))),
                (true, true) => failures.push(format!("{place}: equal, though said to differ")),
            }
        }
    }
    println!("{equal} equal, {different} different on purpose");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    assert_eq!(equal + different, all.len());
}
