//! Questions and replies as an OpenAI-compatible server writes them: what readers of traces know,
//! and what the prompt hash is made of.

use std::borrow::Cow;

use opik_core::chat::{FinishReason, ToolSpec};
use opik_core::session::{Part, ToolCall};
use opik_core::{ChatRequest, Json, Message, Role};
use serde::{Serialize, Serializer};

/// `{"messages": […], "tools": […]}`; without `tools` when there are none.
pub(super) struct Question<'a>(pub(super) &'a ChatRequest);

impl Serialize for Question<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            messages: Vec<Line<'a>>,
            #[serde(skip_serializing_if = "Vec::is_empty")]
            tools: Vec<Tool<'a>>,
        }
        Body {
            messages: self.0.messages.iter().flat_map(lines).collect(),
            tools: self.0.tools.iter().map(Tool::from).collect(),
        }
        .serialize(serializer)
    }
}

/// `{"choices": [{"index": 0, "message": {…}, "finish_reason": …}]}`.
pub(super) struct Reply<'a> {
    /// `null` when there are none.
    pub(super) words: &'a str,
    /// Left out when there is none.
    pub(super) reasoning: &'a str,
    /// Left out when there are none.
    pub(super) calls: &'a [ToolCall],
    /// `null` when the reply did not come to its end.
    pub(super) finish: Option<&'a str>,
}

impl Serialize for Reply<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Body<'a> {
            choices: [Choice<'a>; 1],
        }
        #[derive(Serialize)]
        struct Choice<'a> {
            index: u32,
            message: Line<'a>,
            finish_reason: Option<&'a str>,
        }
        let words = Some(self.words).filter(|words| !words.is_empty());
        let reasoning = Some(self.reasoning).filter(|notes| !notes.is_empty());
        let message = Line {
            content: Content::Words(words.map(Cow::Borrowed)),
            reasoning: reasoning.map(Cow::Borrowed),
            tool_calls: self.calls.iter().map(Asked::from).collect(),
            ..Line::of(Role::Assistant)
        };
        let choice = Choice {
            index: 0,
            message,
            finish_reason: self.finish,
        };
        Body { choices: [choice] }.serialize(serializer)
    }
}

/// Name of a reason on the wire.
pub(super) fn finish_reason(reason: &FinishReason) -> &str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::ToolCalls => "tool_calls",
        FinishReason::Length => "length",
        FinishReason::ContentFilter => "content_filter",
        FinishReason::Other(other) => other,
        _ => "unknown",
    }
}

/// One message on the wire.
#[derive(Serialize)]
struct Line<'a> {
    role: Role,
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Asked<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    is_error: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Words(Option<Cow<'a, str>>),
    Answer(&'a Json),
}

#[derive(Serialize)]
struct Asked<'a> {
    id: &'a str,
    r#type: &'static str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    /// A text that holds JSON, as on the wire.
    arguments: &'a str,
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

impl Line<'_> {
    fn of(role: Role) -> Self {
        Self {
            role,
            content: Content::Words(None),
            reasoning: None,
            tool_calls: Vec::new(),
            tool_call_id: None,
            name: None,
            is_error: false,
        }
    }
}

/// A message on the wire: each result of a tool is a message of its own.
fn lines(message: &Message) -> Vec<Line<'_>> {
    let mut lines = Vec::new();
    let mut said = Line::of(message.role);
    let mut words = None;
    for part in &message.parts {
        match part {
            Part::Text(text) => join(&mut words, text),
            Part::Reasoning(text) => join(&mut said.reasoning, text),
            Part::ToolCall(call) => said.tool_calls.push(call.into()),
            Part::ToolResult(result) => lines.push(Line {
                content: Content::Answer(&result.content),
                tool_call_id: Some(&result.id),
                name: Some(&result.name),
                is_error: result.is_error,
                ..Line::of(Role::Tool)
            }),
            _ => {}
        }
    }
    if lines.is_empty() || lines.len() < message.parts.len() {
        said.content = Content::Words(words);
        lines.push(said);
    }
    lines
}

fn join<'a>(whole: &mut Option<Cow<'a, str>>, part: &'a str) {
    match whole {
        Some(whole) => whole.to_mut().push_str(part),
        None => *whole = Some(Cow::Borrowed(part)),
    }
}

impl<'a> From<&'a ToolCall> for Asked<'a> {
    fn from(call: &'a ToolCall) -> Self {
        Self {
            id: &call.id,
            r#type: "function",
            function: Function {
                name: &call.name,
                arguments: call.arguments.as_str(),
            },
        }
    }
}

impl<'a> From<&'a ToolSpec> for Tool<'a> {
    fn from(tool: &'a ToolSpec) -> Self {
        Self {
            r#type: "function",
            function: Declared {
                name: &tool.name,
                description: &tool.description,
                parameters: &tool.parameters,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use opik_core::session::ToolResult;
    use serde_json::json;

    use super::*;

    fn call() -> ToolCall {
        ToolCall {
            id: "c".to_owned(),
            name: "list".to_owned(),
            arguments: Json::parse(r#"{"a": 1}"#).unwrap(),
        }
    }

    #[test]
    fn messages_are_those_of_the_wire() {
        let result = |id: &str, is_error| {
            Part::ToolResult(ToolResult {
                id: id.to_owned(),
                name: "list".to_owned(),
                content: Json::string("x"),
                is_error,
            })
        };
        let parts = vec![
            Part::Reasoning("hm".to_owned()),
            Part::Text("I ".to_owned()),
            Part::Text("look.".to_owned()),
            Part::ToolCall(call()),
        ];
        let mut request = ChatRequest::new(vec![
            Message::text(Role::System, "Be kind."),
            Message::new(Role::Assistant, parts),
            Message::new(Role::Tool, vec![result("c", false), result("d", true)]),
            Message::new(Role::User, vec![]),
        ]);
        request.tools.push(ToolSpec {
            name: "list".to_owned(),
            description: "lists".to_owned(),
            parameters: Json::parse(r#"{"type": "object"}"#).unwrap(),
        });
        let asked = json!({
            "id": "c", "type": "function", "function": { "name": "list", "arguments": "{\"a\": 1}" },
        });
        assert_eq!(
            serde_json::to_value(Question(&request)).unwrap(),
            json!({
                "messages": [
                    { "role": "system", "content": "Be kind." },
                    {
                        "role": "assistant", "content": "I look.", "reasoning": "hm",
                        "tool_calls": [asked],
                    },
                    { "role": "tool", "content": "x", "tool_call_id": "c", "name": "list" },
                    {
                        "role": "tool", "content": "x", "tool_call_id": "d", "name": "list",
                        "is_error": true,
                    },
                    { "role": "user", "content": null },
                ],
                "tools": [{
                    "type": "function",
                    "function": {
                        "name": "list", "description": "lists", "parameters": { "type": "object" },
                    },
                }],
            })
        );
    }

    #[test]
    fn a_reply_is_a_choice() {
        let reply = Reply {
            words: "",
            reasoning: "",
            calls: &[call()],
            finish: None,
        };
        let reply = serde_json::to_value(reply).unwrap();
        let choice = &reply["choices"][0];
        assert_eq!(
            choice["message"]["tool_calls"][0]["function"]["name"],
            "list"
        );
        assert_eq!(choice["message"].get("reasoning"), None);
        assert!(choice["message"]["content"].is_null() && choice["finish_reason"].is_null());
    }
}
