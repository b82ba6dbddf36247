//! Claims that were once wrong.

use std::ops::Range;

use opik_assist::answer::{Answer, AnswerContext, Intent, answer};
use opik_assist::critical_path::{Segment, critical_path};
use opik_assist::diff::diff_traces;
use opik_assist::{FindingKind, analyse};
use opik_core::{
    ErrorInfo, Json, Span, SpanId, SpanType, Timestamp, Trace, TraceId, TraceTree, Usage,
};
use proptest::prelude::*;

const TRACE: TraceId = TraceId::from_bytes([5; 16]);

fn id(number: usize) -> SpanId {
    let number = number as u128 + 1;
    SpanId::from_bytes(((number << 64) | (number * 0x1000_0001)).to_be_bytes())
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + millis * 1_000)
}

/// A general span; its number is its id.
fn span(number: usize, parent: Option<usize>, name: &str, millis: Range<i64>) -> Span {
    let mut span = Span::new(id(number), TRACE, at(millis.start));
    span.parent_span_id = parent.map(id);
    span.name = Some(name.to_owned());
    span.end_time = Some(at(millis.end));
    span
}

fn trace(millis: Range<i64>) -> Trace {
    let mut trace = Trace::new(TRACE, at(millis.start));
    trace.end_time = Some(at(millis.end));
    trace
}

fn ask(tree: &TraceTree, question: &str) -> Answer {
    let evidence = analyse(tree);
    answer(question, &AnswerContext::new(tree, &evidence))
}

fn claims(tree: &TraceTree, kind: FindingKind) -> Vec<String> {
    let evidence = analyse(tree);
    let found = evidence.of_kind(kind);
    found.map(|finding| finding.claim.clone()).collect()
}

#[test]
fn a_child_that_ran_beside_the_path_is_not_called_uninstrumented() {
    let spans = vec![
        span(0, None, "p", 0..15_000),
        span(1, Some(0), "work", 0..8_000),
        span(2, Some(0), "tail", 6_000..15_000),
    ];
    let tree = TraceTree::build(trace(0..15_000), spans);
    assert_eq!(claims(&tree, FindingKind::Uninstrumented), [""; 0]);
    let path = claims(&tree, FindingKind::CriticalPath).swap_remove(0);
    let work = "in 6.00 s of which step work (00000000…02) ran";
    assert!(path.contains(work), "{path}");
    let what_if = claims(&tree, FindingKind::WhatIf);
    let of_p = what_if.iter().find(|claim| claim.starts_with("If step p"));
    let of_p = of_p.unwrap();
    assert!(of_p.contains("step work (00000000…02) ran"), "{of_p}");
}

#[test]
fn only_the_part_of_a_gap_in_which_no_child_ran_is_uninstrumented() {
    let spans = vec![
        span(0, None, "p", 0..20_000),
        span(1, Some(0), "work", 3_000..8_000),
        span(2, Some(0), "tail", 6_000..20_000),
    ];
    let tree = TraceTree::build(trace(0..20_000), spans);
    let found = claims(&tree, FindingKind::Uninstrumented);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found.concat().starts_with("3.00 s of step p"), "{found:?}");
}

#[test]
fn a_root_that_ran_beside_the_path_is_no_gap_between_roots() {
    let spans = vec![
        span(0, None, "work", 0..4_000),
        span(1, None, "tail", 2_000..15_000),
    ];
    let tree = TraceTree::build(trace(0..15_000), spans.clone());
    assert_eq!(claims(&tree, FindingKind::Uninstrumented), [""; 0]);
    let path = claims(&tree, FindingKind::CriticalPath).swap_remove(0);
    assert!(
        path.contains("in 2.00 s that no span on the path explains, step work"),
        "{path}"
    );
    let shorter = TraceTree::build(trace(2_000..15_000), spans.get(1..).unwrap().to_vec());
    let diff = diff_traces(&shorter, &tree);
    assert_eq!(diff.time.uninstrumented_us, 0);
    assert_eq!(diff.time.total_us, 2_000_000);
    assert_eq!(diff.time.added_us, 2_000_000);
    let text = diff.findings().swap_remove(0).claim;
    assert!(!text.contains("without any span"), "{text}");
}

#[test]
fn every_sentence_speaks_of_the_wall_time() {
    // The record is longer than the root, and a child outlives it.
    let spans = vec![
        span(0, None, "root", 1_000..6_000),
        span(1, Some(0), "late", 5_000..8_000),
    ];
    let tree = TraceTree::build(trace(0..10_000), spans);
    let other = TraceTree::build(trace(0..5_000), vec![span(0, None, "root", 0..5_000)]);
    for question in ["why is it slow?", "summary"] {
        let text = ask(&tree, question).text;
        assert!(text.contains("took 10.00 s"), "{text}");
    }
    let found = claims(&tree, FindingKind::Uninstrumented).concat();
    let outside = "In 1.00 s before the first span and 2.00 s after the root span (30 % of the trace) no span ran.";
    assert!(found.contains(outside), "{found}");
    let tail = claims(&tree, FindingKind::AsyncTail).concat();
    assert!(
        tail.contains("for another 2.00 s (20 % of the trace)"),
        "{tail}"
    );
    let diff = diff_traces(&other, &tree);
    assert_eq!(
        (diff.duration_us.before, diff.duration_us.after),
        (5_000_000, 10_000_000)
    );
    assert_eq!(diff.time.uninstrumented_us, 3_000_000);
}

#[test]
fn a_trace_without_spans_has_the_duration_of_its_record() {
    let tree = TraceTree::build(trace(0..1_000), Vec::new());
    let slow = ask(&tree, "why is it slow?").text;
    assert!(
        slow.starts_with("The trace took 1.00 s; in 100 % of it no span ran."),
        "{slow}"
    );
    let summary = ask(&tree, "summary").text;
    assert!(summary.contains("took 1.00 s"), "{summary}");
}

proptest! {
    /// Segments inside and outside of the roots partition the wall time, and the time without a
    /// span is the wall time without the union of all spans.
    #[test]
    fn the_wall_time_is_accounted_for_exactly(
        rows in prop::collection::vec((0i64..50, 0i64..30, prop::option::of(0usize..12)), 0..12),
        (from, length) in (0i64..60, 0i64..60),
    ) {
        let spans: Vec<Span> = rows.iter().enumerate().map(|(number, &(start, length, parent))| {
            span(number, parent.filter(|&parent| parent < number), "x", start..start + length)
        }).collect();
        let tree = TraceTree::build(trace(from..from + length), spans);
        let path = critical_path(&tree);
        let mut parts: Vec<Segment> = path.segments.iter().chain(&path.outside).copied().collect();
        parts.sort_by_key(|part| part.start);
        let mut reached = tree.wall().start;
        for part in &parts {
            prop_assert_eq!(part.start, reached);
            reached = part.end;
        }
        prop_assert_eq!(reached, tree.wall().end);
        let wall = tree.wall();
        let idle = (0..wall.micros() / 1_000).filter(|moment| {
            let moment = wall.start.plus_micros(moment * 1_000 + 500);
            !tree.nodes().any(|node| {
                let times = tree.interval(node);
                times.start <= moment && moment < times.end
            })
        });
        prop_assert_eq!(path.uninstrumented(), i64::try_from(idle.count()).unwrap() * 1_000);
        for node in tree.nodes() {
            prop_assert!((0..=path.own.at(node)).contains(&path.alone.at(node)));
        }
    }
}

#[test]
fn the_output_of_the_first_of_several_roots_is_not_the_answer() {
    let tree = |failed: bool| {
        let mut trace = trace(0..2_000);
        trace.input = Some(Json::string("Where is my order?"));
        trace.error_info = failed.then(|| ErrorInfo::new("TimeoutError", "no answer"));
        let mut plan = span(0, None, "plan", 0..1_000);
        plan.output = Some(Json::string("first look it up"));
        let mut reply = span(1, None, "reply", 1_000..2_000);
        reply.output = Some(Json::string("it is on its way"));
        TraceTree::build(trace, vec![plan, reply])
    };
    let text = ask(&tree(false), "summary").text;
    assert!(text.contains("Answered: \"it is on its way\"."), "{text}");
    let text = ask(&tree(true), "summary").text;
    assert!(text.contains("No answer was recorded."), "{text}");
    assert!(!text.contains("look it up"), "{text}");
}

#[test]
fn tokens_say_when_the_totals_of_opik_count_a_wrapper_twice() {
    let mut wrapper = span(0, None, "agent", 0..1_000);
    let mut call = span(1, Some(0), "plan", 0..1_000);
    call.r#type = Some(SpanType::Llm);
    for span in [&mut wrapper, &mut call] {
        span.usage = Usage::of_tokens(20, 10);
        span.total_estimated_cost = Some(0.5);
    }
    let tree = TraceTree::build(trace(0..1_000), vec![wrapper, call.clone()]);
    let tokens = claims(&tree, FindingKind::TokenHotSpot).concat();
    let note = "30 tokens (Opik's totals, which add up every span, say 60)";
    assert!(tokens.contains(note), "{tokens}");
    let cost = claims(&tree, FindingKind::CostHotSpot).concat();
    assert!(cost.contains("say $1.00)"), "{cost}");
    assert!(claims(&tree, FindingKind::Overview).concat().contains(note));
    call.parent_span_id = None;
    let tree = TraceTree::build(trace(0..1_000), vec![call]);
    let tokens = claims(&tree, FindingKind::TokenHotSpot).concat();
    assert!(!tokens.contains("Opik's"), "{tokens}");
}

#[test]
fn a_span_is_no_outlier_among_those_it_contains() {
    let mut spans = vec![span(0, None, "step", 0..1_000)];
    spans.extend((1..11).map(|n: usize| {
        let from = i64::try_from(n - 1).unwrap() * 100;
        span(n, Some(0), "step", from..from + 100)
    }));
    let tree = TraceTree::build(trace(0..1_000), spans.clone());
    assert_eq!(claims(&tree, FindingKind::Outlier), [""; 0]);
    // What it does itself still counts.
    let root = spans.first_mut().unwrap();
    root.end_time = Some(at(3_000));
    let tree = TraceTree::build(trace(0..3_000), spans);
    let found = claims(&tree, FindingKind::Outlier).concat();
    assert!(found.contains("took 2.00 s itself, 20.0 times"), "{found}");
}

fn difference(before: Vec<Span>, after: Vec<Span>) -> Vec<String> {
    let build = |spans| TraceTree::from_spans(TRACE, spans);
    let diff = diff_traces(&build(before), &build(after));
    let found = diff.findings();
    for (finding, number) in found.iter().zip(1u32..) {
        assert_eq!(finding.id.0, number, "numbered from F1");
    }
    found.into_iter().map(|finding| finding.claim).collect()
}

fn micros(mut span: Span, micros: i64) -> Span {
    span.end_time = Some(span.start_time.plus_micros(micros));
    span
}

#[test]
fn short_durations_are_in_microseconds_and_empty_parts_are_left_out() {
    let of = |length| vec![micros(span(0, None, "p", 0..0), length)];
    let text = difference(of(6), of(65)).join("\n");
    assert!(text.contains("6 us to 65 us"), "{text}");
    for noise in ["0 added", "0 removed", " +0", " -0", "0.0"] {
        assert!(!text.contains(noise), "{noise}: {text}");
    }
}

#[test]
fn siblings_that_ran_at_the_same_time_have_not_moved() {
    let run = |from: [i64; 2], length: i64| {
        let named = |number, name, from| {
            let mut span = span(number, Some(0), name, from..from + length);
            span.input = Some(Json::string(name));
            span
        };
        vec![
            span(0, None, "p", 0..100),
            named(1, "one", from[0]),
            named(2, "two", from[1]),
        ]
    };
    let moved = |length| {
        let claims = difference(run([0, 20], length), run([20, 0], length));
        claims
            .iter()
            .any(|claim| claim.contains("another position"))
    };
    assert!(!moved(30), "they overlap");
    assert!(moved(10), "one after the other");
}

#[test]
fn cost_of_one_side_only_is_not_compared_with_nothing() {
    let run = |cost| {
        let mut span = span(0, None, "p", 0..100);
        span.total_estimated_cost = cost;
        vec![span]
    };
    let text = difference(run(None), run(Some(0.5))).join("\n");
    assert!(
        text.contains("Cost was recorded in the second trace only: $0.50."),
        "{text}"
    );
    assert!(!text.contains("$0.00"), "{text}");
    let text = difference(run(Some(0.25)), run(Some(0.5))).join("\n");
    assert!(text.contains("costs $0.50 and the first $0.25"), "{text}");
}

#[test]
fn a_text_difference_shows_shared_text_once() {
    let diff = opik_assist::diff::diff_texts("a old b c d e old f", "a new b c d e new f");
    assert_eq!(diff.hunks.len(), 2);
    let (first, second) = (diff.hunks.first().unwrap(), diff.hunks.last().unwrap());
    assert_eq!(
        (first.trail.as_str(), second.lead.as_str()),
        (" b c d e ", "")
    );
}

#[test]
fn a_second_trace_makes_a_comparison_of_the_question() {
    let tree = |length| TraceTree::build(trace(0..length), vec![span(0, None, "p", 0..length)]);
    let (first, second) = (tree(1_000), tree(2_000));
    let (a, b) = (analyse(&first), analyse(&second));
    let one = AnswerContext::new(&first, &a);
    let two = one.compared_with(&second, &b);
    for question in ["why slower", "what changed", "compare", "hm?"] {
        assert_eq!(
            answer(question, &two).intent,
            Intent::Difference,
            "{question}"
        );
    }
    assert_eq!(answer("why slower", &one).intent, Intent::Slow);
    assert_eq!(
        answer("how can I make it faster", &two).intent,
        Intent::Slow
    );
    let hint = answer("what changed", &one);
    assert!(!hint.sufficient);
    assert!(
        hint.text
            .contains("Give a second trace, or name two of its spans"),
        "{hint}"
    );
}

#[test]
fn one_name_stands_for_the_first_and_the_last_span_of_that_name() {
    let tree = |takes: usize| {
        let mut spans = vec![span(0, None, "root", 0..10_000)];
        spans.extend((1..=takes).map(|n| {
            let from = i64::try_from(n).unwrap() * 1_000;
            span(n, Some(0), "take_lock", from..from + from / 2)
        }));
        TraceTree::build(trace(0..10_000), spans)
    };
    let question = "what is the difference between the two takes of take_lock?";
    let two = ask(&tree(2), question);
    assert_eq!(two.citations, [id(1), id(2)], "{two}");
    let many = ask(&tree(4), question);
    assert_eq!(many.citations, [id(1), id(4)], "{many}");
    assert!(
        many.text
            .starts_with("There are 4 spans named \"take_lock\""),
        "{many}"
    );
    assert!(!ask(&tree(1), question).sufficient);
}

#[test]
fn a_what_if_names_the_span_that_limits_it() {
    let spans = vec![
        span(0, None, "root", 0..10_000),
        span(1, Some(0), "slow", 0..10_000),
        span(2, Some(0), "beside", 0..9_000),
    ];
    let tree = TraceTree::build(trace(0..10_000), spans);
    let found = claims(&tree, FindingKind::WhatIf).concat();
    let limit = "without it, 1.00 s, no more, because step beside (00000000…03) then is what";
    assert!(found.contains(limit), "{found}");
}

#[test]
fn suspects_have_a_reason_and_a_tenth_of_the_suspicion() {
    let step = |number: usize, text: &str| {
        let from = i64::try_from(number).unwrap() * 10;
        let mut span = span(number, None, "agent", from..from + 10);
        span.r#type = Some(SpanType::Llm);
        span.output = Some(Json::string(text));
        span
    };
    let plain = "this is a longer sentence that says nothing of interest at all, number";
    let mut spans: Vec<Span> = (0..30).map(|n| step(n, &format!("{plain} {n}"))).collect();
    let tree = TraceTree::build(trace(0..300), spans.clone());
    let text = ask(&tree, "what went wrong?").text;
    assert!(
        !text.contains("suspect") && !text.contains("nothing speaks"),
        "{text}"
    );
    spans.truncate(4);
    spans.push(step(
        4,
        "so I run this: ```python print(1)``` and then it is done, I believe",
    ));
    let tree = TraceTree::build(trace(0..300), spans);
    let text = ask(&tree, "what went wrong?").text;
    assert!(text.contains("Step 4 (counted from 0) by agent"), "{text}");
}
