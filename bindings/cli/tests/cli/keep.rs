//! Copies, retention and space, with the built command.

use crate::command::{Scratch, line};

fn filled() -> Scratch {
    let scratch = Scratch::new();
    let lines: String = (1..6).map(|n| line(n, "kept")).collect();
    let file = scratch.file("in.jsonl", lines);
    scratch.ok(&["import", &file]);
    scratch
}

#[test]
fn a_copy_is_made_and_brought_back() {
    let scratch = filled();
    let made = scratch.json(&["backup", "copy.db"]);
    assert_eq!(made["traces"], 5);
    let again = scratch.run(&["backup", "copy.db"]);
    assert_eq!(again.code, 5, "{}", again.stderr);
    assert!(again.stderr.contains("exists already"), "{}", again.stderr);
    // The copy is a store itself.
    assert!(scratch.ok(&["--db", "copy.db", "traces"]).contains("kept"));

    let gone = scratch.json(&["prune", "--older-than", "1h"]);
    assert_eq!((&gone["traces"], &gone["spans"]), (&5.into(), &10.into()));
    assert_eq!(scratch.json(&["stats"])["store"]["traces"], 0);
    let refused = scratch.run(&["restore", "copy.db"]);
    assert_eq!(refused.code, 5);
    assert!(refused.stderr.contains("--replace"), "{}", refused.stderr);
    let back = scratch.json(&["restore", "copy.db", "--replace"]);
    assert_eq!(back["traces"], 5);
    assert!(back["kept"].as_str().unwrap().ends_with(".before-restore"));
    assert_eq!(scratch.json(&["stats"])["store"]["traces"], 5);
    scratch.ok(&["show", "last"]);
    assert_eq!(scratch.run(&["restore", "nothing.db"]).code, 3);
}

#[test]
fn retention_and_vacuum_say_what_they_did_and_doctor_knows() {
    let scratch = filled();
    assert_eq!(scratch.run(&["prune"]).code, 2);
    assert_eq!(scratch.run(&["prune", "--older-than", "30"]).code, 2);
    assert_eq!(
        scratch.json(&["prune", "--older-than", "5000w"])["traces"],
        0
    );
    assert_eq!(scratch.json(&["prune", "--max-size", "1KB"])["traces"], 5);
    for whole in [false, true] {
        let args = if whole {
            vec!["vacuum", "--whole"]
        } else {
            vec!["vacuum"]
        };
        let report = scratch.json(&args);
        assert!(report["bytes_after"].as_u64() <= report["bytes_before"].as_u64());
    }
    let upkeep = |scratch: &Scratch| {
        let report = scratch.json(&["doctor"]);
        let checks = report["checks"].as_array().unwrap();
        let upkeep = checks
            .iter()
            .find(|check| check["name"] == "upkeep")
            .unwrap();
        upkeep["text"].as_str().unwrap().to_owned()
    };
    let text = upkeep(&scratch);
    assert!(text.starts_with("never copied, pruned "), "{text}");
    scratch.ok(&["backup", "copy.db"]);
    let text = upkeep(&scratch);
    assert!(
        text.starts_with("copied ") && text.contains("copy.db"),
        "{text}"
    );
    std::fs::remove_file(scratch.path("copy.db")).unwrap();
    assert!(upkeep(&scratch).contains("which is gone"));
}
