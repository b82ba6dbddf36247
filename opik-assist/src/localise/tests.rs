//! Tests of the ranking on small runs.

use opik_core::{Json, Span, SpanId, SpanType, Timestamp, TraceId, TraceTree};

use super::*;

fn run(steps: &[(&str, &str)]) -> TraceTree {
    let id = TraceId::from_bytes([1; 16]);
    let spans = steps
        .iter()
        .zip(1u8..)
        .map(|(&(agent, text), number)| {
            let at = Timestamp::from_micros(i64::from(number) * 1_000_000);
            let mut span = Span::new(SpanId::from_bytes([number; 16]), id, at);
            span.name = Some(agent.to_owned());
            span.r#type = Some(SpanType::Llm);
            span.output = Some(Json::string(text));
            span.metadata = Some(
                Json::parse(&format!(
                    r#"{{"step": {}, "agent": "{agent}"}}"#,
                    number - 1
                ))
                .unwrap(),
            );
            span
        })
        .collect();
    TraceTree::from_spans(id, spans)
}

fn order(tree: &TraceTree) -> Vec<i64> {
    localise(tree).iter().map(|suspect| suspect.step).collect()
}

const CHAT: &[(&str, &str)] = &[
    (
        "human",
        "How many people more live in Seattle than in Colville, by the census?",
    ),
    (
        "Expert",
        "I will need the figures of both cities; please provide them from the census.",
    ),
    (
        "Expert",
        "Seattle has 737,015 and Colville 4,965 people, as far as I can remember it.",
    ),
    (
        "Checker",
        "I have verified the figures 737,015 and 4,965, they are correct and complete.",
    ),
    ("Checker", "TERMINATE"),
];

#[test]
fn the_one_who_makes_up_figures_comes_before_those_who_ask_and_agree() {
    assert_eq!(order(&run(CHAT)), [2, 3, 1]);
}

#[test]
fn outputs_people_and_fillers_are_never_suspects() {
    let tree = run(&[
        (
            "human",
            "a long question that is long enough to say something about it",
        ),
        (
            "Terminal",
            "exitcode: 1 (execution failed) and a long traceback that follows it",
        ),
        (
            "Expert",
            "There is no code from the last message for me to execute, go on please.",
        ),
        ("Expert", "TERMINATE"),
    ]);
    assert!(localise(&tree).is_empty());
}

#[test]
fn a_ledger_that_sees_no_progress_points_at_the_step_before_it() {
    let ledger = |progress: bool, looping: bool| {
        format!(
            r#"Updated ledger: {{"is_in_loop": {{"reason": "x", "answer": {looping}}}, "is_progress_being_made": {{"reason": "y", "answer": {progress}}}}}"#
        )
    };
    let (fine, stuck) = (ledger(true, false), ledger(false, true));
    let page = "I clicked a link and here is what the page says about the matter at hand";
    let tree = run(&[
        ("WebSurfer", page),
        ("Orchestrator", &fine),
        (
            "WebSurfer",
            "I scrolled down and up again and nothing was to be seen on that screen",
        ),
        ("Orchestrator", &stuck),
        (
            "WebSurfer",
            "Some other page with some other words that lead to the final answer",
        ),
    ]);
    let of = |step: i64| {
        let suspects = localise(&tree);
        suspects
            .into_iter()
            .find(|suspect| suspect.step == step)
            .unwrap()
    };
    let stalled = |step| {
        of(step)
            .reasons
            .iter()
            .any(|reason| reason.text.contains("no progress"))
    };
    assert!(stalled(2) && !stalled(0) && !stalled(4));
    assert!(
        of(4).score > of(2).score,
        "the last worker is the first suspect"
    );
}

#[test]
fn shares_add_up_to_one_and_equal_runs_give_equal_answers() {
    let tree = run(CHAT);
    let suspects = localise(&tree);
    let sum: f64 = suspects.iter().map(|suspect| suspect.score).sum();
    assert!((sum - 1.0).abs() < 1e-9);
    assert_eq!(suspects, localise(&tree));
    let found = findings(&tree, &suspects, 1);
    insta::assert_snapshot!(found[0].claim, @"Step 2 (counted from 0) by Expert (03030303-0303-0303-0303-030303030303) is a suspect with 61 % of the suspicion: it brings figures that nothing before it contains.");
}

#[test]
fn without_step_numbers_model_and_tool_calls_are_the_steps() {
    let id = TraceId::from_bytes([1; 16]);
    let mut span = Span::new(SpanId::from_bytes([1; 16]), id, Timestamp::from_micros(1));
    span.r#type = Some(SpanType::Llm);
    span.output =
        Some(Json::parse(r#"{"content": "a decision that is long enough to be one"}"#).unwrap());
    let other = Span::new(SpanId::from_bytes([2; 16]), id, Timestamp::from_micros(2));
    let tree = TraceTree::from_spans(id, vec![span, other]);
    assert_eq!(order(&tree), [0]);
}

#[test]
fn huge_and_odd_outputs_are_read_without_a_panic() {
    let huge = "ä1".repeat(200_000);
    let tree = run(&[("A", &huge), ("B", "")]);
    assert_eq!(order(&tree), [0]);
}
