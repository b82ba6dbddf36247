//! Streamed replies in spans: one that is read to its end, one that breaks off, one that its reader
//! gives up, and one of an observed model.
//!
//! Run it with `cargo run -p opik-examples --example stream`.
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _, stream};
use opik_core::chat::{FinishReason, ModelErrorKind};
use opik_core::source::load_tree;
use opik_core::{ChatModel, ChatRequest, Exporter, Message, ModelError, Role, Span, SpanType};
use opik_observe::{ObservedModel, Policy, PromptHash, Recorder, StreamExt as _, TraceGuard};
use opik_store::Store;
use opik_testkit::ScriptedModel;
use opik_testkit::doubles::Step;

type Word = Result<&'static str, ModelError>;

/// What a provider sends: a word every two milliseconds, and perhaps an error in the end.
fn provider(breaks: bool) -> impl Stream<Item = Word> {
    let words = ["it ", "left ", "the ", "warehouse"].map(Ok);
    let error = breaks.then(|| {
        Err(ModelError::new(
            ModelErrorKind::Truncated,
            "reading the reply",
        ))
    });
    stream::iter(words.into_iter().chain(error)).inspect(|_| {
        std::thread::sleep(Duration::from_millis(2));
    })
}

/// The same stream, which has become a span below the trace.
fn observed(trace: &TraceGuard, name: &'static str, breaks: bool) -> impl Stream<Item = Word> {
    let mut span = trace.span(name, SpanType::Llm);
    span.model("gpt-5-mini", "openai")
        .input("why is my order late?");
    provider(breaks)
        .in_span(span)
        .fail_on_error()
        .output_text(|word: &Word| word.as_ref().ok().copied())
}

async fn ask(recorder: &Recorder, trace: &TraceGuard) -> Result<(), ModelError> {
    // Read to its end.
    let mut reply = pin!(observed(trace, "whole", false));
    while let Some(word) = reply.next().await {
        print!("{}", word?);
    }
    println!();

    // The error reaches the reader as always, and the span.
    let words = observed(trace, "broken", true).collect::<Vec<_>>().await;
    println!("the last of {} items is an error", words.len());

    // The reader has seen enough: the span says that it was cancelled.
    let mut reply = Box::pin(observed(trace, "given up", false));
    reply.next().await;
    drop(reply);

    // A model that is observed needs none of this.
    let model = ScriptedModel::new("openai/gpt-5-mini").reply([
        Step::text("it left the warehouse"),
        Step::usage(12, 6),
        Step::finish(FinishReason::Stop),
    ]);
    let model = ObservedModel::new(Arc::new(model), recorder).below(trace.handle());
    let question = Message::text(Role::User, "why is my order late?");
    let events = model.stream(&ChatRequest::new(vec![question])).await?;
    println!("the model sent {} events", events.count().await);
    Ok(())
}

/// One line about how a reply went.
fn line(span: &Span) -> String {
    let first = span.ttft.map_or("-".to_owned(), |ms| format!("{ms:.1} ms"));
    let error = span.error_info.as_ref();
    format!(
        "{:<9} first token {first:>7}  error {:<10} {}",
        span.name.as_deref().unwrap_or("-"),
        error.map_or("-", |error| &error.exception_type),
        span.metadata.as_ref().map_or("", |json| json.as_str()),
    )
}

fn main() -> Result<(), Box<dyn Error>> {
    let store = Arc::new(Store::open_in_memory()?);
    let (recorder, guard) = Recorder::builder()
        .branch(
            "local",
            Arc::clone(&store) as Arc<dyn Exporter>,
            Policy::full_content().prompt_hash(PromptHash::Off),
        )
        .start()?;
    let trace = recorder.trace("answer");
    let id = trace.trace_id().ok_or("the recorder is off")?;
    pollster::block_on(ask(&recorder, &trace))?;
    trace.end();
    if !guard.shutdown(Duration::from_secs(3)).complete {
        return Err("not everything was written".into());
    }

    let tree = pollster::block_on(load_tree(store.as_ref(), id))?.ok_or("no such trace")?;
    println!("trace {id}:");
    for node in tree.nodes() {
        println!("  {}", line(tree.span(node)));
    }
    let has = |name: &str, what: fn(&Span) -> bool| {
        let mut spans = tree.nodes().map(|node| tree.span(node));
        spans.any(|span| span.name.as_deref() == Some(name) && what(span))
    };
    let cancelled = |span: &Span| {
        let metadata = span.metadata.as_ref();
        metadata.is_some_and(|json| json.as_str().contains("\"cancelled\":true"))
    };
    let as_expected = has("whole", |span| {
        span.ttft.is_some() && span.error_info.is_none()
    }) && has("broken", |span| span.error_info.is_some())
        && has("given up", cancelled)
        && has("chat", |span| span.usage.total_tokens() == Some(18));
    if !as_expected {
        return Err("the spans do not tell what happened".into());
    }
    Ok(())
}
