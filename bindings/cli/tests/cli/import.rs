//! `opik-rs import` on good and on bad input.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::command::{Run, Scratch, fixture, line};
use serde_json::Value;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn listed(scratch: &Scratch) -> usize {
    scratch.json(&["traces", "-n", "2000"])["traces"]
        .as_array()
        .unwrap()
        .len()
}

#[test]
fn real_traces_are_imported_and_a_second_time_changes_nothing() {
    let scratch = Scratch::new();
    let files = [
        fixture("traces/agentrx/opik.jsonl.gz"),
        fixture("traces/who_and_when/opik.jsonl.gz"),
        fixture("critical_path/nezha.jsonl.gz"),
    ];
    let args: Vec<&str> = ["import"]
        .into_iter()
        .chain(files.iter().map(String::as_str))
        .collect();
    let result = scratch.json(&args);
    assert_eq!(result["traces"], 171);
    assert_eq!(result["spans"], 7_280);
    // One of the Nezha traces is in its file twice.
    assert_eq!(result["new_traces"], 170);
    assert_eq!(
        (&result["problems"], &result["files"]),
        (&Value::from(0), &Value::from(3))
    );
    assert_eq!(result["store"], scratch.path("traces.db").to_str().unwrap());
    let before = scratch.json(&["traces", "-n", "2000"]);
    assert_eq!(before["traces"].as_array().unwrap().len(), 170);
    let again = scratch.json(&args);
    assert_eq!(
        (&again["new_traces"], &again["new_spans"]),
        (&Value::from(0), &Value::from(0))
    );
    assert_eq!(scratch.json(&["traces", "-n", "2000"]), before);
}

#[test]
fn standard_input_and_gzip_are_read_alike() {
    let scratch = Scratch::new();
    let lines = line(1, "one") + &line(2, "two");
    let run = scratch.run_with_input(&["import", "-"], lines.as_bytes());
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        run.stdout.contains("imported 2 traces with 4 spans"),
        "{}",
        run.stdout
    );
    let run = scratch.run_with_input(
        &["import", "-", "--json"],
        &gzip(line(3, "three").as_bytes()),
    );
    let result: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(result["traces"], 1);
    assert_eq!(listed(&scratch), 3);
}

#[test]
fn a_project_given_on_the_command_line_wins() {
    let scratch = Scratch::new();
    let file = scratch.file("a.jsonl", line(1, "one"));
    scratch.ok(&["import", &file, "--project", "other"]);
    assert_eq!(
        scratch.json(&["traces"])["traces"][0]["project_name"],
        "other"
    );
}

#[test]
fn bad_lines_are_named_and_the_good_ones_imported() {
    let scratch = Scratch::new();
    let file = scratch.file(
        "a.jsonl",
        line(1, "one") + "not json\n" + &line(2, "two") + "{}\n",
    );
    let run = scratch.run(&["import", &file]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("a.jsonl, line 2: "), "{}", run.stderr);
    assert!(run.stderr.contains("a.jsonl, line 4: "), "{}", run.stderr);
    assert_eq!(listed(&scratch), 2);
    assert!(
        run.stdout.contains("try: opik-rs show 00000002"),
        "the newest that was imported: {}",
        run.stdout
    );
    let result = scratch.json(&["import", &file]);
    assert_eq!(
        result["newest_trace"],
        "01941f29-7c00-7000-8000-000000000002"
    );
    assert_eq!(result["problems"], 2);
    assert_eq!(result["first_problems"][0]["line"], 2);
}

#[test]
fn a_line_with_several_problems_is_one_bad_line() {
    let scratch = Scratch::new();
    let bad = line(1, "one").replace("\"start_time\"", "\"begin\"");
    let file = scratch.file("a.jsonl", bad + &line(2, "two"));
    let result = scratch.json(&["import", &file, "--dry-run"]);
    assert_eq!(result["problems"], 1, "{result}");
    assert_eq!(result["first_problems"][0]["problems"], 3, "{result}");
    let run = scratch.run(&["import", &file, "--dry-run"]);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert!(
        run.stderr.contains("3 problems, the first: "),
        "{}",
        run.stderr
    );
    let run = scratch.run(&["import", &file, "--strict"]);
    assert!(run.stderr.contains("1 bad line;"), "{}", run.stderr);
}

#[test]
fn strict_imports_all_or_nothing() {
    let scratch = Scratch::new();
    let good = line(1, "one");
    let bad = line(2, "two") + "not json\n";
    for use_stdin in [false, true] {
        let run = if use_stdin {
            scratch.run_with_input(
                &["import", "--strict", "-"],
                (good.clone() + &bad).as_bytes(),
            )
        } else {
            let first = scratch.file("good.jsonl", &good);
            let second = scratch.file("bad.jsonl", &bad);
            scratch.run(&["import", "--strict", &first, &second])
        };
        assert_eq!(run.code, 4, "{}", run.stderr);
        assert!(
            run.stderr.contains("nothing was imported"),
            "{}",
            run.stderr
        );
        assert!(run.stderr.contains("line "), "{}", run.stderr);
        assert!(!scratch.has_store(), "nothing may be written");
    }
    let run = scratch.run_with_input(&["import", "--strict", "-"], good.as_bytes());
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert_eq!(listed(&scratch), 1);
}

#[test]
fn a_dry_run_reports_and_writes_nothing() {
    let scratch = Scratch::new();
    let file = scratch.file("a.jsonl", line(1, "one"));
    let result = scratch.json(&["import", "--dry-run", &file]);
    assert_eq!(
        (&result["traces"], &result["dry_run"]),
        (&Value::from(1), &Value::from(true))
    );
    assert!(!scratch.has_store());
}

#[test]
fn useless_input_has_a_clear_message_and_leaves_no_store() {
    let scratch = Scratch::new();
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    let trace = |input: &str| {
        let id = "01941f29-7c00-7000-8000-000000000001";
        format!(
            r#"{{"trace":{{"id":"{id}","start_time":"2025-01-01T00:00:00Z","input":{input}}}}}"#
        )
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("blank lines", b"\n\n  \n".to_vec()),
        ("not json", b"hello\nworld\n".to_vec()),
        ("binary", vec![0, 159, 146, 150, 255, 10, 3]),
        ("half a gzip", gzip(line(1, "x").as_bytes())[..60].to_vec()),
        ("a number", b"42\n".to_vec()),
        (
            "wrong types",
            br#"{"trace":{"id":7,"start_time":[]}}"#.to_vec(),
        ),
        ("wrong shape", br#"{"trace":"a","spans":3}"#.to_vec()),
        ("unknown format", br#"{"hello":"world"}"#.to_vec()),
        (
            "nesting of 200",
            trace(&format!(r#"{{"a":{deep}}}"#)).into_bytes(),
        ),
        ("a lone surrogate", trace(r#"{"a":"\ud800"}"#).into_bytes()),
        ("NaN", trace(r#"{"a":NaN}"#).into_bytes()),
        ("cut short", line(1, "x").into_bytes()[..100].to_vec()),
    ];
    for (what, content) in cases {
        let file = scratch.file("input.jsonl", &content);
        for args in [&["import", &file][..], &["import", "--strict", &file]] {
            let run = scratch.run(args);
            assert_eq!(run.code, 4, "{what}: {} {}", run.stdout, run.stderr);
            assert!(run.stderr.contains("error:"), "{what}: {}", run.stderr);
            assert!(
                run.stderr.contains("input.jsonl, line"),
                "{what}: {}",
                run.stderr
            );
            assert!(run.stdout.is_empty(), "{what}: {}", run.stdout);
        }
        assert!(!scratch.has_store(), "{what}");
    }
}

#[test]
fn a_string_of_fifty_megabytes_is_imported_and_shown_cut() {
    let scratch = Scratch::new();
    let text = "x".repeat(50 << 20);
    let big = line(1, "big").replace("why 1?", &text);
    let file = scratch.file("big.jsonl", big);
    assert_eq!(scratch.json(&["import", &file])["traces"], 1);
    let shown = scratch.ok(&["show", "last", "--span", "000001aa"]);
    assert!(shown.len() < 10_000, "{}", shown.len());
    assert!(
        shown.contains("more characters; --full shows all"),
        "{shown}"
    );
}

#[test]
fn a_directory_and_a_missing_file_are_refused_before_anything_is_read() {
    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path("folder")).unwrap();
    let good = scratch.file("good.jsonl", line(1, "one"));
    let run = scratch.run(&["import", &good, "folder"]);
    assert_eq!(run.code, 4, "{}", run.stderr);
    assert!(
        run.stderr.contains("folder is a directory"),
        "{}",
        run.stderr
    );
    assert!(!scratch.has_store());
    let run = scratch.run(&["import", &good, "missing.jsonl"]);
    assert_eq!(run.code, 3, "{}", run.stderr);
    assert!(run.stderr.contains("missing.jsonl"), "{}", run.stderr);
    assert!(!scratch.has_store());
}

#[test]
fn failures_are_json_where_json_is_asked_for() {
    let scratch = Scratch::new();
    let run = scratch.run(&["import", "missing.jsonl", "--json"]);
    let error: Value = serde_json::from_str(&run.stderr).unwrap();
    assert_eq!(error["error"]["code"], 3);
    assert_eq!(error["error"]["kind"], "not_found");
    assert!(
        error["error"]["message"]
            .as_str()
            .unwrap()
            .contains("missing.jsonl")
    );
    assert!(!error["error"]["causes"].as_array().unwrap().is_empty());
}

#[test]
fn an_import_that_is_killed_leaves_whole_traces_only() {
    let scratch = Scratch::new();
    let mut import = scratch
        .command(&["import", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // More than one transaction, and standard input stays open: it cannot come to its end.
    let mut stdin = import.stdin.take().unwrap();
    let id = |n: u32| format!("0000-8000-{n:012x}");
    for n in 0..2_000 {
        let line = line(1, "one")
            .replace(
                "7000-8000-000000000001",
                &format!("7{}", id(n).get(1..).unwrap()),
            )
            .replace("-9000-0000000001", &format!("-9000-{n:010x}"));
        stdin.write_all(line.as_bytes()).unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(60);
    while !scratch.has_store()
        || scratch
            .run(&["tail", "--once", "-n", "1"])
            .stdout
            .is_empty()
    {
        assert!(Instant::now() < deadline, "nothing was imported");
    }
    import.kill().unwrap();
    import.wait().unwrap();
    drop(stdin);
    let listing = scratch.json(&["traces", "-n", "2000"]);
    let traces = listing["traces"].as_array().unwrap();
    assert!(!traces.is_empty());
    assert!(
        traces.iter().all(|trace| trace["span_count"] == 2),
        "a trace is half there"
    );
    let doctor = scratch.json(&["doctor"]);
    assert_ne!(doctor["status"], "fail", "{doctor}");
}

/// Needs Python, for a pseudo-terminal.
#[cfg(unix)]
#[test]
fn at_a_terminal_a_bar_shows_how_far_it_is_and_in_a_pipe_there_is_none() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("at_a_terminal_a_bar_shows_how_far_it_is: skipped, there is no python3");
        return;
    }
    let scratch = Scratch::new();
    let script = scratch.file(
        "terminal.py",
        r#"
import os, pty, sys
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[1], sys.argv[1:])
seen = b""
while True:
    try:
        data = os.read(terminal, 4096)
    except OSError:
        break
    if not data:
        break
    seen += data
sys.stdout.buffer.write(seen)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"#,
    );
    let file = fixture("traces/who_and_when/opik.jsonl.gz");
    let at_terminal = |args: &[&str]| {
        let mut command = Command::new("python3");
        command
            .args([&script, env!("CARGO_BIN_EXE_opik-rs"), "import", &file])
            .args(args)
            .env_clear()
            .env("HOME", scratch.path(""))
            .env("OPIK_DB", scratch.path("traces.db"))
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("TERM", "xterm");
        let run = Run::of(command.output().unwrap());
        assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
        run.stdout
    };
    let is_bar = |text: &str| text.contains(" %  ") && text.contains("KiB of ");
    let shown = at_terminal(&[]);
    assert!(is_bar(&shown), "{shown:?}");
    // It makes room for the report, which is the last thing that is seen.
    let report = shown.rsplit('\r').next().unwrap_or_default();
    assert!(!is_bar(report), "{shown:?}");
    for quiet in ["--quiet", "--json"] {
        let shown = at_terminal(&[quiet]);
        assert!(!is_bar(&shown), "{quiet}: {shown:?}");
    }
    let piped = scratch.run(&["import", &file]);
    assert!(
        !is_bar(&piped.stdout) && !is_bar(&piped.stderr),
        "{}",
        piped.stderr
    );
}
