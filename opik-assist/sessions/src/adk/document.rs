//! The newer layout of ADK: an event as one JSON document, `event_data`.

use opik_core::session::State;
use opik_core::{Event, Json, Timestamp};
use serde::{Deserialize, Serialize};

use super::content;

#[derive(Default, Serialize, Deserialize)]
struct Document {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grounding_metadata: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    partial: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    turn_complete: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error_code: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error_message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    interrupted: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    custom_metadata: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    usage_metadata: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    citation_metadata: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    input_transcription: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output_transcription: Option<Json>,
    #[serde(default)]
    invocation_id: String,
    #[serde(default)]
    author: String,
    #[serde(default)]
    actions: Option<Actions>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    long_running_tool_ids: Option<Json>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    branch: Option<String>,
    #[serde(default)]
    id: String,
    /// Seconds since 1970 in UTC.
    #[serde(default)]
    timestamp: f64,
}

#[derive(Default, Serialize, Deserialize)]
struct Actions {
    #[serde(default)]
    state_delta: Option<State>,
    #[serde(default)]
    artifact_delta: State,
    #[serde(default)]
    requested_auth_configs: State,
    #[serde(default)]
    requested_tool_confirmations: State,
}

impl Actions {
    fn of(state_delta: State) -> Option<Self> {
        Some(Self {
            state_delta: Some(state_delta),
            ..Self::default()
        })
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "ADK keeps seconds as a float; exact to the microsecond until 2255"
)]
fn seconds(at: Timestamp) -> f64 {
    at.as_micros() as f64 / 1e6
}

fn json(text: Option<&str>) -> Option<Json> {
    text.and_then(|text| serde_json::from_str(text).ok())
}

/// Writes an event whose content is in ADK's form already.
pub(super) fn write(event: &Event, content: Option<&str>, at: Timestamp) -> Option<String> {
    let document = Document {
        content: json(content),
        error_code: event.error_code.clone(),
        error_message: event.error_message.clone(),
        invocation_id: event.invocation_id.clone(),
        author: event.author.clone(),
        actions: Actions::of(event.state_delta.clone()),
        id: event.id.clone(),
        timestamp: seconds(at),
        ..Document::default()
    };
    serde_json::to_string(&document).ok()
}

/// Writes a row of the older layout as a document. `columns` gives the other columns by name.
pub(crate) fn document_of_columns<'a>(
    event: &Event,
    columns: impl Fn(&str) -> Option<&'a str>,
) -> Option<String> {
    let flag = |name: &str| columns(name).map(|text| !matches!(text, "0" | "false" | "f"));
    let text = |name: &str| columns(name).map(str::to_owned);
    let document = Document {
        content: json(columns("content")),
        grounding_metadata: json(columns("grounding_metadata")),
        partial: flag("partial"),
        turn_complete: flag("turn_complete"),
        error_code: text("error_code"),
        error_message: text("error_message"),
        interrupted: flag("interrupted"),
        custom_metadata: json(columns("custom_metadata")),
        usage_metadata: json(columns("usage_metadata")),
        citation_metadata: json(columns("citation_metadata")),
        input_transcription: json(columns("input_transcription")),
        output_transcription: json(columns("output_transcription")),
        invocation_id: event.invocation_id.clone(),
        author: event.author.clone(),
        actions: Actions::of(event.state_delta.clone()),
        long_running_tool_ids: json(columns("long_running_tool_ids_json")),
        branch: text("branch"),
        id: event.id.clone(),
        timestamp: seconds(event.timestamp),
    };
    serde_json::to_string(&document).ok()
}

/// Reads a document into an event of which identifier and time are known.
pub(super) fn read(mut event: Event, text: &str) -> Option<Event> {
    let document: Document = serde_json::from_str(text).ok()?;
    event.author = document.author;
    event.error_code = document.error_code;
    event.error_message = document.error_message;
    event.state_delta = document
        .actions
        .and_then(|actions| actions.state_delta)
        .unwrap_or_default();
    event.message = match document.content {
        Some(content) => content::read(content.as_str(), &event.author),
        None => None,
    };
    Some(event)
}
