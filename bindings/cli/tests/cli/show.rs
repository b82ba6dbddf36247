//! `traces`, `show`, `ask` and `diff` on traces that were imported.

use crate::command::{Scratch, fixture, line};

fn with_lines() -> Scratch {
    let scratch = Scratch::new();
    let lines = line(1, "alpha") + &line(2, "beta") + &line(3, "gamma\\u001b[2J");
    let file = scratch.file("a.jsonl", lines);
    scratch.ok(&["import", &file]);
    scratch
}

fn names(scratch: &Scratch, args: &[&str]) -> Vec<String> {
    let args: Vec<&str> = ["traces"].iter().chain(args).copied().collect();
    let listing = scratch.json(&args);
    let traces = listing["traces"].as_array().unwrap();
    traces
        .iter()
        .map(|trace| trace["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn lists_are_filtered_sorted_and_cut() {
    let scratch = with_lines();
    assert_eq!(names(&scratch, &["-f", "name = \"beta\""]), ["beta"]);
    assert_eq!(
        names(&scratch, &["-s", "duration:asc", "-n", "2"]),
        ["alpha", "beta"]
    );
    assert_eq!(
        names(&scratch, &["-s", "duration", "-n", "1"]),
        ["gamma\u{1b}[2J"]
    );
    assert_eq!(names(&scratch, &["--error"]).len(), 3);
    assert_eq!(names(&scratch, &["--since", "2025-01-01"]).len(), 3);
    assert_eq!(names(&scratch, &["--since", "1h"]).len(), 0);
    assert_eq!(names(&scratch, &["-p", "shop"]).len(), 3);
    assert_eq!(names(&scratch, &["-t", "alpha"]), ["alpha"]);
    assert_eq!(names(&scratch, &["-t", "nowhere"]).len(), 0);
    let listing = scratch.json(&["traces", "-n", "2"]);
    assert_eq!(listing["more"], true);
    let first = &listing["traces"][0];
    assert_eq!(first["span_count"], 2);
    assert_eq!(first["error_type"], "ToolError");
    assert!(first["duration_ms"].as_f64().unwrap() >= 3_000.0);
}

#[test]
fn words_are_looked_for_in_spans_and_types_of_errors_too() {
    let scratch = with_lines();
    // A name of spans, the content of one span, a type of error, and words of two spans.
    assert_eq!(names(&scratch, &["-t", "lookup"]).len(), 3);
    assert_eq!(names(&scratch, &["-t", "why 2"]), ["beta"]);
    assert_eq!(names(&scratch, &["-t", "toolerror"]).len(), 3);
    assert_eq!(names(&scratch, &["-t", "lookup why"]).len(), 0);
    // Newest first, in any order that was asked for, cut at the limit, with the other conditions.
    assert_eq!(
        names(&scratch, &["-t", "lookup", "-n", "1"]),
        names(&scratch, &["-n", "1"])
    );
    assert_eq!(
        names(&scratch, &["-t", "lookup", "-s", "duration:asc", "-n", "2"]),
        ["alpha", "beta"]
    );
    assert_eq!(
        names(&scratch, &["-t", "lookup", "-f", "name = \"beta\""]),
        ["beta"]
    );
    let more = |n: &str| scratch.json(&["traces", "-t", "lookup", "-n", n])["more"].clone();
    assert_eq!((more("2"), more("3")), (true.into(), false.into()));
    let text = scratch.ok(&["export", "-t", "why 2"]);
    assert_eq!(text.lines().count(), 1);
    assert!(text.contains("beta"), "{text}");
}

#[test]
fn a_list_of_eighty_columns_keeps_names_readable() {
    let scratch = Scratch::new();
    let name = "a-name-of-26-characters-ok";
    let first = line(1, name).replace(
        r#""name":"lookup","#,
        r#""name":"lookup","usage":{"total_tokens":123456},"total_estimated_cost":0.0123,"#,
    );
    let file = scratch.file("a.jsonl", first + &line(2, "beta"));
    scratch.ok(&["import", &file]);
    let text = scratch.ok(&["traces", "--width", "80"]);
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    assert!(text.contains("a-name-of-26-ch"), "{text}");
    assert!(text.contains('✗'), "{text}");
    // Nothing was recorded is not nothing.
    let beta = text.lines().find(|line| line.contains("beta")).unwrap();
    assert!(!beta.contains("$0") && beta.contains('-'), "{text}");
}

#[test]
fn a_list_has_a_heading_and_no_control_characters() {
    let scratch = with_lines();
    let text = scratch.ok(&["traces"]);
    assert!(text.starts_with("ID        START (UTC)"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text:?}");
    let always = scratch.ok(&["traces", "--color", "always"]);
    assert!(always.contains("\u{1b}["));
    assert!(
        !always.contains("\u{1b}[2J"),
        "recorded text must not reach the terminal"
    );
}

#[test]
fn wrong_searches_are_usage_errors_that_say_what_to_write() {
    let scratch = with_lines();
    for args in [
        &["traces", "-f", "size > 3"][..],
        &["traces", "-f", "duration > fast"],
        &["traces", "-s", "size"],
        &["traces", "--since", "yesterday"],
        &["traces", "-n", "0"],
    ] {
        let run = scratch.run(args);
        assert_eq!(run.code, 2, "{args:?} {}", run.stderr);
    }
    let run = scratch.run(&["traces", "-p", "nowhere"]);
    assert_eq!(run.code, 3, "{}", run.stderr);
}

#[test]
fn without_a_store_commands_say_how_to_make_one() {
    let scratch = Scratch::new();
    for args in [
        &["traces"][..],
        &["show", "last"],
        &["ask", "last", "why?"],
        &["diff", "last~1", "last"],
        &["export", "--all"],
        &["stats"],
    ] {
        let run = scratch.run(args);
        assert_eq!(run.code, 5, "{args:?} {}", run.stderr);
        assert!(run.stderr.contains("opik-rs demo"), "{}", run.stderr);
        assert!(!scratch.has_store(), "reading makes no store");
    }
}

#[test]
fn traces_are_named_by_whole_ids_ends_beginnings_and_age() {
    let scratch = with_lines();
    let shown = |text: &str| {
        let json = scratch.json(&["show", text]);
        json["trace"]["name"].as_str().unwrap().to_owned()
    };
    assert_eq!(shown("01941f29-7c00-7000-8000-000000000002"), "beta");
    assert_eq!(shown("01941F29-7C00-7000-8000-000000000002"), "beta");
    assert_eq!(shown("00000002"), "beta");
    assert_eq!(shown("01941f29…02"), "beta");
    assert_eq!(shown("last"), "gamma\u{1b}[2J");
    assert_eq!(shown("last~2"), "alpha");
    for (text, code) in [
        ("01941f29", 2),
        ("last~3", 3),
        ("ffffffff", 3),
        ("01941f29-7c00-7000-8000-0000000000ff", 3),
        ("002", 2),
        ("hello", 2),
        ("last~x", 2),
    ] {
        let run = scratch.run(&["show", text]);
        assert_eq!(run.code, code, "{text}: {}", run.stderr);
        assert!(run.stderr.contains("try:"), "{text}: {}", run.stderr);
    }
}

#[test]
fn a_trace_is_shown_as_waterfall_tree_and_json() {
    let scratch = with_lines();
    let text = scratch.ok(&["show", "00000001", "--width", "80"]);
    assert!(text.contains("✗") && text.contains("lookup"), "{text}");
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
    let ascii = scratch.ok(&["show", "00000001", "--ascii"]);
    assert!(ascii.is_ascii(), "{ascii}");
    let tree = scratch.ok(&["show", "00000001", "--tree"]);
    assert!(tree.contains("└─ ✗ lookup"), "{tree}");
    let json = scratch.json(&["show", "00000001"]);
    assert_eq!(json["spans"].as_array().unwrap().len(), 2);
    assert_eq!(json["spans"][1]["depth"], 1);
    assert_eq!(json["spans"][1]["duration_ms"], 1_000.0);
    assert_eq!(json["spans"][1]["span"]["name"], "lookup");
    assert_eq!(json["wall_ms"], 4_000.0);
    let critical: f64 = json["spans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["critical_ms"].as_f64().unwrap())
        .sum();
    assert!(
        (critical - 4_000.0).abs() < 1e-6,
        "the path is a partition of the wall: {critical}"
    );
}

#[test]
fn a_span_is_shown_with_all_its_fields() {
    let scratch = with_lines();
    for args in [
        &["show", "00000001:000001aa"][..],
        &["show", "00000001", "--span", "000001aa"],
        &["show", "01941f29-7c00-7000-9000-0000000001aa"],
        &["show", "01941f29…1aa"],
        &["show", "01941f29...1aa"],
        &["show", "01941f29…1aa", "--ascii"],
        &["show", "000001aa"],
        &["show", "00000001:01941f29…aa"],
        &["show", "00000001", "--span", "01941f29…aa"],
        &["show", "00000001", "--span", "agent"],
    ] {
        let text = scratch.ok(args);
        assert!(text.contains("\"question\": \"why 1?\""), "{args:?} {text}");
    }
    let json = scratch.json(&["show", "00000001:000001bb"]);
    assert_eq!(json["span"]["error_info"]["exception_type"], "ToolError");
    for args in [
        &["show", "00000001:ffffffff"][..],
        &["show", "00000001", "--span", "take_lock"],
        &["show", "01941f29…ff7"],
    ] {
        assert_eq!(scratch.run(args).code, 3, "{args:?}");
    }
    let run = scratch.run(&["show", "9000-00000000…aa"]);
    assert_eq!(run.code, 3, "{}", run.stderr);
    let run = scratch.run(&["show", "01941f29…aa"]);
    assert_eq!(run.code, 2, "of which trace? {}", run.stderr);
    assert!(run.stderr.contains("00000001:01941f29"), "{}", run.stderr);
}

#[test]
fn questions_are_answered_with_citations() {
    let scratch = with_lines();
    let json = scratch.json(&["ask", "00000001", "what", "caused", "this", "error?"]);
    assert_eq!(json["question"], "what caused this error?");
    let answer = &json["answer"];
    assert_eq!(answer["computed"], true);
    assert_eq!(answer["intent"], "error");
    let lookup = "01941f29-7c00-7000-9000-0000000001bb";
    let cited: Vec<_> = answer["citations"].as_array().unwrap().iter().collect();
    assert!(cited.iter().any(|id| *id == lookup), "{answer}");
    let evidence = answer["evidence"].as_array().unwrap();
    assert_eq!(evidence.len(), answer["findings"].as_array().unwrap().len());
    assert!(!evidence.is_empty() && evidence[0]["claim"].is_string());
    let text = scratch.ok(&["ask", "00000001", "what caused this error?", "--evidence"]);
    assert!(
        text.contains("lookup") && text.contains("no model was asked"),
        "{text}"
    );
    assert!(text.contains("Evidence"), "{text}");
    assert!(!scratch.ok(&["ask", "00000001"]).is_empty());
    let json = scratch.json(&[
        "ask",
        "00000002",
        "what is different?",
        "--with",
        "00000001",
    ]);
    assert_eq!(json["answer"]["intent"], "difference");
    assert_eq!(
        json["with_trace_id"],
        "01941f29-7c00-7000-8000-000000000001"
    );
    assert_eq!(
        scratch
            .run(&["ask", "last", "what?", "--span", "000003aa"])
            .code,
        2
    );
}

#[test]
fn made_up_times_are_noted_and_what_was_not_recorded_is_no_zero() {
    let scratch = Scratch::new();
    let made_up = line(1, "one").replace(
        r#""name":"one","#,
        r#""name":"one","metadata":{"synthetic_time":true},"#,
    );
    let paid = line(3, "three").replace(
        r#""name":"lookup","#,
        r#""name":"lookup","usage":{"total_tokens":70},"total_estimated_cost":0.5,"#,
    );
    let file = scratch.file("a.jsonl", made_up + &line(2, "two") + &paid);
    scratch.ok(&["import", &file]);
    let note = "the times are synthetic";
    assert!(scratch.ok(&["show", "00000001"]).contains(note));
    assert!(!scratch.ok(&["show", "00000002"]).contains(note));
    let text = scratch.ok(&["diff", "00000001", "00000002"]);
    assert!(text.contains(note), "{text}");
    assert!(!text.contains("tokens"), "neither has any: {text}");
    let text = scratch.ok(&["diff", "00000002", "00000003"]);
    let tokens = text
        .lines()
        .find(|line| line.starts_with("tokens"))
        .unwrap();
    let cells: Vec<&str> = tokens.split_whitespace().collect();
    assert_eq!(cells, ["tokens", "-", "70", "-"]);
    let json = scratch.json(&["stats"]);
    assert_eq!(json["projects"][0]["total_tokens"], 70);
    let text = scratch.ok(&["stats", "--db", "traces.db"]);
    assert!(!text.contains("$0 "), "{text}");
}

#[test]
fn two_traces_and_two_spans_are_compared() {
    let scratch = with_lines();
    let json = scratch.json(&["diff", "00000001", "00000002"]);
    assert_eq!(json["kind"], "traces");
    assert_eq!(json["diff"]["duration_us"]["before"], 4_000_000);
    assert_eq!(json["diff"]["duration_us"]["after"], 5_000_000);
    assert!(!json["findings"].as_array().unwrap().is_empty());
    let text = scratch.ok(&["diff", "00000001", "00000002"]);
    assert!(text.contains("+1 s"), "{text}");
    let json = scratch.json(&["diff", "00000001:000001aa", "00000002:000002aa"]);
    assert_eq!(json["kind"], "spans");
    let text = scratch.ok(&["diff", "00000001:000001aa", "00000002:000002aa"]);
    assert!(
        text.contains("/question") || text.contains("question"),
        "{text}"
    );
    assert_eq!(
        scratch.run(&["diff", "00000001", "00000002:000002aa"]).code,
        2
    );
}

#[test]
fn real_traces_can_be_listed_shown_asked_and_compared() {
    let scratch = Scratch::new();
    let nezha = fixture("critical_path/nezha.jsonl.gz");
    scratch.ok(&["import", &fixture("traces/agentrx/opik.jsonl.gz"), &nezha]);
    let json = scratch.json(&["traces", "-s", "span_count", "-n", "2"]);
    let ids: Vec<&str> = json["traces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|t| t["id"].as_str().unwrap())
        .collect();
    let text = scratch.ok(&["show", ids[0]]);
    assert!(
        text.contains("spans shown; --all shows every span"),
        "{text}"
    );
    assert!(text.lines().count() < 100, "{text}");
    let all = scratch.ok(&["show", ids[0], "--all"]);
    assert!(all.lines().count() > 170, "{all}");
    scratch.ok(&["show", ids[0], "--tree"]);
    for question in [
        "why is this trace slow?",
        "give a summary",
        "find anomalies",
    ] {
        let json = scratch.json(&["ask", ids[0], question]);
        assert!(!json["answer"]["text"].as_str().unwrap().is_empty());
    }
    let json = scratch.json(&["diff", ids[0], ids[1]]);
    assert_eq!(json["kind"], "traces");
}
