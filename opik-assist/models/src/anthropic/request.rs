//! A question as Anthropic's Messages API takes it.

use opik_core::chat::{ModelErrorKind, ReasoningEffort, ToolSpec};
use opik_core::{ChatRequest, Json, Message, Part, Role};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::arguments;
use crate::failure::Failure;
use crate::notes::Notes;
use crate::openai;

/// Most tokens of a reply where the request names no limit.
const DEFAULT_MAX_TOKENS: u32 = 8_192;

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u32,
    #[serde(skip_serializing_if = "String::is_empty")]
    system: String,
    messages: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Thinking {
    Enabled { budget_tokens: u32 },
    Adaptive,
}

#[derive(Serialize)]
struct OutputConfig {
    effort: &'static str,
}

#[derive(Serialize)]
struct Turn<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

/// Structs and not a tagged enum: raw JSON does not pass through those.
#[derive(Serialize)]
#[serde(untagged)]
enum Block<'a> {
    Text(Text),
    Use(Use<'a>),
    Result(Answer<'a>),
    Raw(Box<RawValue>),
}

#[derive(Serialize)]
struct Text {
    r#type: &'static str,
    text: String,
}

#[derive(Serialize)]
struct Use<'a> {
    r#type: &'static str,
    id: &'a str,
    name: &'a str,
    input: Json,
}

#[derive(Serialize)]
struct Answer<'a> {
    r#type: &'static str,
    tool_use_id: &'a str,
    content: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_error: bool,
}

#[derive(Serialize)]
struct Tool<'a> {
    name: &'a str,
    description: &'a str,
    input_schema: &'a Json,
}

/// The body of a request.
pub(super) fn body(
    model: &str,
    request: &ChatRequest,
    whole: bool,
    notes: &Notes,
) -> Result<String, Failure> {
    let adaptive = is_adaptive(model);
    let effort = request
        .reasoning_effort
        .filter(|_| may_think(&request.messages, notes));
    let budget = effort.filter(|_| !adaptive).and_then(budget);
    let limit = request.max_tokens.unwrap_or(DEFAULT_MAX_TOKENS);
    let thinking = match (effort, budget) {
        (_, Some(budget_tokens)) => Some(Thinking::Enabled { budget_tokens }),
        (Some(_), None) if adaptive => Some(Thinking::Adaptive),
        _ => None,
    };
    let thinks = thinking.is_some();
    let mut messages = Vec::new();
    for message in &request.messages {
        if message.role != Role::System {
            turn(message, thinks, notes, &mut messages);
        }
    }
    let system = request
        .messages
        .iter()
        .filter(|message| message.role == Role::System);
    let system: Vec<String> = system
        .map(Message::words)
        .filter(|words| !words.is_empty())
        .collect();
    let body = Body {
        model,
        max_tokens: limit.saturating_add(budget.unwrap_or(0)),
        system: system.join("\n\n"),
        messages,
        tools: request.tools.iter().map(tool).collect(),
        thinking,
        output_config: effort
            .filter(|_| adaptive)
            .and_then(openai::effort)
            .map(|effort| OutputConfig { effort }),
        // Thinking wants the default, and models that think adaptively know no other.
        temperature: request.temperature.filter(|_| !thinks && !adaptive),
        stream: (!whole).then_some(true),
    };
    serde_json::to_string(&body).map_err(|error| {
        Failure::new(ModelErrorKind::Internal, "the request cannot be written").with_cause(error)
    })
}

fn budget(effort: ReasoningEffort) -> Option<u32> {
    match effort {
        ReasoningEffort::Low => Some(1_024),
        ReasoningEffort::Medium => Some(4_096),
        ReasoningEffort::High => Some(16_384),
        _ => None,
    }
}

/// Whether a model decides by itself how much to think: all from 4.6 on.
fn is_adaptive(model: &str) -> bool {
    let numbers = model.split(|c: char| !c.is_ascii_digit());
    // Longer numbers are dates.
    let mut version = numbers.filter(|number| matches!(number.len(), 1 | 2));
    let mut next = || version.next().and_then(|number| number.parse::<u8>().ok());
    match (next(), next()) {
        (Some(major), minor) => (major, minor.unwrap_or(0)) >= (4, 6),
        _ => false,
    }
}

/// Within a round of tools thoughts are only taken together with the earlier ones.
fn may_think(messages: &[Message], notes: &Notes) -> bool {
    let is_question = |message: &&Message| message.role == Role::User && !has_results(message);
    let round = messages
        .iter()
        .rev()
        .take_while(|message| !is_question(message));
    round
        .filter_map(first_call)
        .all(|call| notes.of(call).is_some())
}

fn has_results(message: &Message) -> bool {
    message
        .parts
        .iter()
        .any(|part| matches!(part, Part::ToolResult(_)))
}

fn first_call(message: &Message) -> Option<&str> {
    message.parts.iter().find_map(|part| match part {
        Part::ToolCall(call) => Some(call.id.as_str()),
        _ => None,
    })
}

/// Adds a message; several of one side in a row become one, as the API wants it.
fn turn<'a>(message: &'a Message, thinks: bool, notes: &Notes, turns: &mut Vec<Turn<'a>>) {
    let role = if message.role == Role::Assistant {
        "assistant"
    } else {
        "user"
    };
    let mut content = Vec::new();
    if thinks && let Some(note) = first_call(message).and_then(|call| notes.of(call)) {
        let thoughts: Vec<Box<RawValue>> = serde_json::from_str(&note).unwrap_or_default();
        content.extend(thoughts.into_iter().map(Block::Raw));
    }
    let mut results = 0;
    for part in &message.parts {
        match part {
            Part::Text(text) if !text.trim().is_empty() => content.push(Block::Text(Text {
                r#type: "text",
                text: text.clone(),
            })),
            Part::ToolCall(call) => content.push(Block::Use(Use {
                r#type: "tool_use",
                id: &call.id,
                name: &call.name,
                input: arguments::sent(&call.arguments),
            })),
            // Results come first, whatever else the message says.
            Part::ToolResult(result) => {
                let answer = Answer {
                    r#type: "tool_result",
                    tool_use_id: &result.id,
                    content: result_text(&result.content),
                    is_error: result.is_error,
                };
                content.insert(results, Block::Result(answer));
                results += 1;
            }
            _ => {}
        }
    }
    match turns.last_mut() {
        _ if content.is_empty() => {}
        Some(last) if last.role == role => last.content.extend(content),
        _ => turns.push(Turn { role, content }),
    }
}

fn result_text(content: &Json) -> String {
    openai::result_text(content)
}

fn tool(spec: &ToolSpec) -> Tool<'_> {
    Tool {
        name: &spec.name,
        description: &spec.description,
        input_schema: &spec.parameters,
    }
}

#[cfg(test)]
mod tests;
