//! What an experiment adds to the time of its task: 10,000 items, a task of 5 ms, 64 at once.
//!
//! `cargo bench -p opik-evals --bench experiment`. Prints the time beside three ideals: by the clock
//! alone, the time of the trials themselves divided by 64, and the same tasks run by nothing but a set
//! of them. A task ends when another thread says so after 5 ms, as an answer from a socket does: the
//! timer of the runtime counts whole milliseconds and makes more than 6 of 5.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use opik_evals::dataset::Item;
use opik_evals::experiment::{Experiment, FnTask};
use opik_evals::heuristics::Equals;
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

const ITEMS: usize = 10_000;
const AT_ONCE: usize = 64;
const TASK: Duration = Duration::from_millis(5);
const ROUNDS: usize = 5;

fn items() -> Vec<Item> {
    let item = |n: usize| json!({ "id": format!("q{n}"), "n": n, "expected_output": "yes" });
    (0..ITEMS)
        .map(|n| Item::from_value(item(n)).unwrap())
        .collect()
}

/// Wakes whoever asked when [`TASK`] is over; all wait equally long, so the first to ask is the first
/// to be woken.
#[derive(Clone)]
struct Alarm(mpsc::Sender<(Instant, oneshot::Sender<()>)>);

impl Alarm {
    fn start() -> Self {
        let (ask, asked) = mpsc::channel::<(Instant, oneshot::Sender<()>)>();
        let wake = move || {
            for (due, wake) in asked {
                thread::sleep(due.saturating_duration_since(Instant::now()));
                wake.send(()).unwrap();
            }
        };
        let thread = thread::Builder::new().name("alarm".to_owned());
        thread.spawn(wake).unwrap();
        Self(ask)
    }

    async fn wait(self) {
        let (wake, woken) = oneshot::channel();
        self.0.send((Instant::now() + TASK, wake)).unwrap();
        woken.await.unwrap();
    }
}

async fn bare(alarm: &Alarm) -> Duration {
    let began = Instant::now();
    let mut running = JoinSet::new();
    for _ in 0..ITEMS {
        if running.len() >= AT_ONCE {
            running.join_next().await;
        }
        running.spawn(alarm.clone().wait());
    }
    while running.join_next().await.is_some() {}
    began.elapsed()
}

/// The time of a run, and the time of its trials divided by how many ran at once.
async fn experiment(
    items: Vec<Item>,
    alarm: &Alarm,
    file: Option<std::path::PathBuf>,
) -> (Duration, Duration) {
    let alarm = alarm.clone();
    let task = FnTask::new(move |_| {
        let wait = alarm.clone().wait();
        async {
            wait.await;
            Ok("yes".into())
        }
    });
    let mut experiment = Experiment::new("bench", items)
        .task(task)
        .metric(Equals::new())
        .concurrency(AT_ONCE);
    if let Some(file) = file {
        experiment = experiment.file(file);
    }
    let began = Instant::now();
    let run = experiment.run().await.unwrap();
    let took = began.elapsed();
    assert_eq!(run.trials().len(), ITEMS);
    let sum: u64 = run.trials().iter().map(|trial| trial.duration_us).sum();
    (
        took,
        Duration::from_micros(sum) / u32::try_from(AT_ONCE).unwrap(),
    )
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let nominal = TASK * u32::try_from(ITEMS.div_ceil(AT_ONCE)).unwrap();
    let alarm = Alarm::start();
    println!("{ITEMS} items, {TASK:?} each, {AT_ONCE} at once: {nominal:?} by the clock alone");
    for round in 1..=ROUNDS {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("run.jsonl");
        let (bare, memory, written) = runtime.block_on(async {
            (
                bare(&alarm).await,
                experiment(items(), &alarm, None).await,
                experiment(items(), &alarm, Some(file)).await,
            )
        });
        for (what, (took, trials)) in [("in memory", memory), ("with its file", written)] {
            println!(
                "round {round}, {what}: {} ms; of the clock {:.3}, of its trials {:.3} ({} ms), of the bare set {:.3} ({} ms)",
                took.as_millis(),
                took.as_secs_f64() / nominal.as_secs_f64(),
                took.as_secs_f64() / trials.as_secs_f64(),
                trials.as_millis(),
                took.as_secs_f64() / bare.as_secs_f64(),
                bare.as_millis(),
            );
        }
    }
}
