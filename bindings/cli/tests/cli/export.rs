//! `opik-rs export`.

use crate::command::{Scratch, fixture, line};

fn with_lines() -> Scratch {
    let scratch = Scratch::new();
    let file = scratch.file("a.jsonl", line(1, "alpha") + &line(2, "beta"));
    scratch.ok(&["import", &file]);
    scratch
}

#[test]
fn what_is_exported_is_imported_again_as_it_was() {
    let scratch = Scratch::new();
    scratch.ok(&["import", &fixture("traces/agentrx/opik.jsonl.gz")]);
    let json = scratch.json(&["export", "--all", "-o", "all.jsonl.gz"]);
    assert_eq!(json["traces"], 34);
    assert!(json["spans"].as_u64().unwrap() > 100);
    scratch.ok(&["import", "all.jsonl.gz", "--db", "copy.db"]);
    let first = scratch.json(&["show", "last", "--db", "traces.db"]);
    let second = scratch.json(&["show", "last", "--db", "copy.db"]);
    assert_eq!(first["spans"], second["spans"]);
    let list = |db: &str| scratch.json(&["traces", "-n", "100", "--db", db]);
    assert_eq!(list("traces.db"), list("copy.db"));
}

#[test]
fn standard_output_is_jsonl_of_the_traces_that_were_chosen() {
    let scratch = with_lines();
    for args in [
        &["export", "00000001"][..],
        &["export", "-f", "name = \"alpha\""],
        &["export", "--error", "-f", "duration < 4500"],
    ] {
        let text = scratch.ok(args);
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 1, "{args:?}");
        assert_eq!(lines.first().unwrap()["trace"]["name"], "alpha");
        assert_eq!(lines.first().unwrap()["spans"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn a_file_is_replaced_only_by_force_and_never_half_written() {
    let scratch = with_lines();
    let file = scratch.file("out.jsonl", "precious\n");
    let run = scratch.run(&["export", "--all", "-o", &file]);
    assert_eq!(run.code, 1, "{}", run.stderr);
    assert!(run.stderr.contains("--force"), "{}", run.stderr);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious\n");
    // The second trace does not exist, which shows after the first was written.
    let missing = "01941f29-7c00-7000-8000-0000000000ff";
    let run = scratch.run(&["export", "00000001", missing, "-o", &file, "--force"]);
    assert_eq!(run.code, 3, "{}", run.stderr);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious\n");
    let left: Vec<_> = std::fs::read_dir(scratch.path("."))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".tmp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    scratch.ok(&["export", "--all", "-o", &file, "--force"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap().lines().count(), 2);
}

#[cfg(unix)]
#[test]
fn a_link_is_followed_and_what_is_no_regular_file_is_left_alone() {
    use std::os::unix::fs::{FileTypeExt, symlink};

    let scratch = with_lines();
    std::fs::create_dir(scratch.path("elsewhere")).unwrap();
    let target = scratch.file("elsewhere/real.jsonl", "precious\n");
    symlink(&target, scratch.path("link.jsonl")).unwrap();
    assert_eq!(
        scratch.run(&["export", "--all", "-o", "link.jsonl"]).code,
        1
    );
    scratch.ok(&["export", "--all", "-o", "link.jsonl", "--force"]);
    let link = scratch.path("link.jsonl").symlink_metadata().unwrap();
    assert!(link.is_symlink(), "the link stays");
    assert_eq!(std::fs::read_to_string(&target).unwrap().lines().count(), 2);

    let made = std::process::Command::new("mkfifo")
        .arg(scratch.path("pipe"))
        .status()
        .unwrap();
    assert!(made.success());
    symlink("nowhere", scratch.path("dangling")).unwrap();
    symlink("pipe", scratch.path("to-pipe")).unwrap();
    for name in ["pipe", "to-pipe", "dangling", "elsewhere"] {
        let run = scratch.run(&["export", "--all", "-o", name, "--force"]);
        assert_eq!(run.code, 1, "{name}: {}", run.stderr);
        assert!(
            run.stderr.contains("regular file"),
            "{name}: {}",
            run.stderr
        );
    }
    let pipe = scratch.path("pipe").symlink_metadata().unwrap();
    assert!(pipe.file_type().is_fifo(), "it is what it was");
    let missing = scratch.run(&["export", "--all", "-o", "no/such/folder.jsonl"]);
    assert_eq!(missing.code, 1);
    assert!(!missing.stderr.contains(".tmp"), "{}", missing.stderr);
}

#[test]
fn a_damaged_store_gives_back_what_can_be_read() {
    let scratch = Scratch::new();
    scratch.ok(&["import", &fixture("traces/agentrx/opik.jsonl.gz")]);
    let whole = std::fs::read(scratch.path("traces.db")).unwrap();
    let mut rescues = 0;
    // Somewhere among these places are the contents of traces.
    for place in 1..20 {
        let mut damaged = whole.clone();
        let at = whole.len() / 20 * place;
        damaged[at..at + 64].fill(0xa5);
        let db = scratch.file("damaged.db", damaged);
        for rest in ["damaged.db-wal", "damaged.db-shm"] {
            drop(std::fs::remove_file(scratch.path(rest)));
        }
        let run = scratch.run(&[
            "export",
            "--all",
            "--db",
            &db,
            "-o",
            "rescue.jsonl",
            "--force",
        ]);
        assert!([0, 1, 5].contains(&run.code), "{place}: {}", run.stderr);
        if run.code != 1 {
            continue;
        }
        assert!(run.stderr.contains("cannot be read"), "{}", run.stderr);
        let text = std::fs::read_to_string(scratch.path("rescue.jsonl")).unwrap();
        let lines = text.lines().count();
        assert!(lines < 34, "{place}: {lines}");
        rescues += usize::from(lines > 0);
    }
    assert!(rescues > 0, "no damage met the content of a trace");
}

#[test]
fn nothing_chosen_and_two_ways_of_choosing_are_usage_errors() {
    let scratch = with_lines();
    let run = scratch.run(&["export"]);
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("export --all"), "{}", run.stderr);
    assert_eq!(scratch.run(&["export", "last", "--error"]).code, 2);
    assert_eq!(scratch.run(&["export", "last", "--all"]).code, 2);
    assert_eq!(scratch.run(&["export", "last", "--force"]).code, 2);
}
