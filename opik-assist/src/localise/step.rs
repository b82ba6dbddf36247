//! The steps of an agent run.

use std::borrow::Cow;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use opik_core::tree::NodeId;
use opik_core::{Json, Span, SpanType, TraceTree};
use serde_json::Value;

/// How much of a text is read, in bytes; the rest of a huge page adds nothing.
const READ: usize = 64 * 1024;

/// What a step is for the purpose of finding a culprit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// It reports what a tool or a program returned.
    Output,
    /// It is what a person or the set-up said.
    Given,
    /// It says nothing: "next speaker", "terminate".
    Filler,
    /// It decides something.
    Decision,
}

/// One step.
pub(super) struct Step<'t> {
    pub(super) node: NodeId,
    pub(super) number: i64,
    pub(super) agent: String,
    /// Name of the span: what repeats is compared among steps of one name.
    pub(super) name: &'t str,
    /// What it said, in lower case, at most [`READ`] bytes.
    pub(super) text: String,
    pub(super) part: Part,
    /// Leads a team: plans and says whose turn it is.
    pub(super) leads: bool,
}

/// The steps in order.
pub(super) fn steps(tree: &TraceTree) -> Vec<Step<'_>> {
    let numbered: Vec<Step<'_>> = tree
        .nodes()
        .filter_map(|node| {
            let span = tree.span(node);
            let metadata = span
                .metadata
                .as_ref()
                .filter(|json| json.as_str().contains("\"step\""));
            let metadata = metadata?.to_value().ok()?;
            let number = metadata.get("step")?.as_i64()?;
            Some(read(node, span, number, &metadata))
        })
        .collect();
    if !numbered.is_empty() {
        let mut steps = numbered;
        steps.sort_by_key(|step| step.number);
        return steps;
    }
    let mut calls: Vec<NodeId> = tree
        .nodes()
        .filter(|&node| matches!(tree.span(node).kind(), SpanType::Llm | SpanType::Tool))
        .collect();
    calls.sort_by_key(|&node| (tree.interval(node).start, node));
    calls
        .into_iter()
        .zip(0..)
        .map(|(node, number)| read(node, tree.span(node), number, &Value::Null))
        .collect()
}

fn read<'t>(node: NodeId, span: &'t Span, number: i64, metadata: &Value) -> Step<'t> {
    let name = span.name.as_deref().unwrap_or_default();
    let agent = metadata
        .get("agent")
        .and_then(Value::as_str)
        .unwrap_or(name);
    let calls_tools = match metadata.get("tool_calls") {
        Some(Value::Array(calls)) => !calls.is_empty(),
        Some(Value::Null) | None => false,
        Some(_) => true,
    };
    let text = span.output.as_ref().map(spoken).unwrap_or_default();
    let text = text.to_lowercase();
    let lower_agent = agent.to_lowercase();
    let part = if *span.kind() == SpanType::Tool || text.starts_with("exitcode") {
        Part::Output
    } else if matches!(
        lower_agent.as_str(),
        "human" | "user" | "system" | "user_proxy"
    ) {
        Part::Given
    } else if is_filler(&text) && !calls_tools {
        Part::Filler
    } else {
        Part::Decision
    };
    let lower_name = name.to_lowercase();
    let leads = ["orchestrator", "supervisor", "coordinator"]
        .iter()
        .any(|role| lower_agent.starts_with(role) || lower_name.starts_with(role));
    Step {
        node,
        number,
        agent: agent.to_owned(),
        name,
        text,
        part,
        leads,
    }
}

/// Fewer characters than this decide nothing, unless a tool is called.
const SHORTEST: usize = 40;

fn is_filler(text: &str) -> bool {
    let short = text.trim().chars().take(SHORTEST).count() < SHORTEST;
    short && !text.starts_with("request satisfied")
        || text.starts_with("next speaker")
        || text.starts_with("there is no code")
}

/// The text of an output: a text, the `value` or `content` of an object, else the JSON.
fn spoken(output: &Json) -> Cow<'_, str> {
    const KEYS: [&str; 4] = ["value", "content", "output", "text"];
    static FINDERS: LazyLock<[Finder<'static>; 4]> = LazyLock::new(|| KEYS.map(Finder::new));
    let raw = output.as_str();
    // Keys may be written with escapes.
    let may_have = || {
        let bytes = raw.as_bytes();
        let mut keys = FINDERS.iter();
        memchr::memchr(b'\\', bytes).is_some() || keys.any(|key| key.find(bytes).is_some())
    };
    let is_read = raw.starts_with('"') || may_have();
    let text = match is_read.then(|| output.to_value()) {
        Some(Ok(Value::String(text))) => Cow::Owned(text),
        Some(Ok(Value::Object(map))) => {
            let inner = KEYS.iter().find_map(|key| map.get(*key)?.as_str());
            inner.map_or(Cow::Borrowed(raw), |text| Cow::Owned(text.to_owned()))
        }
        _ => Cow::Borrowed(raw),
    };
    if text.len() <= READ {
        return text;
    }
    // Both ends: tools say what they did first, programs fail last.
    let head = floor(&text, READ / 2);
    let tail = floor(&text, text.len() - READ / 2);
    let (head, tail) = (text.get(..head), text.get(tail..));
    let ends = [head.unwrap_or_default(), tail.unwrap_or_default()];
    Cow::Owned(ends.join("\n"))
}

/// The last boundary of characters at or before the offset.
fn floor(text: &str, mut at: usize) -> usize {
    while at > 0 && !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
