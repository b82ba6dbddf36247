//! `opik-rs evals`: datasets, what is said about them, and the exit codes.

use serde_json::Value;

use crate::command::{Scratch, line};

#[test]
fn blocks_become_a_labelled_dataset_with_a_report() {
    let scratch = Scratch::new();
    scratch.file(
        "in.jsonl",
        "{\"job_id\": \"j\", \"rigor_level\": \"conservative\", \"blocks\": [{\"block_id\": \"a\", \"content\": \"A shocking find.\"}]}\n\
         {broken\n{\"content\": \"Calm.\"}\n",
    );
    let text = scratch.ok(&["evals", "tone", "in.jsonl", "-o", "out/tone.jsonl"]);
    assert!(text.starts_with("2 records to out/tone.jsonl\n"), "{text}");
    assert!(text.contains("lexicon built-in, 25 terms, hash "), "{text}");
    let written = std::fs::read_to_string(scratch.path("out/tone.jsonl")).unwrap();
    let first: Value = serde_json::from_str(written.lines().next().unwrap()).unwrap();
    assert_eq!(first["label"], "sensational");
    assert_eq!(first["job_id"], "j");

    let report = scratch.json(&["evals", "tone", "in.jsonl", "-o", "again.jsonl"]);
    assert_eq!(report["written"], 2);
    assert_eq!(report["skipped"]["count"], 1);
    assert_eq!(report["skipped"]["first"][0]["line"], 2);

    let run = scratch.run_with_input(&["evals", "tone", "-"], b"[{\"content\": \"Calm.\"}]");
    assert_eq!((run.code, run.stdout.lines().count()), (0, 1));
    assert!(run.stderr.contains("1 record to standard output"));
}

#[test]
fn every_kind_of_failure_has_its_exit_code_and_writes_nothing() {
    let scratch = Scratch::new();
    scratch.file("bad.jsonl", "{\"content\": \"a\"}\n{bad\n");
    scratch.file("empty.jsonl", "\n");
    scratch.file("other.jsonl", "{\"event_type\": \"node_execution\"}\n");
    scratch.file("empty.yaml", "terms: []\n");
    scratch.file("wrong.yaml", "terms: 5\n");
    for (code, args) in [
        (1, vec!["gone.jsonl", "-o", "out.jsonl"]),
        (1, vec!["bad.jsonl", "-o", "bad.jsonl"]),
        (1, vec!["bad.jsonl", "-o", "./bad.jsonl"]),
        (
            1,
            vec!["bad.jsonl", "-o", "out.jsonl", "--lexicon", "gone.yaml"],
        ),
        (1, vec!["-o", "out.jsonl"]),
        (2, vec!["empty.jsonl", "-o", "out.jsonl"]),
        (2, vec!["other.jsonl", "-o", "out.jsonl"]),
        (
            2,
            vec!["bad.jsonl", "-o", "out.jsonl", "--lexicon", "empty.yaml"],
        ),
        (
            2,
            vec!["bad.jsonl", "-o", "out.jsonl", "--lexicon", "wrong.yaml"],
        ),
        (3, vec!["bad.jsonl", "-o", "out.jsonl", "--strict"]),
        (
            0,
            vec![
                "bad.jsonl",
                "-o",
                "ok.jsonl",
                "--lexicon",
                "empty.yaml",
                "--allow-empty-lexicon",
            ],
        ),
    ] {
        let mut all = vec!["evals", "tone"];
        all.extend(&args);
        let run = scratch.run(&all);
        assert_eq!(run.code, code, "{args:?}: {}", run.stderr);
        assert!(!scratch.path("out.jsonl").exists(), "{args:?}");
    }
    let run = scratch.run(&["evals", "tone", "bad.jsonl", "-o", "out.jsonl", "--strict"]);
    assert!(
        run.stderr.contains("bad.jsonl:2: not JSON"),
        "{}",
        run.stderr
    );
    let kept = std::fs::read_to_string(scratch.path("bad.jsonl")).unwrap();
    assert!(kept.contains("{bad"));
}

#[test]
fn tables_become_a_dataset_with_a_distribution() {
    let scratch = Scratch::new();
    scratch.file(
        "in.json",
        "{\"rigor_level\": \"conservative\", \"tables\": [\n\
         {\"table_id\": \"t\", \"rows\": [{\"a\": \"1.234\"}, {\"a\": \"2.345\"}]},\n\
         {\"table_id\": \"u\", \"rows\": [{\"a\": \"1.2\"}]}]}\n",
    );
    let text = scratch.ok(&["evals", "precision", "in.json", "-o", "out.jsonl"]);
    let lines: Vec<_> = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        lines,
        [
            "2 records to out.jsonl",
            "EXCESSIVE_PRECISION conservative 1",
            "clean conservative 1",
            "by column:",
            "a 1",
        ]
    );
}

#[test]
fn recorded_traces_become_items() {
    let scratch = Scratch::new();
    let traces = [line(1, "first"), line(2, "second")].join("\n");
    scratch.file("traces.jsonl", traces);
    scratch.ok(&["import", "traces.jsonl"]);
    let report = scratch.json(&[
        "evals",
        "dataset",
        "--traces",
        "--filter",
        "name = \"second\"",
        "-o",
        "set.jsonl",
    ]);
    assert_eq!(report["written"], 1);
    let written = std::fs::read_to_string(scratch.path("set.jsonl")).unwrap();
    let item: Value = serde_json::from_str(&written).unwrap();
    assert_eq!(item["data"]["name"], "second");

    // A dataset that was written is read again as it is.
    scratch.ok(&["evals", "dataset", "set.jsonl", "-o", "copy.jsonl"]);
    assert_eq!(
        std::fs::read_to_string(scratch.path("copy.jsonl")).unwrap(),
        written
    );
}

#[test]
fn the_help_of_each_command_teaches() {
    let scratch = Scratch::new();
    for command in ["tone", "precision", "dataset", "describe"] {
        let help = scratch.ok(&["evals", command, "--help"]);
        assert!(help.contains(&format!("opik-rs evals {command}")), "{help}");
        assert!(
            help.lines().all(|line| line.chars().count() <= 100),
            "{help}"
        );
    }
}

#[test]
fn a_dataset_is_described() {
    let scratch = Scratch::new();
    scratch.file(
        "set.jsonl",
        "{\"text\": \"a\", \"expected_output\": \"x\"}\n{bad\n{\"text\": \"b\", \"expected_output\": \"x\"}\n{\"n\": 1}\n",
    );
    let report = scratch.json(&["evals", "describe", "set.jsonl"]);
    assert_eq!(report["items"], 3);
    assert_eq!(report["expected"][1]["value"], "x");
    assert_eq!(report["expected"][1]["count"], 2);
    assert_eq!(report["skipped"]["count"], 1);
}
