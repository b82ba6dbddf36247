//! Messages as the `content` of an ADK event: `{"parts": [..], "role": ".."}`.

use opik_core::session::{ToolCall, ToolResult};
use opik_core::{Json, Message, Part, Role};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Content {
    #[serde(default)]
    parts: Option<Vec<ContentPart>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    role: Option<String>,
}

/// A part; kinds that have no meaning here (files, code) have none of these fields.
#[derive(Default, Serialize, Deserialize)]
struct ContentPart {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    thought: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    function_call: Option<FunctionCall>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    function_response: Option<FunctionResponse>,
}

#[derive(Serialize, Deserialize)]
struct FunctionCall {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    args: Option<Json>,
    #[serde(default)]
    name: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct FunctionResponse {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    response: Option<Json>,
}

/// ADK insists on an object where a model or a tool may have written anything.
fn object(json: &Json, name: &str) -> Json {
    if json.as_str().trim_start().starts_with('{') {
        return json.clone();
    }
    let name = serde_json::Value::from(name);
    // Not `Json::parse`: one level more is no reason to refuse.
    let text = format!("{{{name}: {}}}", json.as_str());
    serde_json::from_str(&text).unwrap_or_else(|_| Json::null())
}

/// Writes a message; `None` when it has a part that this version does not know.
pub(super) fn write(message: &Message) -> Option<String> {
    let mut parts = Vec::with_capacity(message.parts.len());
    for part in &message.parts {
        let mut written = ContentPart::default();
        match part {
            Part::Text(text) => written.text = Some(text.clone()),
            Part::Reasoning(text) => {
                written.text = Some(text.clone());
                written.thought = Some(true);
            }
            Part::ToolCall(call) => {
                written.function_call = Some(FunctionCall {
                    id: Some(call.id.clone()),
                    args: Some(object(&call.arguments, "value")),
                    name: Some(call.name.clone()),
                });
            }
            Part::ToolResult(result) => {
                let name = if result.is_error { "error" } else { "result" };
                written.function_response = Some(FunctionResponse {
                    id: Some(result.id.clone()),
                    name: Some(result.name.clone()),
                    response: Some(object(&result.content, name)),
                });
            }
            _ => return None,
        }
        parts.push(written);
    }
    let role = match message.role {
        Role::Assistant => "model",
        Role::System => "system",
        // ADK calls what a tool answers the user's.
        _ => "user",
    };
    let content = Content {
        parts: Some(parts),
        role: Some(role.to_owned()),
    };
    serde_json::to_string(&content).ok()
}

/// Reads a message. Without a role the author decides.
pub(super) fn read(text: &str, author: &str) -> Option<Message> {
    // serde would take a list for the fields in their order.
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let content: Content = serde_json::from_str(text).ok()?;
    let mut parts = Vec::new();
    for part in content.parts.unwrap_or_default() {
        if let Some(call) = part.function_call {
            parts.push(Part::ToolCall(ToolCall {
                id: call.id.unwrap_or_default(),
                name: call.name.unwrap_or_default(),
                arguments: call.args.unwrap_or_else(empty_object),
            }));
        } else if let Some(answer) = part.function_response {
            parts.push(Part::ToolResult(ToolResult {
                id: answer.id.unwrap_or_default(),
                name: answer.name.unwrap_or_default(),
                content: answer.response.unwrap_or_else(empty_object),
                is_error: false,
            }));
        } else if let Some(text) = part.text {
            parts.push(match part.thought {
                Some(true) => Part::Reasoning(text),
                _ => Part::Text(text),
            });
        }
    }
    let only_results =
        !parts.is_empty() && parts.iter().all(|part| matches!(part, Part::ToolResult(_)));
    let role = match content.role.as_deref() {
        Some("model") => Role::Assistant,
        Some("system") => Role::System,
        None if author != "user" && !only_results => Role::Assistant,
        _ if only_results => Role::Tool,
        _ => Role::User,
    };
    Some(Message::new(role, parts))
}

fn empty_object() -> Json {
    Json::from_value(&serde_json::Value::Object(serde_json::Map::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_python_program_writes_is_read() {
        let text = r#"{"parts": [{"text": "Looking."}, {"function_call": {"id": "call_A1", "args": {"span_id": "1", "n": 1.0e2}, "name": "get_span_details"}}], "role": "model"}"#;
        let message = read(text, "data_analyzer").unwrap();
        assert_eq!(message.role, Role::Assistant);
        let Part::ToolCall(call) = &message.parts[1] else {
            panic!("no call")
        };
        assert_eq!(call.arguments.as_str(), r#"{"span_id": "1", "n": 1.0e2}"#);
        let text = r#"{"parts": [{"function_response": {"id": "call_A1", "name": "get_span_details", "response": {"span_id": "1"}}}], "role": "user"}"#;
        assert_eq!(read(text, "data_analyzer").unwrap().role, Role::Tool);
        let text = r#"{"parts": [{"text": "na\u00efve \u2603"}], "role": "user"}"#;
        let message = read(text, "user").unwrap();
        assert_eq!(message, Message::text(Role::User, "naïve ☃"));
    }

    #[test]
    fn what_has_no_meaning_here_is_left_out() {
        let text = r#"{"parts": [{"inline_data": {"data": "AA", "mime_type": "x"}}, {"text": "t", "thought": null}]}"#;
        assert_eq!(
            read(text, "agent").unwrap(),
            Message::text(Role::Assistant, "t")
        );
        assert_eq!(read(r#"{"parts": null}"#, "user").unwrap().parts, []);
        assert!(read("[]", "user").is_none());
    }

    #[test]
    fn what_is_no_object_becomes_one() {
        let call = ToolCall {
            id: "1".to_owned(),
            name: "n".to_owned(),
            arguments: Json::string("cut {"),
        };
        let text = write(&Message::new(Role::Assistant, vec![Part::ToolCall(call)])).unwrap();
        assert!(text.contains(r#""args":{"value": "cut {"}"#), "{text}");
    }
}
