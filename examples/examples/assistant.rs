//! The assistant in a plain program: a conversation of two turns about a recorded agent run, with a
//! model that plays a script, so that it needs no network.
//!
//! Run it with `cargo run -p opik-examples --example assistant`.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use opik_assist::assistant::{Ask, Assistant, TurnEventKind};
use opik_core::chat::FinishReason;
use opik_core::{Batch, Exporter as _, Json};
use opik_sessions::MemorySessions;
use opik_testkit::doubles::Step;
use opik_testkit::{MemoryStore, ScriptedModel, records};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // Traces come from any `TraceSource`: the embedded store, Opik over REST, or this one in memory.
    let traces = MemoryStore::new();
    let call = records::llm_span(1, 1, (1_200, 80), 0.012);
    traces
        .export(&Batch::new(vec![records::trace(1)], vec![call]))
        .await?;

    // A real model is made by opik-models; this one says what is written here.
    let nothing = Json::parse("{}")?;
    let model = ScriptedModel::new("scripted/example")
        .reply([
            Step::text("Let me see what it spent. "),
            Step::tool_call("call_1", "cost_hotspots", nothing),
            Step::finish(FinishReason::ToolCalls),
        ])
        .says("The model call [s1] spent 1,280 tokens, all that the trace has.")
        .says("A smaller model, or a shorter prompt than 1,200 tokens.");

    let assistant = Assistant::builder(Arc::new(MemorySessions::new()))
        .source(Arc::new(traces))
        .model(Arc::new(model))
        .build();
    let session = assistant.session_key("ada", "example");
    for question in ["Where does the money go?", "How can I save some?"] {
        println!("> {question}");
        let ask = Ask::new(session.clone(), records::trace_id(1), question);
        let turn = assistant.ask(ask).await?;
        let mut events = turn.events(0);
        while let Some(event) = events.next().await {
            match &event.kind {
                TurnEventKind::Text { text } => print!("{text}"),
                TurnEventKind::ToolStarted { name, .. } => println!("\n  ({name})"),
                TurnEventKind::Message(message) if message.is_final => println!("\n"),
                _ => {}
            }
            std::io::stdout().flush()?;
        }
        let outcome = turn.finished().await;
        if outcome.unverified > 0 {
            return Err("the script says what is not in the trace".into());
        }
    }
    let stored = assistant.history(&session).await?.unwrap_or_default();
    println!("{} events are stored", stored.len());
    assistant.shutdown(Duration::from_secs(5)).await;
    Ok(())
}
