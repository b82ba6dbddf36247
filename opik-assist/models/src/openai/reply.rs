//! A reply of OpenAI's chat completions, whole or in chunks, as servers really send it.

use opik_core::Usage;
use opik_core::chat::FinishReason;
use serde_json::Value;

use super::plain;
use crate::failure::Failure;
use crate::reply::{Draft, Format, Frame, Piece, number, parse, text};
use crate::usage;

/// Reads chunks.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    refused: bool,
}

impl Format for Chunks {
    fn read(&mut self, frame: &Frame, draft: &mut Draft) -> Result<(), Failure> {
        let data = frame.data.trim();
        if data == "[DONE]" {
            draft.done();
            return Ok(());
        }
        if data.is_empty() {
            return Ok(());
        }
        if let Some(words) = frame.event.is_empty().then(|| plain::words(data)).flatten() {
            draft.text(&words);
            return Ok(());
        }
        let value = parse(data)?;
        if let Some(failure) = Failure::in_reply(&value, frame.event == "error") {
            return Err(failure);
        }
        if let Some(counts) = value.get("usage").filter(|counts| counts.is_object()) {
            draft.count(counted(counts));
        }
        let choices = value.get("choices").and_then(Value::as_array);
        let Some(choice) = choices.and_then(|choices| {
            let first = |choice: &&Value| number(choice, "index").unwrap_or(0) == 0;
            choices.iter().find(first)
        }) else {
            return Ok(());
        };
        let delta = choice.get("delta").filter(|delta| delta.is_object());
        let message = choice.get("message").filter(|message| message.is_object());
        if let Some(delta) = delta.or(message) {
            self.said(delta, draft);
        }
        let reason = text(choice, "finish_reason");
        if !reason.is_empty() {
            draft.finish(finish(reason));
        }
        // A server that does not stream, though it was asked to.
        if message.is_some() && delta.is_none() {
            draft.done();
        }
        Ok(())
    }

    fn close(&mut self, draft: &mut Draft) {
        if self.refused {
            draft.finish(FinishReason::ContentFilter);
        }
    }
}

impl Chunks {
    fn said(&mut self, delta: &Value, draft: &mut Draft) {
        // The older and the newer name for the same; servers that send both send the same twice.
        let reasoning = match text(delta, "reasoning_content") {
            "" => text(delta, "reasoning"),
            reasoning => reasoning,
        };
        draft.reasoning(reasoning);
        match delta.get("content") {
            Some(Value::String(words)) => draft.text(words),
            Some(Value::Array(parts)) => {
                for part in parts {
                    match text(part, "type") {
                        "thinking" => thought(part, draft),
                        _ => draft.text(text(part, "text")),
                    }
                }
            }
            _ => {}
        }
        let refusal = text(delta, "refusal");
        if !refusal.is_empty() {
            self.refused = true;
            draft.text(refusal);
        }
        let calls = delta.get("tool_calls").and_then(Value::as_array);
        for call in calls.into_iter().flatten() {
            let function = call.get("function").unwrap_or(call);
            // Some servers send the object itself instead of its text.
            let object = function.get("arguments").filter(|given| given.is_object());
            let object = object.map(Value::to_string).unwrap_or_default();
            draft.calls.add(&Piece {
                index: number(call, "index").and_then(|index| u64::try_from(index).ok()),
                id: text(call, "id"),
                name: text(function, "name"),
                arguments: match text(function, "arguments") {
                    "" => &object,
                    arguments => arguments,
                },
            });
        }
    }
}

/// Mistral's thoughts among its words.
fn thought(part: &Value, draft: &mut Draft) {
    match part.get("thinking") {
        Some(Value::String(words)) => draft.reasoning(words),
        Some(Value::Array(parts)) => {
            for part in parts {
                draft.reasoning(text(part, "text"));
            }
        }
        _ => {}
    }
}

fn finish(reason: &str) -> FinishReason {
    match reason {
        "stop" | "end_turn" | "eos" => FinishReason::Stop,
        "tool_calls" | "function_call" | "tool_use" => FinishReason::ToolCalls,
        "length" | "max_tokens" => FinishReason::Length,
        "content_filter" => FinishReason::ContentFilter,
        other => FinishReason::Other(other.chars().filter(|c| !c.is_control()).take(64).collect()),
    }
}

fn counted(counts: &Value) -> Usage {
    let mut counted = Usage::default();
    usage::own(&mut counted, counts);
    usage::set(
        &mut counted,
        "prompt_tokens",
        number(counts, "prompt_tokens"),
    );
    usage::set(
        &mut counted,
        "completion_tokens",
        number(counts, "completion_tokens"),
    );
    usage::total(&mut counted, number(counts, "total_tokens"));
    counted
}
