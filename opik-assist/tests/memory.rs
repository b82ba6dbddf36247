//! What conversations leave behind in memory.
//!
//! Bytes are counted for one thread, so everything runs on one; what an allocator keeps back does not
//! count.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use opik_assist::{Ask, Assistant};
use opik_core::chat::{ChatRequest, ChatStream, FinishReason};
use opik_core::{Batch, ChatEvent, ChatModel, Exporter as _, ModelError};
use opik_testkit::{MemorySessions, MemoryStore, records};

/// More turns than are kept for those who join late.
const WARM_UP: usize = 300;
const MEASURED: usize = 200;

/// Says the same again and again, and remembers nothing.
#[derive(Debug)]
struct Parrot;

#[async_trait]
impl ChatModel for Parrot {
    fn name(&self) -> &str {
        "scripted/parrot"
    }

    async fn stream(&self, _: &ChatRequest) -> Result<ChatStream, ModelError> {
        let said = ChatEvent::Text("It took 340 ms [s1]. ".repeat(20));
        let events = [said, ChatEvent::Finish(FinishReason::Stop)];
        Ok(stream::iter(events.map(Ok)).boxed())
    }
}

async fn assistant() -> Assistant {
    let traces = MemoryStore::new();
    let spans = (1..=12).map(|number| records::span(1, number)).collect();
    let batch = Batch::new(vec![records::trace(1)], spans);
    traces.export(&batch).await.unwrap();
    Assistant::builder(Arc::new(MemorySessions::new()))
        .source(Arc::new(traces))
        .model(Arc::new(Parrot))
        .build()
}

/// Conversations of three turns, of which the last has nobody who listens to its end.
async fn talk(assistant: &Assistant, from: usize, count: usize, deletes: bool) {
    for number in from..from + count {
        let key = assistant.session_key("ada", format!("session {number}"));
        let ask = |question: &str| Ask::new(key.clone(), records::trace_id(1), question);
        for question in ["Why is it slow?", "What failed?"] {
            let turn = assistant.ask(ask(question)).await.unwrap();
            assert!(turn.events(0).count().await > 3);
        }
        let left = assistant.ask(ask("And so?").grace(None)).await.unwrap();
        let id = left.id().to_owned();
        drop(left);
        assistant.join(&id).unwrap().finished().await;
        assert!(assistant.history(&key).await.unwrap().is_some());
        if deletes {
            assert!(assistant.delete(&key).await.unwrap());
            assert!(assistant.join(&id).is_none(), "its turns are gone as well");
        }
    }
}

#[test]
fn a_deleted_conversation_takes_no_memory() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let assistant = runtime.block_on(assistant());
    let bytes = |from, count, deletes| {
        let talk = || runtime.block_on(talk(&assistant, from, count, deletes));
        allocation_counter::measure(talk).bytes_current
    };
    bytes(0, WARM_UP, true);
    let left = bytes(WARM_UP, MEASURED, true);
    assert!(
        left < 4_096,
        "{left} bytes are left of {MEASURED} conversations"
    );
    // The meter does count what is kept.
    let kept = bytes(WARM_UP + MEASURED, MEASURED, false);
    let each = kept / i64::try_from(MEASURED).unwrap();
    assert!(each > 2_000, "{each} bytes for a conversation");
}
