//! Differences of recorded agent runs.

use opik_assist::diff::{MatchKind, Subtree, diff_spans, diff_traces};
use opik_core::TraceTree;
use opik_testkit::fixtures::labelled_traces;

fn trees(name: &str) -> Vec<(String, TraceTree)> {
    let runs = labelled_traces(name).into_iter();
    runs.map(|run| (run.source, TraceTree::build(run.trace, run.spans)))
        .collect()
}

#[test]
fn a_recorded_run_does_not_differ_from_itself() {
    for (source, tree) in trees("agentrx").iter().chain(&trees("who_and_when")) {
        assert!(diff_traces(tree, tree).is_empty(), "{source}");
    }
}

#[test]
fn spans_and_time_of_any_two_runs_are_accounted_for() {
    let runs = trees("agentrx");
    let spans = |list: &[Subtree]| list.iter().map(|subtree| subtree.spans).sum::<usize>();
    for ((source, a), (other, b)) in runs.iter().zip(runs.iter().skip(1)) {
        let diff = diff_traces(a, b);
        assert_eq!(diff.pairs.len() + spans(&diff.removed), a.len(), "{source}");
        assert_eq!(diff.pairs.len() + spans(&diff.added), b.len(), "{other}");
        let time = diff.time;
        let wall = |tree: &TraceTree| tree.wall().micros();
        assert_eq!(time.total_us, wall(b) - wall(a), "{source} {other}");
        assert_eq!(
            time.total_us,
            time.matched_us + time.added_us - time.removed_us + time.uninstrumented_us,
            "{source} {other}"
        );
        assert!(!diff.findings().is_empty());
        serde_json::to_string(&diff).unwrap();
    }
}

/// Two groups recorded the same run: one file keeps it whole, the other left out its last step.
#[test]
fn the_same_run_in_two_data_sets_is_recognised() {
    let (agentrx, who) = (trees("agentrx"), trees("who_and_when"));
    let mut compared = 0;
    for (source, a) in &agentrx {
        let question = |tree: &TraceTree| {
            let input = tree.trace().input.as_ref()?.to_value().ok()?;
            Some(input.get("value")?.as_str()?.trim().to_owned())
        };
        let twin = who
            .iter()
            .find(|(other, b)| other.contains("Hand-Crafted") && question(b) == question(a));
        let Some((other, b)) = twin else { continue };
        let diff = diff_traces(a, b);
        let aligned = diff
            .pairs
            .iter()
            .filter(|pair| pair.matched == MatchKind::Aligned && pair.same_output)
            .count();
        // The roots differ in name; all steps that both have are equal.
        assert!(
            aligned + 3 >= a.len().min(b.len()),
            "{source} {other}: {aligned} of {}",
            a.len()
        );
        compared += 1;
    }
    assert!(compared > 5, "{compared}");
}

#[test]
fn two_steps_of_a_run_are_compared_word_by_word() {
    let runs = trees("who_and_when");
    let (_, tree) = runs.first().unwrap();
    let mut steps = tree.nodes().skip(1);
    let (first, second) = (steps.next().unwrap(), steps.next().unwrap());
    let diff = diff_spans(tree, first, tree, second);
    let claims: Vec<String> = diff
        .findings()
        .into_iter()
        .map(|found| found.claim)
        .collect();
    insta::assert_snapshot!(claims.join("\n"), @r#"
    The name is "Excel_Expert" in 01941f29-7c00-706f-8fe1-5c1ebf888fca and "Computer_terminal" in 01941f29-7fe8-7b53-ad8d-816490733a52.
    The type is "llm" in 01941f29-7c00-706f-8fe1-5c1ebf888fca and "tool" in 01941f29-7fe8-7b53-ad8d-816490733a52.
    The output differs in 1 place: "/value": 3 % is the same, 2 edits, the first "You are given: (1) a task and advises from your manager with a specific plan and…" to "exitcode: 0 (execution succeeded) Code output: Index(['ID', 'First Name', 'Last…". (01941f29-7c00-706f-8fe1-5c1ebf888fca and 01941f29-7fe8-7b53-ad8d-816490733a52)
    The metadata differs in 2 places: "/agent": "Excel_Expert" to "Computer_terminal"; "/step": 0 to 1. (01941f29-7c00-706f-8fe1-5c1ebf888fca and 01941f29-7fe8-7b53-ad8d-816490733a52)
    "#);
}
