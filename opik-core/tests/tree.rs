//! What a trace tree makes of spans as they were recorded, defect by defect.

#![expect(clippy::unwrap_used, reason = "tests")]

use opik_core::model::RecordSource;
use opik_core::tree::{Interval, NodeId, QualityIssue, QualityKind};
use opik_core::{Json, Span, SpanId, Timestamp, Trace, TraceId, TraceTree};
use opik_testkit::fixtures;
use serde::Deserialize;

/// An hour after the epoch, so that no start counts as unknown.
const BASE: i64 = 3_600_000_000;

fn at(micros: i64) -> Timestamp {
    Timestamp::from_micros(BASE + micros)
}

fn trace_id() -> TraceId {
    TraceId::from_parts(at(0), u64::MAX)
}

fn id(number: u64) -> SpanId {
    SpanId::from_parts(at(0), number << 2)
}

/// A span by number, parent and times; an end of `None` is an unfinished one.
fn span(number: u64, parent: Option<u64>, start: i64, end: impl Into<Option<i64>>) -> Span {
    let mut span = Span::new(id(number), trace_id(), at(start));
    span.parent_span_id = parent.map(id);
    span.end_time = end.into().map(at);
    span
}

fn trace(start: i64, end: impl Into<Option<i64>>) -> Trace {
    let mut trace = Trace::new(trace_id(), at(start));
    trace.end_time = end.into().map(at);
    trace
}

fn build(spans: Vec<Span>) -> TraceTree {
    TraceTree::build(trace(0, 100), spans)
}

fn node(tree: &TraceTree, number: u64) -> NodeId {
    tree.find(id(number)).unwrap()
}

/// Number of the parent.
fn parent(tree: &TraceTree, number: u64) -> Option<u64> {
    let above = tree.parent(node(tree, number))?;
    (0..1_000).find(|&other| id(other) == tree.span(above).id)
}

/// Start and end relative to [`BASE`].
fn interval(tree: &TraceTree, number: u64) -> (i64, i64) {
    let Interval { start, end } = tree.interval(node(tree, number));
    (start.micros_since(at(0)), end.micros_since(at(0)))
}

/// Kinds and spans of the issues, by number of the span.
fn issues(tree: &TraceTree) -> Vec<(QualityKind, u64, Option<i64>)> {
    let number = |issue: &QualityIssue| (0..1_000).find(|&n| id(n) == issue.span).unwrap();
    let issues = tree.quality().iter();
    issues
        .map(|issue| (issue.kind, number(issue), issue.micros))
        .collect()
}

#[test]
fn a_clean_trace_has_no_issues() {
    let tree = build(vec![
        span(3, Some(1), 50, 90),
        span(1, None, 0, 100),
        span(2, Some(1), 10, 40),
        span(4, Some(3), 60, 70),
    ]);
    let order: Vec<SpanId> = tree.nodes().map(|node| tree.span(node).id).collect();
    assert_eq!(order, [id(1), id(2), id(3), id(4)]);
    assert_eq!(tree.quality(), []);
    assert_eq!(
        tree.children(node(&tree, 1)).collect::<Vec<_>>(),
        [node(&tree, 2), node(&tree, 3)]
    );
    assert_eq!(tree.descendants(node(&tree, 1)).len(), 3);
    assert_eq!(tree.ancestors(node(&tree, 4)).count(), 2);
    assert_eq!(tree.depth(node(&tree, 4)), 2);
    assert!(tree.is_ancestor(node(&tree, 1), node(&tree, 4)));
    assert!(!tree.is_ancestor(node(&tree, 2), node(&tree, 4)));
    assert!(!tree.is_ancestor(node(&tree, 4), node(&tree, 4)));
    assert_eq!(
        tree.wall(),
        Interval {
            start: at(0),
            end: at(100)
        }
    );
}

#[test]
fn an_empty_trace_is_a_tree_without_nodes() {
    let tree = TraceTree::build(trace(5, None), vec![]);
    assert!(tree.is_empty() && tree.roots().next().is_none());
    assert_eq!(
        tree.wall(),
        Interval {
            start: at(5),
            end: at(5)
        }
    );
    let tree = TraceTree::from_spans(trace_id(), vec![]);
    assert!(tree.is_empty());
}

#[test]
fn an_orphan_goes_below_the_shortest_span_that_encloses_it() {
    // The fourth begins later than the third and is longer: the latest start is not the tightest.
    let tree = build(vec![
        span(1, None, 0, 100),
        span(3, Some(1), 20, 50),
        span(4, Some(1), 25, 95),
        span(5, Some(99), 30, 40),
    ]);
    assert_eq!(parent(&tree, 5), Some(3));
    assert!(tree.has_inferred_parent(node(&tree, 5)));
    assert!(!tree.has_inferred_parent(node(&tree, 3)));
    assert_eq!(issues(&tree), [(QualityKind::Orphan, 5, None)]);
}

#[test]
fn spans_of_the_same_time_are_siblings_not_a_chain() {
    let mut spans = vec![span(1, None, 0, 100)];
    spans.extend((2..=9).map(|number| span(number, Some(99), 10, 20)));
    spans.extend((10..=12).map(|number| span(number, Some(99), 10, 10)));
    let tree = build(spans);
    for number in 2..=9 {
        assert_eq!(parent(&tree, number), Some(1), "{number}");
    }
    for number in 10..=12 {
        // A moment at the border of several spans of one length: the one with the lowest id.
        assert_eq!(parent(&tree, number), Some(2), "{number}");
    }
}

#[test]
fn an_orphan_that_nothing_encloses_is_a_root() {
    let tree = build(vec![
        span(1, None, 0, 60),
        span(2, Some(99), 50, 80),
        span(3, Some(99), 50, 50),
        span(4, Some(99), 90, 90),
    ]);
    assert_eq!(parent(&tree, 2), None);
    assert_eq!(parent(&tree, 3), Some(2));
    assert_eq!(
        issues(&tree),
        [
            (QualityKind::Orphan, 2, None),
            (QualityKind::Orphan, 3, None),
            (QualityKind::Orphan, 4, None),
            (QualityKind::SeveralRoots, 2, None),
            (QualityKind::SeveralRoots, 4, None),
        ]
    );
}

#[test]
fn an_orphan_is_not_adopted_by_its_own_descendant() {
    // The child outlives its parent, so it encloses it in time; so does the grandchild.
    let tree = build(vec![
        span(1, Some(99), 20, 30),
        span(2, Some(1), 15, 60),
        span(3, Some(2), 10, 90),
    ]);
    assert_eq!(parent(&tree, 1), None);
    assert_eq!(parent(&tree, 2), Some(1));
    assert_eq!(parent(&tree, 3), Some(2));
    // With a span of another tree around it, that one is it.
    let tree = build(vec![
        span(1, Some(99), 20, 30),
        span(2, Some(1), 15, 60),
        span(4, None, 0, 100),
    ]);
    assert_eq!(parent(&tree, 1), Some(4));
}

#[test]
fn orphans_do_not_adopt_each_other_in_a_circle() {
    // Each one's child encloses the other orphan.
    let tree = build(vec![
        span(1, Some(98), 20, 30),
        span(2, Some(1), 10, 80),
        span(3, Some(99), 40, 50),
        span(4, Some(3), 5, 90),
    ]);
    assert_eq!(tree.len(), 4);
    assert_eq!(tree.roots().count(), 1);
    assert_eq!(parent(&tree, 1), Some(4), "the first in time is adopted");
    assert_eq!(parent(&tree, 3), None, "and the other one is its root");
}

#[test]
fn finished_spans_adopt_before_unfinished_ones() {
    let tree = build(vec![
        span(1, None, 0, 100),
        span(2, Some(1), 10, None),
        span(3, Some(99), 20, 30),
    ]);
    assert_eq!(parent(&tree, 3), Some(1));
    // When everything above broke off, the unfinished span is better than none.
    let tree = TraceTree::build(
        trace(0, None),
        vec![
            span(1, None, 0, None),
            span(2, Some(1), 10, None),
            span(3, Some(99), 20, 30),
        ],
    );
    assert_eq!(parent(&tree, 3), Some(2));
}

#[test]
fn a_top_span_may_name_the_trace_as_its_parent() {
    let mut top = span(1, None, 0, 100);
    top.parent_span_id = Some(SpanId::from_bytes(*trace_id().as_bytes()));
    let tree = build(vec![top]);
    assert_eq!(parent(&tree, 1), None);
    assert_eq!(tree.quality(), []);
}

#[test]
fn several_roots_are_in_order_of_their_start_and_reported_after_the_first() {
    let tree = build(vec![
        span(3, None, 60, 90),
        span(1, None, 30, 50),
        span(2, None, 0, 20),
    ]);
    let roots: Vec<SpanId> = tree.roots().map(|root| tree.span(root).id).collect();
    assert_eq!(roots, [id(2), id(1), id(3)]);
    assert_eq!(
        issues(&tree),
        [
            (QualityKind::SeveralRoots, 1, None),
            (QualityKind::SeveralRoots, 3, None)
        ]
    );
}

#[test]
fn several_top_spans_are_normal_below_a_trace_that_a_client_recorded() {
    let mut recorded = trace(0, 100);
    recorded.source = Some(RecordSource::Sdk);
    let tree = TraceTree::build(recorded, vec![span(1, None, 0, 20), span(2, None, 30, 50)]);
    assert_eq!(tree.roots().count(), 2);
    assert_eq!(tree.quality(), []);
}

#[test]
fn a_cycle_is_cut_above_its_earliest_span() {
    let tree = build(vec![
        span(1, Some(3), 10, 90),
        span(2, Some(1), 20, 80),
        span(3, Some(2), 30, 70),
        span(4, Some(3), 40, 50),
    ]);
    assert_eq!(parent(&tree, 1), None);
    assert_eq!(parent(&tree, 3), Some(2));
    assert_eq!(tree.depth(node(&tree, 4)), 3);
    assert_eq!(issues(&tree), [(QualityKind::Cycle, 1, None)]);
}

#[test]
fn a_span_that_is_its_own_parent_is_a_root() {
    let tree = build(vec![span(1, Some(1), 0, 100), span(2, Some(1), 10, 20)]);
    assert_eq!((parent(&tree, 1), parent(&tree, 2)), (None, Some(1)));
    assert_eq!(issues(&tree), [(QualityKind::Cycle, 1, None)]);
}

#[test]
fn the_newest_row_of_a_span_counts() {
    let mut old = span(1, None, 0, 50);
    old.last_updated_at = Some(at(1));
    let mut new = span(1, None, 0, 100);
    new.last_updated_at = Some(at(2));
    let undated = span(1, None, 0, 10);
    for rows in [
        vec![old.clone(), new.clone(), undated.clone()],
        vec![new.clone(), undated.clone(), old.clone()],
        vec![undated, old, new],
    ] {
        let tree = build(rows);
        assert_eq!((tree.len(), interval(&tree, 1)), (1, (0, 100)));
        assert_eq!(issues(&tree), [(QualityKind::DuplicateId, 1, None); 2]);
    }
}

#[test]
fn spans_of_another_trace_are_left_out() {
    let mut foreign = span(2, Some(1), 10, 500);
    foreign.trace_id = TraceId::from_parts(at(1), 8);
    let tree = build(vec![foreign.clone(), span(1, None, 0, 100)]);
    assert_eq!((tree.len(), tree.find(id(2))), (1, None));
    assert_eq!(issues(&tree), [(QualityKind::ForeignTrace, 2, None)]);
    // They say nothing about an inferred trace either.
    foreign.name = Some("foreign".to_owned());
    let tree = TraceTree::from_spans(trace_id(), vec![foreign, span(1, None, 20, 100)]);
    assert_eq!(tree.trace().name, None);
    assert_eq!(
        tree.wall(),
        Interval {
            start: at(20),
            end: at(100)
        }
    );
}

#[test]
fn an_unfinished_span_ends_with_the_nearest_finished_one_above() {
    let tree = build(vec![
        span(1, None, 0, 100),
        span(2, Some(1), 10, 60),
        span(3, Some(2), 20, None),
        span(4, Some(3), 30, None),
        span(5, Some(1), 70, None),
    ]);
    assert_eq!(interval(&tree, 3), (20, 60));
    assert_eq!(interval(&tree, 4), (30, 60));
    assert_eq!(interval(&tree, 5), (70, 100));
    assert_eq!(
        issues(&tree),
        [
            (QualityKind::Unfinished, 3, Some(40)),
            (QualityKind::Unfinished, 4, Some(30)),
            (QualityKind::Unfinished, 5, Some(30)),
        ]
    );
}

#[test]
fn an_unfinished_span_lasts_as_long_as_what_is_below_it() {
    let tree = TraceTree::build(
        trace(0, 50),
        vec![
            span(1, None, 0, None),
            span(2, Some(1), 10, None),
            span(3, Some(2), 20, 80),
        ],
    );
    assert_eq!(
        (interval(&tree, 1), interval(&tree, 2)),
        ((0, 80), (10, 80))
    );
    // Nothing but a start is known: it is a moment.
    let tree = TraceTree::build(trace(0, None), vec![span(1, None, 0, None)]);
    assert_eq!(interval(&tree, 1), (0, 0));
}

#[test]
fn an_end_before_the_start_makes_a_moment() {
    let tree = build(vec![span(1, None, 0, 100), span(2, Some(1), 50, 20)]);
    assert_eq!(interval(&tree, 2), (50, 50));
    assert_eq!(
        issues(&tree),
        [(QualityKind::NegativeDuration, 2, Some(30))]
    );
}

#[test]
fn an_unknown_start_is_that_of_the_first_child_or_of_the_trace() {
    let unknown = |number, parent, end: i64| {
        let mut span = span(number, parent, 0, end);
        span.start_time = Timestamp::EPOCH;
        span
    };
    let tree = build(vec![
        span(1, None, 0, 100),
        unknown(2, Some(1), 60),
        span(3, Some(2), 30, 40),
        unknown(4, Some(1), 90),
    ]);
    assert_eq!(interval(&tree, 2), (30, 60));
    assert_eq!(interval(&tree, 4), (0, 90));
    assert_eq!(
        issues(&tree),
        [
            (QualityKind::UnknownStart, 2, None),
            (QualityKind::UnknownStart, 4, None)
        ]
    );
    // Nor does it make the trace begin in 1970, or adopt what came later.
    let tree = TraceTree::from_spans(
        trace_id(),
        vec![unknown(1, None, 100), span(2, Some(99), 20, 40)],
    );
    assert_eq!(
        tree.wall(),
        Interval {
            start: at(20),
            end: at(100)
        }
    );
    assert_eq!(parent(&tree, 2), None);
}

#[test]
fn a_child_outside_its_parent_is_reported_with_the_excess() {
    let tree = build(vec![
        span(1, None, 0, 1_000),
        span(2, Some(1), 0, 1_009),
        span(3, Some(1), -500, 10),
        span(4, Some(1), 990, 1_200),
    ]);
    assert_eq!(
        issues(&tree),
        [
            (QualityKind::OutsideParent, 3, Some(500)),
            (QualityKind::OutsideParent, 4, Some(200))
        ]
    );
    assert_eq!(interval(&tree, 3), (-500, 10), "reported, not cut");
}

/// Parent, start, end, kind and host.
type ClockSpan = (Option<u64>, i64, i64, Option<String>, Option<String>);

#[derive(Deserialize)]
struct ClockCase {
    spans: Vec<ClockSpan>,
    centred: Vec<(i64, i64)>,
}

#[test]
fn other_clocks_are_centred_as_the_reference_does() {
    let cases: Vec<ClockCase> = fixtures::jsonl("critical_path/clock_cases.jsonl");
    let (mut count, mut moved) = (0, 0);
    for case in cases {
        let numbered = || (0u64..).zip(&case.spans);
        let spans = numbered().map(|(number, (parent, start, end, kind, host))| {
            let mut span = span(number, *parent, *start, *end);
            let place = serde_json::json!({"kind": kind, "host": host, "other": [1]});
            span.metadata = Some(Json::from_value(&place));
            span
        });
        let tree = TraceTree::build(trace(0, 10_000), spans.collect());
        for ((number, (_, start, end, ..)), expected) in numbered().zip(&case.centred) {
            let found = interval(&tree, number);
            assert_eq!(found, *expected, "span {number} of case {count}");
            moved += usize::from(found != (*start, *end));
        }
        let centred = tree
            .quality()
            .iter()
            .any(|issue| issue.kind == QualityKind::ClockSkew);
        let shifted = numbered()
            .zip(&case.centred)
            .any(|((_, span), to)| (span.1, span.2) != *to);
        assert_eq!(centred, shifted, "a shift is reported, case {count}");
        count += 1;
    }
    assert_eq!((count, moved), (400, 990));
}

#[test]
fn clocks_are_compared_by_any_spelling_of_kind_and_host() {
    let skewed = |client: &str, server: &str| {
        let mut outer = span(1, None, 0, 100);
        outer.metadata = Some(Json::parse(client).unwrap());
        let mut inner = span(2, Some(1), 500, 540);
        inner.metadata = Some(Json::parse(server).unwrap());
        let tree = TraceTree::build(trace(0, 100), vec![outer, inner]);
        interval(&tree, 2) == (30, 70)
    };
    assert!(skewed(r#"{"kind": "client"}"#, r#"{"kind": "SERVER"}"#));
    assert!(skewed(
        r#"{"span.kind": "Client"}"#,
        r#"{"span.kind": "server", "x": {"kind": 1}}"#
    ));
    assert!(skewed(r#"{"host": "a"}"#, r#"{"host.name": "b"}"#));
    assert!(skewed(
        r#"{"kind": 3, "host": "a"}"#,
        r#"{"kind": null, "host": "b"}"#
    ));
    assert!(!skewed(r#"{"host": "a"}"#, r#"{"host": "a"}"#));
    assert!(!skewed(r#"{"host": ["a"]}"#, r#"{"host": "b"}"#));
    assert!(!skewed("[1]", r#""kind""#));
}

#[test]
fn times_at_the_ends_of_the_range_are_survived() {
    let extreme = |number, parent, start, end| {
        let mut span = Span::new(id(number), trace_id(), Timestamp::from_micros(start));
        span.parent_span_id = parent;
        span.end_time = Some(Timestamp::from_micros(end));
        span.metadata = Some(Json::parse(r#"{"host": "a"}"#).unwrap());
        span
    };
    let mut other = extreme(2, Some(id(1)), i64::MAX - 5, i64::MAX);
    other.metadata = Some(Json::parse(r#"{"host": "b"}"#).unwrap());
    let mut below = extreme(3, Some(id(2)), i64::MIN, i64::MIN + 1);
    below.end_time = None;
    let orphan = extreme(4, Some(id(99)), i64::MIN + 7, i64::MAX - 7);
    let tree = TraceTree::build(
        Trace::new(trace_id(), Timestamp::from_micros(i64::MIN)),
        vec![extreme(1, None, i64::MIN, i64::MAX), other, below, orphan],
    );
    assert_eq!(tree.len(), 4);
    for node in tree.nodes() {
        let Interval { start, end } = tree.interval(node);
        assert!(start <= end, "{node:?}");
    }
}

/// Runs in a thread whose stack would not bear a call per level.
fn in_a_small_stack<T: Send + 'static>(run: impl FnOnce() -> T + Send + 'static) -> T {
    let thread = std::thread::Builder::new()
        .stack_size(256 * 1_024)
        .spawn(run);
    thread.unwrap().join().unwrap()
}

fn numbered(number: u64) -> SpanId {
    SpanId::from_parts(at(0), number << 2)
}

#[test]
fn a_chain_of_ten_thousand_fits_a_small_stack() {
    let (len, depth, ancestors) = in_a_small_stack(|| {
        let mut spans: Vec<Span> = (0..10_000u64)
            .map(|number| {
                let start = i64::try_from(number).unwrap();
                let mut span = span(0, None, start, 30_000 - start);
                span.id = numbered(number);
                span.parent_span_id = number.checked_sub(1).map(numbered);
                span
            })
            .collect();
        spans.reverse();
        let tree = TraceTree::build(trace(0, 30_000), spans);
        let deepest = tree.find(numbered(9_999)).unwrap();
        (
            tree.len(),
            tree.depth(deepest),
            tree.ancestors(deepest).count(),
        )
    });
    assert_eq!((len, depth, ancestors), (10_000, 9_999, 9_999));
}

#[test]
fn a_hundred_thousand_spans_of_any_shape_fit_a_small_stack() {
    const COUNT: u64 = 100_000;
    type Shape = (&'static str, fn(u64) -> (Option<u64>, i64, i64));
    let shapes: [Shape; 6] = [
        ("a wide tree", |n| {
            (n.checked_sub(1).map(|n| n / 8), 0, 1_000_000)
        }),
        ("one chain", |n| (n.checked_sub(1), 0, 1_000_000)),
        ("one cycle", |n| (Some((n + 1) % COUNT), 0, 1_000_000)),
        ("orphans of one moment", |_| (Some(COUNT), 5, 9)),
        ("orphans inside each other", |n| {
            let n = i64::try_from(n).unwrap();
            (Some(COUNT), n, 1_000_000 - n)
        }),
        // Every child encloses its orphaned parent, so all the best candidates are its own.
        ("children that outlive an orphan", |n| {
            let is_parent = n % 1_000 == 0;
            if is_parent {
                (Some(COUNT), 500, 600)
            } else {
                (Some(n - n % 1_000), 400, 700)
            }
        }),
    ];
    for (name, shape) in shapes {
        let (len, roots) = in_a_small_stack(move || {
            let spans = (0..COUNT).map(|number| {
                let (parent, start, end) = shape(number);
                let mut span = span(0, None, start, end);
                span.id = numbered(number);
                span.parent_span_id = parent.map(numbered);
                span
            });
            let tree = TraceTree::build(trace(0, 1_000_000), spans.collect());
            (tree.len(), tree.roots().count())
        });
        assert_eq!(len, 100_000, "{name}");
        assert!(roots >= 1, "{name}");
    }
}
