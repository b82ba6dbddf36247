//! The messages of a conversation.

use serde_json::Value;

use crate::{Case, MetricError};

/// Role and text of each message of the field `conversation` that has both, oldest first.
pub(super) fn messages(case: &Case) -> Result<Vec<(&str, &str)>, MetricError> {
    let Value::Array(items) = case.require("conversation")? else {
        return Err(MetricError::input("`conversation` is not a list"));
    };
    let mut messages = Vec::with_capacity(items.len());
    for item in items {
        let Value::Object(message) = item else {
            return Err(MetricError::input("a message is not an object"));
        };
        // Messages have few fields: to go through them takes less than to look for two.
        let (mut role, mut content) = (None, None);
        for (name, value) in message {
            match name.as_str() {
                "role" => role = Some(value),
                "content" => content = Some(value),
                _ => {}
            }
        }
        let text = match content {
            None | Some(Value::Null) => continue,
            Some(Value::String(text)) => text,
            Some(_) => {
                return Err(MetricError::input("the content of a message is not text"));
            }
        };
        if let (Some(Value::String(role)), false) = (role, text.is_empty()) {
            messages.push((role.as_str(), text.as_str()));
        }
    }
    Ok(messages)
}
