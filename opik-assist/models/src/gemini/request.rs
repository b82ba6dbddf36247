//! A question as Google's Gemini API takes it.

use opik_core::chat::{ModelErrorKind, ReasoningEffort, ToolSpec};
use opik_core::{ChatRequest, Json, Message, Part, Role};
use serde::Serialize;

use crate::arguments;
use crate::failure::Failure;
use crate::notes::Notes;
use crate::openai;

/// Google's word for a call whose signature is not known.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    contents: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Instruction>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tools<'a>>,
    #[serde(skip_serializing_if = "Generation::is_default")]
    generation_config: Generation,
}

#[derive(Serialize)]
struct Instruction {
    parts: Vec<Text>,
}

#[derive(Serialize)]
struct Turn<'a> {
    role: &'static str,
    parts: Vec<Piece<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Piece<'a> {
    Text(Text),
    Call(Call<'a>),
    Answer(Answer<'a>),
}

#[derive(Serialize)]
struct Text {
    text: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Call<'a> {
    function_call: Called<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thought_signature: Option<String>,
}

#[derive(Serialize)]
struct Called<'a> {
    name: &'a str,
    args: Json,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer<'a> {
    function_response: Answered<'a>,
}

#[derive(Serialize)]
struct Answered<'a> {
    name: &'a str,
    response: Json,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tools<'a> {
    function_declarations: Vec<Declared<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Declared<'a> {
    name: &'a str,
    description: &'a str,
    parameters_json_schema: &'a Json,
}

#[derive(Serialize, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
struct Generation {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_config: Option<Thinking>,
}

impl Generation {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
struct Thinking {
    include_thoughts: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_level: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_budget: Option<u32>,
}

/// The body of a request.
pub(super) fn body(model: &str, request: &ChatRequest, notes: &Notes) -> Result<String, Failure> {
    let signed = wants_signatures(model);
    let mut contents = Vec::new();
    for message in &request.messages {
        if message.role != Role::System {
            turn(message, signed, notes, &mut contents);
        }
    }
    let system = request
        .messages
        .iter()
        .filter(|message| message.role == Role::System);
    let system: Vec<Text> = system
        .map(Message::words)
        .filter(|words| !words.is_empty())
        .map(|text| Text { text })
        .collect();
    let declared: Vec<Declared<'_>> = request.tools.iter().map(declared).collect();
    let tools = (!declared.is_empty()).then_some(Tools {
        function_declarations: declared,
    });
    let body = Body {
        contents,
        system_instruction: (!system.is_empty()).then_some(Instruction { parts: system }),
        tools: tools.into_iter().collect(),
        generation_config: Generation {
            max_output_tokens: request.max_tokens,
            temperature: request.temperature,
            thinking_config: request
                .reasoning_effort
                .and_then(|effort| thinking(effort, signed)),
        },
    };
    serde_json::to_string(&body).map_err(|error| {
        Failure::new(ModelErrorKind::Internal, "the request cannot be written").with_cause(error)
    })
}

/// Gemini 3 and later: signatures are mandatory and thinking has levels.
fn wants_signatures(model: &str) -> bool {
    let version = model.strip_prefix("gemini-").unwrap_or_default();
    let major: String = version.chars().take_while(char::is_ascii_digit).collect();
    major.parse::<u8>().is_ok_and(|major| major >= 3)
}

fn thinking(effort: ReasoningEffort, levels: bool) -> Option<Thinking> {
    let budget = match effort {
        ReasoningEffort::Low => 1_024,
        ReasoningEffort::Medium => 8_192,
        ReasoningEffort::High => 24_576,
        _ => return None,
    };
    Some(Thinking {
        include_thoughts: true,
        thinking_level: openai::effort(effort).filter(|_| levels),
        thinking_budget: (!levels).then_some(budget),
    })
}

/// Adds a message; several of one side in a row become one.
fn turn<'a>(message: &'a Message, signed: bool, notes: &Notes, turns: &mut Vec<Turn<'a>>) {
    let role = if message.role == Role::Assistant {
        "model"
    } else {
        "user"
    };
    let mut parts = Vec::new();
    let mut called = false;
    for part in &message.parts {
        match part {
            Part::Text(text) if !text.is_empty() => {
                parts.push(Piece::Text(Text { text: text.clone() }));
            }
            Part::ToolCall(call) => {
                // Only the first of several calls at once is signed.
                let missing = (signed && !called).then(|| NO_SIGNATURE.to_owned());
                called = true;
                parts.push(Piece::Call(Call {
                    function_call: Called {
                        name: &call.name,
                        args: arguments::sent(&call.arguments),
                    },
                    thought_signature: notes.of(&call.id).or(missing),
                }));
            }
            Part::ToolResult(result) => {
                let field = if result.is_error { "error" } else { "result" };
                let response = response(&result.content, field, result.is_error);
                parts.push(Piece::Answer(Answer {
                    function_response: Answered {
                        name: &result.name,
                        response,
                    },
                }));
            }
            _ => {}
        }
    }
    match turns.last_mut() {
        _ if parts.is_empty() => {}
        Some(last) if last.role == role => last.parts.extend(parts),
        _ => turns.push(Turn { role, parts }),
    }
}

/// An object as it is, unless it has to be marked as an error; other JSON in a field.
fn response(content: &Json, field: &str, is_error: bool) -> Json {
    match content.to_value() {
        Ok(value) if is_error => Json::from_value(&serde_json::json!({ field: value })),
        _ => arguments::object(content, field),
    }
}

fn declared(spec: &ToolSpec) -> Declared<'_> {
    Declared {
        name: &spec.name,
        description: &spec.description,
        parameters_json_schema: &spec.parameters,
    }
}

#[cfg(test)]
mod tests;
