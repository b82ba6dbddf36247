//! Experiments within one process.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use opik_evals::dataset::Item;
use opik_evals::experiment::{
    Cache, Experiment, ExperimentError, FieldTask, FnTask, MetricScorer, Run, RunFileError, Scored,
    Scorer, ScoringError, Stop, Stopped, TaskErrorKind, TaskOutput,
};
use opik_evals::heuristics::Equals;
use opik_evals::metric::FnMetric;
use opik_evals::{Case, MetricError};
use serde_json::json;
use tokio::time::{Instant, sleep};

pub(crate) fn items(count: usize) -> Vec<Item> {
    let item = |n: usize| json!({ "id": format!("q{n}"), "n": n, "expected_output": format!("{}", n % 7) });
    let items = (0..count).map(|n| Item::from_value(item(n)).unwrap());
    items.collect()
}

/// Trials without what differs from run to run.
pub(crate) fn timeless(run: &Run) -> Vec<String> {
    let trials = run.trials().iter().map(|trial| {
        let mut value = serde_json::to_value(trial).unwrap();
        for field in ["started_at", "duration_us", "scoring_us"] {
            value.as_object_mut().unwrap().remove(field);
        }
        value.to_string()
    });
    trials.collect()
}

/// Answers most items, refuses some, panics on others, and never in the order of the items.
fn moody() -> FnTask {
    FnTask::new(|call| async move {
        let n = call.get("n").and_then(serde_json::Value::as_u64).unwrap();
        sleep(Duration::from_millis(n * 31 % 17)).await;
        match n % 10 {
            3 => Err(opik_evals::experiment::TaskError::new(
                "it does not like threes",
            )),
            4 => panic!("a bug"),
            _ => Ok(TaskOutput::new((call.seed % 7).to_string())
                .cost(0.25)
                .tokens(n)),
        }
    })
}

fn picky() -> FnMetric<impl Fn(&Case) -> Result<f64, MetricError> + Send + Sync> {
    FnMetric::new("picky", |case: &Case| {
        let n = case.get("n").and_then(serde_json::Value::as_u64).unwrap();
        if n == 5 {
            panic!("a bug in a metric")
        }
        case.text(if n == 6 { "missing" } else { "output" })
            .map(|text| text.len() as f64)
    })
}

#[tokio::test(start_paused = true)]
async fn results_are_the_same_whatever_runs_at_once() {
    let mut runs = Vec::new();
    for concurrency in [1, 4, 64] {
        let run = Experiment::new("moody", items(50))
            .task(moody())
            .metric(Equals::new())
            .metric(picky())
            .repeats(3)
            .seed(7)
            .concurrency(concurrency)
            .run()
            .await
            .unwrap();
        assert_eq!(
            (run.trials().len(), run.not_run(), run.failed()),
            (150, 0, 30)
        );
        let order: Vec<(String, u32)> = run
            .trials()
            .iter()
            .map(|trial| (trial.item_id.clone(), trial.repeat))
            .collect();
        let expected: Vec<(String, u32)> = (0..50)
            .flat_map(|n| (0..3).map(move |repeat| (format!("q{n}"), repeat)))
            .collect();
        assert_eq!(order, expected);
        runs.push(timeless(&run));
    }
    assert_eq!(runs[0], runs[1]);
    assert_eq!(runs[0], runs[2]);
}

#[tokio::test(start_paused = true)]
async fn every_failure_is_kept_with_its_kind() {
    let run = Experiment::new("moody", items(8))
        .task(moody())
        .metric(picky())
        .run()
        .await
        .unwrap();
    let kinds: Vec<_> = run
        .trials()
        .iter()
        .map(|trial| trial.error.as_ref().map(|error| error.kind))
        .collect();
    assert_eq!(kinds[3], Some(TaskErrorKind::Failed));
    assert_eq!(kinds[4], Some(TaskErrorKind::Panicked));
    assert_eq!(kinds.iter().flatten().count(), 2);
    // No score, and a reason: not a zero.
    for (place, reason) in [(5, "the metric panicked"), (6, "the case has no `missing`")] {
        let trial = &run.trials()[place];
        assert_eq!(trial.score("picky"), None);
        assert_eq!(trial.failed_scores[0].message, reason);
    }
    assert_eq!(run.scores("picky").len(), 4);
    // Debug shows neither answers nor messages.
    let shown = format!("{:?}", run.trials());
    assert!(!shown.contains("threes"), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_trial_times_out_and_costs_the_others_nothing() {
    let task = FnTask::new(|call| async move {
        if call.get("n") == Some(&json!(2)) {
            sleep(Duration::from_secs(3_600)).await;
        }
        Ok("0".into())
    });
    let began = Instant::now();
    let run = Experiment::new("slow", items(6))
        .task(task)
        .timeout(Duration::from_secs(3))
        .run()
        .await
        .unwrap();
    assert!(began.elapsed() < Duration::from_secs(5));
    assert_eq!(run.failed(), 1);
    assert_eq!(
        run.trials()[2].error.as_ref().unwrap().kind,
        TaskErrorKind::Timeout
    );
}

struct Hanging;

#[async_trait]
impl Scorer for Hanging {
    fn name(&self) -> &str {
        "hanging"
    }

    async fn score(&self, _: &Case, _: &TaskOutput) -> Result<Scored, ScoringError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_judge_that_hangs_is_a_failed_score() {
    let run = Experiment::new("judge", items(2))
        .task(FieldTask::new("n"))
        .scorer(Hanging)
        .metric(Equals::new())
        .timeout(Duration::from_secs(2))
        .run()
        .await
        .unwrap();
    assert_eq!(
        run.trials()[0].failed_scores[0].message,
        "no score within 2s"
    );
    assert_eq!(run.scores("equals_metric").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn no_more_run_at_once_and_none_begin_faster_than_allowed() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, peak) = (Arc::clone(&now), Arc::clone(&most));
    let task = FnTask::new(move |_| {
        let (now, most) = (Arc::clone(&counted), Arc::clone(&peak));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            sleep(Duration::from_millis(400)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(TaskOutput::new(""))
        }
    });
    let run = Experiment::new("crowd", items(30))
        .task(task)
        .concurrency(5)
        .run()
        .await
        .unwrap();
    assert_eq!((run.trials().len(), most.load(Ordering::SeqCst)), (30, 5));

    let begun = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&begun);
    let task = FnTask::new(move |_| {
        seen.lock().unwrap().push(Instant::now());
        async { Ok(TaskOutput::new("")) }
    });
    Experiment::new("pace", items(21))
        .task(task)
        .rate(10.0)
        .run()
        .await
        .unwrap();
    let begun = begun.lock().unwrap();
    let gaps: Vec<Duration> = begun.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        gaps.iter().all(|gap| *gap >= Duration::from_millis(99)),
        "{gaps:?}"
    );
    assert!(begun[20] - begun[0] < Duration::from_millis(2_200));
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_and_a_stop_leave_trials_that_are_counted() {
    let task = || {
        FnTask::new(|_| async {
            sleep(Duration::from_millis(10)).await;
            Ok(TaskOutput::new("").cost(1.0))
        })
    };
    let run = Experiment::new("dear", items(20))
        .task(task())
        .concurrency(2)
        .budget(6.0)
        .run()
        .await
        .unwrap();
    assert_eq!(run.stopped(), Some(Stopped::Budget));
    // Those under way were finished: one more where two did not finish together.
    let ran = run.trials().len();
    assert!((6..=7).contains(&ran), "{ran}");
    assert_eq!((run.not_run(), run.cost()), (20 - ran, Some(ran as f64)));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.jsonl");
    let stop = Stop::new();
    let handle = stop.clone();
    let stopped = Experiment::new("stopped", items(20))
        .task(task())
        .concurrency(2)
        .stop(stop)
        .on_progress(move |progress| {
            assert_eq!(progress.total, 20);
            if progress.done >= 8 {
                handle.stop();
            }
        })
        .file(&file)
        .run()
        .await
        .unwrap();
    assert_eq!(stopped.stopped(), Some(Stopped::Cancelled));
    assert!((8..20).contains(&stopped.trials().len()));
    assert_eq!(Run::read(&file).unwrap(), stopped);
    let whole = Experiment::new("stopped", items(20))
        .task(task())
        .file(&file)
        .run()
        .await
        .unwrap();
    assert_eq!((whole.stopped(), whole.trials().len()), (None, 20));
    assert_eq!(whole.info().id, stopped.info().id);
}

#[tokio::test(start_paused = true)]
async fn progress_counts_up_and_estimates_what_is_left() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&told);
    Experiment::new("told", items(40))
        .task(moody())
        .concurrency(3)
        .on_progress(move |progress| heard.lock().unwrap().push(*progress))
        .run()
        .await
        .unwrap();
    let told = told.lock().unwrap();
    let last = told.last().unwrap();
    assert_eq!(
        (last.done, last.total, last.failed, last.left),
        (40, 40, 8, Some(Duration::ZERO))
    );
    assert!((last.cost - 32.0 * 0.25).abs() < 1e-9);
    assert!(
        told.windows(2)
            .all(|pair| pair[0].done < pair[1].done && pair[0].elapsed <= pair[1].elapsed)
    );
    assert!(told[5].left.unwrap() > Duration::ZERO);
}

#[tokio::test]
async fn what_makes_no_sense_is_refused_before_anything_runs() {
    let task = || FnTask::new(|_| async { panic!("nothing should run") });
    let two = || items(2);
    let twice = [items(1), items(1)].concat();
    let error = async |experiment: Experiment| experiment.run().await.unwrap_err().to_string();
    assert_eq!(
        error(Experiment::new("x", two())).await,
        "the experiment has no task"
    );
    assert_eq!(
        error(Experiment::new("x", []).task(task())).await,
        "the dataset has no items"
    );
    assert_eq!(
        error(Experiment::new("x", twice).task(task())).await,
        "two items have the identifier `q0`"
    );
    let same = Experiment::new("x", two())
        .task(task())
        .metric(Equals::new())
        .metric(Equals::new());
    assert!(
        error(same)
            .await
            .contains("two metrics have the name `equals_metric`")
    );
    for wrong in [
        Experiment::new("x", two()).concurrency(0),
        Experiment::new("x", two()).repeats(0),
        Experiment::new("x", two()).rate(0.0),
        Experiment::new("x", two()).rate(f64::NAN),
        Experiment::new("x", two()).budget(f64::NAN),
        Experiment::new("x", two()).timeout(Duration::ZERO),
    ] {
        let failed = wrong.task(task()).run().await.unwrap_err();
        assert!(matches!(failed, ExperimentError::Setting(_)), "{failed}");
    }
    let folder = tempfile::tempdir().unwrap();
    let cached = Experiment::new("x", two())
        .task(task())
        .cache(Cache::new(folder.path()));
    assert!(matches!(
        cached.run().await.unwrap_err(),
        ExperimentError::CacheNeedsVersion
    ));
}

#[tokio::test]
async fn a_cache_answers_the_same_question_once_and_another_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (calls, scored) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let run = async |version: &str, model: &str, identity: &str, count: usize| {
        let (calls, scored) = (Arc::clone(&calls), Arc::clone(&scored));
        let task = FnTask::new(move |call| {
            calls.fetch_add(1, Ordering::SeqCst);
            async move {
                match call.get("n").and_then(serde_json::Value::as_u64) {
                    Some(1) => Err(opik_evals::experiment::TaskError::new("not today")),
                    n => Ok(TaskOutput::new(n).cost(2.0)),
                }
            }
        });
        let metric = FnMetric::new("length", move |_: &Case| {
            scored.fetch_add(1, Ordering::SeqCst);
            Ok(0.1 + 0.2)
        });
        let experiment = Experiment::new("cached", items(count))
            .task(task)
            .task_version(version)
            .model(model)
            .scorer(MetricScorer::new(metric).identified(identity))
            .cache(Cache::new(folder.path()));
        experiment.run().await.unwrap()
    };
    let counts = || {
        (
            calls.swap(0, Ordering::SeqCst),
            scored.swap(0, Ordering::SeqCst),
        )
    };
    let first = run("1", "a", "length", 5).await;
    assert_eq!(counts(), (5, 4));
    // Failures are asked again, and the same number comes back to the last bit.
    let again = run("1", "a", "length", 5).await;
    assert_eq!(counts(), (1, 0));
    assert_eq!(again.scores("length"), first.scores("length"));
    assert_eq!(
        again.trials().iter().filter(|trial| trial.cached).count(),
        4
    );
    assert_eq!(again.cost(), first.cost());
    run("1", "a", "length", 6).await;
    assert_eq!(counts(), (2, 1));
    run("2", "a", "length", 5).await;
    assert_eq!(counts(), (5, 0));
    run("1", "b", "length", 5).await;
    assert_eq!(counts(), (5, 0));
    run("1", "a", "length v2", 5).await;
    assert_eq!(counts(), (1, 4));
    // Damage is as good as absence.
    for entry in walk(folder.path()) {
        std::fs::write(entry, "{").unwrap();
    }
    run("1", "a", "length", 5).await;
    assert_eq!(counts(), (5, 4));
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let folders = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    folders
        .flat_map(|folder| {
            std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().path())
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn failed_trials_are_run_again_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deep/er/run.jsonl");
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let experiment = |retry| {
        let counted = Arc::clone(&counted);
        let task = FnTask::new(move |_| {
            let n = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                if n == 1 {
                    Err(opik_evals::experiment::TaskError::new("once"))
                } else {
                    Ok("0".into())
                }
            }
        });
        Experiment::new("again", items(4))
            .task(task)
            .concurrency(1)
            .retry_errors(retry)
            .file(&file)
    };
    assert_eq!(experiment(false).run().await.unwrap().failed(), 1);
    assert_eq!(experiment(false).run().await.unwrap().failed(), 1);
    assert_eq!(calls.load(Ordering::SeqCst), 4);
    assert_eq!(experiment(true).run().await.unwrap().failed(), 0);
    assert_eq!(calls.load(Ordering::SeqCst), 5);
    let read = Run::read(&file).unwrap();
    assert_eq!((read.failed(), read.trials().len()), (0, 4));
}

#[tokio::test]
async fn a_file_of_something_else_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.jsonl");
    let experiment = || Experiment::new("one", items(2)).task(FieldTask::new("n"));
    let run = experiment().file(&file).run().await.unwrap();
    let before = std::fs::read(&file).unwrap();
    for (other, what) in [
        (Experiment::new("two", items(2)), "another name"),
        (Experiment::new("one", items(3)), "other items"),
        (
            Experiment::new("one", items(2)).metric(Equals::new()),
            "other metrics",
        ),
        (Experiment::new("one", items(2)).repeats(2), "repetitions"),
        (Experiment::new("one", items(2)).seed(1), "another seed"),
        (
            Experiment::new("one", items(2)).task_version("2"),
            "version of the task",
        ),
    ] {
        let error = other
            .task(FieldTask::new("n"))
            .file(&file)
            .run()
            .await
            .unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), before);
    assert_eq!(Run::read(&file).unwrap(), run);

    for foreign in [
        "my notes\n",
        "my notes",
        "{\"a\": 1}\n",
        "{\"run\":{\"format\":9}}\n",
    ] {
        std::fs::write(&file, foreign).unwrap();
        let error = experiment().file(&file).run().await.unwrap_err();
        assert!(
            matches!(error, ExperimentError::File(RunFileError::Format { .. })),
            "{error}"
        );
        assert_eq!(std::fs::read_to_string(&file).unwrap(), foreign);
    }
    // The beginning of a run that was cut off at its first line is one.
    std::fs::write(&file, "{\"run\":{\"form").unwrap();
    assert_eq!(
        experiment().file(&file).run().await.unwrap().trials().len(),
        2
    );
    assert!(
        Run::read(folder.path().join("none"))
            .unwrap_err()
            .is_missing()
    );
}

#[tokio::test]
async fn a_run_is_written_and_read_without_a_change() {
    let folder = tempfile::tempdir().unwrap();
    let scores = |name: &'static str, value: f64| FnMetric::new(name, move |_: &Case| Ok(value));
    let run = Experiment::new("kept", items(3))
        .task(moody())
        .metric(scores("third", 1.0 / 3.0))
        .metric(scores("tiny", 5e-324))
        .metadata("model", json!({ "name": "m", "temperature": 0.1 }))
        .tag("nightly")
        .map("reference", "n")
        .pass_at("third", 0.3)
        .run()
        .await
        .unwrap();
    let file = folder.path().join("copy.jsonl");
    run.write(&file).unwrap();
    assert_eq!(Run::read(&file).unwrap(), run);
    assert_eq!(run.pass_at("third"), Some(0.3));
    assert_eq!(run.pass_at("tiny"), None);
}
