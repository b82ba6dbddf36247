//! Tasks in other programs.

use std::time::{Duration, Instant};

use opik_evals::experiment::{CommandTask, Experiment, Run, TaskErrorKind};
use opik_evals::heuristics::Equals;

use crate::runs::items;

const SCRIPT: &str = r#"
import json, os, sys, time
ends = open(sys.argv[1], "a", buffering=1)
for line in sys.stdin:
    call = json.loads(line)
    n = call["data"]["n"]
    if n == 2: time.sleep(600)
    if n == 3: sys.exit(7)
    if n == 4: print("no JSON", flush=True); continue
    if n == 5: print(json.dumps({"error": "it says no"}), flush=True); continue
    if n == 6: print("x" * 100_000, flush=True); continue
    if n == 7: print(json.dumps({"output": "0", "cost": "much"}), flush=True); continue
    print(json.dumps({"output": str(n % 7), "cost": 0.5, "tokens": n, "pid": os.getpid(), "seed": call["seed"]}), flush=True)
ends.write("ended %d\n" % os.getpid())
"#;

fn python(test: &str) -> bool {
    use std::io::Write as _;
    let found = std::process::Command::new("python3")
        .arg("--version")
        .output();
    let there = found.is_ok_and(|output| output.status.success());
    if !there {
        // Past the test harness, which hides what passing tests print.
        let line = format!("SKIPPED {test}: python3 is missing\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
    there
}

fn task(folder: &std::path::Path) -> CommandTask {
    let script = folder.join("task.py");
    std::fs::write(&script, SCRIPT).unwrap();
    CommandTask::new("python3", [script, folder.join("ends")])
        .workers(3)
        .max_reply_bytes(10_000)
}

async fn run(folder: &std::path::Path, count: usize, timeout: Duration) -> Run {
    Experiment::new("program", items(count))
        .task(task(folder))
        .metric(Equals::new())
        .timeout(timeout)
        .concurrency(8)
        .run()
        .await
        .unwrap()
}

#[tokio::test]
async fn a_program_answers_and_what_it_does_wrong_is_kept_by_kind() {
    if !python("a_program_answers_and_what_it_does_wrong_is_kept_by_kind") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let run = run(folder.path(), 40, Duration::from_secs(4)).await;
    // The one that sleeps was killed, not waited for.
    assert!(began.elapsed() < Duration::from_secs(120));
    let message = |n: usize| {
        let error = run.trials()[n].error.as_ref().unwrap();
        (error.kind, error.message.clone())
    };
    assert_eq!(message(2).0, TaskErrorKind::Timeout);
    assert!(
        message(3).1.contains("ended without an answer"),
        "{:?}",
        message(3)
    );
    assert!(message(4).1.contains("not a JSON object"));
    assert_eq!(message(5), (TaskErrorKind::Failed, "it says no".to_owned()));
    assert!(message(6).1.contains("longer than 10000 bytes"));
    assert!(message(7).1.contains("`cost`"));
    assert_eq!(run.failed(), 6);
    assert_eq!(run.mean("equals_metric"), Some(1.0));
    assert_eq!(run.trials()[39].tokens(), Some(39));
    let pids: std::collections::BTreeSet<String> = run
        .trials()
        .iter()
        .filter_map(|trial| Some(trial.output.as_ref()?.fields["pid"].to_string()))
        .collect();
    // Kept for the next item, and replaced only where one had to be killed or ended.
    assert!(pids.len() <= 3 + 5, "{pids:?}");
    // Those that were left had the time to end by themselves.
    let ends = std::fs::read_to_string(folder.path().join("ends")).unwrap();
    assert!((1..=3).contains(&ends.lines().count()), "{ends}");
}

#[tokio::test]
async fn a_program_that_does_not_exist_fails_every_trial() {
    let run = Experiment::new("none", items(3))
        .task(CommandTask::new("no-such-program-anywhere", ["x"]))
        .run()
        .await
        .unwrap();
    assert_eq!(run.failed(), 3);
    let error = run.trials()[0].error.as_ref().unwrap();
    assert_eq!(error.kind, TaskErrorKind::Program);
    assert!(error.message.contains("cannot be started"));
}
