//! Answers about recorded traces.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests"
)]

use std::path::PathBuf;

use opik_assist::answer::{Answer, AnswerContext, Intent, answer};
use opik_assist::{Evidence, analyse};
use opik_core::{
    ErrorInfo, Json, Span, SpanId, SpanType, Timestamp, Trace, TraceId, TraceTree, Usage,
};
use opik_formats::{Item, ReadOptions, Reader};

/// The trace at this place in a fixture.
fn recorded(file: &str, place: usize) -> TraceTree {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../opik-core/testkit/fixtures/traces")
        .join(file)
        .join("opik.jsonl.gz");
    let (mut traces, mut spans) = (Vec::new(), Vec::new());
    for item in Reader::new(std::fs::File::open(path).unwrap(), ReadOptions::default()) {
        match item.unwrap() {
            Item::Batch(batch) => {
                traces.extend(batch.traces);
                spans.extend(batch.spans);
            }
            Item::Problem(problem) => panic!("{problem}"),
            _ => {}
        }
    }
    let trace: Trace = traces.swap_remove(place);
    spans.retain(|span: &Span| span.trace_id == trace.id);
    TraceTree::build(trace, spans)
}

fn ask(tree: &TraceTree, question: &str) -> Answer {
    let evidence = analyse(tree);
    let answer = answer(question, &AnswerContext::new(tree, &evidence));
    assert_sound(&answer, tree, &evidence);
    answer
}

/// What holds for every answer: it cites what exists, and has nothing that moves a terminal.
fn assert_sound(answer: &Answer, tree: &TraceTree, evidence: &Evidence) {
    assert!(answer.computed);
    assert!(answer.citations.iter().all(|&id| tree.find(id).is_some()));
    for (id, finding) in answer.findings.iter().zip(&answer.evidence) {
        assert_eq!(
            evidence.finding(*id).unwrap_or(finding).claim,
            finding.claim
        );
        assert!(answer.text.contains(&format!("[{id}]")));
        assert!(!finding.method.is_empty());
    }
    let controls = answer.text.chars().filter(|&c| c.is_control() && c != '\n');
    assert_eq!(controls.count(), 0);
    assert!(answer.text.len() < 6_000);
}

#[test]
fn dump() {
    for (file, place) in [
        ("agentrx", 0),
        ("agentrx", 25),
        ("who_and_when", 0),
        ("who_and_when", 60),
    ] {
        let tree = recorded(file, place);
        for q in [
            "What caused this error?",
            "Why is this trace slow?",
            "Summary",
            "reduce costs",
            "find anomalies",
            "loops?",
        ] {
            println!("=== {file} {place} {q}\n{}", ask(&tree, q));
        }
    }
}
