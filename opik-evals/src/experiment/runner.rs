//! Runs the trials of an experiment.
//!
//! As many workers as trials may run at once take one trial after another from a queue, so that none
//! waits for another or for the file of the run. What they finish goes through a bounded channel to
//! the loop, which writes, counts and tells. A worker that meets a full channel waits.

mod queue;
mod trial;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::journal::RunFile;
use super::{Experiment, ExperimentError, Progress, Run, Stopped, Trial};
use queue::Queue;
pub(crate) use trial::visible;
use trial::{Finished, Shared};

pub(super) async fn run(experiment: Experiment) -> Result<Run, ExperimentError> {
    let mut info = experiment.checked()?;
    let Some(task) = experiment.task.clone() else {
        return Err(ExperimentError::NoTask);
    };
    let (mut file, mut trials) = (None, Vec::new());
    let mut unscored = HashMap::new();
    if let Some(path) = &experiment.file {
        let (opened, before) = RunFile::open(path, &info, &experiment.items)?;
        file = Some(opened);
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
    let shared = Arc::new(Shared::of(&experiment, &task, file.is_some()));
    let ran = Loop::new(&experiment, trials)
        .run(&shared, unscored, &mut file)
        .await;
    // Also after a failure, since the task may hold processes.
    task.finish().await;
    let (trials, stopped) = ran?;
    if let Some(file) = &mut file {
        file.end(stopped)?;
    }
    Ok(Run::new(info, experiment.items, trials, stopped))
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
        file: &mut Option<RunFile>,
    ) -> Result<(Vec<Trial>, Option<Stopped>), ExperimentError> {
        let queue = Arc::new(Queue::new(self.experiment, &self.trials, unscored));
        let workers = self.experiment.concurrency.min(queue.len());
        let (sender, mut finished) = mpsc::channel(workers.max(1));
        // Dropped with this function, which ends what is under way.
        let mut running = JoinSet::new();
        for _ in 0..workers {
            let (shared, queue) = (Arc::clone(shared), Arc::clone(&queue));
            running.spawn(work(shared, queue, sender.clone()));
        }
        drop(sender);
        let stop = &self.experiment.stop;
        let mut stopped = stop.is_stopped().then_some(Stopped::Cancelled);
        while stopped.is_none() {
            tokio::select! {
                biased;
                () = stop.stopped() => stopped = Some(Stopped::Cancelled),
                next = finished.recv() => match next {
                    Some(next) => self.note(next, &mut finished, file)?,
                    None => break,
                },
            }
        }
        // What was finished before the end is not lost.
        if let Ok(next) = finished.try_recv() {
            self.note(next, &mut finished, file)?;
        }
        let (unscored, spent) = queue.rest();
        self.trials.extend(unscored);
        Ok((self.trials, stopped.or(spent.then_some(Stopped::Budget))))
    }

    /// Writes, counts and tells of a trial and of all that finished meanwhile, in one go.
    fn note(
        &mut self,
        first: Finished,
        others: &mut mpsc::Receiver<Finished>,
        file: &mut Option<RunFile>,
    ) -> Result<(), ExperimentError> {
        let mut lines = Ok(Vec::new());
        let mut next = Some(first);
        while let Some(finished) = next {
            self.failed += usize::from(finished.trial.failed());
            self.cached += usize::from(finished.trial.cached);
            self.spent += finished.spent;
            lines = lines.and_then(|mut lines: Vec<u8>| {
                lines.append(&mut finished.line?);
                Ok(lines)
            });
            self.trials.push(finished.trial);
            next = others.try_recv().ok();
        }
        if let Some(file) = file {
            file.lines(lines)?;
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
async fn work(shared: Arc<Shared>, queue: Arc<Queue>, sender: mpsc::Sender<Finished>) {
    while let Some(next) = queue.next().await {
        let finished = trial::trial(&shared, next.item, next.repeat, next.before).await;
        queue.spent(finished.spent);
        // Nobody listens when the run is over.
        if sender.send(finished).await.is_err() {
            return;
        }
    }
}
