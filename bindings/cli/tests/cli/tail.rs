//! `opik-rs tail` and `opik-rs stats`.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::command::{Scratch, line};

#[test]
fn what_changed_last_is_printed_once() {
    let scratch = Scratch::new();
    let file = scratch.file("a.jsonl", line(1, "one") + &line(2, "two"));
    scratch.ok(&["import", &file]);
    let file = scratch.file("b.jsonl", line(3, "three"));
    scratch.ok(&["import", &file]);
    let text = scratch.ok(&["tail", "--once", "--last", "1"]);
    assert!(text.contains("three") && !text.contains("two"), "{text}");
    assert_eq!(scratch.ok(&["tail", "--once"]).lines().count(), 3);
    assert_eq!(scratch.ok(&["tail", "--once", "--last", "0"]), "");
    let lines = scratch.ok(&["tail", "--once", "--last", "10", "--json"]);
    let changes: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(changes.len(), 3);
    assert!(changes.is_sorted_by_key(|change| change["change"].as_u64().unwrap()));
    assert_eq!(changes[2]["trace"]["name"], "three");
}

#[test]
fn a_trace_that_another_process_writes_is_seen() {
    let scratch = Scratch::new();
    let file = scratch.file("a.jsonl", line(1, "one"));
    scratch.ok(&["import", &file]);
    let mut tail = scratch
        .command(&["tail", "--last", "1", "--json"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let stdout = BufReader::new(tail.stdout.take().unwrap());
    let (send, lines) = std::sync::mpsc::channel();
    let reader = std::thread::Builder::new()
        .name("stdout".to_owned())
        .spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                send.send(line).unwrap();
            }
        })
        .unwrap();
    let next = || -> Value {
        let line = lines.recv_timeout(Duration::from_secs(60)).unwrap();
        serde_json::from_str(&line).unwrap()
    };
    // The first line says that it is listening.
    let first = next();
    assert_eq!(first["trace"]["name"], "one");
    let file = scratch.file("b.jsonl", line(2, "two"));
    scratch.ok(&["import", &file]);
    let second = next();
    assert_eq!(second["trace"]["name"], "two");
    if cfg!(unix) {
        let pid = tail.id().to_string();
        let sent = Command::new("kill").args(["-INT", &pid]).status().unwrap();
        assert!(sent.success());
        assert_eq!(
            tail.wait().unwrap().code(),
            Some(0),
            "Ctrl-C is a clean end"
        );
    } else {
        tail.kill().unwrap();
        tail.wait().unwrap();
    }
    reader.join().unwrap();
}

#[test]
fn stats_add_up() {
    let scratch = Scratch::new();
    let file = scratch.file("a.jsonl", line(1, "one") + &line(2, "two"));
    scratch.ok(&["import", &file]);
    let json = scratch.json(&["stats"]);
    assert_eq!(json["store"]["traces"], 2);
    assert_eq!(json["store"]["spans"], 4);
    assert!(json["store"]["file_bytes"].as_u64().unwrap() > 0);
    assert_eq!(json["projects"][0]["name"], "shop");
    assert_eq!(json["projects"][0]["failed"], 2);
    assert_eq!(json["projects"][0]["spans"], 4);
    assert_eq!(json["projects"][0]["mean_duration_ms"], 4_500.0);
    assert_eq!(json["complete"], true);
    let text = scratch.ok(&["stats"]);
    assert!(text.contains("2 traces · 4 spans"), "{text}");
}
