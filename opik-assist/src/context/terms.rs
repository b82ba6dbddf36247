//! How well spans match the words of a question (Okapi BM25 over names, inputs, outputs, errors).
//!
//! Words of at least three letters or digits that are no everyday words of questions; a text is
//! searched without regard to case, in its first 64 KiB and its last 16 KiB. A hit in the name
//! counts as three.

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use opik_core::TraceTree;
use opik_core::tree::NodeId;

use crate::PerNode;
use crate::figures::number;

/// Words of a question that are looked for.
const MOST: usize = 16;
/// Bytes at the beginning of a text.
const HEAD: usize = 64 * 1024;
/// Bytes at its end.
const TAIL: usize = 16 * 1024;
/// What a hit in the name counts.
const NAME: f64 = 3.0;
/// Saturation and the weight of length, as usual for BM25.
const K: f64 = 1.2;
const B: f64 = 0.5;

/// Words that say nothing about what is looked for.
const EVERYDAY: &[&str] = &[
    "about", "all", "and", "any", "are", "because", "been", "before", "but", "can", "cause",
    "could", "did", "does", "end", "error", "errors", "explain", "fail", "failed", "find", "first",
    "for", "from", "get", "had", "has", "have", "here", "how", "into", "is", "last", "list",
    "long", "made", "many", "more", "most", "much", "not", "off", "out", "reason", "run", "show",
    "slow", "slowest", "some", "span", "spans", "step", "tell", "than", "that", "the", "their",
    "them", "then", "there", "these", "they", "this", "time", "took", "trace", "was", "were",
    "what", "when", "where", "which", "who", "why", "will", "with", "would", "wrong", "you",
];

/// The words of a question that are worth looking for, in lower case.
fn words(question: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in question.split(|character: char| !(character.is_alphanumeric() || character == '_'))
    {
        let word = word.to_lowercase();
        let telling = word.chars().count() >= 3 && EVERYDAY.binary_search(&word.as_str()).is_err();
        if telling && !words.contains(&word) && words.len() < MOST {
            words.push(word);
        }
    }
    words
}

/// How well each span matches, from 0 to 1 for the best; `None` when there is nothing to look for
/// or nothing matches.
pub(super) fn matches(tree: &TraceTree, question: &str) -> Option<PerNode<f64>> {
    let words = words(question);
    if words.is_empty() || tree.is_empty() {
        return None;
    }
    let search = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .kind(Some(AhoCorasickKind::DFA))
        .build(&words)
        .ok()?;
    let mut hits: Vec<(NodeId, usize, f64)> = Vec::new();
    let mut found = vec![0usize; words.len()];
    let mut lengths = PerNode::filled(tree, 0usize);
    let mut counts = vec![0.0f64; words.len()];
    for node in tree.nodes() {
        let length = count(tree, node, &search, &mut counts);
        lengths.set(node, length);
        for (word, hit) in counts.iter_mut().enumerate() {
            if *hit > 0.0 {
                hits.push((node, word, *hit));
                if let Some(found) = found.get_mut(word) {
                    *found += 1;
                }
                *hit = 0.0;
            }
        }
    }
    let spans = number(tree.len());
    let mean = (number(lengths.iter().sum::<usize>()) / spans).max(1.0);
    let mut scores = PerNode::filled(tree, 0.0f64);
    for (node, word, hit) in hits {
        let with = found.get(word).copied().map_or(0.0, number);
        let rarity = (1.0 + (spans - with + 0.5) / (with + 0.5)).ln();
        let length = 1.0 - B + B * number(lengths.at(node)) / mean;
        let weight = rarity * hit * (K + 1.0) / (hit + K * length);
        scores.update(node, |score| *score += weight);
    }
    let best = scores.iter().copied().fold(0.0, f64::max);
    if best <= 0.0 {
        return None;
    }
    for node in tree.nodes() {
        scores.update(node, |score| *score /= best);
    }
    Some(scores)
}

/// Counts the hits in a span; returns how many bytes were searched.
fn count(tree: &TraceTree, node: NodeId, search: &AhoCorasick, counts: &mut [f64]) -> usize {
    let span = tree.span(node);
    let mut length = 0;
    let mut look = |text: &str, weight: f64| {
        length += text.len();
        for hit in search.find_overlapping_iter(text) {
            if let Some(count) = counts.get_mut(hit.pattern().as_usize()) {
                *count += weight;
            }
        }
    };
    if let Some(name) = &span.name {
        look(name, NAME);
    }
    for text in [&span.input, &span.output].into_iter().flatten() {
        let text = text.as_str();
        if text.len() <= HEAD + TAIL {
            look(text, 1.0);
        } else {
            let (head, tail) = (
                text.floor_char_boundary(HEAD),
                text.floor_char_boundary(text.len() - TAIL),
            );
            look(text.get(..head).unwrap_or_default(), 1.0);
            look(text.get(tail..).unwrap_or_default(), 1.0);
        }
    }
    if let Some(error) = &span.error_info {
        look(&error.exception_type, 1.0);
        look(error.message.as_deref().unwrap_or_default(), 1.0);
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;
    use opik_core::{Json, Span, SpanId, Timestamp, TraceId};

    #[test]
    fn everyday_words_are_in_order_for_the_search() {
        assert!(EVERYDAY.is_sorted());
        assert_eq!(
            words("Why did the refund_tool fail for Zoë in 2024?"),
            ["refund_tool", "zoë", "2024"]
        );
    }

    #[test]
    fn the_rarer_word_and_the_name_count_more() {
        let trace = TraceId::from_bytes([1; 16]);
        let rows = [
            ("refund", "x"),
            ("lookup", "order order refund"),
            ("lookup", "order"),
            ("other", "order"),
        ];
        let spans = rows.iter().zip(1u8..).map(|(&(name, input), number)| {
            let at = Timestamp::from_micros(i64::from(number));
            let mut span = Span::new(SpanId::from_bytes([number; 16]), trace, at);
            span.name = Some(name.to_owned());
            span.input = Some(Json::string(input));
            span
        });
        let tree = TraceTree::from_spans(trace, spans.collect());
        let scores = matches(&tree, "what about the refund of the order?").unwrap();
        let best = tree
            .nodes()
            .max_by(|&a, &b| scores.at(a).total_cmp(&scores.at(b)))
            .unwrap();
        assert_eq!(tree.span(best).name.as_deref(), Some("refund"));
        let mut all: Vec<f64> = scores.iter().copied().collect();
        all.sort_by(f64::total_cmp);
        assert!(all[0] > 0.0 && all[3] == 1.0);
        assert!(matches(&tree, "why?").is_none());
    }
}
