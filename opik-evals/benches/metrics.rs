//! What one record costs each metric: 100,000 records of about 30 words and their references.
//!
//! `cargo bench -p opik-evals --bench metrics [RECORDS]` prints microseconds per record.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench")]

use std::hint::black_box;
use std::time::Instant;

use opik_evals::Case;
use opik_evals::heuristics::{by_name, names};
use serde_json::{Map, Value};

const WORDS: &[&str] = &[
    "the", "model", "answers", "a", "question", "about", "revenue", "growth", "in", "second",
    "quarter", "and", "margins", "however", "please", "thank", "support", "table", "shows", "data",
];

/// Texts that differ in about a third of their words, always the same ones.
fn text(seed: u64, words: u64) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let picked = (0..words).map(|_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let index = usize::try_from(state % 20).unwrap();
        *WORDS.get(index).unwrap()
    });
    picked.collect::<Vec<_>>().join(" ")
}

fn case(metric: &str, i: u64) -> Case {
    let (shared, own, other) = (text(i, 20), text(i + 1, 10), text(i + 2, 10));
    let (output, reference) = (format!("{shared} {own}."), format!("{shared} {other}."));
    match metric {
        "CorpusBLEU" => Case::new(vec![output]).with_reference(vec![reference]),
        "IsJson" => Case::new(format!(
            "{{\"answer\": \"{output}\", \"n\": [1, 2.5e3, null]}}"
        )),
        "SpearmanRanking" => {
            let mut items: Vec<String> = (0..20).map(|n| format!("item {n}")).collect();
            let reference = items.clone();
            items.rotate_left(usize::try_from(i % 20).unwrap());
            Case::new(items).with_reference(reference)
        }
        "ConversationDegenerationMetric" | "KnowledgeRetentionMetric" => Case::conversation([
            ("user", shared),
            ("assistant", output),
            ("user", own),
            ("assistant", reference),
        ]),
        _ => Case::new(output).with_reference(reference),
    }
}

fn main() {
    // `cargo bench` says so. `cargo test --all-targets` does not: a few records show that it works.
    let benching = std::env::args().any(|argument| argument == "--bench");
    let asked = std::env::args().find_map(|argument| argument.parse::<u64>().ok());
    let records = asked.unwrap_or(if benching { 100_000 } else { 10 });
    println!("{records} records of 30 words, microseconds per record");
    for name in names() {
        let mut parameters = Map::new();
        if name == "RegexMatch" {
            parameters.insert("regex".into(), Value::from(r"(\w+) \1 revenue\.$"));
        }
        let metric = by_name(name, &parameters).unwrap();
        let cases: Vec<Case> = (0..1_000).map(|i| case(name, i)).collect();
        let start = Instant::now();
        let mut sum = 0.0;
        for i in 0..records {
            let case = cases.get(usize::try_from(i % 1_000).unwrap()).unwrap();
            sum += metric.score(black_box(case)).unwrap().value();
        }
        let elapsed = start.elapsed().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        let count = records as f64;
        println!(
            "{name:32} {:9.3}   mean score {:.3}",
            elapsed * 1e6 / count,
            sum / count
        );
    }
}
