//! The recorder records the assistant itself: what its model is asked and what it answers, below one
//! trace a turn.
//!
//! Run it with `cargo run -p opik-examples --example assistant_recorded`.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use opik_assist::assistant::{Ask, Assistant};
use opik_core::chat::FinishReason;
use opik_core::source::load_tree;
use opik_core::{Batch, Exporter as _, Json};
use opik_observe::{ObservedModel, Policy, Recorder};
use opik_sessions::MemorySessions;
use opik_testkit::doubles::Step;
use opik_testkit::{MemoryStore, ScriptedModel, records};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let traces = MemoryStore::new();
    let call = records::llm_span(1, 1, (1_200, 80), 0.012);
    traces
        .export(&Batch::new(vec![records::trace(1)], vec![call]))
        .await?;

    // What the assistant does goes to another store, with its content.
    let own = MemoryStore::new();
    let (recorder, guard) = Recorder::builder()
        .project("assistant")
        .branch("own", Arc::new(own.clone()), Policy::full_content())
        .start()?;

    let model = ScriptedModel::new("scripted/example")
        .reply([
            Step::tool_call("call_1", "critical_path", Json::parse("{}")?),
            Step::usage(900, 12),
            Step::finish(FinishReason::ToolCalls),
        ])
        .reply([
            Step::text("It is one model call [s1]."),
            Step::usage(1_100, 9),
            Step::finish(FinishReason::Stop),
        ]);
    let assistant = Assistant::builder(Arc::new(MemorySessions::new()))
        .source(Arc::new(traces))
        .build();

    let turn = {
        // One trace for the turn; the model's spans are below it.
        let trace = recorder.trace("assistant turn");
        let observed = ObservedModel::new(Arc::new(model), &recorder).below(trace.handle());
        let session = assistant.session_key("ada", "example");
        let ask = Ask::new(session, records::trace_id(1), "Why is it slow?");
        let turn = assistant.ask(ask.model(Arc::new(observed))).await?;
        turn.finished().await;
        let id = trace.trace_id();
        trace.end();
        id
    };
    if !guard.shutdown(Duration::from_secs(5)).complete {
        return Err("not everything was written".into());
    }

    let tree = load_tree(&own, turn.ok_or("not recorded")?)
        .await?
        .ok_or("not exported")?;
    for node in tree.nodes() {
        let span = tree.span(node);
        println!(
            "{} {}: {} tokens",
            span.kind().as_str(),
            span.model.as_deref().unwrap_or("-"),
            span.usage.total_tokens().unwrap_or(0)
        );
    }
    if tree.len() != 2 {
        return Err(format!("two questions were asked, {} are recorded", tree.len()).into());
    }
    Ok(())
}
