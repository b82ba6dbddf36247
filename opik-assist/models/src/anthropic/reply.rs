//! A reply of Anthropic's Messages API, whole or in events.

use std::collections::BTreeMap;

use opik_core::Usage;
use opik_core::chat::FinishReason;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::reply::{Draft, Format, Frame, Piece, number, parse, text};
use crate::usage;

/// Reads content blocks.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    counts: Usage,
    /// Thoughts that the provider wants back with the results of its tools, by index.
    thoughts: BTreeMap<u64, Thought>,
}

#[derive(Debug, Default)]
struct Thought {
    words: String,
    signature: String,
    /// Thoughts that the provider does not show.
    hidden: Option<String>,
}

impl Format for Blocks {
    fn read(&mut self, frame: &Frame, draft: &mut Draft) -> Result<(), Failure> {
        let data = frame.data.trim();
        if data.is_empty() {
            return Ok(());
        }
        let value = parse(data)?;
        let is_error = frame.event == "error" || text(&value, "type") == "error";
        if let Some(failure) = Failure::in_reply(&value, is_error) {
            return Err(failure);
        }
        let index = number(&value, "index").and_then(|index| u64::try_from(index).ok());
        match text(&value, "type") {
            "message_start" => {
                let message = value.get("message").unwrap_or(&Value::Null);
                self.count(message.get("usage"), draft);
            }
            "content_block_start" => {
                let block = value.get("content_block").unwrap_or(&Value::Null);
                self.block(index, block, draft);
            }
            "content_block_delta" => {
                let delta = value.get("delta").unwrap_or(&Value::Null);
                self.delta(index, delta, draft);
            }
            "message_delta" => {
                self.count(value.get("usage"), draft);
                let delta = value.get("delta").unwrap_or(&Value::Null);
                stop(text(delta, "stop_reason"), draft);
            }
            "message_stop" => draft.done(),
            "message" => {
                let blocks = value.get("content").and_then(Value::as_array);
                for (index, block) in (0..).zip(blocks.into_iter().flatten()) {
                    self.block(Some(index), block, draft);
                }
                self.count(value.get("usage"), draft);
                stop(text(&value, "stop_reason"), draft);
                draft.done();
            }
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, draft: &mut Draft) {
        let thoughts: Vec<Value> = std::mem::take(&mut self.thoughts)
            .into_values()
            .filter_map(|thought| match thought.hidden {
                Some(data) => Some(json!({"type": "redacted_thinking", "data": data})),
                None if thought.signature.is_empty() => None,
                None => Some(json!({
                    "type": "thinking", "thinking": thought.words, "signature": thought.signature,
                })),
            })
            .collect();
        if !thoughts.is_empty() {
            draft.calls.note_first(Value::from(thoughts).to_string());
        }
    }
}

impl Blocks {
    fn block(&mut self, index: Option<u64>, block: &Value, draft: &mut Draft) {
        match text(block, "type") {
            "text" => draft.text(text(block, "text")),
            "thinking" => {
                let thought = self.thoughts.entry(index.unwrap_or_default()).or_default();
                thought.words.push_str(text(block, "thinking"));
                thought.signature.push_str(text(block, "signature"));
                draft.reasoning(text(block, "thinking"));
            }
            "redacted_thinking" => {
                let thought = self.thoughts.entry(index.unwrap_or_default()).or_default();
                thought.hidden = Some(text(block, "data").to_owned());
            }
            "tool_use" => {
                // Empty when the arguments follow in pieces.
                let input = block.get("input").filter(|input| {
                    !input.is_null() && input.as_object().is_none_or(|input| !input.is_empty())
                });
                let input = input.map(Value::to_string).unwrap_or_default();
                draft.calls.add(&Piece {
                    index,
                    id: text(block, "id"),
                    name: text(block, "name"),
                    arguments: &input,
                });
            }
            _ => {}
        }
    }

    fn delta(&mut self, index: Option<u64>, delta: &Value, draft: &mut Draft) {
        match text(delta, "type") {
            "text_delta" => draft.text(text(delta, "text")),
            "thinking_delta" => {
                let words = text(delta, "thinking");
                let thought = self.thoughts.entry(index.unwrap_or_default()).or_default();
                thought.words.push_str(words);
                draft.reasoning(words);
            }
            "signature_delta" => {
                let thought = self.thoughts.entry(index.unwrap_or_default()).or_default();
                thought.signature.push_str(text(delta, "signature"));
            }
            "input_json_delta" => draft.calls.add(&Piece {
                index,
                arguments: text(delta, "partial_json"),
                ..Piece::default()
            }),
            _ => {}
        }
    }

    /// Counts come in parts: the prompt at the beginning, the reply as it grows.
    fn count(&mut self, counts: Option<&Value>, draft: &mut Draft) {
        let Some(counts) = counts.filter(|counts| counts.is_object()) else {
            return;
        };
        usage::own(&mut self.counts, counts);
        if let Some(fresh) = number(counts, "input_tokens") {
            // What the cache took or gave is part of the prompt and not of this number.
            let cached = ["cache_creation_input_tokens", "cache_read_input_tokens"];
            let cached = cached.iter().filter_map(|name| number(counts, name));
            let prompt = cached.fold(fresh, i64::saturating_add);
            usage::set(&mut self.counts, "prompt_tokens", Some(prompt));
        }
        usage::set(
            &mut self.counts,
            "completion_tokens",
            number(counts, "output_tokens"),
        );
        usage::total(&mut self.counts, None);
        draft.count(self.counts.clone());
    }
}

fn stop(reason: &str, draft: &mut Draft) {
    let reason = match reason {
        "" => return,
        "end_turn" | "stop_sequence" => FinishReason::Stop,
        "tool_use" => FinishReason::ToolCalls,
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "refusal" => FinishReason::ContentFilter,
        other => FinishReason::Other(other.chars().filter(|c| !c.is_control()).take(64).collect()),
    };
    draft.finish(reason);
}
