//! Records a small program into an embedded store and reads the trace back.
//!
//! Run it with `cargo run -p opik-examples --example record`; give a file name to keep the store.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use opik_core::source::load_tree;
use opik_core::{Exporter, SpanType, Usage};
use opik_observe::{Policy, Recorder};
use opik_store::{Store, StoreOptions};

fn main() -> Result<(), Box<dyn Error>> {
    let store = Arc::new(match std::env::args_os().nth(1) {
        Some(path) => Store::open(path, StoreOptions::default())?,
        None => Store::open_in_memory()?,
    });
    let (recorder, guard) = Recorder::builder()
        .project("support-bot")
        .branch(
            "local",
            Arc::clone(&store) as Arc<dyn Exporter>,
            Policy::full_content(),
        )
        .start()?;

    let question = "why is my order late?";
    let mut trace = recorder.trace("answer");
    trace
        .input(question)
        .tag("example")
        .metadata("channel", "chat");
    let id = trace.trace_id().ok_or("the recorder is off")?;
    {
        let mut lookup = trace.span("order status", SpanType::Tool);
        lookup.input(&serde_json::json!({ "order": 4711 }));
        lookup.output(&serde_json::json!({ "status": "left the warehouse" }));
    } // a span ends when its guard is dropped
    {
        let mut call = trace.span("chat", SpanType::Llm);
        call.model("gpt-5-mini", "openai").input(question);
        call.output("it left the warehouse today")
            .usage(&Usage::of_tokens(12, 6));
    }
    trace.output("it left the warehouse today");
    trace.end();

    // Whatever the exporter does, this returns within the time that is given here.
    let report = guard.shutdown(Duration::from_secs(3));
    println!(
        "recorded {} records, complete: {}",
        report.statistics.recorded, report.complete
    );

    let tree =
        pollster::block_on(load_tree(store.as_ref(), id))?.ok_or("the trace is not there")?;
    println!("trace {id} has {} spans:", tree.len());
    for node in tree.nodes() {
        let span = tree.span(node);
        println!("  {} {}", span.kind(), span.name.as_deref().unwrap_or("-"));
    }
    if tree.len() != 2 {
        return Err("two spans were recorded".into());
    }
    Ok(())
}
