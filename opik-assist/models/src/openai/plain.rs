//! The chunk that nearly all of a reply consists of: one choice with a few more words.
//!
//! It is read into a struct, which takes a fraction of the effort that a value takes. Every chunk that
//! says anything else, in any field, is left to the reader of all chunks.

use std::borrow::Cow;
use std::fmt;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer};

/// What such a chunk may have.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Chunk<'a> {
    #[serde(borrow, rename = "choices")]
    choice: (Choice<'a>,),
    #[serde(default, rename = "id")]
    _id: Unread,
    #[serde(default, rename = "object")]
    _object: Unread,
    #[serde(default, rename = "created")]
    _created: Unread,
    #[serde(default, rename = "model")]
    _model: Unread,
    #[serde(default, rename = "system_fingerprint")]
    _fingerprint: Unread,
    #[serde(default, rename = "service_tier")]
    _tier: Unread,
    #[serde(default, rename = "obfuscation")]
    _padding: Unread,
    #[serde(default, rename = "usage")]
    _usage: Option<()>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Choice<'a> {
    #[serde(borrow)]
    delta: Delta<'a>,
    #[serde(default)]
    index: u64,
    #[serde(default, rename = "finish_reason")]
    _finish_reason: Option<()>,
    #[serde(default, rename = "logprobs")]
    _logprobs: Option<()>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Delta<'a> {
    #[serde(borrow)]
    content: Cow<'a, str>,
    #[serde(default, rename = "role")]
    _role: Unread,
    #[serde(default, rename = "refusal")]
    _refusal: Option<()>,
    #[serde(default, rename = "tool_calls")]
    _tool_calls: Option<()>,
    #[serde(default, rename = "reasoning_content")]
    _reasoning: Option<()>,
}

/// A text, a whole number or `null` that nobody looks at.
#[derive(Default)]
struct Unread;

impl<'de> Deserialize<'de> for Unread {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = Unread;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text, a whole number or null")
            }
            fn visit_str<E>(self, _: &str) -> Result<Unread, E> {
                Ok(Unread)
            }
            fn visit_u64<E>(self, _: u64) -> Result<Unread, E> {
                Ok(Unread)
            }
            fn visit_unit<E>(self) -> Result<Unread, E> {
                Ok(Unread)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

/// The words of a chunk that says nothing else; `None` for every other one.
pub(super) fn words(data: &str) -> Option<Cow<'_, str>> {
    let chunk: Chunk<'_> = serde_json::from_str(data).ok()?;
    let (choice,) = chunk.choice;
    (choice.index == 0).then_some(choice.delta.content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_only_where_a_chunk_says_nothing_else() {
        for (data, expected) in [
            (r#"{"choices":[{"delta":{"content":"a"}}]}"#, Some("a")),
            (
                r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":null,"usage":null,
                    "choices":[{"index":0,"delta":{"role":"assistant","content":"é\u00e9\n","refusal":null},
                    "logprobs":null,"finish_reason":null}]}"#,
                Some("éé\n"),
            ),
            (r#"{"choices":[{"index":1,"delta":{"content":"a"}}]}"#, None),
            (r#"{"choices":[{"delta":{"content":"a"}},{}]}"#, None),
            (r#"{"choices":[]}"#, None),
            (r#"{"choices":[{"delta":{"content":null}}]}"#, None),
            (r#"{"choices":[{"delta":{"content":["a"]}}]}"#, None),
            (
                r#"{"choices":[{"delta":{"content":"a","refusal":"b"}}]}"#,
                None,
            ),
            (
                r#"{"choices":[{"delta":{"content":"a","reasoning":"b"}}]}"#,
                None,
            ),
            (
                r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}"#,
                None,
            ),
            (
                r#"{"choices":[{"delta":{"content":"a"}}],"usage":{"total_tokens":1}}"#,
                None,
            ),
            (
                r#"{"choices":[{"delta":{"content":"a"}}],"error":"b"}"#,
                None,
            ),
            (
                r#"{"id":{"deep":1},"choices":[{"delta":{"content":"a"}}]}"#,
                None,
            ),
            (r#"{"choices":[{"delta":{"content":"\ud83e"}}]}"#, None),
            (r#"{"choices":[{"delta":{"content":"a"#, None),
        ] {
            assert_eq!(words(data).as_deref(), expected, "{data}");
        }
    }
}
