//! What of the prompts a prompt cache could save, and tools that are described and never used.
//!
//! # Cacheable
//!
//! Model calls of one name and model in order of their start. The share of a prompt that is the same
//! as the beginning of the call's predecessor, byte by byte in the recorded input, is the share of its
//! tokens that a prefix cache would find. Less than 1,024 tokens are not cached by any provider
//! and do not count. What providers say they read from a cache (`cached` or `cache_read` in the
//! usage) was saved already.
//!
//! # Unused tools
//!
//! Tools that the input of a call describes (`tools`, with `name` or `function.name`) and that neither
//! a tool span is named after nor any output of such calls names. What their descriptions cost is
//! their estimated tokens times the calls that send them.

use std::collections::{BTreeMap, HashMap, HashSet};

use opik_core::tree::NodeId;
use opik_core::{SpanType, TraceTree};
use serde_json::Value;

use crate::context::tokens::estimate;
use crate::figures::real;
use crate::signature::{Mix, Numbers};

/// Fewer tokens than this are not cached.
const LEAST: i64 = 1_024;
/// Share of all prompt tokens of the calls that makes it worth to be told, in percent.
const WORTH: f64 = 20.0;
/// Inputs longer than this are not parsed for tools.
const LONGEST: usize = 1 << 20;
/// Tokens of a call where no usage was recorded: bytes by this.
const BYTES: usize = 4;

/// Prompts that begin alike.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Cacheable {
    /// The calls in order of their start.
    pub nodes: Vec<NodeId>,
    /// Prompt tokens of all of them.
    pub prompt_tokens: i64,
    /// Those that stand in the beginning that a call shares with the one before.
    pub cacheable: i64,
    /// Those that the provider read from a cache.
    pub cached: i64,
}

impl Cacheable {
    /// What a cache would save beyond what it has saved.
    #[must_use]
    pub fn unsaved(&self) -> i64 {
        (self.cacheable - self.cached).max(0)
    }
}

/// Tools that calls describe and nobody uses.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnusedTools {
    /// The calls that describe them, in order of their start.
    pub nodes: Vec<NodeId>,
    /// Their names, in order of the alphabet.
    pub unused: Vec<String>,
    /// How many tools are described in all.
    pub described: usize,
    /// Estimated tokens of the unused descriptions in one call.
    pub tokens: usize,
}

/// Model calls with recorded input by name and model, each group in order of its start.
pub(crate) fn groups(tree: &TraceTree) -> Vec<Vec<NodeId>> {
    let mut groups: Numbers<Vec<NodeId>> = Numbers::default();
    for node in tree.nodes() {
        let span = tree.span(node);
        if span.kind() == &SpanType::Llm && span.input.is_some() {
            let mut key = Mix::default();
            key.text(span.name.as_deref().unwrap_or_default());
            key.text(span.model.as_deref().unwrap_or_default());
            groups.entry(key.value()).or_default().push(node);
        }
    }
    let mut groups: Vec<Vec<NodeId>> = groups.into_values().collect();
    for group in &mut groups {
        group.sort_by_key(|&node| (tree.interval(node).start, node));
    }
    groups.sort_unstable();
    groups
}

/// Finds prompts that a cache would save, the most tokens first.
#[must_use]
pub fn cacheable(tree: &TraceTree) -> Vec<Cacheable> {
    cacheable_of(tree, &groups(tree))
}

/// The same with groups that are known.
pub(crate) fn cacheable_of(tree: &TraceTree, groups: &[Vec<NodeId>]) -> Vec<Cacheable> {
    let mut found = Vec::new();
    for nodes in groups.iter().filter(|nodes| nodes.len() >= 2) {
        let text = |node: NodeId| {
            tree.span(node)
                .input
                .as_ref()
                .map_or("", |input| input.as_str())
        };
        let mut sum = Cacheable {
            prompt_tokens: 0,
            cacheable: 0,
            cached: 0,
            nodes: Vec::new(),
        };
        let mut before = "";
        for &node in nodes {
            let own = text(node);
            let usage = &tree.span(node).usage;
            let tokens = usage.prompt_tokens().filter(|&tokens| tokens > 0);
            let guess = || i64::try_from(own.len() / BYTES).unwrap_or(i64::MAX);
            let tokens = tokens.unwrap_or_else(guess);
            let same = common(before, own);
            let shared = share_of(tokens, same, own.len());
            sum.prompt_tokens = sum.prompt_tokens.saturating_add(tokens);
            if shared >= LEAST {
                sum.cacheable = sum.cacheable.saturating_add(shared);
            }
            let is_cached = |name: &str| name.contains("cached") || name.contains("cache_read");
            let cached = usage.0.iter().filter(|(name, _)| is_cached(name));
            let cached = cached.map(|(_, &count)| count).max().unwrap_or(0);
            sum.cached = sum.cached.saturating_add(cached.clamp(0, tokens));
            before = own;
        }
        let worth = real(sum.unsaved()) >= WORTH / 100.0 * real(sum.prompt_tokens);
        if sum.unsaved() >= LEAST && worth {
            sum.nodes.clone_from(nodes);
            found.push(sum);
        }
    }
    found.sort_by_key(|sum| (std::cmp::Reverse(sum.unsaved()), sum.nodes.first().copied()));
    found
}

/// Bytes at the beginning that are the same, eight at a time.
fn common(a: &str, b: &str) -> usize {
    let (words, _) = a.as_bytes().as_chunks::<8>();
    let (others, _) = b.as_bytes().as_chunks::<8>();
    let same = words.iter().zip(others).take_while(|(a, b)| a == b).count() * 8;
    let rest = a.bytes().skip(same).zip(b.bytes().skip(same));
    same + rest.take_while(|(a, b)| a == b).count()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a share of a number of tokens"
)]
fn share_of(tokens: i64, part: usize, whole: usize) -> i64 {
    let share = crate::figures::number(part) / crate::figures::number(whole.max(1));
    (real(tokens) * share) as i64
}

/// Finds tools that are described and not used, the most tokens first.
#[must_use]
pub fn unused_tools(tree: &TraceTree) -> Vec<UnusedTools> {
    unused_tools_of(tree, &groups(tree))
}

/// The same with groups that are known.
pub(crate) fn unused_tools_of(tree: &TraceTree, groups: &[Vec<NodeId>]) -> Vec<UnusedTools> {
    let mut found = Vec::new();
    // The first call stands for all; tools rarely change on the way.
    let describing = groups.iter().filter_map(|nodes| {
        let described = described(tree, *nodes.first()?);
        (!described.is_empty()).then_some((nodes, described))
    });
    let describing: Vec<(&Vec<NodeId>, HashMap<String, usize>)> = describing.collect();
    if describing.is_empty() {
        return found;
    }
    let spans = tree.nodes().map(|node| tree.span(node));
    let tools: HashSet<&str> = spans
        .filter(|span| span.kind() == &SpanType::Tool)
        .filter_map(|span| span.name.as_deref())
        .collect();
    for (nodes, described) in describing {
        let named = |name: &str| {
            let quoted = format!("\"{name}\"");
            let escaped = format!("\\\"{name}\\\"");
            nodes.iter().any(|&node| {
                let output = tree
                    .span(node)
                    .output
                    .as_ref()
                    .map_or("", |output| output.as_str());
                output.contains(&quoted) || output.contains(&escaped)
            })
        };
        // Without outputs nobody can tell what was asked for.
        let has_output = nodes.iter().any(|&node| tree.span(node).output.is_some());
        if !has_output && tools.is_empty() {
            continue;
        }
        let is_unused = |name: &String| !tools.contains(name.as_str()) && !named(name);
        let all = described.len();
        let unused: BTreeMap<String, usize> = described
            .into_iter()
            .filter(|(name, _)| is_unused(name))
            .collect();
        let tokens = unused.values().sum::<usize>();
        if tokens * nodes.len() < usize::try_from(LEAST).unwrap_or(0) {
            continue;
        }
        found.push(UnusedTools {
            unused: unused.into_keys().collect(),
            described: all,
            tokens,
            nodes: nodes.clone(),
        });
    }
    found.sort_by_key(|tools| {
        (
            std::cmp::Reverse(tools.tokens * tools.nodes.len()),
            tools.nodes.first().copied(),
        )
    });
    found
}

/// The tools that a call describes, with the tokens of each.
fn described(tree: &TraceTree, node: NodeId) -> HashMap<String, usize> {
    let span = tree.span(node);
    let mut found = HashMap::new();
    for json in [&span.input, &span.metadata].into_iter().flatten() {
        let text = json.as_str();
        if text.len() > LONGEST || !text.contains("\"tools\"") {
            continue;
        }
        let value = json.to_value().ok();
        let tools = value
            .as_ref()
            .and_then(|value| value.get("tools")?.as_array());
        for tool in tools.into_iter().flatten() {
            let name = tool
                .get("name")
                .or_else(|| tool.get("function")?.get("name"));
            if let Some(name) = name.and_then(Value::as_str) {
                found.insert(name.to_owned(), estimate(&tool.to_string()));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use opik_core::{Json, Span, SpanId, Timestamp, TraceId, Usage};

    fn tree(rows: &[(SpanType, &str, String, String, Usage)]) -> TraceTree {
        let trace = TraceId::from_bytes([1; 16]);
        let spans = rows
            .iter()
            .zip(1u8..)
            .map(|((kind, name, input, output, usage), number)| {
                let at = Timestamp::from_micros(i64::from(number));
                let mut span = Span::new(SpanId::from_bytes([number; 16]), trace, at);
                span.r#type = Some(kind.clone());
                span.name = Some((*name).to_owned());
                span.input = Json::parse(input).ok();
                span.output = Json::parse(output).ok();
                span.usage = usage.clone();
                span
            });
        TraceTree::from_spans(trace, spans.collect())
    }

    fn call(
        input: &str,
        tokens: i64,
        cached: i64,
    ) -> (SpanType, &'static str, String, String, Usage) {
        let usage = Usage::from([
            ("prompt_tokens", tokens),
            ("original_usage.prompt_tokens_details.cached_tokens", cached),
        ]);
        (
            SpanType::Llm,
            "plan",
            input.to_owned(),
            "\"ok\"".to_owned(),
            usage,
        )
    }

    #[test]
    fn the_share_of_the_common_beginning_is_cacheable() {
        let system = "s".repeat(7_999);
        let prompt = |end: &str| format!("\"{system}{end}\"");
        // 8,000 of 10,001 bytes are the same, and 2,000 tokens are a fifth of the bytes.
        let ends = ["a".repeat(2_000), "b".repeat(2_000), "c".repeat(2_000)];
        let calls: Vec<_> = ends
            .iter()
            .map(|end| call(&prompt(end), 2_000, 0))
            .collect();
        let found = cacheable(&tree(&calls));
        let share = 2_000 * 8_000 / 10_001;
        assert_eq!(
            (
                found.len(),
                found[0].prompt_tokens,
                found[0].cacheable,
                found[0].cached
            ),
            (1, 6_000, 2 * share, 0)
        );
        let cached: Vec<_> = ends
            .iter()
            .map(|end| call(&prompt(end), 2_000, 1_600))
            .collect();
        assert_eq!(cacheable(&tree(&cached)), [], "the provider has cached it");
        let small: Vec<_> = ends
            .iter()
            .map(|end| call(&prompt(end), 1_200, 0))
            .collect();
        assert_eq!(cacheable(&tree(&small)), [], "less than 1,024 tokens");
        let other: Vec<_> = ends
            .iter()
            .map(|end| call(&format!("\"{end}{system}\""), 2_000, 0))
            .collect();
        assert_eq!(cacheable(&tree(&other)), [], "the beginning differs");
    }

    #[test]
    fn tools_that_nobody_calls_are_named() {
        let tool = |name: &str| {
            format!(
                r#"{{"type":"function","function":{{"name":"{name}","description":"{}"}}}}"#,
                "words ".repeat(200)
            )
        };
        let input = format!(
            r#"{{"tools":[{},{},{}],"messages":[]}}"#,
            tool("search"),
            tool("refund"),
            tool("weather")
        );
        let output = r#"{"tool_calls":[{"function":{"name":"search"}}]}"#;
        let call = (
            SpanType::Llm,
            "plan",
            input,
            output.to_owned(),
            Usage::default(),
        );
        let run = (
            SpanType::Tool,
            "refund",
            "{}".to_owned(),
            "{}".to_owned(),
            Usage::default(),
        );
        let found = unused_tools(&tree(&[call.clone(), call.clone(), call.clone(), run]));
        assert_eq!(
            (
                found.len(),
                found[0].unused.as_slice(),
                found[0].described,
                found[0].nodes.len()
            ),
            (1, &["weather".to_owned()][..], 3, 3)
        );
        assert!((400..500).contains(&found[0].tokens), "{}", found[0].tokens);
        let used = r#"{"text":"{\"name\": \"weather\"} and \"refund\" and \"search\""}"#;
        let call = (call.0, call.1, call.2, used.to_owned(), call.4);
        assert_eq!(unused_tools(&tree(&[call.clone(), call.clone(), call])), []);
    }

    #[test]
    fn common_beginnings_of_all_lengths() {
        let text = "0123456789abcdefghij";
        for length in 0..=text.len() {
            let other = format!("{}#", text.get(..length).unwrap());
            assert_eq!(common(text, &other), length);
        }
    }
}
