use opik_core::{ErrorInfo, Json, Span, SpanId, SpanType, Timestamp, Trace, TraceId, TraceTree};

use super::*;

const TRACE: TraceId = TraceId::from_bytes([1; 16]);

fn id(n: usize) -> SpanId {
    SpanId::from_bytes((n as u128 + 1).to_be_bytes())
}

/// A span: parent, from and to in ms, and its error.
type Row<'a> = (Option<usize>, i64, i64, Option<(&'a str, &'a str)>);

fn spans(rows: &[Row<'_>]) -> Vec<Span> {
    let at = |millis: i64| Timestamp::from_micros(1_000_000 + millis * 1_000);
    rows.iter()
        .enumerate()
        .map(|(n, &(parent, from, to, error))| {
            let mut span = Span::new(id(n), TRACE, at(from));
            span.parent_span_id = parent.map(id);
            span.end_time = Some(at(to));
            span.error_info = error.map(|(kind, message)| ErrorInfo::new(kind, message));
            span
        })
        .collect()
}

fn tree(spans: Vec<Span>) -> TraceTree {
    TraceTree::build(Trace::new(TRACE, Timestamp::from_micros(1_000_000)), spans)
}

/// The place of a node in the rows.
fn row(tree: &TraceTree, node: NodeId) -> usize {
    (0..tree.len())
        .find(|&n| tree.find(id(n)) == Some(node))
        .unwrap()
}

/// Origins with their paths, as rows.
fn origins_of(tree: &TraceTree) -> Vec<(usize, Vec<usize>, Outcome)> {
    errors(tree)
        .origins
        .iter()
        .map(|origin| {
            let path = origin.path.iter().map(|&node| row(tree, node)).collect();
            (row(tree, origin.node), path, origin.outcome)
        })
        .collect()
}

const IO: Option<(&str, &str)> = Some(("IoError", "disk 3 is full"));

#[test]
fn an_error_is_followed_to_the_top_through_masked_and_changed_messages() {
    let tree = tree(spans(&[
        (None, 0, 100, Some(("RunError", "the run failed"))),
        (
            Some(0),
            10,
            90,
            Some(("StepError", "step 2: disk 4 is full")),
        ),
        (Some(1), 20, 80, IO),
    ]));
    let found = errors(&tree);
    let roles: Vec<ErrorRole> = found.spans.iter().map(|error| error.role).collect();
    let node = |n: usize| tree.find(id(n)).unwrap();
    assert_eq!(
        roles,
        [
            ErrorRole::Transformed(node(1)),
            ErrorRole::Propagated(node(2)),
            ErrorRole::Origin
        ]
    );
    assert_eq!(origins_of(&tree), [(2, vec![1, 0], Outcome::FailedTrace)]);
}

#[test]
fn an_error_passes_through_a_span_that_does_not_report_it() {
    let tree = tree(spans(&[
        (None, 0, 100, IO),
        (Some(0), 10, 90, None),
        (Some(1), 20, 80, IO),
    ]));
    assert_eq!(origins_of(&tree), [(2, vec![0], Outcome::FailedTrace)]);
}

#[test]
fn an_unrelated_error_behind_a_healthy_span_is_swallowed() {
    let tree = tree(spans(&[
        (None, 0, 100, Some(("Other", "no key for this model"))),
        (Some(0), 10, 90, None),
        (Some(1), 20, 80, IO),
    ]));
    let healthy = tree.find(id(1));
    assert_eq!(
        origins_of(&tree),
        [
            (0, vec![], Outcome::FailedTrace),
            (2, vec![], Outcome::Swallowed(healthy))
        ]
    );
}

#[test]
fn the_sibling_of_the_error_that_was_passed_on_is_swallowed_when_it_differs() {
    let tree = tree(spans(&[
        (None, 0, 100, IO),
        (Some(0), 10, 20, Some(("Other", "no key for this model"))),
        (Some(0), 30, 40, IO),
        (Some(0), 50, 60, IO),
    ]));
    let root = tree.find(id(0));
    assert_eq!(
        origins_of(&tree),
        [
            (2, vec![], Outcome::FailedTrace),
            (3, vec![0], Outcome::FailedTrace),
            (1, vec![], Outcome::Swallowed(root)),
        ]
    );
}

#[test]
fn only_a_success_after_the_end_is_a_recovery() {
    let parallel = tree(spans(&[
        (None, 0, 100, None),
        (Some(0), 10, 50, IO),
        (Some(0), 20, 60, None),
    ]));
    assert_eq!(
        origins_of(&parallel),
        [(1, vec![], Outcome::Swallowed(parallel.find(id(0))))]
    );

    let mut rows = spans(&[
        (None, 0, 100, None),
        (Some(0), 10, 50, IO),
        (Some(0), 60, 70, IO),
        (Some(0), 80, 90, None),
    ]);
    for span in &mut rows {
        span.input = Some(Json::string("same"));
    }
    rows[2].input = Some(Json::string("other"));
    let later = tree(rows);
    let by = later.find(id(3)).unwrap();
    assert_eq!(
        origins_of(&later),
        [
            (
                1,
                vec![],
                Outcome::Recovered {
                    by,
                    same_input: true
                }
            ),
            (
                2,
                vec![],
                Outcome::Recovered {
                    by,
                    same_input: false
                }
            ),
        ]
    );
    assert_eq!(errors(&later).first_unrecovered(&later), None);
}

#[test]
fn the_error_of_the_trace_counts_as_the_top() {
    let rows = spans(&[(None, 0, 100, None), (Some(0), 10, 50, IO)]);
    let mut trace = Trace::new(TRACE, Timestamp::from_micros(1_000_000));
    trace.error_info = Some(ErrorInfo::new("IoError", "disk 9 is full"));
    let tree = TraceTree::build(trace, rows);
    assert_eq!(origins_of(&tree), [(1, vec![], Outcome::FailedTrace)]);
}

#[test]
fn tools_fail_by_their_output_and_models_do_not() {
    let mut rows = spans(&[
        (None, 0, 100, None),
        (Some(0), 10, 50, None),
        (Some(0), 60, 70, None),
    ]);
    for (span, kind) in rows.iter_mut().skip(1).zip([SpanType::Llm, SpanType::Tool]) {
        span.r#type = Some(kind);
        span.output = Some(Json::string("Error: user 7 not found"));
    }
    let tree = tree(rows);
    let found = errors(&tree);
    assert_eq!(found.spans.len(), 1);
    assert_eq!(row(&tree, found.spans[0].node), 2);
    assert_eq!(found.spans[0].class, Some(FailureClass::NotFound));
}

#[test]
fn the_producer_is_found_by_its_arguments_before_nearness() {
    let mut rows = spans(&[
        (None, 0, 100, None),
        (Some(0), 0, 10, None),
        (Some(0), 20, 30, None),
        (Some(0), 40, 50, IO),
    ]);
    for span in &mut rows[1..3] {
        span.r#type = Some(SpanType::Llm);
    }
    rows[1].output =
        Json::parse(r#"{"calls":[{"arguments":"{\"path\": \"a.txt\", \"mode\": 1}"}]}"#).ok();
    rows[2].output = Json::parse(r#"{"text":"nothing to do with it"}"#).ok();
    rows[3].r#type = Some(SpanType::Tool);
    rows[3].input = Json::parse(r#"{"mode":1,"path":"a.txt"}"#).ok();
    let by_data = tree(rows.clone());
    let culprit = errors(&by_data).origins[0].culprit.unwrap();
    assert_eq!(
        (row(&by_data, culprit.node), culprit.rule),
        (1, crate::culprit::CulpritRule::EqualArguments)
    );

    rows[3].input = Json::parse(r#"{"mode":2,"path":"a.txt"}"#).ok();
    let nearest = tree(rows);
    let culprit = errors(&nearest).origins[0].culprit.unwrap();
    assert_eq!(
        (row(&nearest, culprit.node), culprit.rule),
        (2, crate::culprit::CulpritRule::NearestBefore)
    );
}

#[test]
fn equal_errors_are_one_cluster() {
    let other = Some(("IoError", "cannot read the index"));
    let tree = tree(spans(&[
        (None, 0, 100, None),
        (Some(0), 0, 10, other),
        (Some(0), 20, 30, IO),
        (Some(0), 40, 50, Some(("IoError", "disk 77 is full"))),
    ]));
    let clusters = errors(&tree).clusters;
    let rows: Vec<Vec<usize>> = clusters
        .iter()
        .map(|cluster| cluster.nodes.iter().map(|&node| row(&tree, node)).collect())
        .collect();
    assert_eq!(rows, [vec![2, 3], vec![1]]);
}
