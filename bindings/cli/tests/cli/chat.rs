//! Conversations on the command line.

use crate::command::{Run, Scratch, line};

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
    let lines: Vec<serde_json::Value> = run
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
