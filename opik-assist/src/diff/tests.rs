//! Tests of whole differences.

use std::collections::HashSet;

use opik_core::{
    ErrorInfo, Json, Span, SpanId, SpanType, Timestamp, Trace, TraceId, TraceTree, Usage,
};
use proptest::prelude::*;

use super::*;

/// A span in a test: name, parent, start and end in milliseconds, input, output.
type Row<'r> = (&'r str, Option<usize>, i64, i64, &'r str, &'r str);

/// When the traces of the tests begin; not 0, which means "unknown" on the wire.
const BASE: i64 = 1_000_000_000;

/// A trace whose span ids are the number of the row and `run`.
fn tree(run: u8, rows: &[Row<'_>]) -> TraceTree {
    let id = TraceId::from_bytes([run; 16]);
    let span_id = |row: usize| {
        let mut bytes = [0; 16];
        bytes[0] = run;
        bytes[8..].copy_from_slice(&(row as u64).to_be_bytes());
        SpanId::from_bytes(bytes)
    };
    let spans = rows
        .iter()
        .enumerate()
        .map(|(row, &(name, parent, start, end, input, output))| {
            let mut span = Span::new(
                span_id(row),
                id,
                Timestamp::from_micros(BASE + start * 1_000),
            );
            span.name = Some(name.to_owned());
            span.parent_span_id = parent.map(span_id);
            span.end_time = Some(Timestamp::from_micros(BASE + end * 1_000));
            span.input = (!input.is_empty()).then(|| Json::string(input));
            span.output = (!output.is_empty()).then(|| Json::string(output));
            span.r#type = name.starts_with("llm").then_some(SpanType::Llm);
            span
        })
        .collect();
    TraceTree::build(Trace::new(id, Timestamp::from_micros(BASE)), spans)
}

fn claims(findings: &[crate::Finding]) -> String {
    let lines = findings.iter().map(|finding| finding.claim.clone());
    let text = lines.collect::<Vec<_>>().join("\n");
    // Ids of tests are mostly zeros; keep run and row.
    text.replace("000000-0000-0000-0000-0000000000", "~")
}

fn names(list: &[Subtree]) -> Vec<(&str, usize)> {
    list.iter()
        .map(|subtree| (subtree.top.name.as_str(), subtree.spans))
        .collect()
}

const FIRST: &[Row<'_>] = &[
    ("agent", None, 0, 100, "why?", "42"),
    ("llm plan", Some(0), 0, 20, "why?", "search"),
    ("search", Some(0), 20, 50, "q1", "found"),
    ("parse", Some(2), 25, 45, "found", ""),
    ("llm answer", Some(0), 50, 100, "found", "42"),
];

const SECOND: &[Row<'_>] = &[
    ("agent", None, 0, 180, "why?", "43"),
    ("llm plan", Some(0), 0, 20, "why?", "search"),
    ("search", Some(0), 20, 60, "q1", "nothing"),
    ("search", Some(0), 60, 130, "q1 again", "found"),
    ("parse", Some(3), 65, 85, "found", ""),
    ("llm answer", Some(0), 130, 180, "found", "43"),
];

#[test]
fn a_trace_diff_tells_its_story() {
    let diff = diff_traces(&tree(1, FIRST), &tree(2, SECOND));
    insta::assert_snapshot!(claims(&diff.findings()), @r#"
    The second trace takes 180 ms and the first 100 ms: +80.0 ms (+80.0 %). By part: spans that both have +30.0 ms, 1 span added +50.0 ms.
    The traces first part at "search" (01~02): it was given the same and answered differently in 02~02, 50.0 ms after the start. What comes later may follow from this.
    "search" makes the second trace 30.0 ms slower: its share of the critical path is 10.0 ms to 40.0 ms; it runs for 30.0 ms to 40.0 ms (01~02 and 02~02).
    Only the second trace has "search" (02~03), 1 span: 70.0 ms, of which 50.0 ms on the critical path.
    "parse" is called by another span in the second trace (01~03 and 02~04).
    "#);
    assert_eq!(names(&diff.added), [("search", 1)]);
    assert!(diff.removed.is_empty());
}

#[test]
fn a_span_diff_tells_its_story() {
    let (mut first, mut second) = (
        Span::new(
            SpanId::from_bytes([1; 16]),
            TraceId::from_bytes([9; 16]),
            Timestamp::EPOCH,
        ),
        Span::new(
            SpanId::from_bytes([2; 16]),
            TraceId::from_bytes([9; 16]),
            Timestamp::EPOCH,
        ),
    );
    for (span, micros, model) in [
        (&mut first, 340_000, "small"),
        (&mut second, 512_500, "large"),
    ] {
        span.name = Some("ask".to_owned());
        span.end_time = Some(Timestamp::from_micros(micros));
        span.model = Some(model.to_owned());
        span.usage = Usage::of_tokens(100, micros / 1_000);
        span.total_estimated_cost = Some(0.25);
        span.input =
            Some(Json::parse(r#"{"messages":[{"role":"user"}],"temperature":0}"#).unwrap());
        span.output = Some(Json::string("the answer is 42, I think"));
    }
    second.input = Some(
        Json::parse(r#"{"messages":[{"role":"system"},{"role":"user"}],"temperature":0.5}"#)
            .unwrap(),
    );
    second.output = Some(Json::string("the answer is 43, I think"));
    second.error_info = Some(ErrorInfo::new("Timeout", "too\nslow"));
    let tree = TraceTree::from_spans(TraceId::from_bytes([9; 16]), vec![first, second]);
    let node = |byte| tree.find(SpanId::from_bytes([byte; 16])).unwrap();
    let diff = diff_spans(&tree, node(1), &tree, node(2));
    insta::assert_snapshot!(claims(&diff.findings()), @r#"
    "ask" (01010101-0101-0101-0101-010101010101) took 340 ms and "ask" (02020202-0202-0202-0202-020202020202) 512 ms: +172 ms (+50.7 %). Its own work without its children: 340 ms to 512 ms.
    The model is "small" in 01010101-0101-0101-0101-010101010101 and "large" in 02020202-0202-0202-0202-020202020202.
    The error type is none in 01010101-0101-0101-0101-010101010101 and "Timeout" in 02020202-0202-0202-0202-020202020202.
    The error message is none in 01010101-0101-0101-0101-010101010101 and "too slow" in 02020202-0202-0202-0202-020202020202.
    From 01010101-0101-0101-0101-010101010101 to 02020202-0202-0202-0202-020202020202: completion tokens 340 to 512, total tokens 440 to 612.
    The input differs in 2 places: "/messages/0" added: {"role":"system"}; "/temperature": 0 to 0.5. (01010101-0101-0101-0101-010101010101 and 02020202-0202-0202-0202-020202020202)
    The output differs (27 and 27 bytes): 92 % is the same, 1 edit, the first "42" to "43". (01010101-0101-0101-0101-010101010101 and 02020202-0202-0202-0202-020202020202)
    "#);
    assert!(!diff.is_empty());
    let same = diff_spans(&tree, node(1), &tree, node(1));
    assert!(same.is_empty());
    insta::assert_snapshot!(claims(&same.findings()), @r#""ask" (01010101-0101-0101-0101-010101010101) and "ask" (01010101-0101-0101-0101-010101010101) are equal in everything that was recorded: 340 ms."#);
    insta::assert_snapshot!(serde_json::to_string(&diff.input).unwrap(), @r#"{"state":"changed","before_bytes":46,"after_bytes":66,"json":{"changes":[{"path":"/messages/0","op":"added","after":{"text":"{\"role\":\"system\"}","bytes":17}},{"path":"/temperature","op":"replaced","before":{"text":"0","bytes":1},"after":{"text":"0.5","bytes":3}}],"omitted":0}}"#);
}

#[test]
fn the_first_divergence_is_the_first_to_finish_with_equal_input_and_another_output() {
    let diff = diff_traces(&tree(1, FIRST), &tree(2, SECOND));
    let Some(Divergence::Output {
        before, offset_us, ..
    }) = diff.first_divergence
    else {
        panic!("{:?}", diff.first_divergence)
    };
    assert_eq!((before.name.as_str(), offset_us), ("search", 50_000));
}

#[test]
fn a_span_without_a_partner_before_that_is_the_first_divergence() {
    let mut rows = SECOND.to_vec();
    rows.push(("check", Some(0), 5, 10, "x", ""));
    let diff = diff_traces(&tree(1, FIRST), &tree(2, &rows));
    let swapped = diff_traces(&tree(2, &rows), &tree(1, FIRST));
    assert!(
        matches!(&diff.first_divergence, Some(Divergence::Added { span, offset_us: 5_000, .. }) if span.name == "check")
    );
    assert!(
        matches!(&swapped.first_divergence, Some(Divergence::Removed { span, .. }) if span.name == "check")
    );
}

#[test]
fn another_question_is_the_divergence_when_all_else_is_equal() {
    let mut rows = FIRST.to_vec();
    rows[2].4 = "q2";
    let diff = diff_traces(&tree(1, FIRST), &tree(2, &rows));
    assert!(
        matches!(&diff.first_divergence, Some(Divergence::Input { before, .. }) if before.name == "search")
    );
}

#[test]
fn calls_are_matched_by_what_they_were_given() {
    let row = |input, at| ("call", Some(0), at, at + 5, input, "");
    let a = tree(
        1,
        &[
            ("top", None, 0, 50, "", ""),
            row("a", 0),
            row("b", 10),
            row("c", 20),
        ],
    );
    let b = tree(
        2,
        &[
            ("top", None, 0, 50, "", ""),
            row("b", 0),
            row("c", 10),
            row("d", 20),
        ],
    );
    let diff = diff_traces(&a, &b);
    assert_eq!(diff.pairs.len(), 3);
    assert!(diff.pairs.iter().all(|pair| pair.same_input));
    assert_eq!(
        (names(&diff.added), names(&diff.removed)),
        (vec![("call", 1)], vec![("call", 1)])
    );
}

#[test]
fn reordered_renamed_and_wrapped_spans_are_found_again() {
    let a = tree(
        1,
        &[
            ("top", None, 0, 100, "", ""),
            ("x", Some(0), 0, 10, "1", ""),
            ("y", Some(0), 10, 20, "2", ""),
            ("old name", Some(0), 20, 30, "3", ""),
            ("deep", Some(0), 30, 60, "4", ""),
            ("inner", Some(4), 30, 40, "5", ""),
            ("inner", Some(4), 40, 50, "6", ""),
        ],
    );
    let b = tree(
        2,
        &[
            ("top", None, 0, 100, "", ""),
            ("y", Some(0), 0, 10, "2", ""),
            ("x", Some(0), 10, 20, "1", ""),
            ("new name", Some(0), 20, 30, "3", ""),
            ("wrapper", Some(0), 30, 60, "", ""),
            ("deep", Some(4), 30, 60, "4", ""),
            ("inner", Some(5), 30, 40, "5", ""),
            ("inner", Some(5), 40, 50, "6 or so", ""),
        ],
    );
    let diff = diff_traces(&a, &b);
    let kinds: Vec<_> = diff
        .pairs
        .iter()
        .map(|pair| (pair.name.as_str(), pair.matched))
        .collect();
    assert_eq!(names(&diff.added), [("wrapper", 1)]);
    assert!(diff.removed.is_empty());
    assert!(
        kinds.contains(&("old name", MatchKind::Renamed)),
        "{kinds:?}"
    );
    assert!(kinds.contains(&("deep", MatchKind::Moved)), "{kinds:?}");
    assert_eq!(
        kinds
            .iter()
            .filter(|kind| kind.1 == MatchKind::Reordered)
            .count(),
        1
    );
    assert_eq!(kinds.len(), 7);
}

#[test]
fn random_ids_in_replies_are_not_a_divergence() {
    let reply = |id: &str| {
        let trace = TraceId::from_bytes([3; 16]);
        let mut span = Span::new(SpanId::generate(), trace, Timestamp::from_micros(1));
        span.end_time = Some(Timestamp::from_micros(2));
        span.output =
            Some(Json::parse(&format!(r#"{{"id":"chatcmpl-0000000000{id}","x":1}}"#)).unwrap());
        TraceTree::from_spans(trace, vec![span])
    };
    assert!(diff_traces(&reply("1"), &reply("2")).is_empty());
}

/// A run of the same program: deep chain, one slower leaf.
fn chain(run: u8, depth: usize, leaf: i64) -> TraceTree {
    let rows: Vec<Row<'_>> = (0..depth)
        .map(|at| ("step", at.checked_sub(1), 0, leaf, "same", ""))
        .collect();
    tree(run, &rows)
}

#[test]
fn a_chain_ten_thousand_deep_is_compared_on_a_small_stack() {
    let run = || diff_traces(&chain(1, 10_000, 5), &chain(2, 10_000, 7));
    let small = std::thread::Builder::new()
        .stack_size(128 * 1024)
        .spawn(run)
        .unwrap();
    let diff = small.join().unwrap();
    assert_eq!(diff.pairs.len(), 10_000);
    assert_eq!(diff.time.total_us, 2_000);
    assert!(diff.added.is_empty() && diff.removed.is_empty());
}

#[test]
fn long_lists_of_equal_calls_line_up_around_what_was_inserted() {
    let rows = |extra: bool| {
        let mut rows: Vec<(String, Option<usize>, String)> =
            vec![("top".to_owned(), None, String::new())];
        for at in 0..5_000 {
            if extra && at % 1_000 == 500 {
                rows.push(("retry".to_owned(), Some(0), format!("{at}")));
            }
            rows.push((format!("call{}", at % 7), Some(0), format!("{}", at % 50)));
        }
        rows
    };
    let build = |run, rows: &[(String, Option<usize>, String)]| {
        let rows: Vec<Row<'_>> = rows
            .iter()
            .enumerate()
            .map(|(at, (name, parent, input))| {
                let at = i64::try_from(at).unwrap();
                let end = if parent.is_none() { 10_000 } else { at + 1 };
                (name.as_str(), *parent, at, end, input.as_str(), "")
            })
            .collect();
        tree(run, &rows)
    };
    let diff = diff_traces(&build(1, &rows(false)), &build(2, &rows(true)));
    assert_eq!(diff.pairs.len(), 5_001);
    assert_eq!(names(&diff.added), [("retry", 1); 5]);
    assert!(diff.pairs.iter().all(|pair| pair.same_input));
}

type AnyRow = (u8, prop::sample::Index, u8, u8, u8, u8);

/// Spans of few names and inputs, so that there is something to confuse; the first is the root
/// and encloses the others, whose times are any.
fn any_tree(run: u8) -> impl Strategy<Value = TraceTree> {
    let row = (
        0..3u8,
        any::<prop::sample::Index>(),
        0..60u8,
        0..60u8,
        0..3u8,
        0..3u8,
    );
    (prop::collection::vec(row, 0..14), 60..90i64).prop_map(move |(rows, end)| {
        let names = ["llm", "tool", "step"];
        let texts = ["", "a", "b"];
        let of = |list: [&'static str; 3], at: u8| list[usize::from(at)];
        let mut all: Vec<Row<'static>> = vec![("step", None, 0, end, "", "")];
        for (at, (name, parent, start, length, input, output)) in rows.into_iter().enumerate() {
            let row: AnyRow = (name, parent, start, length, input, output);
            let start = i64::from(row.2);
            all.push((
                of(names, row.0),
                Some(row.1.index(at + 1)),
                start,
                start + i64::from(row.3),
                of(texts, row.4),
                of(texts, row.5),
            ));
        }
        tree(run, &all)
    })
}

fn ids(list: &[Subtree]) -> HashSet<SpanId> {
    list.iter().map(|subtree| subtree.top.span).collect()
}

proptest! {
    #[test]
    fn a_trace_does_not_differ_from_itself(a in any_tree(1)) {
        let diff = diff_traces(&a, &a);
        prop_assert!(diff.is_empty());
        prop_assert_eq!(diff.first_divergence, None);
        prop_assert!(diff.pairs.iter().all(|pair| pair.before == pair.after));
    }

    #[test]
    fn every_span_is_accounted_for_once(a in any_tree(1), b in any_tree(2)) {
        let diff = diff_traces(&a, &b);
        let spans = |list: &[Subtree]| list.iter().map(|subtree| subtree.spans).sum::<usize>();
        prop_assert_eq!(diff.pairs.len() + spans(&diff.removed), a.len());
        prop_assert_eq!(diff.pairs.len() + spans(&diff.added), b.len());
        let partners: HashSet<_> = diff.pairs.iter().map(|pair| pair.after).collect();
        prop_assert_eq!(partners.len(), diff.pairs.len());
        for pair in &diff.pairs {
            let kind = |tree: &TraceTree, id| tree.span(tree.find(id).unwrap()).kind().clone();
            let is_root = a.parent(a.find(pair.before).unwrap()).is_none();
            prop_assert!(is_root || kind(&a, pair.before) == kind(&b, pair.after));
        }
    }

    #[test]
        fn the_parts_of_the_time_add_up_to_the_difference_of_the_durations(
        a in any_tree(1), b in any_tree(2),
    ) {
        let diff = diff_traces(&a, &b);
        let time = diff.time;
        prop_assert_eq!(
            time.total_us,
            time.matched_us + time.added_us - time.removed_us + time.uninstrumented_us
        );
        prop_assert_eq!(time.total_us, b.wall().micros() - a.wall().micros());
    }

    #[test]
    fn swapping_the_traces_swaps_the_sums(a in any_tree(1), b in any_tree(2)) {
        let (there, back) = (diff_traces(&a, &b), diff_traces(&b, &a));
        prop_assert_eq!(there.time.total_us, -back.time.total_us);
        prop_assert_eq!(there.duration_us.change(), -back.duration_us.change());
        prop_assert_eq!(there.tokens, Delta::new(back.tokens.after, back.tokens.before));
        prop_assert_eq!(there.is_empty(), back.is_empty());
        prop_assert_eq!(there.first_divergence.is_some(), back.first_divergence.is_some());
    }

    #[test]
    fn swapping_swaps_added_and_removed_where_all_spans_can_be_told_apart(
        keep_a in prop::collection::vec(any::<bool>(), 12),
        keep_b in prop::collection::vec(any::<bool>(), 12),
    ) {
        let texts: Vec<String> = (0..12).map(|at| format!("i{at}")).collect();
        let build = |run, keep: &[bool]| {
            let mut rows: Vec<Row<'_>> = vec![("top", None, 0, 100, "", "")];
            for (at, text) in texts.iter().enumerate().filter(|(at, _)| keep[*at]) {
                let start = i64::try_from(at).unwrap() * 5;
                rows.push((text.as_str(), Some(0), start, start + 5, text, ""));
            }
            tree(run, &rows)
        };
        let (a, b) = (build(1, &keep_a), build(2, &keep_b));
        let (there, back) = (diff_traces(&a, &b), diff_traces(&b, &a));
        prop_assert_eq!(ids(&there.added), ids(&back.removed));
        prop_assert_eq!(ids(&there.removed), ids(&back.added));
        let expected = keep_a.iter().zip(&keep_b).filter(|(a, b)| **a && **b).count() + 1;
        prop_assert_eq!(there.pairs.len(), expected);
    }
}
