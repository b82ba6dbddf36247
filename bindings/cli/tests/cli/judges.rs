//! Judges and metrics of traces in `opik-rs evals run`, against a model on this machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use crate::command::{Run, Scratch, line};
use crate::server::{Answer, Server};

/// A server that speaks as OpenAI's does and grades whatever it is shown.
struct Grader {
    server: Server,
    /// Whether it refuses everything, as for a wrong key.
    refuses: Arc<AtomicBool>,
}

impl Grader {
    fn start() -> Self {
        let refuses = Arc::new(AtomicBool::new(false));
        let refusing = Arc::clone(&refuses);
        let server = Server::start(move |request| {
            if refusing.load(Ordering::SeqCst) {
                refusal()
            } else {
                streamed(&grade(&request.json()))
            }
        });
        Self { server, refuses }
    }

    fn bodies(&self) -> Vec<Value> {
        self.server
            .requests()
            .iter()
            .map(|request| request.json())
            .collect()
    }

    fn asked(&self) -> usize {
        self.server.requests().len()
    }

    fn run(&self, scratch: &Scratch, args: &[&str]) -> Run {
        let mut command = scratch.command(args);
        command
            .env("OPENAI_BASE_URL", format!("{}/v1", self.server.address))
            .env("OPENAI_API_KEY", "k3y-s3cr3t");
        let run = Run::of(command.output().unwrap());
        assert!(!run.stdout.contains("s3cr3t") && !run.stderr.contains("s3cr3t"));
        run
    }

    fn json(&self, scratch: &Scratch, args: &[&str]) -> Value {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        let run = self.run(scratch, &args);
        assert_eq!(run.code, 0, "{}", run.stderr);
        serde_json::from_str(&run.stdout).unwrap()
    }
}

fn said(body: &Value, role: &str) -> String {
    let messages = body["messages"].as_array().unwrap();
    let own = messages.iter().filter(|message| message["role"] == role);
    own.filter_map(|message| message["content"].as_str())
        .collect()
}

/// Bad is what contains `wrong`; steps are derived where they are asked for.
fn grade(body: &Value) -> String {
    if said(body, "system").contains("derive the steps") {
        return "1. Read it.".to_owned();
    }
    let bad = said(body, "user").contains("wrong");
    let tenths = said(body, "system").contains("whole number from 0 to 10");
    let score = match (tenths, bad) {
        (true, true) => json!(2),
        (true, false) => json!(9),
        (false, bad) => json!(if bad { 0.9 } else { 0.1 }),
    };
    format!("Well: {}", json!({ "score": score, "reason": "as seen" }))
}

fn refusal() -> Answer {
    let error = json!({ "error": { "message": "no such key", "type": "invalid_request_error" } });
    ("401 Unauthorized", "application/json", error.to_string())
}

fn streamed(reply: &str) -> Answer {
    let chunk = |choices: Value, usage: Value| {
        let chunk = json!({ "id": "1", "object": "chat.completion.chunk", "choices": choices, "usage": usage });
        format!("data: {chunk}\n\n")
    };
    let choice = |delta: Value, finish: Value| json!([{ "index": 0, "delta": delta, "finish_reason": finish }]);
    let mut body = chunk(
        choice(json!({ "content": reply }), Value::Null),
        Value::Null,
    );
    body += &chunk(choice(json!({}), json!("stop")), Value::Null);
    let usage = json!({ "prompt_tokens": 90, "completion_tokens": 10, "total_tokens": 100 });
    body += &chunk(json!([]), usage);
    body += "data: [DONE]\n\n";
    ("200 OK", "text/event-stream", body)
}

/// Six answers, of which two are wrong.
fn answers(scratch: &Scratch) -> String {
    let lines = (0..6).map(|n| {
        let answer = if n % 3 == 0 { "a wrong claim" } else { "a claim" };
        json!({ "id": format!("q{n}"), "question": format!("what is {n}?"), "answer": format!("{answer} about {n}") })
            .to_string()
    });
    scratch.file("qa.jsonl", lines.collect::<Vec<_>>().join("\n"))
}

const GEVAL: &str = "GEval={\"name\":\"polite\",\"task_introduction\":\"Letters.\",\"evaluation_criteria\":\"Is it polite?\"}";

#[test]
fn judges_score_beside_metrics_and_say_what_they_spent() {
    let (scratch, grader) = (Scratch::new(), Grader::start());
    let dataset = answers(&scratch);
    let args = [
        "evals",
        "run",
        &dataset,
        "--field",
        "answer",
        "--map",
        "input=question",
        "-m",
        "Hallucination={\"name\":\"made_up\"}",
        "-m",
        GEVAL,
        "-m",
        "Contains={\"reference\":\"claim\"}",
        "--model",
        "openai/gpt-4.1-mini",
        "--judge-budget",
        "1",
    ];
    let document = grader.json(&scratch, &args);
    let metrics = document["summary"]["metrics"].as_array().unwrap();
    let mean = |name: &str| mean(&document, name).unwrap();
    assert!((mean("made_up") - (2.0 * 0.9 + 4.0 * 0.1) / 6.0).abs() < 1e-9);
    assert!((mean("polite") - (2.0 * 0.2 + 4.0 * 0.9) / 6.0).abs() < 1e-9);
    assert!((mean("contains_metric") - 1.0).abs() < 1e-9);
    // Under whatever name, it is known that little is good of what is made up.
    assert_eq!(metrics[0]["lower_is_better"], true);
    // Six questions a judge, and one for the steps.
    assert_eq!(grader.asked(), 13);
    assert_eq!(document["judges"]["model"], "openai/gpt-4.1-mini");
    assert_eq!(document["judges"]["tokens"], 1_300);
    // 0.40 and 1.60 dollars a million.
    let dollars = document["judges"]["dollars"].as_f64().unwrap();
    assert!(
        (dollars - 13.0 * (90.0 * 0.4 + 10.0 * 1.6) / 1e6).abs() < 1e-9,
        "{dollars}"
    );
    let cost = document["summary"]["total_cost"].as_f64().unwrap();
    assert!((cost - dollars).abs() < 1e-12);

    let bodies = grader.bodies();
    assert_eq!(
        (&bodies[0]["model"], &bodies[0]["temperature"]),
        (&json!("gpt-4.1-mini"), &json!(0.0))
    );
    for body in bodies
        .iter()
        .filter(|body| said(body, "user").contains("claim"))
    {
        let shown = said(body, "user");
        assert!(
            shown.contains("<evidence name=\"input\">")
                && shown.contains("<evidence name=\"output\">")
        );
        assert!(
            !said(body, "system").contains("claim about"),
            "data is no instruction"
        );
    }
    // The same run again asks nothing, and people are told what was spent.
    let text = grader.run(&scratch, &args);
    assert!(
        text.stdout
            .contains("judges: openai/gpt-4.1-mini, 0 tokens, $0"),
        "{}",
        text.stdout
    );
    assert!(
        text.stdout.contains("made_up (low is good)"),
        "{}",
        text.stdout
    );
    assert_eq!(grader.asked(), 13);
    // Another model is another judge.
    let other: Vec<&str> = args
        .iter()
        .map(|arg| {
            if *arg == "openai/gpt-4.1-mini" {
                "openai/gpt-4.1"
            } else {
                arg
            }
        })
        .collect();
    let refused = grader.run(&scratch, &other);
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("other metrics"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_cache_of_verdicts_is_used_by_the_next_run() {
    let (scratch, grader) = (Scratch::new(), Grader::start());
    let dataset = answers(&scratch);
    let run = |name: &str| {
        grader.json(
            &scratch,
            &[
                "evals",
                "run",
                &dataset,
                "--field",
                "answer",
                "-m",
                "Moderation",
                "--model",
                "openai/gpt-test",
                "--cache",
                "cache",
                "--name",
                name,
            ],
        )
    };
    let first = run("first");
    assert_eq!(grader.asked(), 6);
    assert_eq!(
        first["judges"]["dollars"],
        Value::Null,
        "the price is not known"
    );
    let second = run("second");
    assert_eq!(grader.asked(), 6, "verdicts are kept");
    assert_eq!(second["summary"]["metrics"], first["summary"]["metrics"]);
    assert_eq!(second["judges"]["tokens"], 0);
}

#[test]
fn a_spent_budget_leaves_trials_without_a_score_and_another_run_scores_them() {
    let (scratch, grader) = (Scratch::new(), Grader::start());
    let dataset = answers(&scratch);
    let args = [
        "evals",
        "run",
        &dataset,
        "--field",
        "answer",
        "-m",
        "Moderation",
        "-m",
        "IsJson",
        "--model",
        "openai/gpt-test",
        "-j",
        "1",
    ];
    let with = |more: &[&str]| {
        let args: Vec<&str> = args.iter().chain(more).copied().collect();
        grader.run(&scratch, &args)
    };
    let first = with(&["--judge-tokens", "250"]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert_eq!(grader.asked(), 3, "the third question spends it");
    assert!(
        first.stderr.contains(
            "no score: moderation_metric for 3 trials, the budget of the judges is spent"
        ),
        "{}",
        first.stderr
    );
    assert!(first.stdout.contains("300 tokens") && first.stdout.contains("the budget is spent"));
    // A gate that asks for all scores stays closed.
    scratch.file(
        "gates.toml",
        "[metrics.moderation_metric]\nmax_unscored = 0\n",
    );
    assert_eq!(with(&["--gate", "gates.toml"]).code, 5);
    // Only what has no score is scored again.
    let second = with(&["--retry-errors", "--gate", "gates.toml"]);
    assert_eq!(second.code, 0, "{}", second.stderr);
    assert_eq!(grader.asked(), 6);
    let run = std::fs::read_to_string(scratch.path("runs/qa.jsonl")).unwrap();
    assert_eq!(
        run.lines()
            .filter(|line| line.starts_with("{\"trial\""))
            .count(),
        9
    );
    // In dollars.
    let third = with(&[
        "--fresh",
        "--judge-budget",
        "0.0003",
        "--judge-price",
        "1,1",
    ]);
    assert_eq!(grader.asked(), 9, "{}", third.stderr);
    assert!(
        third.stdout.contains("$0.0003; the budget is spent"),
        "{}",
        third.stdout
    );
}

#[test]
fn what_is_wrong_with_judges_is_said_with_what_to_do() {
    let (scratch, grader) = (Scratch::new(), Grader::start());
    let dataset = answers(&scratch);
    let base = ["evals", "run", &dataset, "--field", "answer", "-m"];
    let with = |more: &[&str]| {
        let args: Vec<&str> = base.iter().chain(more).copied().collect();
        grader.run(&scratch, &args)
    };
    for (more, said, next) in [
        (
            &["Usefulness"][..],
            "Usefulness asks a language model",
            "--model",
        ),
        (
            &["Usefull", "--model", "openai/x"],
            "no metric is one",
            "--task-model",
        ),
        (
            &["Usefull"],
            "there is no metric Usefull",
            "opik-rs evals metrics",
        ),
        (
            &["ROUGE={\"kind\":1}"],
            "ROUGE does not take these parameters",
            "`kind`",
        ),
        (
            &["GEval", "--model", "openai/x"],
            "GEval does not take",
            "`task_introduction`",
        ),
        (
            &["Usefulness", "--model", "gpt"],
            "cannot be used",
            "whose model it is",
        ),
        (
            &["Usefulness", "--model", "anthropic/x"],
            "cannot be used",
            "ANTHROPIC_API_KEY",
        ),
        (
            &["Usefulness", "--model", "openai/x", "--judge-budget", "1"],
            "the price of openai/x is not known",
            "--judge-price",
        ),
        (
            &["Usefulness", "--judge-tokens", "5"],
            "--model",
            "required",
        ),
        (
            &[
                "Usefulness",
                "--model",
                "openai/x",
                "--judge-price",
                "cheap",
            ],
            "two amounts",
            "0.40,1.60",
        ),
        (&["TraceErrors"], "there is no store", "opik-rs import"),
    ] {
        let run = with(more);
        // The store is an input.
        let code = if more.contains(&"TraceErrors") { 1 } else { 2 };
        assert_eq!(run.code, code, "{more:?}: {}", run.stderr);
        assert!(
            run.stderr.contains(said) && run.stderr.contains(next),
            "{more:?}: {}",
            run.stderr
        );
    }
    assert_eq!(grader.asked(), 0);
    assert!(!scratch.path("runs").exists(), "nothing was begun");

    // A case that lacks what a judge reads, and a provider that refuses, cost scores and not the run.
    let run = with(&["Usefulness", "-m", "IsJson", "--model", "openai/x"]);
    assert_eq!((run.code, grader.asked()), (0, 0));
    assert!(
        run.stderr.contains("the case has no `input`"),
        "{}",
        run.stderr
    );
    grader.refuses.store(true, Ordering::SeqCst);
    let run = with(&["Moderation", "--model", "openai/x", "--fresh"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        run.stderr
            .contains("no score: moderation_metric for 6 trials, the model of the judge failed"),
        "{}",
        run.stderr
    );
}

fn mean(document: &Value, name: &str) -> Option<f64> {
    let metrics = document["summary"]["metrics"].as_array()?;
    let metric = metrics.iter().find(|metric| metric["name"] == name)?;
    metric["mean"]["value"].as_f64()
}

#[test]
fn recorded_traces_are_scored_by_how_they_came_about() {
    let (scratch, grader) = (Scratch::new(), Grader::start());
    // The traces of this file ended with an error; those without count as answers.
    let text = [line(1, "a"), line(2, "a"), line(3, "b")].concat();
    let error = r#","error_info":{"exception_type":"ToolError","message":"no luck","traceback":"no luck"}},"spans""#;
    let text = text.replace(error, r#","input":"how?","output":"so"},"spans""#);
    scratch.file("traces.jsonl", text);
    scratch.ok(&["import", "traces.jsonl"]);
    let document = grader.json(
        &scratch,
        &[
            "evals",
            "run",
            "--traces",
            "--filter",
            "name = \"a\"",
            "-m",
            "ToolUsed={\"tool\":\"lookup\"}",
            "-m",
            "ToolUsed={\"tool\":\"pay\",\"at_most\":0,\"name\":\"no_pay\"}",
            "-m",
            "ToolSequence={\"tools\":[\"lookup\",\"pay\"]}",
            "-m",
            "ToolArguments={\"tool\":\"lookup\",\"arguments\":{\"n\":1}}",
            "-m",
            "TraceErrors",
            "-m",
            "TraceErrors={\"at_most\":0,\"name\":\"no_error\"}",
            "-m",
            "TraceSteps",
            "-m",
            "TraceSpans",
            "-m",
            "TraceSeconds",
            "-m",
            "TraceLoops",
            "-m",
            "TraceCriticalPath",
            "-m",
            "Moderation",
            "--model",
            "openai/gpt-test",
        ],
    );
    assert_eq!(document["summary"]["trials"], 2);
    for (name, mean) in [
        ("tool_used", 1.0),
        ("no_pay", 1.0),
        ("tool_sequence", 0.5),
        ("tool_arguments", 0.0),
        ("trace_error_spans", 1.0),
        ("no_error", 0.0),
        ("trace_steps", 1.0),
        ("trace_spans", 2.0),
        ("trace_duration_seconds", 4.5),
        ("trace_loops", 0.0),
        ("trace_critical_path_seconds", 4.5),
        ("moderation_metric", 0.1),
    ] {
        let found = self::mean(&document, name);
        assert!(
            found.is_some_and(|found| (found - mean).abs() < 1e-9),
            "{name}: {found:?}"
        );
    }
    let low = |name: &str| {
        let metrics = document["summary"]["metrics"].as_array().unwrap();
        metrics
            .iter()
            .find(|metric| metric["name"] == name)
            .unwrap()["lower_is_better"]
            .clone()
    };
    assert_eq!(
        (low("trace_error_spans"), low("no_error")),
        (json!(true), json!(false))
    );
    // Other limits are another metric.
    let args = [
        "evals",
        "run",
        "--traces",
        "-m",
        "TraceSpans={\"at_most\":1}",
        "-o",
        "r.jsonl",
    ];
    scratch.ok(&args);
    let args = [
        "evals",
        "run",
        "--traces",
        "-m",
        "TraceSpans={\"at_most\":2}",
        "-o",
        "r.jsonl",
    ];
    assert_eq!(scratch.run(&args).code, 2);
}

#[test]
fn traces_that_failed_are_scored_where_that_is_asked_for() {
    let scratch = Scratch::new();
    scratch.file("traces.jsonl", [line(1, "a"), line(2, "b")].concat());
    scratch.ok(&["import", "traces.jsonl"]);
    let args = ["evals", "run", "--traces", "-m", "TraceErrors"];
    let without = scratch.json(&args);
    assert_eq!(without["summary"]["failed"], 2);
    assert_eq!(mean(&without, "trace_error_spans"), None);
    let args = [
        "evals",
        "run",
        "--traces",
        "-m",
        "TraceErrors",
        "--with-failed",
        "--name",
        "all",
    ];
    let with = scratch.json(&args);
    assert_eq!(with["summary"]["failed"], 0);
    assert_eq!(mean(&with, "trace_error_spans"), Some(1.0));
}

#[test]
fn a_field_that_tells_a_trace_is_not_needed_for_other_metrics() {
    let scratch = Scratch::new();
    scratch.file("traces.jsonl", line(1, "a"));
    scratch.ok(&["import", "traces.jsonl"]);
    let dataset = answers(&scratch);
    // Answers from a field have no trace.
    let run = scratch.run(&[
        "evals",
        "run",
        &dataset,
        "--field",
        "answer",
        "-m",
        "TraceSpans",
        "-m",
        "IsJson",
    ]);
    assert_eq!(run.code, 0);
    assert!(
        run.stderr
            .contains("no score: trace_spans for 6 trials, the trial recorded no trace"),
        "{}",
        run.stderr
    );
}

#[test]
fn metrics_are_listed_with_what_they_read_and_take() {
    let scratch = Scratch::new();
    let text = scratch.ok(&["evals", "metrics"]);
    assert!(
        text.contains("ROUGE") && text.contains("takes rouge_type, use_stemmer"),
        "{text}"
    );
    assert!(text.contains("Hallucination") && text.contains("TraceCriticalPath"));
    let list = scratch.json(&["evals", "metrics"]);
    let entry = list
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["metric"] == "GEval")
        .unwrap();
    assert_eq!(entry["kind"], "judge");
    assert_eq!(
        entry["parameters"],
        json!(["task_introduction", "evaluation_criteria", "steps"])
    );
}
