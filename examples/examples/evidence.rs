//! Computes the evidence about a trace of a real agent run and answers questions with it.
//!
//! Run it with `cargo run -p opik-examples --example evidence`; give a trace file to look at its
//! first trace.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::fs::File;

use opik_assist::{AnswerContext, analyse, answer};
use opik_core::TraceTree;
use opik_formats::{Item, ReadOptions, Reader};
use opik_testkit::fixtures;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).map_or_else(
        || fixtures::path("traces/agentrx/opik.jsonl.gz"),
        Into::into,
    );
    let mut reader = Reader::new(File::open(path)?, ReadOptions::default());
    let first = reader.find_map(|item| match item {
        Ok(Item::Batch(batch)) => batch
            .traces
            .into_iter()
            .next()
            .map(|trace| (trace, batch.spans)),
        Ok(_) | Err(_) => None,
    });
    let (trace, spans) = first.ok_or("the file holds no trace")?;

    let tree = TraceTree::build(trace, spans);
    let evidence = analyse(&tree);
    let context = AnswerContext::new(&tree, &evidence);
    for question in [
        "Give a summary",
        "What caused the error?",
        "Is anything unusual?",
    ] {
        println!("# {question}\n{}\n", answer(question, &context).text);
    }
    println!("{} findings, for example:", evidence.findings.len());
    for finding in evidence.findings.iter().take(3) {
        println!(
            "{} {} (method: {})",
            finding.id, finding.claim, finding.method
        );
    }
    if evidence.findings.is_empty() {
        return Err("a trace has at least an overview".into());
    }
    Ok(())
}
