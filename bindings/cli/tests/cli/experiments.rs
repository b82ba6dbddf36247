//! `opik-rs evals run`, `diff`, `gate`, `report` and `submit`.

use std::io::Write as _;

use opik_testkit::StubServer;
use serde_json::{Value, json};

use crate::command::{Run, Scratch, line};

/// Forty questions, and two columns of answers of which the second is worse.
fn dataset(scratch: &Scratch) -> String {
    let lines = (0..40).map(|n| {
        let tone = if n % 3 == 0 { "sensational" } else { "neutral" };
        let new = if n % 4 == 0 { "neutral" } else { tone };
        json!({ "id": format!("b{n}"), "n": n, "rigor": n % 2, "old": tone, "new": new, "expected_output": tone })
            .to_string()
    });
    scratch.file("tone.jsonl", lines.collect::<Vec<_>>().join("\n"))
}

fn runs(scratch: &Scratch) {
    let dataset = dataset(scratch);
    for field in ["old", "new"] {
        scratch.ok(&[
            "evals", "run", &dataset, "-m", "Equals", "--field", field, "--name", field,
        ]);
    }
}

fn python(test: &str) -> bool {
    let found = std::process::Command::new("python3")
        .arg("--version")
        .output();
    let there = found.is_ok_and(|output| output.status.success());
    if !there {
        // Past the test harness, which hides what passing tests print.
        let line = format!("SKIPPED {test}: python3 is missing\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    there
}

#[test]
fn every_command_of_the_family_teaches_with_examples() {
    let scratch = Scratch::new();
    for command in [
        "tone",
        "precision",
        "dataset",
        "run",
        "metrics",
        "diff",
        "gate",
        "report",
        "submit",
    ] {
        let help = scratch.ok(&["evals", command, "--help"]);
        assert!(help.contains("Examples:"), "{command}");
        assert!(
            help.contains(&format!("opik-rs evals {command}")),
            "{command}"
        );
        assert!(
            help.lines().all(|line| line.chars().count() <= 100),
            "{command}: {help}"
        );
    }
}

#[test]
fn a_run_without_opik_is_a_summary_and_a_file() {
    let scratch = Scratch::new();
    let dataset = dataset(&scratch);
    let text = scratch.ok(&["evals", "run", &dataset, "-m", "Equals", "--field", "old"]);
    assert!(
        text.contains("40 trials, none failed") && text.contains("equals_metric"),
        "{text}"
    );
    assert!(
        text.contains("not sent to Opik: Opik is not configured"),
        "{text}"
    );
    assert!(scratch.path("runs/tone.jsonl").exists());
    let json = scratch.json(&["evals", "run", &dataset, "-m", "Equals", "--field", "old"]);
    assert_eq!(json["summary"]["trials"], 40);
    assert_eq!(json["submission"]["state"], "kept");
    // The file holds another experiment: not overwritten, and said how to go on.
    let run = scratch.run(&[
        "evals", "run", &dataset, "-m", "Equals", "--field", "new", "--seed", "1",
    ]);
    assert_eq!(run.code, 2);
    assert!(
        run.stderr.contains("another version of the task") && run.stderr.contains("--fresh"),
        "{}",
        run.stderr
    );
    scratch.ok(&[
        "evals", "run", &dataset, "-m", "Equals", "--field", "new", "--seed", "1", "--fresh",
    ]);
    // Something else is not thrown away.
    let notes = scratch.file("notes.jsonl", "mine\n");
    let run = scratch.run(&[
        "evals", "run", &dataset, "--field", "new", "-o", &notes, "--fresh",
    ]);
    assert_eq!(run.code, 2);
    assert_eq!(std::fs::read_to_string(&notes).unwrap(), "mine\n");
}

#[test]
fn a_program_answers_and_a_second_run_has_nothing_left() {
    if !python("a_program_answers_and_a_second_run_has_nothing_left") {
        return;
    }
    let scratch = Scratch::new();
    let dataset = dataset(&scratch);
    let script = scratch.file(
        "task.py",
        "import json, sys\nfor line in sys.stdin:\n    call = json.loads(line)\n    if call['id'] == 'b1': print(json.dumps({'error': 'no'}), flush=True)\n    else: print(json.dumps({'output': call['data']['old'], 'cost': 0.5}), flush=True)\n",
    );
    let args = [
        "evals", "run", &dataset, "-m", "Equals", "-j", "2", "--json", "--", "python3", &script,
    ];
    let first = scratch.run_with_path(&args);
    assert_eq!(first.code, 0, "{}", first.stderr);
    let document: Value = serde_json::from_str(&first.stdout).unwrap();
    assert_eq!(document["summary"]["failed"], 1);
    assert_eq!(document["summary"]["total_cost"], 19.5);
    let second = scratch.run_with_path(&args);
    assert!(
        second.stderr.contains("nothing was left to run"),
        "{}",
        second.stderr
    );
    let wrong = scratch.run(&["evals", "run", &dataset, "-m", "Equals"]);
    assert_eq!(wrong.code, 2);
    assert!(
        wrong.stderr.contains("what to evaluate"),
        "{}",
        wrong.stderr
    );
}

#[test]
fn two_runs_are_compared_and_a_gate_closes_with_five() {
    let scratch = Scratch::new();
    runs(&scratch);
    let text = scratch.ok(&[
        "evals",
        "diff",
        "runs/old.jsonl",
        "runs/new.jsonl",
        "--slice",
        "rigor",
    ]);
    assert!(
        text.contains("old -> new") && text.contains("WORSE") && text.contains("rigor = 0"),
        "{text}"
    );
    let json = scratch.json(&["evals", "diff", "runs/old.jsonl", "runs/new.jsonl"]);
    assert_eq!(json["metrics"][0]["regressed"], 4);
    let args = [
        "evals",
        "diff",
        "runs/old.jsonl",
        "runs/new.jsonl",
        "--confidence",
        "0.8",
        "--fail-on-regression",
    ];
    assert_eq!(scratch.run(&args).code, 5);

    scratch.file("gates.toml", "[metrics.equals_metric]\nmin_pass_rate = 0.95\nmax_regressed = 3\n[cases]\nmax_failed = 0\n");
    let gate = |run: &str| {
        scratch.run(&[
            "evals",
            "gate",
            "gates.toml",
            run,
            "--baseline",
            "runs/old.jsonl",
        ])
    };
    assert_eq!(gate("runs/old.jsonl").code, 0);
    let closed = gate("runs/new.jsonl");
    assert_eq!(closed.code, 5);
    assert!(
        closed.stdout.contains("FAILED") && closed.stderr.contains("min_pass_rate"),
        "{closed:?}"
    );
    let closed = scratch.run(&["evals", "gate", "gates.toml", "runs/new.jsonl", "--json"]);
    let error: Value = serde_json::from_str(&closed.stderr).unwrap();
    assert_eq!(
        (
            error["error"]["code"].as_u64(),
            error["error"]["kind"].as_str()
        ),
        (Some(5), Some("gate"))
    );
    // One command for all of it.
    let dataset = dataset(&scratch);
    let args = [
        "evals",
        "run",
        &dataset,
        "-m",
        "Equals",
        "--field",
        "new",
        "--name",
        "pr",
        "--gate",
        "gates.toml",
        "--baseline",
        "runs/old.jsonl",
    ];
    assert_eq!(scratch.run(&args).code, 5);
    assert!(scratch.path("runs/pr.jsonl").exists());

    scratch.file(
        "wrong.toml",
        "[metrics.equals_metric]\nmin_pas_rate = 0.95\n",
    );
    assert_eq!(
        scratch
            .run(&["evals", "gate", "wrong.toml", "runs/new.jsonl"])
            .code,
        2
    );
    assert_eq!(
        scratch
            .run(&["evals", "gate", "none.toml", "runs/new.jsonl"])
            .code,
        1
    );
    assert_eq!(
        scratch
            .run(&["evals", "gate", "gates.toml", "runs/none.jsonl"])
            .code,
        1
    );
}

#[test]
fn reports_are_written_in_the_form_that_their_name_says() {
    let scratch = Scratch::new();
    runs(&scratch);
    scratch.ok(&[
        "evals",
        "report",
        "runs/new.jsonl",
        "--baseline",
        "runs/old.jsonl",
        "--history",
        "runs/old.jsonl",
        "--slice",
        "rigor",
        "--report",
        "out/r.html",
        "--report",
        "out/r.md",
        "--report",
        "out/r.xml",
        "--report",
        "out/r.json",
        "--report",
        "out/r.txt",
    ]);
    for (name, start) in [
        ("r.html", "<!DOCTYPE html>"),
        ("r.md", "### "),
        ("r.xml", "<?xml"),
        ("r.json", "{"),
        ("r.txt", "new\n"),
    ] {
        let text = std::fs::read_to_string(scratch.path("out").join(name)).unwrap();
        assert!(text.starts_with(start), "{name}: {text}");
    }
    let run = scratch.run(&["evals", "report", "runs/new.jsonl", "--report", "r.pdf"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains(".html"), "{}", run.stderr);
}

#[test]
fn recorded_traces_are_gated_by_what_analysis_finds() {
    let scratch = Scratch::new();
    let lines = [line(1, "a"), line(2, "a"), line(3, "b")].concat();
    let traces = scratch.file("traces.jsonl", lines);
    scratch.ok(&["import", &traces]);
    scratch.file(
        "gates.toml",
        "[traces]\nmax_new_error_origins = 0\nmax_new_loops = 0\n",
    );
    let gate = |more: &[&str]| {
        let args: Vec<&str> = ["evals", "gate", "gates.toml", "--traces"]
            .iter()
            .chain(more)
            .copied()
            .collect();
        scratch.run(&args)
    };
    let closed = gate(&[]);
    assert_eq!(closed.code, 5);
    assert!(
        closed.stdout.contains("lookup: ToolError (3)"),
        "{}",
        closed.stdout
    );
    // The same kind of error as before is not new.
    assert_eq!(
        gate(&[
            "--filter",
            "name = \"a\"",
            "--baseline-filter",
            "name = \"b\""
        ])
        .code,
        0
    );
    scratch.file("slow.toml", "[traces]\nmax_critical_path_p95_ms = 100\n");
    assert_eq!(
        scratch
            .run(&["evals", "gate", "slow.toml", "--traces"])
            .code,
        5
    );
    // A run over recorded traces is gated by them as well.
    let run = scratch.run(&[
        "evals",
        "run",
        "--traces",
        "-m",
        "IsJson",
        "--gate",
        "gates.toml",
        "--json",
    ]);
    assert_eq!(run.code, 5, "{}", run.stderr);
    let document: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(document["summary"]["trials"], 3);
}

fn with_opik(scratch: &Scratch, address: &str, args: &[&str]) -> Run {
    let mut command = scratch.command(args);
    command
        .env("OPIK_ENABLED", "true")
        .env("OPIK_URL_OVERRIDE", address);
    Run::of(command.output().unwrap())
}

#[test]
fn a_run_is_sent_to_opik_once_and_kept_when_opik_is_down() {
    let Some(stub) =
        StubServer::start("a_run_is_sent_to_opik_once_and_kept_when_opik_is_down").unwrap()
    else {
        return;
    };
    let scratch = Scratch::new();
    let dataset = dataset(&scratch);
    let args = ["evals", "run", &dataset, "-m", "Equals", "--field", "old"];
    let down = opik_testkit::doubles::free_port().unwrap();
    let run = with_opik(&scratch, &format!("http://127.0.0.1:{down}/api"), &args);
    assert_eq!(run.code, 4, "{}", run.stderr);
    assert!(
        run.stdout.contains("40 trials") && run.stderr.contains("was not sent"),
        "{run:?}"
    );
    let best: Vec<&str> = args.iter().copied().chain(["--best-effort"]).collect();
    assert_eq!(
        with_opik(&scratch, &format!("http://127.0.0.1:{down}/api"), &best).code,
        0
    );

    let submit = ["evals", "submit", "runs/tone.jsonl", "--json"];
    let first = with_opik(&scratch, &stub.base_url(), &submit);
    assert_eq!(first.code, 0, "{}", first.stderr);
    let first: Value = serde_json::from_str(&first.stdout).unwrap();
    assert_eq!(
        (first["state"].as_str(), first["trials"].as_u64()),
        (Some("sent"), Some(40))
    );
    let second = with_opik(&scratch, &stub.base_url(), &submit);
    let second: Value = serde_json::from_str(&second.stdout).unwrap();
    assert_eq!(
        (second["trials"].as_u64(), second["earlier"].as_u64()),
        (Some(0), Some(40))
    );
    assert_eq!(second["experiment_id"], first["experiment_id"]);
    let kept = scratch.json(&["evals", "submit", "runs/tone.jsonl"]);
    assert_eq!(kept["state"], "kept");
}
