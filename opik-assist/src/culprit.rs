//! The model call that asked for an action that failed.
//!
//! Looked for among the model calls that began before the action, the nearest first, at most 256
//! spans back. A call is the producer when its output holds the action's `tool_call_id`, or
//! arguments equal to the action's input (as JSON, whatever the order of keys, also where they
//! travel as a text), or a text of at least 24 characters of the input (code, queries). Where no
//! output matches, the nearest preceding model call under the same parent is the likely one, then
//! the enclosing model call.

use opik_core::tree::NodeId;
use opik_core::{Json, SpanType, TraceTree};
use serde_json::Value;

/// How far back producers are looked for, in spans.
const REACH: usize = 256;
/// Model calls whose output is compared.
const CALLS: usize = 24;
/// Outputs longer than this are not compared.
const LONGEST: usize = 1 << 18;
/// Texts shorter than this occur by chance.
const TELLING: usize = 24;

/// How the producer of an action was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CulpritRule {
    /// Its output holds the action's call id.
    CallId,
    /// Its output holds arguments equal to the action's input.
    EqualArguments,
    /// Its output contains a long text of the action's input.
    ContainedText,
    /// It is the nearest model call before the action, under the same parent.
    NearestBefore,
    /// It is the model call that the action is a part of.
    Enclosing,
}

impl CulpritRule {
    /// Why, as a clause.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::CallId => "its output holds the id of the call",
            Self::EqualArguments => "its output holds the same arguments",
            Self::ContainedText => "its output contains the text that was run",
            Self::NearestBefore => "it is the nearest model call before it",
            Self::Enclosing => "it encloses the failed span",
        }
    }

    /// Whether data links the two, and not only order.
    #[must_use]
    pub fn is_data_flow(self) -> bool {
        matches!(
            self,
            Self::CallId | Self::EqualArguments | Self::ContainedText
        )
    }
}

/// The model call that produced a failing action.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Culprit {
    /// The model call.
    pub node: NodeId,
    /// How it was found.
    pub rule: CulpritRule,
}

/// Finds the model call that asked for the action; `None` for model calls themselves.
pub(crate) fn culprit(tree: &TraceTree, action: NodeId) -> Option<Culprit> {
    let span = tree.span(action);
    let is_call = |node: NodeId| tree.span(node).kind() == &SpanType::Llm;
    if is_call(action) {
        return None;
    }
    let start = tree.interval(action).start;
    let before = tree.nodes().take(action.index()).rev().take(REACH);
    let calls: Vec<NodeId> = before
        .filter(|&node| is_call(node) && tree.interval(node).start <= start)
        .filter(|&node| !tree.is_ancestor(node, action))
        .take(CALLS)
        .collect();
    let input = span
        .input
        .as_ref()
        .filter(|input| input.as_str().len() <= LONGEST);
    let wanted = Wanted::new(input, span.metadata.as_ref());
    if !wanted.is_empty() {
        let found = calls.iter().find_map(|&node| {
            let output = tree.span(node).output.as_ref()?;
            let output = (output.as_str().len() <= LONGEST).then(|| output.to_value().ok())??;
            wanted.found_in(&output).map(|rule| Culprit { node, rule })
        });
        if found.is_some() {
            return found;
        }
    }
    let parent = tree.parent(action);
    let sibling = calls.iter().find(|&&node| tree.parent(node) == parent);
    let nearest = sibling.map(|&node| Culprit {
        node,
        rule: CulpritRule::NearestBefore,
    });
    nearest.or_else(|| {
        let node = tree.ancestors(action).find(|&node| is_call(node))?;
        let rule = CulpritRule::Enclosing;
        Some(Culprit { node, rule })
    })
}

/// What the output of a producer must hold.
struct Wanted {
    call_id: Option<String>,
    arguments: Vec<Value>,
    text: Option<String>,
}

impl Wanted {
    fn new(input: Option<&Json>, metadata: Option<&Json>) -> Self {
        let input = input.and_then(|input| input.to_value().ok());
        let metadata = metadata
            .filter(|metadata| metadata.as_str().contains("call_id"))
            .and_then(|metadata| metadata.to_value().ok());
        let id = |value: &Option<Value>| {
            let value = value.as_ref()?;
            ["tool_call_id", "call_id", "tool_use_id"]
                .iter()
                .find_map(|name| value.get(*name).and_then(Value::as_str))
                .filter(|id| id.len() >= 4)
                .map(str::to_owned)
        };
        let call_id = id(&input).or_else(|| id(&metadata));
        let mut arguments = Vec::new();
        let mut text: Option<String> = None;
        if let Some(input) = input {
            longest_text(&input, &mut text);
            let wrappers = [
                "arguments",
                "args",
                "kwargs",
                "input",
                "tool_input",
                "parameters",
            ];
            let inner = wrappers.iter().find_map(|name| input.get(*name)).cloned();
            arguments.extend(inner.into_iter().chain([input]).filter(is_telling));
        }
        let text = text.filter(|text| text.len() >= TELLING);
        Self {
            call_id,
            arguments,
            text,
        }
    }

    fn is_empty(&self) -> bool {
        self.call_id.is_none() && self.arguments.is_empty() && self.text.is_none()
    }

    /// The strongest rule that the output meets.
    fn found_in(&self, output: &Value) -> Option<CulpritRule> {
        let mut todo = vec![output];
        let mut parsed: Vec<Value> = Vec::new();
        let mut contained = false;
        while let Some(value) = todo.pop() {
            if self.arguments.contains(value) {
                return Some(CulpritRule::EqualArguments);
            }
            match value {
                Value::String(text) => {
                    if self.call_id.as_ref() == Some(text) {
                        return Some(CulpritRule::CallId);
                    }
                    contained |= self
                        .text
                        .as_ref()
                        .is_some_and(|wanted| text.contains(wanted));
                    if text.starts_with(['{', '['])
                        && let Ok(inner) = serde_json::from_str(text)
                    {
                        parsed.push(inner);
                    }
                }
                Value::Array(items) => todo.extend(items),
                Value::Object(fields) => todo.extend(fields.values()),
                _ => {}
            }
        }
        if parsed.iter().any(|inner| self.arguments.contains(inner)) {
            return Some(CulpritRule::EqualArguments);
        }
        contained.then_some(CulpritRule::ContainedText)
    }
}

/// Whether equality with this value says something: not empty, not one short scalar.
fn is_telling(value: &Value) -> bool {
    match value {
        Value::Object(fields) => !fields.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::String(text) => text.len() >= TELLING,
        _ => false,
    }
}

fn longest_text(value: &Value, longest: &mut Option<String>) {
    let mut todo = vec![value];
    while let Some(value) = todo.pop() {
        match value {
            Value::String(text) => {
                let text = text.trim();
                if longest
                    .as_ref()
                    .is_none_or(|known| known.len() < text.len())
                {
                    *longest = Some(text.to_owned());
                }
            }
            Value::Array(items) => todo.extend(items),
            Value::Object(fields) => todo.extend(fields.values()),
            _ => {}
        }
    }
}
