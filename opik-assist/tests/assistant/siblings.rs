//! What the comparison with siblings finds is cited and checked like the evidence.

use std::sync::Arc;

use async_trait::async_trait;
use opik_assist::assistant::WholeMessage;
use opik_core::chat::{ChatStream, FinishReason};
use opik_core::session::{ToolCall, ToolResult};
use opik_core::{
    Batch, ChatEvent, ChatModel, ChatRequest, Exporter as _, ModelError, PageRequest, Part, Role,
    TraceSource as _, TraceTree,
};
use opik_testkit::records;
use serde_json::json;

use crate::world::{World, all, arguments, ask, messages, trace};

/// A model that compares with siblings, once, and cites what that found.
#[derive(Debug)]
struct Compares;

impl Compares {
    /// Number and claim of the first finding of the tool.
    fn told(request: &ChatRequest) -> Option<(String, String)> {
        let parts = request.messages.iter().flat_map(|message| &message.parts);
        let mut results = parts.filter_map(|part| match part {
            Part::ToolResult(result) => Some(result),
            _ => None,
        });
        results.find_map(Self::first)
    }

    fn first(result: &ToolResult) -> Option<(String, String)> {
        let content = result.content.to_value().unwrap();
        let first = content["differences"].get(0)?;
        let text = |name: &str| first[name].as_str().unwrap().to_owned();
        Some((text("finding"), text("claim")))
    }
}

#[async_trait]
impl ChatModel for Compares {
    fn name(&self) -> &str {
        "scripted/compares"
    }

    async fn stream(&self, request: &ChatRequest) -> Result<ChatStream, ModelError> {
        let question = request
            .messages
            .iter()
            .rev()
            .find(|message| message.role == Role::User);
        let again = question.unwrap().words() == "And so?";
        let events = match Self::told(request) {
            None => vec![
                ChatEvent::ToolCall(ToolCall {
                    id: "1".to_owned(),
                    name: "compare_to_siblings".to_owned(),
                    arguments: arguments(&json!({})),
                }),
                ChatEvent::Finish(FinishReason::ToolCalls),
            ],
            Some((number, claim)) => {
                let made_up = if again { " [F99]" } else { "" };
                let text = format!("{claim} [{number}]{made_up}");
                vec![ChatEvent::Text(text), ChatEvent::Finish(FinishReason::Stop)]
            }
        };
        Ok(Box::pin(futures_util::stream::iter(
            events.into_iter().map(Ok),
        )))
    }
}

#[tokio::test]
async fn findings_of_the_comparison_have_numbers_that_are_checked_also_in_the_next_turn() {
    let world = World::new().await;
    let name = records::trace(1).name;
    let siblings = (2..30).map(|number| {
        let mut trace = records::trace(number);
        trace.name.clone_from(&name);
        let mut span = records::span(number, 1);
        span.name = Some("agent".to_owned());
        (trace, span)
    });
    let (traces, spans) = siblings.unzip();
    world
        .traces
        .export(&Batch::new(traces, spans))
        .await
        .unwrap();
    let assistant = world.builder().model(Arc::new(Compares)).build();
    let mut said: Vec<WholeMessage> = Vec::new();
    for question in ["Is it slower than others?", "And so?"] {
        let turn = assistant.ask(ask(question)).await.unwrap();
        said.extend(messages(&all(&turn).await));
    }
    let [first, second] = &said[..] else {
        panic!("{said:?}")
    };
    assert!(
        first
            .text
            .contains("times the median of 28 traces of its name"),
        "{}",
        first.text
    );
    assert_eq!(first.findings.len(), 1, "{}", first.text);
    assert!(first.check.as_ref().unwrap().is_clean(), "{}", first.text);
    // It is numbered behind the evidence, and no number is made up.
    assert_eq!(first.findings[0].0, evidence(&world).await + 1);
    assert_eq!(second.findings, first.findings, "{}", second.text);
    assert!(
        second.text.ends_with("Not found in the evidence: F99."),
        "{}",
        second.text
    );
}

/// How many findings the evidence has.
async fn evidence(world: &World) -> u32 {
    let trace = world.traces.trace(trace()).await.unwrap().unwrap();
    let page = PageRequest::first(100);
    let spans = world.traces.spans(trace.id, &page).await.unwrap().items;
    let evidence = opik_assist::analyse(&TraceTree::build(trace, spans));
    u32::try_from(evidence.findings.len()).unwrap()
}
