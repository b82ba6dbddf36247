//! What is not under the command's control: closed pipes, odd stores, the environment.

use std::io::Read;
use std::process::Stdio;

use crate::command::{Scratch, fixture, line};

#[test]
fn a_closed_pipe_ends_the_command_quietly() {
    let scratch = Scratch::new();
    scratch.ok(&["import", &fixture("traces/agentrx/opik.jsonl.gz")]);
    for args in [
        &["export", "--all"][..],
        &["show", "last", "--json"],
        &["traces"],
        &["show", "last", "--all"],
        &["completions", "bash"],
    ] {
        let mut child = scratch
            .command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Read one byte at most, then hang up.
        let mut stdout = child.stdout.take().unwrap();
        let mut byte = [0; 1];
        assert!(stdout.read(&mut byte).unwrap() <= 1);
        drop(stdout);
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{args:?}");
        assert!(
            output.stderr.is_empty(),
            "{args:?} {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn a_file_that_is_no_store_is_left_alone() {
    let scratch = Scratch::new();
    let text = "these are my notes, not a store\n".repeat(500);
    let notes = scratch.file("notes.txt", &text);
    let file = scratch.file("a.jsonl", line(1, "one"));
    for args in [&["traces"][..], &["import", &file], &["stats"]] {
        let mut args = args.to_vec();
        args.extend(["--db", &notes]);
        let run = scratch.run(&args);
        assert_eq!(run.code, 5, "{args:?} {}", run.stderr);
        assert!(run.stderr.contains("notes.txt"), "{}", run.stderr);
    }
    assert_eq!(std::fs::read_to_string(&notes).unwrap(), text);
    let run = scratch.run(&["doctor", "--db", &notes]);
    assert_eq!(run.code, 5, "{} {}", run.stdout, run.stderr);
    assert!(run.stdout.contains("FAIL"), "{}", run.stdout);
}

#[test]
fn the_store_is_in_the_data_directory_unless_named() {
    let scratch = Scratch::new();
    let file = scratch.file("a.jsonl", line(1, "one"));
    let mut command = scratch.command(&["import", &file]);
    command
        .env_remove("OPIK_DB")
        .env("XDG_DATA_HOME", scratch.path("data"));
    let output = command.output().unwrap();
    assert!(output.status.success());
    assert!(!scratch.has_store());
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains("traces.db"), "{stdout}");
    if cfg!(target_os = "linux") {
        assert!(scratch.path("data/opik-rs/traces.db").exists());
    }
    scratch.ok(&["import", &file, "--db", "named/deep/other.db"]);
    assert!(scratch.path("named/deep/other.db").exists());
    assert!(!scratch.has_store(), "--db wins over OPIK_DB");
}

#[test]
fn doctor_reports_on_everything_and_shows_no_key() {
    let scratch = Scratch::new();
    let json = scratch.json(&["doctor"]);
    assert!(!scratch.has_store(), "doctor makes no store");
    let names: Vec<&str> = json["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| check["name"].as_str().unwrap())
        .collect();
    for name in [
        "program",
        "store",
        "permissions",
        "disk",
        "configuration",
        "clock",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    let file = scratch.file("a.jsonl", line(1, "one"));
    scratch.ok(&["import", &file]);
    let mut command = scratch.command(&["doctor"]);
    command
        .env("OPIK_API_KEY", "s3cr3t")
        .env("OPIK_APIKEY", "s3cr3t")
        .env("OPIK_SENTRY_ENABLE", "s3cr3t")
        .env("OPIK_PROJECT_NAME", "shop");
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for (name, value) in [("api_key", "set (not shown)"), ("project_name", "shop")] {
        let row = text
            .lines()
            .find(|line| line.trim_start().starts_with(name));
        let words: Vec<&str> = row.unwrap().split("  ").filter(|w| !w.is_empty()).collect();
        let origin = format!("OPIK_{}", name.to_uppercase());
        let expected = [value, &origin];
        let found: Vec<&str> = words.iter().map(|word| word.trim()).skip(1).collect();
        assert_eq!(found, expected, "{text}");
    }
    assert!(text.contains("OPIK_APIKEY is no setting"), "{text}");
    assert!(text.contains("OPIK_SENTRY_ENABLE has no effect"), "{text}");
    assert!(!text.contains("s3cr3t"), "{text}");
}

#[test]
fn doctor_says_which_store_is_used() {
    let scratch = Scratch::new();
    let used = scratch.path("other.db");
    let text = scratch.ok(&["doctor", "--db", used.to_str().unwrap()]);
    let line = text.lines().find(|line| line.contains("OPIK_DB")).unwrap();
    assert!(line.contains("other.db, which is used"), "{text}");
    assert!(!scratch.ok(&["doctor"]).contains("which is used"));
}

#[test]
fn colour_is_for_terminals_and_no_color_turns_it_off() {
    let scratch = Scratch::new();
    let file = scratch.file("a.jsonl", line(1, "one"));
    scratch.ok(&["import", &file]);
    assert!(!scratch.ok(&["traces"]).contains('\u{1b}'));
    let forced = |name: &str| {
        let mut command = scratch.command(&["traces"]);
        command.env("CLICOLOR_FORCE", "1").env(name, "1");
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert!(forced("UNRELATED").contains('\u{1b}'));
    assert!(!forced("NO_COLOR").contains('\u{1b}'));
}
