//! Difference of what spans carry: input, output and metadata.

use std::hash::{DefaultHasher, Hash, Hasher};

use opik_core::Json;
use serde::Serialize;
use serde_json::Value;

use super::json::{JsonDiff, diff_json, same};
use super::text::{TextDiff, diff_texts};

/// Documents up to this many bytes are parsed; larger ones are compared as text.
const PARSE_LIMIT: usize = 4 * 1024 * 1024;

/// How two contents relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ContentState {
    /// Neither span has it.
    Absent,
    /// Both have the same.
    Equal,
    /// Only the second span has it.
    Added,
    /// Only the first span has it.
    Removed,
    /// Both have it, and it differs.
    Changed,
}

/// Difference of the same field of two spans.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ContentDiff {
    /// How they relate.
    pub state: ContentState,
    /// Size in the first span, in bytes of JSON.
    pub before_bytes: usize,
    /// Size in the second span, in bytes of JSON.
    pub after_bytes: usize,
    /// Changes by path, when both are JSON documents of a size that is parsed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<JsonDiff>,
    /// Changes in the text, when both are texts or too large to be parsed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<TextDiff>,
}

impl ContentDiff {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self.state, ContentState::Absent | ContentState::Equal)
    }
}

/// Compares the same field of two spans.
pub(super) fn diff_contents(before: Option<&Json>, after: Option<&Json>) -> ContentDiff {
    let size = |json: Option<&Json>| json.map_or(0, |json| json.as_str().len());
    let mut diff = ContentDiff {
        state: ContentState::Changed,
        before_bytes: size(before),
        after_bytes: size(after),
        json: None,
        text: None,
    };
    match (before, after) {
        (None, None) => diff.state = ContentState::Absent,
        (None, Some(_)) => diff.state = ContentState::Added,
        (Some(_), None) => diff.state = ContentState::Removed,
        (Some(old), Some(new)) if old == new => diff.state = ContentState::Equal,
        (Some(old), Some(new)) => match parsed(old, new) {
            Some((old, new)) if same(&old, &new) => diff.state = ContentState::Equal,
            Some((Value::String(old), Value::String(new))) => {
                diff.text = Some(diff_texts(&old, &new));
            }
            Some((old, new)) => diff.json = Some(diff_json(&old, &new)),
            None => diff.text = Some(diff_texts(old.as_str(), new.as_str())),
        },
    }
    diff
}

/// Both values, unless one is too large or not readable.
fn parsed(a: &Json, b: &Json) -> Option<(Value, Value)> {
    if a.as_str().len().max(b.as_str().len()) > PARSE_LIMIT {
        return None;
    }
    Some((a.to_value().ok()?, b.to_value().ok()?))
}

/// A hash of the text as it was written; `0` for no content.
pub(super) fn text_hash(json: Option<&Json>) -> u64 {
    let Some(json) = json else { return 0 };
    let mut hasher = DefaultHasher::new();
    json.as_str().hash(&mut hasher);
    hasher.finish().max(1)
}

/// Whether two contents say the same: equal but for spelling, and for members that differ from
/// call to call even when nothing else does (moments of creation, random identifiers).
pub(super) fn equivalent(a: Option<&Json>, b: Option<&Json>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => {
            a == b || parsed(a, b).is_some_and(|(a, b)| equivalent_values(&a, &b))
        }
        _ => false,
    }
}

fn equivalent_values(a: &Value, b: &Value) -> bool {
    let mut stack = vec![(a, b)];
    while let Some((a, b)) = stack.pop() {
        match (a, b) {
            (Value::Object(a), Value::Object(b)) if a.len() == b.len() => {
                for (key, value) in a {
                    match b.get(key) {
                        Some(other) if is_volatile(key, value, other) => {}
                        Some(other) => stack.push((value, other)),
                        None => return false,
                    }
                }
            }
            (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
                stack.extend(a.iter().zip(b));
            }
            (a, b) if same(a, b) => {}
            _ => return false,
        }
    }
    true
}

/// Whether a member differs from call to call by its nature.
fn is_volatile(key: &str, a: &Value, b: &Value) -> bool {
    match key {
        "created" | "created_at" | "timestamp" | "request_id" | "system_fingerprint" => {
            std::mem::discriminant(a) == std::mem::discriminant(b)
        }
        // Random identifiers are long; `"id": "order-17"` is content.
        "id" | "tool_call_id" => {
            let random = |value: &Value| value.as_str().is_some_and(|id| id.len() >= 20);
            random(a) && random(b)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Option<Json> {
        Some(Json::parse(text).unwrap())
    }

    #[test]
    fn another_spelling_is_no_difference_and_another_kind_is() {
        let diff = |a, b| diff_contents(json(a).as_ref(), json(b).as_ref());
        assert!(diff(r#"{"a":1,"b":[]}"#, r#"{"b": [ ], "a": 1.0}"#).is_empty());
        assert_eq!(diff(r#""old""#, r#""new""#).text.unwrap().hunks.len(), 1);
        assert_eq!(diff("[1]", r#""new""#).json.unwrap().changes.len(), 1);
        assert_eq!(
            diff_contents(None, json("1").as_ref()).state,
            ContentState::Added
        );
    }

    #[test]
    fn replies_that_differ_in_random_ids_only_are_equivalent() {
        let reply = |id: &str, text: &str| {
            json(&format!(
                r#"{{"id":"chatcmpl-{id}","created":{},"t":"{text}"}}"#,
                id.len()
            ))
        };
        let (a, b) = (reply("0123456789abc", "x"), reply("cba98765432101", "x"));
        assert!(equivalent(a.as_ref(), b.as_ref()));
        assert!(!equivalent(
            a.as_ref(),
            reply("0123456789abc", "y").as_ref()
        ));
        assert!(!equivalent(
            json(r#"{"id":"order-17"}"#).as_ref(),
            json(r#"{"id":"order-18"}"#).as_ref()
        ));
        assert!(!equivalent(a.as_ref(), None));
    }
}
