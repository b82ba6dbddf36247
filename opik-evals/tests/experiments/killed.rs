//! A run whose process is killed goes on: nothing is lost, nothing that was finished runs twice.

use std::collections::{BTreeMap, HashSet};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use opik_evals::experiment::{Experiment, FnTask, Run, TaskError, TaskOutput};
use opik_evals::heuristics::Equals;
use serde_json::Value;

use crate::runs::{items, timeless};

const FOLDER: &str = "OPIK_EVALS_TEST_FOLDER";
const ITEMS: usize = 150;
const REPEATS: u32 = 2;

fn experiment(folder: Option<PathBuf>) -> Experiment {
    let task = FnTask::new(move |call| {
        let ran = folder.as_ref().map(|folder| folder.join("ran"));
        async move {
            let n = call.get("n").and_then(Value::as_u64).unwrap();
            tokio::time::sleep(Duration::from_millis(1 + n % 4)).await;
            if let Some(ran) = ran {
                let mut ran = OpenOptions::new()
                    .append(true)
                    .create(true)
                    .open(ran)
                    .unwrap();
                writeln!(ran, "{} {}", call.item.id(), call.repeat).unwrap();
            }
            match n % 9 {
                4 => Err(TaskError::new("always")),
                _ => Ok(TaskOutput::new((call.seed % 7).to_string())),
            }
        }
    });
    Experiment::new("killed", items(ITEMS))
        .task(task)
        .metric(Equals::new())
        .repeats(REPEATS)
        .concurrency(4)
}

/// Not a test of its own: what the child process runs.
#[tokio::test]
#[ignore = "run by the test below, in a process of its own"]
#[expect(clippy::disallowed_methods, reason = "the parent says where to run")]
async fn child() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else {
        return;
    };
    let run = experiment(Some(folder.clone())).file(folder.join("run.jsonl"));
    assert_eq!(run.run().await.unwrap().not_run(), 0);
}

fn start(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed::child", "--ignored"])
        .env(FOLDER, folder)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The trials that the file holds as whole lines.
fn written(file: &Path) -> Vec<(String, u64)> {
    let text = std::fs::read(file).unwrap_or_default();
    let whole = text
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    let lines = text[..whole]
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let values = lines.map(|line| serde_json::from_slice::<Value>(line).unwrap());
    values
        .filter_map(|line| {
            let trial = line.get("trial")?;
            Some((
                trial["item"].as_str()?.to_owned(),
                trial["repeat"].as_u64()?,
            ))
        })
        .collect()
}

fn ran(folder: &Path) -> Vec<(String, u64)> {
    let text = std::fs::read_to_string(folder.join("ran")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| {
        let (item, repeat) = line.split_once(' ')?;
        Some((item.to_owned(), repeat.parse().ok()?))
    });
    lines.collect()
}

#[tokio::test]
async fn a_killed_run_loses_nothing_and_repeats_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.jsonl");
    let total = ITEMS * usize::try_from(REPEATS).unwrap();
    let (mut done, mut ran_before, mut kills): (HashSet<(String, u64)>, usize, usize) =
        Default::default();
    let deadline = Instant::now() + Duration::from_secs(300);
    for round in 1.. {
        assert!(Instant::now() < deadline, "it does not come to an end");
        let mut process = start(folder.path());
        let enough = done.len() + 25 + round % 7;
        let ended = loop {
            if let Some(status) = process.try_wait().unwrap() {
                break Some(status);
            }
            if enough < total && written(&file).len() >= enough {
                // SIGKILL, wherever it is.
                process.kill().unwrap();
                process.wait().unwrap();
                break None;
            }
            assert!(Instant::now() < deadline, "it does not come to an end");
            std::thread::yield_now();
        };
        let all_ran = ran(folder.path());
        let new = &all_ran[ran_before..];
        for trial in new {
            assert!(
                !done.contains(trial),
                "{trial:?} was finished and ran again"
            );
        }
        ran_before = all_ran.len();
        let after = written(&file);
        let distinct: HashSet<_> = after.iter().cloned().collect();
        assert_eq!(distinct.len(), after.len(), "a trial was written twice");
        assert!(distinct.is_superset(&done), "a finished trial was lost");
        done = distinct;
        if let Some(status) = ended {
            assert!(status.success());
            break;
        }
        kills += 1;
        if round % 2 == 0 {
            // A write that got half way.
            let mut torn = OpenOptions::new().append(true).open(&file).unwrap();
            torn.write_all(br#"{"trial":{"item":"q1","repe"#).unwrap();
        }
    }
    assert!(kills >= 5, "{kills}");
    assert_eq!(done.len(), total);
    // What ran again was under way when the process was killed: at most four at a time.
    let mut times: BTreeMap<(String, u64), usize> = BTreeMap::new();
    for trial in ran(folder.path()) {
        *times.entry(trial).or_default() += 1;
    }
    let again: usize = times.values().map(|times| times - 1).sum();
    assert!(again <= kills * 4, "{again} after {kills} kills");
    // The same as a run that nobody disturbed.
    let undisturbed = experiment(None).run().await.unwrap();
    assert_eq!(timeless(&Run::read(&file).unwrap()), timeless(&undisturbed));
}

#[tokio::test]
async fn one_process_writes_a_file_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.jsonl");
    let (begun, held) = (
        std::sync::Arc::new(tokio::sync::Notify::new()),
        std::sync::Arc::new(tokio::sync::Notify::new()),
    );
    let (tell, wait) = (std::sync::Arc::clone(&begun), std::sync::Arc::clone(&held));
    let task = FnTask::new(move |_| {
        let (tell, wait) = (std::sync::Arc::clone(&tell), std::sync::Arc::clone(&wait));
        async move {
            tell.notify_one();
            wait.notified().await;
            Ok("0".into())
        }
    });
    let first = Experiment::new("busy", items(1))
        .task(task)
        .file(&file)
        .run();
    let second = async {
        begun.notified().await;
        let task = FnTask::new(|_| async { Ok("0".into()) });
        let refused = Experiment::new("busy", items(1))
            .task(task)
            .file(&file)
            .run()
            .await;
        held.notify_one();
        refused.unwrap_err().to_string()
    };
    let (first, refused) = tokio::join!(first, second);
    assert_eq!(first.unwrap().trials().len(), 1);
    assert!(
        refused.starts_with("another process is writing"),
        "{refused}"
    );
}
