//! Calls that ended without an error and gave nothing back.
//!
//! - A model or tool call that has ended, has no error, and whose output is absent, `null` or empty,
//!   while at least one other call of its kind and name, and at least half of them, have an output.
//!   A recorder that leaves outputs out leaves all of them out.
//! - A model call whose output is recorded and has no text and no tool call in it, where the field
//!   for the reply is there: `content`, `text`, `message`, `output` or `completion` is `null` or empty.
//! - A model call that says that it wrote 0 tokens.

use opik_core::tree::NodeId;
use opik_core::{Json, Span, SpanType, TraceTree};
use serde_json::Value;

use crate::signature::{Mix, Numbers};

/// Outputs longer than this are not empty.
const LONGEST: usize = 4_096;
/// Fields that hold what a model said.
const SAID: [&str; 5] = ["content", "text", "message", "output", "completion"];

/// Why an output counts as missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MissingKind {
    /// There is none, and others of its name have one.
    Absent,
    /// A reply without a text and without a tool call.
    EmptyReply,
    /// The usage says that nothing was written.
    NoTokens,
}

/// A call that gave nothing back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MissingOutput {
    /// The call.
    pub node: NodeId,
    /// How it is known.
    pub kind: MissingKind,
}

/// Finds calls that gave nothing back, in pre-order.
#[must_use]
pub fn missing_outputs(tree: &TraceTree) -> Vec<MissingOutput> {
    let mut names: Numbers<(usize, usize)> = Numbers::default();
    let mut suspects = Vec::new();
    for node in tree.nodes() {
        let span = tree.span(node);
        if !matches!(span.kind(), SpanType::Llm | SpanType::Tool) {
            continue;
        }
        let has = has_output(span);
        let (with, all) = names.entry(key(span)).or_default();
        *all += 1;
        *with += usize::from(has);
        if span.error_info.is_some() || span.end_time.is_none() {
            continue;
        }
        if !has {
            suspects.push(MissingOutput {
                node,
                kind: MissingKind::Absent,
            });
        } else if span.kind() == &SpanType::Llm {
            let is_empty = span.output.as_ref().is_some_and(is_empty_reply);
            let kind = if is_empty {
                Some(MissingKind::EmptyReply)
            } else {
                (span.usage.completion_tokens() == Some(0)).then_some(MissingKind::NoTokens)
            };
            suspects.extend(kind.map(|kind| MissingOutput { node, kind }));
        }
    }
    suspects.retain(|missing| {
        let span = tree.span(missing.node);
        let counts = names.get(&key(span));
        let (with, all) = counts.copied().unwrap_or_default();
        missing.kind != MissingKind::Absent || with > 0 && with * 2 >= all
    });
    suspects
}

/// A hash of kind and name.
fn key(span: &Span) -> u64 {
    let mut mix = Mix::default();
    mix.text(span.kind().as_str());
    mix.text(span.name.as_deref().unwrap_or_default());
    mix.value()
}

fn has_output(span: &Span) -> bool {
    let told = |json: &Json| !matches!(json.as_str().trim(), "null" | "{}" | "\"\"" | "[]");
    span.output.as_ref().is_some_and(told)
}

fn is_empty_reply(output: &Json) -> bool {
    let text = output.as_str();
    // A reply with nothing in it is short, and says so.
    let may_be = text.len() <= LONGEST
        && ["\"\"", "\" ", "null"]
            .iter()
            .any(|sign| text.contains(sign));
    if !may_be {
        return false;
    }
    let Ok(value) = output.to_value() else {
        return false;
    };
    let (mut todo, mut empty) = (vec![(None, &value)], false);
    while let Some((key, value)) = todo.pop() {
        let said = key.is_some_and(|key| SAID.contains(&key));
        match value {
            Value::Null => empty |= said,
            Value::String(text) if text.trim().is_empty() => empty |= said,
            Value::String(_) if said => return false,
            Value::Array(items)
                if key.is_some_and(|key| key.contains("tool_call")) && !items.is_empty() =>
            {
                return false;
            }
            Value::Array(items) => todo.extend(items.iter().map(|item| (key, item))),
            Value::Object(fields) => {
                let calls = ["function_call", "functionCall", "tool_use"];
                let calls_tool = calls
                    .iter()
                    .any(|call| fields.get(*call).is_some_and(|call| !call.is_null()))
                    || fields.get("type").and_then(Value::as_str) == Some("tool_use");
                if calls_tool {
                    return false;
                }
                todo.extend(
                    fields
                        .iter()
                        .map(|(key, value)| (Some(key.as_str()), value)),
                );
            }
            _ => {}
        }
    }
    empty
}

#[cfg(test)]
mod tests {
    use super::*;
    use opik_core::{ErrorInfo, SpanId, Timestamp, TraceId, Usage};

    fn found(rows: &[(SpanType, &str, i64)]) -> Vec<(usize, MissingKind)> {
        let trace = TraceId::from_bytes([1; 16]);
        let spans = rows
            .iter()
            .zip(1u8..)
            .map(|((kind, output, tokens), number)| {
                let at = Timestamp::from_micros(i64::from(number));
                let mut span = Span::new(SpanId::from_bytes([number; 16]), trace, at);
                span.r#type = Some(kind.clone());
                span.output = Json::parse(output).ok();
                span.end_time = Some(at);
                span.usage = Usage::of_tokens(5, *tokens);
                span
            });
        let tree = TraceTree::from_spans(trace, spans.collect());
        let missing = missing_outputs(&tree);
        missing
            .iter()
            .map(|missing| (missing.node.index(), missing.kind))
            .collect()
    }

    #[test]
    fn an_output_is_missed_where_others_have_one() {
        let tool = |output| (SpanType::Tool, output, 0);
        assert_eq!(
            found(&[tool("\"a\""), tool(""), tool("[1]"), tool("{}")]),
            [(1, MissingKind::Absent), (3, MissingKind::Absent)]
        );
        assert_eq!(found(&[tool("\"a\""), tool(""), tool("")]), []);
        assert_eq!(
            found(&[tool(""), tool("null")]),
            [],
            "outputs are not recorded at all"
        );
        assert_eq!(
            found(&[(SpanType::General, "\"a\"", 0), (SpanType::General, "", 0)]),
            []
        );
    }

    #[test]
    fn replies_without_text_and_call_are_empty() {
        let reply = |output| (SpanType::Llm, output, 7);
        let empty = [
            r#"{"choices":[{"message":{"role":"assistant","content":""}}]}"#,
            r#"{"choices":[{"message":{"content":null,"tool_calls":[]}}]}"#,
            r#"{"content":[{"type":"text","text":" "}]}"#,
        ];
        for output in empty {
            assert_eq!(
                found(&[reply(output)]),
                [(0, MissingKind::EmptyReply)],
                "{output}"
            );
        }
        let fine = [
            r#"{"choices":[{"message":{"content":null,"tool_calls":[{"id":"c"}]}}]}"#,
            r#"{"choices":[{"message":{"content":"","function_call":{"name":"f"}}}]}"#,
            r#"{"content":[{"type":"tool_use","name":"f"},{"type":"text","text":""}]}"#,
            r#"{"content":"yes","refusal":null,"text":""}"#,
            r#"{"score":null}"#,
            "\"yes\"",
        ];
        for output in fine {
            assert_eq!(found(&[reply(output)]), [], "{output}");
        }
        assert_eq!(
            found(&[(SpanType::Llm, "\"?\"", 0)]),
            [(0, MissingKind::NoTokens)]
        );
    }

    #[test]
    fn a_failed_or_running_call_needs_no_output() {
        let trace = TraceId::from_bytes([1; 16]);
        let spans = (1..4u8).map(|number| {
            let at = Timestamp::from_micros(i64::from(number));
            let mut span = Span::new(SpanId::from_bytes([number; 16]), trace, at);
            span.r#type = Some(SpanType::Tool);
            span.output = (number == 1).then(|| Json::string("x"));
            span.end_time = (number != 2).then_some(at);
            span.error_info = (number == 3).then(|| ErrorInfo::new("E", "gone"));
            span
        });
        assert_eq!(
            missing_outputs(&TraceTree::from_spans(trace, spans.collect())),
            []
        );
    }
}
