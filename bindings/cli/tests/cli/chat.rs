//! Conversations on the command line.

use std::process::Stdio;

use serde_json::Value;

use crate::command::{Run, Scratch, line};
use crate::provider::{Asked, KEY, Provider, Say};

fn with_trace() -> Scratch {
    let scratch = Scratch::new();
    let file = scratch.file("a.jsonl", line(1, "alpha") + &line(2, "beta"));
    scratch.ok(&["import", &file]);
    scratch
}

fn chat(scratch: &Scratch, args: &[&str], input: &str) -> Run {
    let args: Vec<&str> = ["chat"].iter().chain(args).copied().collect();
    let run = scratch.run_with_input(&args, input.as_bytes());
    assert_eq!(run.code, 0, "{}", run.stderr);
    run
}

#[test]
fn a_conversation_answers_opens_spans_and_goes_on_in_the_next_run() {
    let scratch = with_trace();
    let first = chat(
        &scratch,
        &["last"],
        "what caused the error?\n/span s2\n/evidence\n/help\n",
    );
    assert!(
        first.stdout.contains("answers are computed"),
        "{}",
        first.stdout
    );
    assert!(first.stdout.contains("> what caused the error?"));
    assert!(first.stdout.contains("no model was asked"));
    assert!(first.stdout.contains("Spans (/span opens one)"));
    assert!(first.stdout.contains("  s2    "));
    // The span itself.
    assert!(first.stdout.contains("no luck") && first.stdout.contains("lookup"));
    assert!(first.stdout.contains("F1 ") && first.stdout.contains("/history"));

    let second = chat(
        &scratch,
        &["last"],
        "/history\nwhy is it slow?\n/quit\nnever asked\n",
    );
    assert!(
        second.stdout.contains("1 question before"),
        "{}",
        second.stdout
    );
    assert_eq!(second.stdout.matches("> what caused the error?").count(), 1);
    assert!(!second.stdout.contains("never asked"));
    // Another trace is another conversation.
    assert!(!chat(&scratch, &["last~1"], "").stdout.contains("before"));

    let third = chat(&scratch, &["last"], "/new\n/history\n");
    assert!(third.stdout.contains("2 questions before"));
    assert!(third.stdout.contains("the conversation is forgotten"));
    assert!(!chat(&scratch, &["last"], "").stdout.contains("before"));
    assert!(scratch.path("traces.sessions.db").exists());
}

#[test]
fn events_are_lines_of_json() {
    let scratch = with_trace();
    let run = chat(
        &scratch,
        &["last", "--json"],
        "what caused the error?\n/history\n",
    );
    let lines: Vec<Value> = run
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let kinds: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["type"].as_str())
        .collect();
    assert_eq!(kinds, ["started", "text", "message", "done"]);
    assert_eq!(lines[2]["computed"], true);
    assert_eq!(lines[4]["role"], "user");
    assert_eq!(lines[5]["text"], lines[2]["text"]);
}

#[test]
fn what_cannot_be_done_is_said_and_the_conversation_goes_on() {
    let scratch = with_trace();
    let run = chat(
        &scratch,
        &["last"],
        "/fly\n/span nowhere\nis anything unusual?\n",
    );
    assert!(
        run.stderr.contains("there is no command /fly"),
        "{}",
        run.stderr
    );
    assert!(run.stderr.contains("nowhere"));
    assert!(run.stdout.contains("no model was asked"));
    let none = scratch.run(&["chat", "ffffffff"]);
    assert_eq!(none.code, 3, "{}", none.stderr);
    let bad = scratch.run(&["chat", "last", "--sessions", "ftp://secret@x"]);
    assert_eq!(bad.code, 5, "{}", bad.stderr);
    assert!(!bad.stderr.contains("secret"));
}

/// A model that asks for a tool first, then answers.
fn provider() -> Provider {
    Provider::start(tool_then_answer)
}

fn tool_then_answer(asked: &Asked) -> Say {
    if asked.has_answers() {
        Say::Words("The tool failed [s2], 77 times.".to_owned())
    } else {
        Say::tool("Let me see.", "error_chain")
    }
}

fn with_model(scratch: &Scratch, provider: &Provider, args: &[&str], input: &str) -> Run {
    let mut command = scratch.command(args);
    provider.tell(&mut command, "openai/gpt-test");
    let input = std::fs::File::open(scratch.file("input", input)).unwrap();
    command.stdin(Stdio::from(input));
    let run = Run::of(command.output().unwrap());
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(!run.stdout.contains(KEY) && !run.stderr.contains(KEY));
    run
}

#[test]
fn a_model_explains_with_tools_and_its_figures_are_checked() {
    let scratch = with_trace();
    let provider = provider();
    let run = with_model(
        &scratch,
        &provider,
        &["chat", "last"],
        "what failed?\nand why?\n/usage\n",
    );
    assert!(
        run.stdout.contains("answers by openai/gpt-test"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("Let me see."));
    assert!(run.stdout.contains("  error_chain"));
    assert!(run.stdout.contains("The tool failed [s2], 77 times."));
    assert!(run.stdout.contains("Not found in the evidence: 77."));
    assert!(run.stdout.contains("lookup"), "the span is listed");
    let used = "2 questions to the model, 1 tool call, 1,880 tokens, 1 not found in the evidence, openai/gpt-test";
    assert_eq!(run.stdout.matches(used).count(), 2, "{}", run.stdout);
    let asked = provider.asked();
    assert_eq!(asked.len(), 4);
    assert_eq!(
        asked[2].roles(),
        ["system", "user", "assistant", "tool", "assistant", "user"]
    );
    assert_eq!(asked[0].tools().len(), 11);
}

#[test]
fn one_question_is_explained_in_text_and_in_json() {
    let scratch = with_trace();
    let provider = provider();
    let text = with_model(&scratch, &provider, &["ask", "last", "what failed?"], "");
    assert!(
        text.stdout.contains("The tool failed [s2]"),
        "{}",
        text.stdout
    );
    assert!(text.stdout.contains("Spans"));
    let json = with_model(
        &scratch,
        &provider,
        &["ask", "last", "what failed?", "--json"],
        "",
    );
    let reply: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(reply["answer"]["check"]["unverified"][0]["text"], "77");
    assert_eq!(reply["outcome"]["end"], "answered");
    assert_eq!(reply["outcome"]["spent"]["tool_calls"], 1);
    // Nothing is kept of it.
    assert!(!scratch.path("traces.sessions.db").exists());
    let unknown = scratch.run(&["ask", "last", "--model", "openai/gpt-test"]);
    assert_eq!(unknown.code, 2, "{}", unknown.stderr);
    assert!(unknown.stderr.contains("OPENAI_API_KEY"));
}
