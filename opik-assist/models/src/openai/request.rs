//! A question as OpenAI's chat completions take it.

use std::borrow::Cow;

use opik_core::chat::{ReasoningEffort, ToolSpec};
use opik_core::{ChatRequest, Json, Message, Part, Role};
use serde::Serialize;

use crate::arguments;
use crate::failure::Failure;
use crate::name::is_o_series;
use opik_core::chat::ModelErrorKind;
use opik_core::json::escape::push_string;

/// What servers spell differently.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Spelling {
    /// Instructions have the role `developer`.
    pub(crate) developer: bool,
    /// The limit of tokens is called `max_completion_tokens`.
    pub(crate) completion_limit: bool,
    /// `stream_options` ask for token counts.
    pub(crate) usage: bool,
}

impl Spelling {
    /// What a model's name tells.
    pub(crate) fn of_model(model: &str) -> Self {
        Self {
            developer: is_o_series(model),
            ..Self::default()
        }
    }
}

/// What follows the messages. The order of the fields is that of the Python program that came before.
#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

struct Said<'a> {
    role: &'static str,
    content: Option<Cow<'a, str>>,
    tool_calls: Vec<Called<'a>>,
    tool_call_id: Option<&'a str>,
}

impl Said<'_> {
    /// Appends it as an object.
    fn push(&self, out: &mut String) -> Result<(), serde_json::Error> {
        for part in ["{\"role\":\"", self.role, "\",\"content\":"] {
            out.push_str(part);
        }
        match &self.content {
            Some(words) => push_string(out, words),
            None => out.push_str("null"),
        }
        if !self.tool_calls.is_empty() {
            out.push_str(",\"tool_calls\":");
            out.push_str(&serde_json::to_string(&self.tool_calls)?);
        }
        if let Some(id) = self.tool_call_id {
            out.push_str(",\"tool_call_id\":");
            push_string(out, id);
        }
        out.push('}');
        Ok(())
    }
}

#[derive(Serialize)]
struct Called<'a> {
    id: &'a str,
    r#type: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: String,
}

#[derive(Serialize)]
struct Tool<'a> {
    r#type: &'static str,
    function: Declared<'a>,
}

#[derive(Serialize)]
struct Declared<'a> {
    name: &'a str,
    description: &'a str,
    parameters: &'a Json,
}

/// The body of a request.
pub(crate) fn body(
    model: &str,
    request: &ChatRequest,
    spelling: Spelling,
    whole: bool,
) -> Result<String, Failure> {
    let limit = request.max_tokens;
    let body = Body {
        model,
        reasoning_effort: request.reasoning_effort.and_then(effort),
        stream: (!whole).then_some(true),
        tools: request.tools.iter().map(tool).collect(),
        stream_options: (spelling.usage && !whole).then_some(StreamOptions {
            include_usage: true,
        }),
        max_tokens: limit.filter(|_| !spelling.completion_limit),
        max_completion_tokens: limit.filter(|_| spelling.completion_limit),
        temperature: request.temperature,
    };
    written(&messages(&request.messages, spelling), &body).map_err(|error| {
        Failure::new(ModelErrorKind::Internal, "the request cannot be written").with_cause(error)
    })
}

fn written(messages: &[Said<'_>], body: &Body<'_>) -> Result<String, serde_json::Error> {
    let rest = serde_json::to_string(body)?;
    let words = messages.iter().map(|said| said.content.as_deref());
    let words: usize = words.map(|words| 80 + words.map_or(0, str::len)).sum();
    let mut out = String::with_capacity(words + words / 32 + rest.len() + 16);
    out.push_str("{\"messages\":[");
    for (place, said) in messages.iter().enumerate() {
        if place > 0 {
            out.push(',');
        }
        said.push(&mut out)?;
    }
    out.push_str("],");
    // An object in which the model is always named.
    out.push_str(rest.strip_prefix('{').unwrap_or(&rest));
    Ok(out)
}

/// The provider's word for how much to think.
pub(crate) fn effort(effort: ReasoningEffort) -> Option<&'static str> {
    match effort {
        ReasoningEffort::Low => Some("low"),
        ReasoningEffort::Medium => Some("medium"),
        ReasoningEffort::High => Some("high"),
        _ => None,
    }
}

fn tool(spec: &ToolSpec) -> Tool<'_> {
    Tool {
        r#type: "function",
        function: Declared {
            name: &spec.name,
            description: &spec.description,
            parameters: &spec.parameters,
        },
    }
}

fn messages(messages: &[Message], spelling: Spelling) -> Vec<Said<'_>> {
    let mut said = Vec::with_capacity(messages.len());
    for message in messages {
        let words = words(message);
        let mut calls = Vec::new();
        let mut has_result = false;
        for part in &message.parts {
            match part {
                Part::ToolCall(call) => calls.push(Called {
                    id: &call.id,
                    r#type: "function",
                    function: Function {
                        name: &call.name,
                        arguments: arguments::sent(&call.arguments).as_str().to_owned(),
                    },
                }),
                Part::ToolResult(result) => {
                    has_result = true;
                    said.push(Said {
                        role: "tool",
                        content: Some(result_text(&result.content).into()),
                        tool_calls: Vec::new(),
                        tool_call_id: Some(&result.id),
                    });
                }
                // Notes of the model are not sent back: servers refuse or ignore them.
                _ => {}
            }
        }
        if has_result && words.is_empty() && calls.is_empty() {
            continue;
        }
        said.push(Said {
            role: match message.role {
                Role::System if spelling.developer => "developer",
                Role::System => "system",
                Role::Assistant => "assistant",
                // Words of a tool that answer no call.
                _ => "user",
            },
            content: (!words.is_empty() || calls.is_empty()).then_some(words),
            tool_calls: calls,
            tool_call_id: None,
        });
    }
    said
}

/// All words of a message; nearly every one has them in one piece.
fn words(message: &Message) -> Cow<'_, str> {
    match message.parts.as_slice() {
        [Part::Text(text)] => Cow::Borrowed(text),
        _ => Cow::Owned(message.words()),
    }
}

/// A tool's answer as text: a string's own content, other JSON as it is.
pub(crate) fn result_text(content: &Json) -> String {
    content
        .decode::<String>()
        .unwrap_or_else(|_| content.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use opik_core::session::{ToolCall, ToolResult};

    use super::*;

    fn request() -> ChatRequest {
        let call = |id: &str, arguments: &str| {
            Part::ToolCall(ToolCall {
                id: id.to_owned(),
                name: "look".to_owned(),
                arguments: arguments::written(arguments),
            })
        };
        let result = |id: &str, content| {
            let (id, name) = (id.to_owned(), "look".to_owned());
            Part::ToolResult(ToolResult {
                id,
                name,
                content,
                is_error: false,
            })
        };
        let mut request = ChatRequest::new(vec![
            Message::text(Role::System, "Be brief."),
            Message::text(Role::User, "Why?"),
            Message::new(
                Role::Assistant,
                vec![
                    Part::Reasoning("hm".to_owned()),
                    call("a", "{\"b\": 1.0, \"a\": 2}"),
                    call("b", "{oops"),
                ],
            ),
            Message::new(
                Role::Tool,
                vec![
                    result("a", Json::parse("{\"n\": 1.0}").unwrap()),
                    result("b", Json::string("é\n")),
                ],
            ),
        ]);
        request.tools.push(ToolSpec {
            name: "look".to_owned(),
            description: "Looks.".to_owned(),
            parameters: Json::parse("{\"type\": \"object\"}").unwrap(),
        });
        request
    }

    #[test]
    fn a_conversation_is_written_in_the_order_of_the_python_program() {
        let written = body("gpt-4.1", &request(), Spelling::default(), false).unwrap();
        let expected = concat!(
            r#"{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"Why?"},"#,
            r#"{"role":"assistant","content":null,"tool_calls":["#,
            r#"{"id":"a","type":"function","function":{"name":"look","arguments":"{\"b\": 1.0, \"a\": 2}"}},"#,
            r#"{"id":"b","type":"function","function":{"name":"look","arguments":"{\"invalid_arguments\":\"{oops\"}"}}]},"#,
            r#"{"role":"tool","content":"{\"n\": 1.0}","tool_call_id":"a"},{"role":"tool","content":"é\n","tool_call_id":"b"}],"#,
            r#""model":"gpt-4.1","stream":true,"tools":[{"type":"function","function":"#,
            r#"{"name":"look","description":"Looks.","parameters":{"type": "object"}}}]}"#,
        );
        assert_eq!(written, expected);
    }

    #[test]
    fn settings_are_spelled_as_the_server_wants() {
        let mut request = ChatRequest::new(vec![Message::text(Role::System, "x")]);
        request.max_tokens = Some(9);
        request.temperature = Some(0.2);
        request.reasoning_effort = Some(ReasoningEffort::High);
        let mut spelling = Spelling::of_model("o4-mini");
        spelling.completion_limit = true;
        spelling.usage = true;
        assert_eq!(
            body("o4-mini", &request, spelling, false).unwrap(),
            concat!(
                r#"{"messages":[{"role":"developer","content":"x"}],"model":"o4-mini","reasoning_effort":"high","#,
                r#""stream":true,"stream_options":{"include_usage":true},"max_completion_tokens":9,"temperature":0.2}"#
            )
        );
        assert_eq!(
            body("m", &request, Spelling::default(), true).unwrap(),
            concat!(
                r#"{"messages":[{"role":"system","content":"x"}],"model":"m","reasoning_effort":"high","#,
                r#""max_tokens":9,"temperature":0.2}"#
            )
        );
    }
}
