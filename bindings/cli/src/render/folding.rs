//! Which spans of a long trace are worth a line.
//!
//! Errors come first, then time on the critical path, then duration; a span comes with its
//! ancestors as far as there is room. The rest is folded: each run of hidden spans is one row
//! that says how many they are.

use std::cmp::Reverse;

use opik_core::TraceTree;
use opik_core::tree::NodeId;

use super::critical::CriticalTimes;

/// A line of a drawing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Row {
    /// A span.
    Span(NodeId),
    /// Spans that are left out here.
    Folded {
        /// How many.
        count: usize,
        /// Depth of the first of them.
        depth: usize,
    },
}

/// The rows for a tree, with about `limit` spans; `None` shows them all.
pub(crate) fn rows(tree: &TraceTree, critical: &CriticalTimes, limit: Option<usize>) -> Vec<Row> {
    let limit = limit.unwrap_or(usize::MAX);
    if tree.len() <= limit {
        return tree.nodes().map(Row::Span).collect();
    }
    fold(tree, &chosen(tree, critical, limit))
}

fn chosen(tree: &TraceTree, critical: &CriticalTimes, limit: usize) -> Vec<bool> {
    let mut order: Vec<NodeId> = tree.nodes().collect();
    order.sort_by_key(|&node| {
        (
            Reverse(tree.parent(node).is_none()),
            Reverse(tree.span(node).error_info.is_some()),
            Reverse(critical.micros(node)),
            Reverse(tree.interval(node).micros()),
            node,
        )
    });
    let mut shown = vec![false; tree.len()];
    let mut left = limit;
    let mut chain = Vec::new();
    for node in order {
        if left == 0 {
            break;
        }
        chain.clear();
        chain.push(node);
        chain.extend(
            tree.ancestors(node)
                .take_while(|above| !is_set(&shown, *above))
                .take(left),
        );
        if is_set(&shown, node) {
            continue;
        }
        if chain.len() > left {
            // No room for the way up: what matters stands alone below the fold.
            let matters = tree.span(node).error_info.is_some()
                || critical.micros(node) * 10 >= tree.wall().micros().max(1);
            if !matters {
                continue;
            }
            chain.truncate(1);
        }
        for &link in &chain {
            if let Some(slot) = shown.get_mut(link.index()) {
                *slot = true;
            }
        }
        left -= chain.len();
    }
    shown
}

fn is_set(shown: &[bool], node: NodeId) -> bool {
    shown.get(node.index()).copied().unwrap_or(false)
}

fn fold(tree: &TraceTree, shown: &[bool]) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut hidden: Vec<NodeId> = Vec::new();
    let close = |hidden: &mut Vec<NodeId>, rows: &mut Vec<Row>| {
        match hidden.as_slice() {
            [] => {}
            // One span takes no more room than the line that would say so.
            [only] => rows.push(Row::Span(*only)),
            [first, ..] => rows.push(Row::Folded {
                count: hidden.len(),
                depth: tree.depth(*first),
            }),
        }
        hidden.clear();
    };
    for node in tree.nodes() {
        if is_set(shown, node) {
            close(&mut hidden, &mut rows);
            rows.push(Row::Span(node));
        } else {
            hidden.push(node);
        }
    }
    close(&mut hidden, &mut rows);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample::Sample;

    #[test]
    fn errors_are_shown_and_the_rest_is_counted() {
        let mut sample = Sample::new();
        let root = sample.span("root", None, 0, 1_000);
        for n in 0..100 {
            let start = n * 10;
            sample.span("step", Some(root), start, start + 5);
        }
        let bad = sample.span("bad", Some(root), 505, 506);
        sample.fail(bad, "ValueError");
        let tree = sample.tree();
        let rows = rows(&tree, &CriticalTimes::of(&tree, &[]), Some(5));
        let shown = rows.iter().filter(|row| matches!(row, Row::Span(_)));
        assert!(shown.count() <= 8);
        let bad = tree.find(bad).unwrap();
        assert!(rows.contains(&Row::Span(bad)));
        let hidden: usize = rows
            .iter()
            .map(|row| match row {
                Row::Folded { count, .. } => *count,
                Row::Span(_) => 1,
            })
            .sum();
        assert_eq!(hidden, tree.len(), "every span is shown or counted");
    }

    #[test]
    fn an_error_at_the_end_of_a_long_chain_is_still_shown() {
        let mut sample = Sample::new();
        let mut above = sample.span("root", None, 0, 100_000);
        for n in 1..20_000 {
            above = sample.span("call", Some(above), n, 100_000 - n);
        }
        sample.fail(above, "Deep");
        let tree = sample.tree();
        let rows = rows(&tree, &CriticalTimes::of(&tree, &[]), Some(10));
        assert!(rows.contains(&Row::Span(tree.find(above).unwrap())));
        assert!(rows.len() < 25, "{}", rows.len());
    }

    #[test]
    fn without_a_limit_every_span_has_a_row() {
        let mut sample = Sample::new();
        let root = sample.span("root", None, 0, 10);
        sample.span("a", Some(root), 1, 2);
        let tree = sample.tree();
        let times = CriticalTimes::of(&tree, &[]);
        assert_eq!(rows(&tree, &times, None).len(), 2);
        assert_eq!(rows(&tree, &times, Some(2)).len(), 2);
    }
}
