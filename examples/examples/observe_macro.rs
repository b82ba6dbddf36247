//! Functions under `#[observe]`: every call is a span, and nothing is passed along.
//!
//! Run it with `cargo run -p opik-examples --example observe_macro`.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::num::ParseIntError;
use std::sync::Arc;
use std::time::Duration;

use opik_core::query::TraceQuery;
use opik_core::source::load_tree;
use opik_core::tree::NodeId;
use opik_core::{Exporter, FeedbackScore, TraceSource, TraceTree, trace_url};
use opik_observe::{Policy, Recorder, SpanHandle, observe, set_default};
use opik_store::Store;

/// Nothing of a call is recorded but that it happened, how long it took and how it ended.
#[observe(kind = tool)]
fn order_number(text: &str) -> Result<u32, ParseIntError> {
    let number = text.split('#').nth(1).unwrap_or_default();
    number.trim_end_matches('?').parse()
}

/// Only what is named becomes input and output: not the key.
#[observe(name = "chat", kind = llm, input(question, order), output)]
async fn ask_model(question: &str, order: u32, key: &str) -> String {
    if key.is_empty() || question.is_empty() {
        return "what do you want to know?".to_owned();
    }
    format!("order {order} left the warehouse")
}

struct Support {
    key: String,
}

impl Support {
    #[observe]
    async fn answer(&self, question: &str) -> Result<String, Box<dyn Error + Send + Sync>> {
        let order = order_number(question)?;
        let answer = ask_model(question, order, &self.key).await;
        // Whatever runs below the span can speak to it.
        if let Some(span) = SpanHandle::current() {
            span.feedback(&FeedbackScore::new("polite", 1.0).with_reason("no complaint so far"));
        }
        Ok(answer)
    }
}

/// Every span of a trace, indented.
fn show(tree: &TraceTree, node: NodeId, depth: usize) {
    let span = tree.span(node);
    let error = span.error_info.as_ref();
    println!(
        "  {:indent$}{} {} {}",
        "",
        span.kind(),
        span.name.as_deref().unwrap_or("-"),
        error.map_or(String::new(), |error| format!(
            "error {}",
            error.exception_type
        )),
        indent = depth * 2,
    );
}

fn main() -> Result<(), Box<dyn Error>> {
    let store = Arc::new(Store::open_in_memory()?);
    let (recorder, guard) = Recorder::builder()
        .branch(
            "local",
            Arc::clone(&store) as Arc<dyn Exporter>,
            Policy::full_content(),
        )
        .start()?;
    // Without this line the program does the same and records nothing.
    set_default(recorder).map_err(|_| "there is a default recorder already")?;

    let support = Support {
        key: "sk-not-recorded".to_owned(),
    };
    for question in ["where is order #4711?", "where is it?"] {
        match pollster::block_on(support.answer(question)) {
            Ok(answer) => println!("{question} {answer}"),
            Err(error) => println!("{question} {error}"),
        }
    }
    let report = guard.shutdown(Duration::from_secs(3));
    println!("recorded {} records", report.statistics.recorded);

    let traces = pollster::block_on(store.search_traces(&TraceQuery::default()))?.items;
    let mut spans = 0;
    for trace in &traces {
        println!("trace {}", trace_url("http://localhost:5173/api", trace.id));
        let tree = pollster::block_on(load_tree(store.as_ref(), trace.id))?.ok_or("gone")?;
        for node in tree.nodes() {
            show(&tree, node, tree.depth(node));
            spans += 1;
            let row = serde_json::to_string(tree.span(node))?;
            if row.contains(&support.key) {
                return Err("the key was recorded".into());
            }
        }
    }
    // Two answers, two looks for a number, and one question to the model.
    if (traces.len(), spans) != (2, 5) {
        return Err("two traces with five spans were expected".into());
    }
    Ok(())
}
