//! The three events of the Python program, for Segment.

use opik_core::{SpanId, Timestamp};
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use serde_json::{Map, Value, json};

use base64::Engine as _;

use super::Asked;
use super::config::SegmentConfig;
use super::courier::{Frame, Target};

/// What Segment is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Happened {
    Started,
    /// With so many messages before.
    Resumed(usize),
    /// A thumb: 1 up, 0 down, -1 taken back; whether there was one before.
    Feedback(i8, bool),
}

/// `None` when the key cannot be sent.
pub(super) fn target(config: &SegmentConfig) -> Option<Target> {
    let key = base64::engine::general_purpose::STANDARD.encode(format!("{}:", config.key.expose()));
    let mut key = HeaderValue::from_str(&format!("Basic {key}")).ok()?;
    key.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert(AUTHORIZATION, key);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let mut url: Url = config.host.clone();
    url.path_segments_mut()
        .ok()?
        .pop_if_empty()
        .extend(["v1", "batch"]);
    Some(Target {
        name: "segment",
        url,
        headers,
        frame: Frame::List {
            before: "{\"batch\":[".to_owned(),
            after: "]}",
        },
    })
}

pub(super) fn item(asked: &Asked, environment: &str, happened: Happened) -> String {
    let mut properties = Map::new();
    let mut add = |name: &str, value: Value| properties.insert(name.to_owned(), value);
    add("workspace_name", json!(asked.workspace));
    add("trace_id", json!(asked.trace));
    add("environment", json!(environment));
    if let Some(project) = &asked.project {
        add("project_name", json!(project));
    }
    let event = match happened {
        Happened::Started => "conversation-started",
        Happened::Resumed(messages) => {
            add("message_count", json!(messages));
            "conversation-resumed"
        }
        Happened::Feedback(value, again) => {
            let action = match (value, again) {
                (-1, _) => "deleted",
                (_, true) => "updated",
                (_, false) => "created",
            };
            add("feedback_value", json!(value));
            add("feedback_action", json!(action));
            "feedback-submitted"
        }
    };
    if !matches!(happened, Happened::Feedback(..)) {
        add("session_id", json!(asked.session.id));
        add("streaming", json!(asked.streaming));
    }
    json!({
        "type": "track",
        "userId": asked.session.user,
        "event": format!("opik-ai-trace-analyzer-{event}"),
        "properties": properties,
        "messageId": SpanId::generate().to_string(),
        "timestamp": Timestamp::now().to_string(),
        "context": {"library": {"name": "opik-rust", "version": env!("CARGO_PKG_VERSION")}},
    })
    .to_string()
}
