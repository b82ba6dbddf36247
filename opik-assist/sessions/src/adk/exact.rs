//! The fields of an event that ADK's form would not give back equal, as JSON of our own.

use opik_core::session::{State, ToolCall, ToolResult};
use opik_core::{Event, Message, Part, Role, Timestamp};
use serde::{Deserialize, Serialize};

/// A field that is absent here is read from ADK's form.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Exact {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    invocation_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    author: Option<String>,
    /// Microseconds since 1970 in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timestamp: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    message: Option<ExactMessage>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state_delta: Option<State>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct ExactMessage {
    role: Role,
    parts: Vec<ExactPart>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ExactPart {
    Text(String),
    Reasoning(String),
    ToolCall(ToolCall),
    ToolResult(ToolResult),
}

impl ExactMessage {
    fn of(message: &Message) -> Option<Self> {
        let parts = message.parts.iter().map(|part| match part {
            Part::Text(text) => Some(ExactPart::Text(text.clone())),
            Part::Reasoning(text) => Some(ExactPart::Reasoning(text.clone())),
            Part::ToolCall(call) => Some(ExactPart::ToolCall(call.clone())),
            Part::ToolResult(result) => Some(ExactPart::ToolResult(result.clone())),
            _ => None,
        });
        Some(Self {
            role: message.role,
            parts: parts.collect::<Option<_>>()?,
        })
    }

    fn into_message(self) -> Message {
        let parts = self.parts.into_iter().map(|part| match part {
            ExactPart::Text(text) => Part::Text(text),
            ExactPart::Reasoning(text) => Part::Reasoning(text),
            ExactPart::ToolCall(call) => Part::ToolCall(call),
            ExactPart::ToolResult(result) => Part::ToolResult(result),
        });
        Message::new(self.role, parts.collect())
    }
}

/// What tells `event` from what would be read back. `all` takes its message and state delta in any
/// case, because the database changes how they are spelled.
pub(super) fn difference(event: &Event, read_back: &Event, all: bool) -> Option<String> {
    let mut exact = Exact::default();
    let mut differs = false;
    let mut text = |slot: &mut Option<String>, ours: &str, theirs: &str| {
        if ours != theirs {
            *slot = Some(ours.to_owned());
            differs = true;
        }
    };
    text(
        &mut exact.invocation_id,
        &event.invocation_id,
        &read_back.invocation_id,
    );
    text(&mut exact.author, &event.author, &read_back.author);
    if event.error_code != read_back.error_code {
        exact.error_code.clone_from(&event.error_code);
        differs = true;
    }
    if event.error_message != read_back.error_message {
        exact.error_message.clone_from(&event.error_message);
        differs = true;
    }
    if event.timestamp != read_back.timestamp {
        exact.timestamp = Some(event.timestamp.as_micros());
        differs = true;
    }
    if let Some(message) = &event.message
        && (all || read_back.message.as_ref() != Some(message))
    {
        exact.message = ExactMessage::of(message);
        differs = true;
    }
    if event.state_delta != read_back.state_delta || (all && !event.state_delta.is_empty()) {
        exact.state_delta = Some(event.state_delta.clone());
        differs = true;
    }
    // What is in here are texts and maps by text: there is always a JSON form.
    differs
        .then(|| serde_json::to_string(&exact).ok())
        .flatten()
}

/// Puts the exact fields over what was read from ADK's form; `None` when the text is not ours.
pub(super) fn restore(mut event: Event, text: &str) -> Option<Event> {
    let exact: Exact = serde_json::from_str(text).ok()?;
    if let Some(invocation_id) = exact.invocation_id {
        event.invocation_id = invocation_id;
    }
    if let Some(author) = exact.author {
        event.author = author;
    }
    if let Some(micros) = exact.timestamp {
        event.timestamp = Timestamp::from_micros(micros);
    }
    if let Some(message) = exact.message {
        event.message = Some(message.into_message());
    }
    if let Some(delta) = exact.state_delta {
        event.state_delta = delta;
    }
    event.error_code = exact.error_code.or(event.error_code);
    event.error_message = exact.error_message.or(event.error_message);
    Some(event)
}
