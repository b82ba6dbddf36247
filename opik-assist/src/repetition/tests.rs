use opik_core::{ErrorInfo, Json, Span, SpanId, SpanType, Timestamp, TraceId, TraceTree};
use proptest::prelude::*;

use super::*;
use crate::errors::errors;
use crate::spend::spend;

/// A child: kind, name, input, whether it failed; each takes 100 ms and follows 2 ms later.
type Step<'a> = (SpanType, &'a str, &'a str, bool);

fn tree(steps: &[Step<'_>]) -> TraceTree {
    let trace = TraceId::from_bytes([1; 16]);
    let id = |n: usize| SpanId::from_bytes((n as u128 + 1).to_be_bytes());
    let at = |n: usize| Timestamp::from_micros(1_000_000 + i64::try_from(n).unwrap() * 102_000);
    let mut root = Span::new(id(0), trace, at(0));
    root.end_time = Some(at(steps.len() + 1));
    let mut spans = vec![root];
    for (number, (kind, name, input, failed)) in steps.iter().enumerate() {
        let mut span = Span::new(id(number + 1), trace, at(number));
        span.end_time = Some(at(number).plus_micros(100_000));
        span.parent_span_id = Some(id(0));
        span.r#type = Some(kind.clone());
        span.name = Some((*name).to_owned());
        span.input = (!input.is_empty()).then(|| Json::string(input));
        span.error_info = failed.then(|| ErrorInfo::new("E", "broken"));
        spans.push(span);
    }
    TraceTree::from_spans(trace, spans)
}

fn found(steps: &[Step<'_>]) -> Vec<(RepetitionKind, usize, usize, i64)> {
    let tree = tree(steps);
    let (errors, spend) = (errors(&tree), spend(&tree));
    repetitions(&tree, &errors, &spend, &Signatures::new(&tree))
        .iter()
        .map(|r| (r.kind, r.period, r.times, r.wasted_micros / 1_000))
        .collect()
}

fn tool<'a>(name: &'a str, input: &'a str) -> Step<'a> {
    (SpanType::Tool, name, input, false)
}

fn failing<'a>(name: &'a str, input: &'a str) -> Step<'a> {
    (SpanType::Tool, name, input, true)
}

#[test]
fn attempts_until_success_are_a_retry() {
    let steps = [
        failing("get", "x"),
        failing("get", "x"),
        tool("get", "x"),
        tool("get", "y"),
    ];
    assert_eq!(found(&steps), [(RepetitionKind::Retry, 1, 3, 204)]);
    let exhausted = [failing("get", "x"), failing("get", "x")];
    assert_eq!(found(&exhausted), [(RepetitionKind::Retry, 1, 2, 202)]);
    assert_eq!(found(&[failing("get", "x"), tool("get", "y")]), []);
}

#[test]
fn the_smallest_period_of_a_loop_counts() {
    let turn = [tool("search", "cats"), tool("read", "page")];
    let steps: Vec<Step<'_>> = turn.iter().cycle().take(13).cloned().collect();
    assert_eq!(found(&steps), [(RepetitionKind::Loop, 2, 6, 1_000)]);
    assert_eq!(
        found(&steps[..4]),
        [
            (RepetitionKind::Duplicate, 1, 2, 100),
            (RepetitionKind::Duplicate, 1, 2, 100)
        ]
    );
}

#[test]
fn numbers_make_a_near_loop_of_model_calls_and_a_row_of_small_tool_calls() {
    let inputs: Vec<String> = (0..6).map(|n| format!("page {n}")).collect();
    let calls = |kind: SpanType| -> Vec<Step<'_>> {
        inputs
            .iter()
            .map(|input| (kind.clone(), "get", input.as_str(), false))
            .collect()
    };
    assert_eq!(
        found(&calls(SpanType::Tool)),
        [(RepetitionKind::ManySmallCalls, 1, 6, 500)]
    );
    assert_eq!(
        found(&calls(SpanType::Llm)),
        [(RepetitionKind::NearLoop, 1, 6, 500)]
    );
}

#[test]
fn names_alone_are_no_loop() {
    let steps: Vec<Step<'_>> = [tool("plan", ""), tool("act", "")]
        .iter()
        .cycle()
        .take(40)
        .cloned()
        .collect();
    assert_eq!(found(&steps), []);
}

/// A word that no other number has, without digits, which loose signatures would mask.
fn word(number: usize) -> String {
    let letter =
        |place: u32| char::from(b'a' + u8::try_from(number / 26usize.pow(place) % 26).unwrap());
    (0..4).map(letter).collect()
}

/// What is planted into a sequence of calls that are all different.
#[derive(Debug, Clone)]
enum Planted {
    /// So many different calls, so many times.
    Loop(usize, usize),
    /// So many attempts, of which the last may succeed.
    Retry(usize, bool),
    /// The same with other calls between the attempts.
    RetryApart(usize, bool),
    /// So many calls that differ in numbers only.
    Small(usize),
    Nothing(usize),
}

fn any_planted() -> impl Strategy<Value = Planted> {
    prop_oneof![
        (1usize..7, 3usize..7).prop_map(|(period, times)| Planted::Loop(period, times)),
        (2usize..6, any::<bool>()).prop_map(|(times, ends)| Planted::Retry(times, ends)),
        (2usize..6, any::<bool>()).prop_map(|(times, ends)| Planted::RetryApart(times, ends)),
        (5usize..9).prop_map(Planted::Small),
        (1usize..6).prop_map(Planted::Nothing),
    ]
}

proptest! {
    #[test]
    fn what_is_planted_is_found_and_nothing_else(parts in prop::collection::vec(any_planted(), 1..8)) {
        let mut inputs: Vec<(String, bool)> = Vec::new();
        let mut expected = Vec::new();
        let mut unused = 0;
        let mut fresh = |count: usize| {
            unused += count;
            (unused - count..unused).map(word).collect::<Vec<String>>()
        };
        for part in &parts {
            // What comes before must not look like a part of it.
            inputs.extend(fresh(1).into_iter().map(|word| (word, false)));
            let first = inputs.len() + 1;
            match *part {
                Planted::Loop(period, times) => {
                    let turn = fresh(period);
                    inputs.extend((0..times).flat_map(|_| turn.clone()).map(|word| (word, false)));
                    expected.push((first, RepetitionKind::Loop, period, times, false));
                }
                Planted::Retry(times, succeeds) => {
                    let call = fresh(1).remove(0);
                    inputs.extend((1..=times).map(|attempt| (call.clone(), !(succeeds && attempt == times))));
                    expected.push((first, RepetitionKind::Retry, 1, times, succeeds));
                }
                Planted::RetryApart(times, succeeds) => {
                    let call = fresh(1).remove(0);
                    for attempt in 1..=times {
                        inputs.push((call.clone(), !(succeeds && attempt == times)));
                        inputs.extend(fresh(2).into_iter().map(|word| (word, false)));
                    }
                    expected.push((first, RepetitionKind::Retry, 1, times, succeeds));
                }
                Planted::Small(times) => {
                    let call = fresh(1).remove(0);
                    inputs.extend((0..times).map(|number| (format!("{call} {number}"), false)));
                    expected.push((first, RepetitionKind::ManySmallCalls, 1, times, true));
                }
                Planted::Nothing(count) => inputs.extend(fresh(count).into_iter().map(|word| (word, false))),
            }
        }
        let steps: Vec<Step<'_>> = inputs.iter().map(|(input, failed)| (SpanType::Tool, "call", input.as_str(), *failed)).collect();
        let tree = tree(&steps);
        let (errors, spend) = (errors(&tree), spend(&tree));
        let mut found: Vec<_> = repetitions(&tree, &errors, &spend, &Signatures::new(&tree))
            .iter()
            .map(|r| (r.nodes[0].index(), r.kind, r.period, r.times, r.progress))
            .collect();
        found.sort();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn an_agent_that_tries_again_later_retries() {
    let steps = [
        failing("get", "x"),
        (SpanType::Llm, "plan", "it failed", false),
        failing("get", "x"),
        (SpanType::Llm, "plan", "it failed again", false),
        tool("get", "x"),
        tool("get", "x"),
    ];
    let tree = tree(&steps);
    let (errors, spend) = (errors(&tree), spend(&tree));
    let all = repetitions(&tree, &errors, &spend, &Signatures::new(&tree));
    let [retry] = all.as_slice() else {
        panic!("{all:?}");
    };
    assert_eq!(
        (retry.kind, retry.times, retry.apart, retry.progress),
        (RepetitionKind::Retry, 3, true, true)
    );
    assert_eq!(
        (retry.wasted_micros, retry.gaps.as_slice()),
        (200_000, &[104_000, 104_000][..])
    );
    // Without recorded input it could be anything.
    let steps = [failing("get", ""), tool("put", ""), tool("get", "")];
    assert_eq!(found(&steps), []);
}

#[test]
fn attempts_at_the_same_time_are_told_apart() {
    let steps = [
        failing("get", "x"),
        failing("get", "y"),
        failing("get", "x"),
        tool("get", "y"),
        tool("get", "x"),
    ];
    let kinds: Vec<_> = found(&steps)
        .into_iter()
        .map(|(kind, _, times, _)| (kind, times))
        .collect();
    assert_eq!(
        kinds,
        [(RepetitionKind::Retry, 3), (RepetitionKind::Retry, 2)]
    );
}

#[test]
fn replies_that_only_differ_in_words_here_and_there_are_similar() {
    let inputs = ["cats", "dogs", "birds", "fish", "bees", "ants"];
    let steps: Vec<Step<'_>> = inputs
        .iter()
        .map(|input| (SpanType::Llm, "chat", *input, false))
        .collect();
    let base = tree(&steps);
    let spans: Vec<Span> = base.nodes().map(|node| {
        let mut span = base.span(node).clone();
        let said = "I am sorry but I cannot find anything about this topic in the archive that I was given so please tell me more about what you would like to know and where it may be";
        let end = ["now", "then", "today", "here", "there", "soon"].get(node.index().wrapping_sub(1));
        if let Some(end) = end {
            span.output = Json::parse(&format!(r#"{{"role":"assistant","content":"{said} {end}"}}"#)).ok();
        }
        span
    }).collect();
    let other = TraceTree::from_spans(base.id(), spans);
    let (errors, spend) = (errors(&other), spend(&other));
    let all = repetitions(&other, &errors, &spend, &Signatures::new(&other));
    let kinds: Vec<_> = all.iter().map(|r| (r.kind, r.times)).collect();
    assert_eq!(kinds, [(RepetitionKind::SimilarReplies, 6)]);
    assert_eq!(
        found(&steps),
        [],
        "without replies there is nothing to compare"
    );
}

#[test]
fn a_call_below_itself_is_a_recursion() {
    let trace = TraceId::from_bytes([1; 16]);
    let id = |n: u8| SpanId::from_bytes([n + 1; 16]);
    let spans = (0..6u8).map(|n| {
        let mut span = Span::new(id(n), trace, Timestamp::from_micros(i64::from(n)));
        span.end_time = Some(Timestamp::from_micros(1_000 - i64::from(n)));
        span.parent_span_id = n.checked_sub(1).map(id);
        span.name = Some(if n % 2 == 0 { "delegate" } else { "run" }.to_owned());
        span.input = Some(Json::string(if n % 2 == 0 { "solve it" } else { "" }));
        span
    });
    let tree = TraceTree::from_spans(trace, spans.collect());
    let (errors, spend) = (errors(&tree), spend(&tree));
    let found = repetitions(&tree, &errors, &spend, &Signatures::new(&tree));
    let [recursion] = found.as_slice() else {
        panic!("{found:?}");
    };
    let nodes: Vec<usize> = recursion.nodes.iter().map(|node| node.index()).collect();
    assert_eq!(
        (recursion.kind, nodes, recursion.wasted_micros),
        (RepetitionKind::Recursion, vec![0, 2, 4], 996)
    );
}

#[test]
fn attempts_that_say_which_one_they_are_need_no_error_and_no_input() {
    let numbered = |metadata: &[&str]| {
        let steps: Vec<Step<'_>> = metadata.iter().map(|_| tool("get", "")).collect();
        let plain = tree(&steps);
        let mut spans: Vec<Span> = plain.nodes().map(|node| plain.span(node).clone()).collect();
        for (span, text) in spans.iter_mut().skip(1).zip(metadata) {
            span.metadata = Json::parse(text).ok();
        }
        let tree = TraceTree::from_spans(plain.id(), spans);
        let evidence = crate::analyse(&tree);
        let retries = evidence.of_kind(crate::FindingKind::Retry);
        let claims: Vec<String> = retries.map(|finding| finding.claim.clone()).collect();
        let all = evidence.repetitions.iter();
        let all = all.filter(|found| found.kind == RepetitionKind::Retry);
        let all: Vec<_> = all
            .map(|r| (r.nodes.len(), r.times, r.wasted_micros / 1_000, r.said))
            .collect();
        (all, claims)
    };
    let (found, claims) = numbered(&[
        r#"{"attempt": 1}"#,
        r#"{"attempt": 2}"#,
        r#"{"attempt": 3}"#,
    ]);
    assert_eq!(found, [(3, 3, 204, true)]);
    assert!(
        claims[0].contains("was tried 3 times, as the attempts say, and the last succeeded"),
        "{claims:?}"
    );
    let (found, claims) = numbered(&[r#"{"retry_count": 0}"#, r#"{"retry_count": 4}"#, "{}"]);
    assert_eq!(found, [(1, 5, 0, true)]);
    assert!(
        claims[0].contains("says that it took 5 attempts to succeed"),
        "{claims:?}"
    );
    assert_eq!(numbered(&[r#"{"attempt": 1}"#, r#"{"attempt": 1}"#]).0, []);
    assert_eq!(numbered(&[r#"{"max_retries": 3}"#]).0, []);
}
