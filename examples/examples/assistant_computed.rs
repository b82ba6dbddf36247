//! The assistant without a model: the same conversation, sessions and events, with answers that are
//! computed from the trace. Sessions are in an SQLite file, so a second assistant goes on.
//!
//! Run it with `cargo run -p opik-examples --example assistant_computed`.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use opik_assist::assistant::{Ask, Assistant, Feedback};
use opik_core::{Batch, ErrorInfo, Exporter as _};
use opik_sessions::{SessionOptions, open};
use opik_testkit::{MemoryStore, records};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let traces = Arc::new(MemoryStore::new());
    let mut failed = records::llm_span(1, 1, (1_200, 80), 0.012);
    failed.error_info = Some(ErrorInfo::new("RateLimitError", "429: slow down"));
    traces
        .export(&Batch::new(vec![records::trace(1)], vec![failed]))
        .await?;

    let folder = tempfile::tempdir()?;
    let address = format!("sqlite:{}", folder.path().join("talks.db").display());
    for question in ["What caused the error?", "How can I reduce the cost?"] {
        // As after a restart of the program: nothing is kept but the file.
        let sessions = open(&address, SessionOptions::new()).await?;
        let assistant = Assistant::builder(Arc::new(sessions.clone()))
            .source(Arc::clone(&traces) as _)
            .build();
        let session = assistant.session_key("ada", "example");
        let turn = assistant
            .ask(Ask::new(session.clone(), records::trace_id(1), question))
            .await?;
        let outcome = turn.finished().await;
        let events = assistant.history(&session).await?.unwrap_or_default();
        let answer = events.last().and_then(|event| event.message.as_ref());
        println!("> {question}\n{}\n", answer.ok_or("no answer")?.words());
        if !outcome.computed {
            return Err("there is no model, so it was computed".into());
        }
        assistant
            .feedback(&session, Some(&Feedback::new(1.0)))
            .await?;
        assistant.shutdown(Duration::from_secs(5)).await;
        sessions.close().await;
    }
    Ok(())
}
