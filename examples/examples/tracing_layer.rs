//! Records a program that is instrumented with the `tracing` crate, and reads its traces back.
//!
//! The program below knows nothing of Opik: it opens spans with fields of the GenAI conventions and
//! logs an error. Run it with `cargo run -p opik-examples --example tracing_layer`.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use opik_core::query::TraceQuery;
use opik_core::source::load_tree;
use opik_core::{Exporter, TraceSource};
use opik_observe::layer::OpikLayer;
use opik_observe::{Policy, Recorder};
use opik_store::Store;
use tracing::field::Empty;
use tracing::{error, info_span, warn};
use tracing_subscriber::layer::SubscriberExt as _;

/// A tool that finds nothing for some orders.
#[tracing::instrument(fields(gen_ai.operation.name = "execute_tool", gen_ai.tool.name = "order status"))]
fn order_status(order: u32) -> Option<&'static str> {
    if order == 4_711 {
        return Some("left the warehouse");
    }
    error!(order, "no such order");
    None
}

fn chat(question: &str, status: &str) -> String {
    let call = info_span!(
        "chat",
        gen_ai.operation.name = "chat",
        gen_ai.request.model = "gpt-5-mini",
        gen_ai.provider.name = "openai",
        gen_ai.usage.input_tokens = Empty,
        gen_ai.usage.output_tokens = Empty,
        input.value = question,
        output.value = Empty,
    );
    let _in_call = call.enter();
    warn!("the first try was too slow"); // not an error of the span
    let answer = format!("it {status} today");
    call.record("gen_ai.usage.input_tokens", 12);
    call.record("gen_ai.usage.output_tokens", 6);
    call.record("output.value", answer.as_str());
    answer
}

/// One turn of the conversation, with a part of its work on another thread.
fn turn(question: &str, order: u32) -> String {
    let turn = info_span!("turn", session.id = "chat-7", input.value = question);
    let _in_turn = turn.enter();
    let status = std::thread::scope(|scope| {
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        let lookup = || turn.in_scope(|| order_status(order));
        let lookup = scope.spawn(move || tracing::dispatcher::with_default(&dispatch, lookup));
        lookup.join().ok().flatten()
    });
    match status {
        Some(status) => chat(question, status),
        None => "I cannot find that order".to_owned(),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let store = Arc::new(Store::open_in_memory()?);
    let exporter = Arc::clone(&store) as Arc<dyn Exporter>;
    let (recorder, guard) = Recorder::builder()
        .project("support-bot")
        .branch("local", exporter, Policy::full_content())
        .start()?;
    // A program would call `init` here; other layers, such as one that writes logs, come beside it.
    let subscriber = tracing_subscriber::registry().with(OpikLayer::new(recorder));
    tracing::subscriber::with_default(subscriber, || {
        turn("why is my order late?", 4_711);
        turn("and the other one?", 815);
    });
    let report = guard.shutdown(Duration::from_secs(3));
    println!(
        "recorded {} records, complete: {}",
        report.statistics.recorded, report.complete
    );

    let query = TraceQuery::default();
    let traces = pollster::block_on(store.search_traces(&query))?.items;
    for trace in &traces {
        let thread = trace.thread_id.as_deref().unwrap_or("-");
        println!(
            "{} in thread {thread}:",
            trace.name.as_deref().unwrap_or("-")
        );
        let tree = pollster::block_on(load_tree(store.as_ref(), trace.id))?;
        let tree = tree.ok_or("the trace is not there")?;
        for node in tree.nodes() {
            let span = tree.span(node);
            let error = span
                .error_info
                .as_ref()
                .and_then(|it| it.message.as_deref());
            println!(
                "  {} {} {} tokens{}",
                span.kind(),
                span.name.as_deref().unwrap_or("-"),
                span.usage.total_tokens().unwrap_or(0),
                error
                    .map(|it| format!(", failed: {it}"))
                    .unwrap_or_default(),
            );
        }
    }
    if traces.len() != 2 {
        return Err("two turns were recorded".into());
    }
    Ok(())
}
