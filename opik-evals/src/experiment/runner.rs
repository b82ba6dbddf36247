//! Runs the trials of an experiment.
//!
//! As many workers as trials may run at once take one trial after another from a queue, so that none
//! waits for another. A worker writes what it finished before it takes the next, so that a killed
//! process has never more unwritten trials than run at once. Then the trial goes through a bounded
//! channel to the loop, which counts and tells; a worker that meets a full channel waits.

mod queue;
mod trial;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::journal::{RunFile, trial_line};
use super::{Experiment, ExperimentError, Progress, Run, RunFileError, Stopped, Trial};
use queue::Queue;
use trial::Shared;
pub(crate) use trial::visible;

pub(super) async fn run(experiment: Experiment) -> Result<Run, ExperimentError> {
    let mut info = experiment.checked()?;
    let Some(task) = experiment.task.clone() else {
        return Err(ExperimentError::NoTask);
    };
    let (mut file, mut trials) = (Held(None), Vec::new());
    let mut unscored = HashMap::new();
    if let Some(path) = &experiment.file {
        let (opened, before) = RunFile::open(path, &info, &experiment.items)?;
        file = Held(Some(Arc::new(Mutex::new(Some(opened)))));
        if let Some(before) = before {
            info = before.info;
            trials = before.trials;
            if experiment.retry_errors {
                let (whole, partly): (Vec<_>, Vec<_>) = trials
                    .into_iter()
                    .filter(|trial| !trial.failed())
                    .partition(|trial| trial.failed_scores.is_empty());
                trials = whole;
                // Their outputs stand; only what could not be scored is scored again.
                let key = |trial: Trial| ((trial.item_id.clone(), trial.repeat), trial);
                unscored = partly.into_iter().map(key).collect();
            }
        }
    }
    let shared = Arc::new(Shared::of(&experiment, &task));
    let ran = Loop::new(&experiment, trials)
        .run(&shared, unscored, file.0.as_ref())
        .await;
    // Also after a failure, since the task may hold processes.
    task.finish().await;
    let (trials, stopped) = ran?;
    if let Some(mut file) = file.take() {
        file.end(stopped)?;
    }
    Ok(Run::new(info, experiment.items, trials, stopped))
}

/// The file of a run, which the workers write in turn; `None` when the run is over.
type Journal = Arc<Mutex<Option<RunFile>>>;

fn locked(file: &Journal) -> std::sync::MutexGuard<'_, Option<RunFile>> {
    file.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The file as the run holds it. With the run it is closed, and free for another, although workers
/// that were ended may still have a hold of it.
struct Held(Option<Journal>);

impl Held {
    fn take(&self) -> Option<RunFile> {
        self.0.as_ref().and_then(|file| locked(file).take())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.take());
    }
}

/// A finished trial.
struct Finished {
    trial: Trial,
    /// What it cost now, in US dollars.
    spent: f64,
    /// What became of its line in the file.
    written: Result<(), RunFileError>,
}

/// The state of a run.
struct Loop<'a> {
    experiment: &'a Experiment,
    trials: Vec<Trial>,
    began: Instant,
    before: usize,
    failed: usize,
    cached: usize,
    spent: f64,
}

impl<'a> Loop<'a> {
    fn new(experiment: &'a Experiment, trials: Vec<Trial>) -> Self {
        Self {
            experiment,
            began: Instant::now(),
            before: trials.len(),
            failed: trials.iter().filter(|trial| trial.failed()).count(),
            cached: trials.iter().filter(|trial| trial.cached).count(),
            spent: 0.0,
            trials,
        }
    }

    async fn run(
        mut self,
        shared: &Arc<Shared>,
        unscored: HashMap<(String, u32), Trial>,
        file: Option<&Journal>,
    ) -> Result<(Vec<Trial>, Option<Stopped>), ExperimentError> {
        let queue = Arc::new(Queue::new(self.experiment, &self.trials, unscored));
        let workers = self.experiment.concurrency.min(queue.len());
        let (sender, mut finished) = mpsc::channel(workers.max(1));
        // Dropped with this function, which ends what is under way.
        let mut running = JoinSet::new();
        for _ in 0..workers {
            let (shared, queue) = (Arc::clone(shared), Arc::clone(&queue));
            running.spawn(work(shared, queue, file.cloned(), sender.clone()));
        }
        drop(sender);
        let stop = &self.experiment.stop;
        let mut stopped = stop.is_stopped().then_some(Stopped::Cancelled);
        while stopped.is_none() {
            tokio::select! {
                biased;
                () = stop.stopped() => stopped = Some(Stopped::Cancelled),
                next = finished.recv() => match next {
                    Some(next) => self.note(next, &mut finished)?,
                    None => break,
                },
            }
        }
        // What was finished before the end is not lost.
        if let Ok(next) = finished.try_recv() {
            self.note(next, &mut finished)?;
        }
        let (unscored, spent) = queue.rest();
        self.trials.extend(unscored);
        Ok((self.trials, stopped.or(spent.then_some(Stopped::Budget))))
    }

    /// Counts and tells of a trial and of all that finished meanwhile, in one go.
    fn note(
        &mut self,
        first: Finished,
        others: &mut mpsc::Receiver<Finished>,
    ) -> Result<(), ExperimentError> {
        let mut next = Some(first);
        while let Some(finished) = next {
            finished.written?;
            self.failed += usize::from(finished.trial.failed());
            self.cached += usize::from(finished.trial.cached);
            self.spent += finished.spent;
            self.trials.push(finished.trial);
            next = others.try_recv().ok();
        }
        self.tell();
        Ok(())
    }

    fn tell(&self) {
        let Some(callback) = &self.experiment.on_progress else {
            return;
        };
        let repeats = usize::try_from(self.experiment.repeats).unwrap_or(usize::MAX);
        let total = self.experiment.items.len().saturating_mul(repeats);
        let elapsed = self.began.elapsed();
        let now = self.trials.len() - self.before;
        let left = total.saturating_sub(self.trials.len());
        let per_trial = elapsed.as_secs_f64() / now as f64;
        callback(&Progress {
            done: self.trials.len(),
            total,
            failed: self.failed,
            cached: self.cached,
            cost: self.spent,
            elapsed,
            left: Duration::try_from_secs_f64(per_trial * left as f64).ok(),
        });
    }
}

/// Runs trials until there are no more, or no more may begin.
async fn work(
    shared: Arc<Shared>,
    queue: Arc<Queue>,
    file: Option<Journal>,
    sender: mpsc::Sender<Finished>,
) {
    while let Some(next) = queue.next().await {
        let (trial, spent) = trial::trial(&shared, next.item, next.repeat, next.before).await;
        queue.spent(spent);
        let written = file.as_ref().map_or(Ok(()), |file| {
            let line = trial_line(&trial);
            // Without a file the run is over, and nobody counts this trial.
            locked(file).as_mut().map_or(Ok(()), |file| file.line(line))
        });
        let finished = Finished {
            trial,
            spent,
            written,
        };
        // Nobody listens when the run is over.
        if sender.send(finished).await.is_err() {
            return;
        }
    }
}
