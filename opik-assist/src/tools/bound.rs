//! Answers that fit: recorded content is shortened until the whole answer has its size, texts keep
//! head and tail, and characters that turn or hide writing are dropped.

use opik_core::Json;
use serde_json::{Map, Value, json};

use crate::quote::is_harmless;

/// Content that is longer than this is not parsed.
const PARSED: usize = 8 << 20;

/// Lengths of texts and lists that are tried, the largest first.
const STEPS: [(usize, usize); 9] = [
    (8_000, 400),
    (4_000, 200),
    (2_000, 100),
    (1_000, 60),
    (500, 40),
    (250, 24),
    (120, 16),
    (60, 10),
    (24, 6),
];

/// The value with at most about `most` characters of JSON.
pub(super) fn fit(value: &Value, most: usize) -> Value {
    if let Some(exact) = within(value, most) {
        return exact;
    }
    for (text, items) in STEPS {
        let smaller = shorten(value, text.min(most), items);
        if size(&smaller) <= most {
            return smaller;
        }
    }
    let text = value.to_string();
    json!({ "shortened": head_and_tail(&text, most.saturating_sub(80) / 2) })
}

/// The cleaned value, where it fits as it is.
fn within(value: &Value, most: usize) -> Option<Value> {
    if size(value) > most {
        return None;
    }
    Some(shorten(value, usize::MAX, usize::MAX))
}

/// Length of the JSON text.
fn size(value: &Value) -> usize {
    struct Counter(usize);
    impl std::io::Write for Counter {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counter = Counter(0);
    match serde_json::to_writer(&mut counter, value) {
        Ok(()) => counter.0,
        Err(_) => usize::MAX,
    }
}

/// Depth is that of parsed JSON, which is bounded.
fn shorten(value: &Value, text: usize, items: usize) -> Value {
    match value {
        Value::String(content) => Value::String(head_and_tail(content, text)),
        Value::Array(list) => {
            let mut kept: Vec<Value> = list
                .iter()
                .take(items)
                .map(|item| shorten(item, text, items))
                .collect();
            if list.len() > items {
                kept.push(json!(format!("... {} more", list.len() - items)));
            }
            Value::Array(kept)
        }
        Value::Object(map) => {
            let mut kept: Map<String, Value> = map
                .iter()
                .take(items)
                .map(|(key, item)| (head_and_tail(key, text.max(60)), shorten(item, text, items)))
                .collect();
            if map.len() > items {
                kept.insert(
                    "...".to_owned(),
                    json!(format!("{} more", map.len() - items)),
                );
            }
            Value::Object(kept)
        }
        other => other.clone(),
    }
}

/// The text without harmful characters, at most `most` of them: two thirds from its head, the rest
/// from its tail.
pub(super) fn head_and_tail(text: &str, most: usize) -> String {
    let clean = |part: &str| -> String {
        part.chars()
            .filter(|&letter| is_harmless(letter) || matches!(letter, '\n' | '\t'))
            .collect()
    };
    let length = if text.len() <= most {
        text.len()
    } else {
        text.chars().count()
    };
    if length <= most {
        return clean(text);
    }
    let head = most * 2 / 3;
    let tail = most - head;
    let head_end = text
        .char_indices()
        .nth(head)
        .map_or(text.len(), |(at, _)| at);
    let tail_start = text
        .char_indices()
        .rev()
        .nth(tail.saturating_sub(1))
        .map_or(0, |(at, _)| at);
    let (head_text, _) = text.split_at_checked(head_end).unwrap_or((text, ""));
    let (_, tail_text) = text.split_at_checked(tail_start).unwrap_or(("", ""));
    format!(
        "{} [... {} characters left out ...] {}",
        clean(head_text),
        length - most,
        if tail == 0 {
            String::new()
        } else {
            clean(tail_text)
        }
    )
}

/// Recorded content as a value; very long content as the head and tail of its text.
pub(super) fn content(json: Option<&Json>, most: usize) -> Value {
    let Some(json) = json else {
        return Value::Null;
    };
    let text = json.as_str();
    if text.len() > PARSED {
        return Value::String(head_and_tail(text, most));
    }
    json.to_value()
        .unwrap_or_else(|_| Value::String(head_and_tail(text, most)))
}

/// A few words of recorded content.
pub(super) fn preview(json: Option<&Json>, most: usize) -> Value {
    match json {
        None => Value::Null,
        Some(json) => Value::String(crate::quote::clean(
            json.as_str()
                .get(..json.as_str().floor_char_boundary(most * 8))
                .unwrap_or_default(),
            most,
        )),
    }
}
