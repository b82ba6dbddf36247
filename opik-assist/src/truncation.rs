//! Replies of models that were cut at their largest length.
//!
//! A model call whose output or metadata says `finish_reason` (or `stop_reason`,
//! `finishReason`) is `length`, `max_tokens` or `MAX_TOKENS`. The JSON is searched as text, so the
//! field is found at any depth.

use opik_core::tree::NodeId;
use opik_core::{SpanType, TraceTree};

const FIELDS: [&str; 3] = ["finish_reason\"", "stop_reason\"", "finishReason\""];
const WORDS: [&str; 3] = ["length\"", "max_tokens\"", "MAX_TOKENS\""];

/// The model calls whose reply was cut, in pre-order.
#[must_use]
pub fn truncated(tree: &TraceTree) -> Vec<NodeId> {
    let calls = tree
        .nodes()
        .filter(|&node| tree.span(node).kind() == &SpanType::Llm);
    calls
        .filter(|&node| {
            let span = tree.span(node);
            [&span.output, &span.metadata]
                .into_iter()
                .flatten()
                .any(|json| says_cut(json.as_str()))
        })
        .collect()
}

fn says_cut(text: &str) -> bool {
    // Nearly always none: that is found out many bytes at once.
    let mut fields = FIELDS.iter().filter(|field| text.contains(**field));
    fields.any(|field| {
        text.match_indices(field).any(|(at, _)| {
            let value = text.get(at + field.len()..).unwrap_or_default();
            let value = value.trim_start_matches([' ', ':', '\n', '\r', '\t']);
            let value = value.strip_prefix('"').unwrap_or_default();
            WORDS.iter().any(|word| value.starts_with(word))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_found_at_any_depth() {
        assert!(says_cut(r#"{"choices":[{"finish_reason": "length"}]}"#));
        assert!(says_cut(r#"{"stop_reason":"max_tokens"}"#));
        assert!(!says_cut(r#"{"finish_reason":"stop","length":"length"}"#));
        assert!(!says_cut(r#"{"finish_reason":"length_of_x"}"#));
    }
}
