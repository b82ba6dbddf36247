//! Which spans a question speaks of.
//!
//! Whole ids and short ones (`01a1f87d…3c`, also with three points) come first. Without any, names
//! of spans that occur in the question as whole words: each stands for the first span of that
//! name. Names shorter than four letters and words of everyday questions do not count.

use std::collections::HashMap;

use opik_core::tree::NodeId;
use opik_core::{SpanId, TraceTree};

/// Names that are words of questions about traces.
const WORDS: [&str; 20] = [
    "agent",
    "answer",
    "call",
    "cost",
    "difference",
    "error",
    "fail",
    "llm",
    "loop",
    "model",
    "retry",
    "root",
    "run",
    "slow",
    "span",
    "spans",
    "step",
    "time",
    "tool",
    "trace",
];

/// The spans that a question names, in its order, and whether by their names.
pub(crate) fn mentions(question: &str, tree: &TraceTree) -> (Vec<NodeId>, bool) {
    let ids = by_id(question, tree);
    if ids.is_empty() {
        (by_name(question, tree), true)
    } else {
        (ids, false)
    }
}

/// Whether a name can be found in a question.
pub(crate) fn can_be_named(name: &str) -> bool {
    name.len() >= 4 && !WORDS.contains(&name.to_lowercase().as_str())
}

/// The spans that a text names by whole or short ids.
pub(crate) fn by_id(question: &str, tree: &TraceTree) -> Vec<NodeId> {
    let is_part =
        |character: char| character.is_ascii_hexdigit() || matches!(character, '-' | '…' | '.');
    let words = question.split(|character: char| !is_part(character));
    let mut found: Vec<NodeId> = Vec::new();
    for word in words {
        let word = word.trim_matches(['.', '-']);
        let whole = word.parse::<SpanId>().ok().and_then(|id| tree.find(id));
        let node = whole.or_else(|| by_short_id(word, tree));
        found.extend(node.filter(|node| !found.contains(node)));
    }
    found
}

fn by_short_id(word: &str, tree: &TraceTree) -> Option<NodeId> {
    let (head, tail) = word.split_once('…').or_else(|| word.split_once("..."))?;
    if head.len() + tail.len() < 4 {
        return None;
    }
    let (head, tail) = (head.to_ascii_lowercase(), tail.to_ascii_lowercase());
    let mut fits = tree.nodes().filter(|&node| {
        let id = tree.span(node).id.to_string();
        id.starts_with(&head) && id.ends_with(&tail)
    });
    let first = fits.next()?;
    fits.next().is_none().then_some(first)
}

fn by_name(question: &str, tree: &TraceTree) -> Vec<NodeId> {
    let question = question.to_lowercase();
    let mut names: HashMap<&str, NodeId> = HashMap::new();
    for node in tree.nodes() {
        // One that is longer than the question cannot be there.
        let fits = |name: &&str| !name.is_ascii() || name.len() <= question.len();
        if let Some(name) = tree.span(node).name.as_deref().filter(fits) {
            names.entry(name).or_insert(node);
        }
    }
    let mut found: Vec<(usize, std::cmp::Reverse<usize>, NodeId)> = names
        .into_iter()
        .filter_map(|(name, node)| {
            let name = name.to_lowercase();
            let at = can_be_named(&name)
                .then(|| word_at(&question, &name))
                .flatten()?;
            Some((at, std::cmp::Reverse(name.len()), node))
        })
        .collect();
    found.sort_unstable();
    // Of names that begin at the same place the longest is meant.
    found.dedup_by_key(|(at, _, _)| *at);
    found.into_iter().map(|(_, _, node)| node).collect()
}

/// Where the name stands in the text as whole words.
fn word_at(text: &str, name: &str) -> Option<usize> {
    text.match_indices(name).map(|(at, _)| at).find(|&at| {
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        let after = text
            .get(at + name.len()..)
            .and_then(|text| text.chars().next());
        let is_word = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
        !is_word(before) && !is_word(after)
    })
}
