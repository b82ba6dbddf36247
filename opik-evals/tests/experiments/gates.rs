//! Gates.

use opik_core::TraceTree;
use opik_evals::experiment::{Experiment, FnTask, Run, Stop, TaskOutput};
use opik_evals::gate::{GateFileError, GateInput, GateReport, Gates, TraceFacts, trace_facts};
use opik_testkit::{MemoryStore, records};

use crate::compared::run;
use crate::runs::items;

fn check(text: &str, input: GateInput<'_>) -> GateReport {
    Gates::from_toml(text).unwrap().check(input)
}

fn outcome(report: &GateReport) -> Vec<(&str, bool)> {
    report
        .checks
        .iter()
        .map(|check| (check.name.as_str(), check.passed))
        .collect()
}

async fn flags(passed: u64, of: u64) -> Run {
    let scores: Vec<(u64, Option<f64>)> = (0..of)
        .map(|n| (n, Some(if n < passed { 1.0 } else { 0.0 })))
        .collect();
    run("flags", &scores).await
}

#[tokio::test]
async fn a_threshold_holds_for_the_value_or_for_the_end_of_its_interval() {
    let run = flags(45, 50).await;
    let input = || GateInput::new().run(&run);
    assert!(
        check(
            "[metrics.good]\nmin_pass_rate = 0.9\nmin_mean = 0.9",
            input()
        )
        .passed
    );
    let sure = check(
        "[metrics.good]\nmin_pass_rate = 0.9\nmin_mean = 0.9\nsure = true",
        input(),
    );
    assert_eq!(
        outcome(&sure),
        [("good: min_mean", false), ("good: min_pass_rate", false)]
    );
    assert!(check("[metrics.good]\nmin_pass_rate = 0.75\nsure = true", input()).passed);
    // Less confidence is easier to have.
    let loose = "confidence = 0.6\n[metrics.good]\nmin_pass_rate = 0.85\nsure = true";
    assert!(check(loose, input()).passed);
    assert!(!check("[metrics.good]\nmax_mean = 0.5", input()).passed);
    assert!(
        !check(
            "[metrics.good]\nmin_pass_rate = 0.5\npass_at = 1.5",
            input()
        )
        .passed
    );
}

#[tokio::test]
async fn what_cannot_be_told_does_not_pass() {
    let run = flags(3, 3).await;
    for (text, why) in [
        (
            "[metrics.other]\nmin_mean = 0.1",
            "the run has no such metric",
        ),
        (
            "[metrics.good]\nmin_pass_all = 0.1",
            "items were not run more than once",
        ),
        (
            "[metrics.good]\nmax_drop = 1.0",
            "there is no baseline with this metric",
        ),
        (
            "[metrics.good]\nno_regression = true",
            "there is no baseline with this metric",
        ),
        ("[cases]\nmax_cost = 1.0", "no trial says what it cost"),
        ("[traces]\nmax_new_loops = 5", "there are no traces"),
        ("[traces]\nmax_cost = 5", "there are no traces"),
    ] {
        let report = check(text, GateInput::new().run(&run));
        assert!(!report.passed, "{text}");
        assert_eq!(report.checks[0].detail, why, "{text}");
        assert_eq!(report.checks[0].found, None);
    }
    let report = check("[metrics.good]\nmin_mean = 0.1", GateInput::new());
    assert_eq!(report.checks[0].detail, "there is no run");
}

#[tokio::test]
async fn a_worse_run_does_not_pass_against_its_baseline() {
    let (before, after) = (flags(48, 60).await, flags(30, 60).await);
    let text = "[metrics.good]\nmax_drop = 0.1\nno_regression = true\nmax_regressed = 5";
    let input = GateInput::new().run(&after).baseline(&before);
    let report = check(text, input);
    assert_eq!(
        outcome(&report),
        [
            ("good: max_drop", false),
            ("good: no_regression", false),
            ("good: max_regressed", false)
        ]
    );
    assert!((report.checks[0].found.unwrap() - 0.3).abs() < 1e-12);
    // The other way round everything is better.
    assert!(check(text, GateInput::new().run(&before).baseline(&after)).passed);
    // A drop within the limit, which is not sure to be.
    let near = flags(45, 60).await;
    let input = GateInput::new().run(&near).baseline(&before);
    assert!(check("[metrics.good]\nmax_drop = 0.1", input).passed);
    assert!(!check("[metrics.good]\nmax_drop = 0.1\nsure = true", input).passed);
}

#[tokio::test]
async fn failures_cost_and_time_have_thresholds() {
    let task = || {
        FnTask::new(|call| async move {
            if call.item.id() == "q1" {
                return Err(opik_evals::experiment::TaskError::new("no"));
            }
            Ok(TaskOutput::new("")
                .cost(0.5)
                .tokens(100)
                .took(std::time::Duration::from_millis(20)))
        })
    };
    let run = Experiment::new("dear", items(5))
        .task(task())
        .run()
        .await
        .unwrap();
    let kept = "[cases]\nmin_trials = 5\nmax_failed = 1\nmax_failed_rate = 0.2\nmax_cost = 0.5\nmax_total_cost = 2.0\nmax_p95_ms = 20\nmax_mean_ms = 20\nmax_tokens = 100";
    let report = check(kept, GateInput::new().run(&run));
    assert!(report.passed, "{report:?}");
    let broken = "[cases]\nmin_trials = 6\nmax_failed = 0\nmax_failed_rate = 0.1\nmax_cost = 0.4\nmax_total_cost = 1.9\nmax_p95_ms = 19\nmax_mean_ms = 19\nmax_tokens = 99";
    let report = check(broken, GateInput::new().run(&run));
    assert_eq!(report.failures().count(), 8, "{report:?}");
    // Half a run does not pass by having run only half.
    let stop = Stop::new();
    let handle = stop.clone();
    let half = Experiment::new("half", items(5))
        .task(task())
        .concurrency(1)
        .stop(stop);
    let half = half
        .on_progress(move |_| handle.stop())
        .run()
        .await
        .unwrap();
    let report = check("[cases]\nmax_failed = 5", GateInput::new().run(&half));
    assert_eq!(
        outcome(&report),
        [("cases: max_failed", true), ("cases: max_not_run", false)]
    );
    assert!(
        check(
            "[cases]\nmax_failed = 5\nmax_not_run = 4",
            GateInput::new().run(&half)
        )
        .passed
    );
}

fn facts(n: u32, origins: &[&str], loops: &[&str], path_ms: u64, cost: f64) -> TraceFacts {
    let mut facts = TraceFacts::of(records::trace_id(n));
    facts.error_origins = origins.iter().map(|text| (*text).to_owned()).collect();
    facts.loops = loops.iter().map(|text| (*text).to_owned()).collect();
    facts.critical_path_us = Some(path_ms * 1_000);
    facts.cost = Some(cost);
    facts
}

#[test]
fn new_kinds_of_error_and_of_loop_are_seen_and_known_ones_are_not() {
    let before = [facts(1, &["lookup: Timeout"], &["search, rank"], 100, 0.1)];
    let after = [
        facts(2, &["lookup: Timeout"], &[], 100, 0.1),
        facts(
            3,
            &["parse: ValueError", "lookup: Timeout"],
            &["ask, answer"],
            300,
            0.3,
        ),
    ];
    let text = "[traces]\nmax_new_error_origins = 0\nmax_new_loops = 0\nmax_error_traces_rate = 1.0\nmax_loop_traces_rate = 0.5\nmax_critical_path_p95_ms = 250\nmax_cost = 0.2";
    let report = check(
        text,
        GateInput::new().traces(&after).baseline_traces(&before),
    );
    assert_eq!(
        outcome(&report),
        [
            ("traces: max_new_error_origins", false),
            ("traces: max_new_loops", false),
            ("traces: max_error_traces_rate", true),
            ("traces: max_loop_traces_rate", true),
            ("traces: max_critical_path_p95_ms", false),
            ("traces: max_cost", true),
        ]
    );
    assert_eq!(report.checks[0].detail, "parse: ValueError (1)");
    assert!(
        check(
            "[traces]\nmax_new_error_origins = 0",
            GateInput::new().traces(&before).baseline_traces(&after)
        )
        .passed
    );
    // Without a baseline every kind is new.
    assert!(
        !check(
            "[traces]\nmax_new_error_origins = 1",
            GateInput::new().traces(&after)
        )
        .passed
    );
}

#[tokio::test]
async fn facts_come_from_the_traces_of_a_source() {
    use opik_core::{Batch, Exporter};
    let store = MemoryStore::new();
    let batch = Batch::new(
        vec![records::trace(1)],
        vec![records::span(1, 1), records::span(1, 2)],
    );
    store.export(&batch).await.unwrap();
    let analysis = |tree: &TraceTree| {
        let mut facts = TraceFacts::of(tree.id());
        facts.loops = vec![format!("{} spans", tree.len())];
        facts
    };
    let ids = [records::trace_id(1), records::trace_id(9)];
    let found = trace_facts(&store, ids, &analysis).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].loops, ["2 spans"]);
}

#[test]
fn a_misspelt_or_senseless_threshold_is_an_error() {
    for text in [
        "[metrics.good]\nmin_maen = 0.5",
        "[case]\nmax_failed = 0",
        "[cases]\nmax_failed = -1",
        "[metrics.good]\nmin_mean = \"high\"",
        "not toml",
    ] {
        assert!(
            matches!(Gates::from_toml(text), Err(GateFileError::Toml(_))),
            "{text}"
        );
    }
    for text in [
        "confidence = 1.0\n[cases]\nmax_failed = 0",
        "[metrics.good]\nmin_pass_rate = 90",
        "[metrics.good]\nsure = true",
        "[metrics.good]\nmax_drop = -0.1",
    ] {
        assert!(
            matches!(Gates::from_toml(text), Err(GateFileError::Value(_))),
            "{text}"
        );
    }
    assert!(matches!(
        Gates::from_toml("confidence = 0.9"),
        Err(GateFileError::Empty)
    ));
    let folder = tempfile::tempdir().unwrap();
    let (toml, json) = (
        folder.path().join("gates.toml"),
        folder.path().join("gates.json"),
    );
    std::fs::write(
        &toml,
        "[metrics.\"a b\"]\nmin_mean = 1\n[cases]\nmax_p95_ms = 5",
    )
    .unwrap();
    std::fs::write(
        &json,
        r#"{"metrics": {"a b": {"min_mean": 1}}, "cases": {"max_p95_ms": 5}}"#,
    )
    .unwrap();
    assert_eq!(Gates::read(&toml).unwrap(), Gates::read(&json).unwrap());
    assert!(
        Gates::read(folder.path().join("none"))
            .unwrap_err()
            .is_missing()
    );
}
