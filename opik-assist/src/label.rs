//! How a span is named in a sentence: kind, name and the shortest form of its id that is unique.
//!
//! The form is the first eight digits, an ellipsis, and as many of the last digits (at least two)
//! as no other span of the trace shares: `llm plan (01a1f87d…3c)`.

use opik_core::tree::NodeId;
use opik_core::{SpanId, SpanType, TraceTree};

use crate::quote::clean;

/// The least number of digits after the ellipsis.
const LEAST: usize = 2;
/// Digits before the ellipsis.
const HEAD: usize = 8;
/// Digits of an id.
const DIGITS: usize = 32;
/// Longest name in a sentence.
const NAME: usize = 48;

/// Labels of the spans of one trace.
#[derive(Debug, Clone)]
pub(crate) struct Labels<'a> {
    tree: &'a TraceTree,
    /// The last sixteen digits of every id, last digit first, in order, with whose they are.
    endings: Vec<(u64, NodeId)>,
}

impl<'a> Labels<'a> {
    pub(crate) fn new(tree: &'a TraceTree) -> Self {
        let mut endings: Vec<(u64, NodeId)> = tree
            .nodes()
            .map(|node| (ending(tree.span(node).id), node))
            .collect();
        endings.sort_unstable();
        Self { tree, endings }
    }

    /// `llm plan (01a1f87d…3c)`.
    pub(crate) fn span(&self, node: NodeId) -> String {
        let mut label = self.name(node);
        let short = self.short(self.tree.span(node).id);
        label.reserve(short.len() + 3);
        for part in [" (", &short, ")"] {
            label.push_str(part);
        }
        label
    }

    /// `llm plan`.
    pub(crate) fn name(&self, node: NodeId) -> String {
        let span = self.tree.span(node);
        let name = clean(span.name.as_deref().unwrap_or_default(), NAME);
        let kind = clean(kind_word(span.kind()), 12);
        match name.as_str() {
            "" if span.kind() == &SpanType::General => "step without a name".to_owned(),
            "" => format!("{kind} span"),
            name => [&kind, " ", name].concat(),
        }
    }

    /// `01a1f87d…3c`.
    pub(crate) fn short(&self, id: SpanId) -> String {
        let own = ending(id);
        let place = self.endings.partition_point(|&(other, _)| other < own);
        // The ids that share most of the ending are its neighbours in the order of endings.
        let before = place
            .checked_sub(1)
            .and_then(|place| self.endings.get(place));
        let after = self.endings.get(place + 1);
        let shared = before.into_iter().chain(after);
        let shared = shared
            .map(|(other, _)| (other ^ own).leading_zeros() as usize / 4)
            .max()
            .unwrap_or(0);
        let tail = (shared + 1).clamp(LEAST, 16);
        if tail == 16 {
            return id.to_string();
        }
        let digit = |place: usize| {
            let byte = id.as_bytes().get(place / 2).copied().unwrap_or_default();
            let digit = if place.is_multiple_of(2) {
                byte >> 4
            } else {
                byte & 15
            };
            char::from_digit(u32::from(digit), 16).unwrap_or_default()
        };
        let mut short = String::with_capacity(HEAD + '…'.len_utf8() + tail);
        short.extend((0..HEAD).map(digit));
        short.push('…');
        short.extend((DIGITS - tail..DIGITS).map(digit));
        short
    }

    /// The span with this id, whole or as [`short`](Self::short) writes it.
    pub(crate) fn find(&self, id: &str) -> Option<NodeId> {
        let Some((head, tail)) = id.split_once('…') else {
            return id.parse().ok().and_then(|id| self.tree.find(id));
        };
        if head.len() != HEAD || !(LEAST..16).contains(&tail.len()) {
            return None;
        }
        let reversed: String = tail.chars().rev().collect();
        let shift = 64 - 4 * tail.len();
        let least = u64::from_str_radix(&reversed, 16).ok()? << shift;
        let from = self.endings.partition_point(|&(ending, _)| ending < least);
        let like = self.endings.get(from..)?.iter();
        let mut like = like.take_while(|(ending, _)| (ending ^ least) >> shift == 0);
        let node = like.next()?.1;
        let fits = like.next().is_none() && self.short(self.tree.span(node).id) == id;
        fits.then_some(node)
    }

    /// Several spans in a row, at most `max`, and how many more there are.
    pub(crate) fn list(&self, nodes: &[NodeId], max: usize) -> String {
        let mut parts: Vec<String> = nodes
            .iter()
            .take(max)
            .map(|&node| self.span(node))
            .collect();
        if nodes.len() > max {
            parts.push(format!("{} more", nodes.len() - max));
        }
        parts.join(", ")
    }
}

/// The type of a span as a word: a general one is a step.
pub(crate) fn kind_word(kind: &SpanType) -> &str {
    match kind {
        SpanType::General => "step",
        other => other.as_str(),
    }
}

/// The last sixteen hexadecimal digits in reverse order.
fn ending(id: SpanId) -> u64 {
    let (_, low) = id.as_bytes().split_at(8);
    let low = low
        .iter()
        .rev()
        .fold(0u64, |number, &byte| number << 8 | u64::from(byte));
    // Bytes are reversed by the fold; the digits within each byte are left.
    (low & 0x0f0f_0f0f_0f0f_0f0f) << 4 | (low >> 4) & 0x0f0f_0f0f_0f0f_0f0f
}

#[cfg(test)]
mod tests {
    use super::*;
    use opik_core::{Span, Timestamp, TraceId};

    #[test]
    fn ids_are_as_short_as_the_trace_allows() {
        let trace = TraceId::from_bytes([1; 16]);
        let ids = [
            "01941f29-7c00-7cdd-9698-e9ac8ad595ca",
            "01941f29-7c00-7e0e-a08c-48834894ccca",
            "01941f29-7c00-7e0e-a08c-48834894cc45",
            "01941f29-7c00-7e0e-a08c-48834894ccf0",
        ];
        let spans = ids.map(|id| {
            let mut span = Span::new(id.parse().unwrap(), trace, Timestamp::from_micros(1));
            span.name = Some("a\u{1b}b".to_owned());
            span
        });
        let tree = TraceTree::from_spans(trace, spans.to_vec());
        let labels = Labels::new(&tree);
        let short = ids.map(|id| labels.short(id.parse().unwrap()));
        assert_eq!(
            short,
            ["01941f29…5ca", "01941f29…cca", "01941f29…45", "01941f29…f0"]
        );
        for (id, short) in ids.iter().zip(&short) {
            let node = tree.find(id.parse().unwrap());
            assert_eq!((labels.find(short), labels.find(id)), (node, node));
        }
        for id in ["01941f29…ca", "01941f28…45", "01941f29…46", "…", "x"] {
            assert_eq!(labels.find(id), None, "{id}");
        }
        let node = tree.find(ids[3].parse().unwrap()).unwrap();
        assert_eq!(labels.span(node), "step ab (01941f29…f0)");
    }
}
