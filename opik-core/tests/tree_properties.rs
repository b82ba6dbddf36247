//! What holds for the tree of any set of spans.

use std::collections::{HashMap, HashSet};

use opik_core::tree::{Interval, QualityKind};
use opik_core::{Json, Span, SpanId, Timestamp, Trace, TraceId, TraceTree};
use proptest::prelude::*;

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(3_600_000_000 + micros)
}

fn trace_id(number: u64) -> TraceId {
    TraceId::from_parts(at(0), (number + 1) << 40)
}

fn id(number: u64) -> SpanId {
    SpanId::from_parts(at(0), number << 2)
}

/// Any row: a small range of numbers and times makes parents, orphans, cycles, duplicates and ties.
fn row() -> impl Strategy<Value = Span> {
    let times = (0i64..40, prop::option::weighted(0.85, -3i64..40));
    let parent = prop::option::weighted(0.8, 0u64..20);
    let place = prop::option::of((0usize..4, 0usize..3));
    let odd = (prop::bool::weighted(0.05), prop::bool::weighted(0.05));
    (0u64..14, parent, times, place, odd).prop_map(
        |(number, parent, (start, length), place, (foreign, unknown))| {
            let mut span = Span::new(id(number), trace_id(u64::from(foreign)), at(start));
            span.parent_span_id = parent.map(id);
            span.end_time = length.map(|length| at(start + length));
            if unknown {
                span.start_time = Timestamp::EPOCH;
            }
            span.metadata = place.map(|(kind, host)| {
                let kind = [None, Some("client"), Some("server")]
                    .get(kind)
                    .copied()
                    .flatten();
                let host = [None, Some("a"), Some("b")].get(host).copied().flatten();
                Json::from_value(&serde_json::json!({"kind": kind, "host": host}))
            });
            span
        },
    )
}

/// Rows that can be told apart: which row of a span is the newest does not depend on the order.
fn rows() -> impl Strategy<Value = Vec<Span>> {
    prop::collection::vec(row(), 0..24).prop_map(|mut rows| {
        for (moment, row) in (0..).zip(&mut rows) {
            row.last_updated_at = Some(at(moment));
        }
        rows
    })
}

fn trace() -> impl Strategy<Value = Trace> {
    (
        0i64..10,
        prop::option::of(0i64..80),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(start, end, unknown)| {
            let start = if unknown { Timestamp::EPOCH } else { at(start) };
            let mut trace = Trace::new(trace_id(0), start);
            trace.end_time = end.map(at);
            trace
        })
}

/// All that can be seen of a tree.
fn shape(tree: &TraceTree) -> Vec<(Span, Option<SpanId>, Interval, usize, bool)> {
    tree.nodes()
        .map(|node| {
            (
                tree.span(node).clone(),
                tree.parent(node).map(|parent| tree.span(parent).id),
                tree.interval(node),
                tree.depth(node),
                tree.has_inferred_parent(node),
            )
        })
        .collect()
}

fn count(tree: &TraceTree, kind: QualityKind) -> usize {
    tree.quality()
        .iter()
        .filter(|issue| issue.kind == kind)
        .count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]

    #[test]
    fn every_span_of_the_trace_is_there_once_with_its_newest_row(
        trace in trace(), rows in rows()
    ) {
        let mut newest: HashMap<SpanId, Span> = HashMap::new();
        for row in rows.iter().filter(|row| row.trace_id == trace_id(0)) {
            newest.insert(row.id, row.clone());
        }
        let tree = TraceTree::build(trace, rows);
        prop_assert_eq!(tree.len(), newest.len());
        for node in tree.nodes() {
            let span = tree.span(node);
            let expected = newest.remove(&span.id);
            prop_assert_eq!(Some(span), expected.as_ref());
            prop_assert_eq!(tree.find(span.id), Some(node));
        }
    }

    #[test]
    fn nodes_are_in_pre_order_and_subtrees_are_ranges(trace in trace(), rows in rows()) {
        let tree = TraceTree::build(trace, rows);
        let mut seen = HashSet::new();
        for node in tree.nodes() {
            let parent = tree.parent(node);
            prop_assert!(parent.is_none_or(|parent| parent < node));
            prop_assert_eq!(tree.depth(node), parent.map_or(0, |parent| tree.depth(parent) + 1));
            let below: Vec<_> = tree.nodes().filter(|&other| tree.ancestors(other).any(|up| up == node)).collect();
            prop_assert_eq!(tree.descendants(node).collect::<Vec<_>>(), below.clone());
            for other in tree.nodes() {
                prop_assert_eq!(tree.is_ancestor(node, other), below.contains(&other));
            }
            for child in tree.children(node) {
                prop_assert_eq!(tree.parent(child), Some(node));
                prop_assert!(seen.insert(child));
            }
        }
        for root in tree.roots() {
            prop_assert_eq!(tree.parent(root), None);
            prop_assert!(seen.insert(root));
        }
        prop_assert_eq!(seen.len(), tree.len());
    }

    #[test]
    fn siblings_are_sorted_and_no_interval_is_negative(trace in trace(), rows in rows()) {
        let tree = TraceTree::build(trace, rows);
        let key = |node| {
            let Interval { start, end } = tree.interval(node);
            (start, end, tree.span(node).id)
        };
        prop_assert!(tree.roots().map(key).is_sorted());
        let wall = tree.wall();
        for node in tree.nodes() {
            prop_assert!(tree.children(node).map(key).is_sorted());
            let own = tree.interval(node);
            prop_assert!(own.start <= own.end);
            prop_assert!(wall.encloses(own), "{own:?} is not in {wall:?}");
        }
    }

    #[test]
    fn the_order_of_the_rows_makes_no_difference(
        trace in trace(),
        (rows, shuffled) in rows().prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle()))
    ) {
        let one = TraceTree::build(trace.clone(), rows.clone());
        let two = TraceTree::build(trace, shuffled.clone());
        prop_assert_eq!(shape(&one), shape(&two));
        prop_assert_eq!(one.quality(), two.quality());
        let one = TraceTree::from_spans(trace_id(0), rows);
        let two = TraceTree::from_spans(trace_id(0), shuffled);
        prop_assert_eq!(shape(&one), shape(&two));
        prop_assert_eq!(one.wall(), two.wall());
        // Without a row of its own the trace takes its name from the first top span.
        prop_assert_eq!(&one.trace().name, &two.trace().name);
    }

    #[test]
    fn a_parent_is_the_recorded_one_unless_a_repair_is_reported(
        trace in trace(), rows in rows()
    ) {
        let tree = TraceTree::build(trace, rows.clone());
        let reported = |kind, span| {
            tree.quality().iter().any(|issue| (issue.kind, issue.span) == (kind, span))
        };
        for node in tree.nodes() {
            let span = tree.span(node);
            let parent = tree.parent(node).map(|parent| tree.span(parent).id);
            let orphan = span.parent_span_id.is_some_and(|parent| tree.find(parent).is_none());
            prop_assert_eq!(reported(QualityKind::Orphan, span.id), orphan);
            if orphan {
                prop_assert_eq!(tree.has_inferred_parent(node), parent.is_some());
            } else {
                prop_assert!(!tree.has_inferred_parent(node));
                let cut = reported(QualityKind::Cycle, span.id);
                prop_assert_eq!(parent, span.parent_span_id.filter(|_| !cut));
            }
        }
        let foreign = rows.iter().filter(|row| row.trace_id != trace_id(0)).count();
        prop_assert_eq!(count(&tree, QualityKind::ForeignTrace), foreign);
        let duplicates = rows.len() - foreign - tree.len();
        prop_assert_eq!(count(&tree, QualityKind::DuplicateId), duplicates);
        let further_roots = tree.roots().count().saturating_sub(1);
        prop_assert_eq!(count(&tree, QualityKind::SeveralRoots), further_roots);
    }

    #[test]
    fn an_interval_is_the_recorded_one_unless_a_repair_is_reported(
        trace in trace(), rows in rows()
    ) {
        let tree = TraceTree::build(trace, rows);
        let kinds = |span| -> HashSet<QualityKind> {
            let issues = tree.quality().iter().filter(|issue| issue.span == span);
            issues.map(|issue| issue.kind).collect()
        };
        for node in tree.nodes() {
            let span = tree.span(node);
            let kinds = kinds(span.id);
            prop_assert_eq!(kinds.contains(&QualityKind::Unfinished), span.end_time.is_none());
            let moved = kinds.contains(&QualityKind::ClockSkew)
                || tree.ancestors(node).any(|above| {
                    let above = tree.span(above).id;
                    tree.quality().iter().any(|issue| {
                        issue.kind == QualityKind::ClockSkew && issue.span == above
                    })
                });
            let repaired = [
                QualityKind::Unfinished,
                QualityKind::NegativeDuration,
                QualityKind::UnknownStart,
            ]
            .iter()
            .any(|kind| kinds.contains(kind));
            if !moved && !repaired {
                let recorded = Interval { start: span.start_time, end: span.end_time.unwrap() };
                prop_assert_eq!(tree.interval(node), recorded);
            }
        }
    }

    #[test]
    fn an_orphan_has_the_shortest_enclosing_parent_that_is_not_its_own(
        spans in prop::collection::vec((0i64..30, 0i64..30, any::<bool>()), 1..14)
    ) {
        // All finished, nobody has children: every choice can be checked by looking at all spans.
        let spans: Vec<Span> = (0..)
            .zip(spans)
            .map(|(number, (start, length, orphan))| {
                let mut span = Span::new(id(number), trace_id(0), at(start));
                span.end_time = Some(at(start + length));
                span.parent_span_id = orphan.then(|| id(99));
                span
            })
            .collect();
        let tree = TraceTree::build(Trace::new(trace_id(0), at(0)), spans);
        for node in tree.nodes().filter(|&node| tree.span(node).parent_span_id.is_some()) {
            let own = tree.interval(node);
            let encloses = |other| {
                let outer = tree.interval(other);
                outer.encloses(own) && outer.micros() > own.micros()
            };
            let shortest = tree.nodes().filter(|&other| encloses(other));
            let shortest = shortest.map(|other| tree.interval(other).micros()).min();
            let chosen = tree.parent(node);
            prop_assert_eq!(chosen.map(|parent| tree.interval(parent).micros()), shortest);
            prop_assert!(chosen.is_none_or(encloses));
        }
    }
}
