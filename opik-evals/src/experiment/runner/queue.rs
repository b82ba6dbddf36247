//! Which trial is next, and whether it may begin.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::sleep_until;

use crate::dataset::Item;
use crate::experiment::pace::Pace;
use crate::experiment::{Experiment, Stop, Trial};

/// A trial that may begin.
pub(super) struct Next {
    pub(super) item: Arc<Item>,
    pub(super) repeat: u32,
    /// What it was before, where only the metrics that could not score it are wanted.
    pub(super) before: Option<Trial>,
}

/// The trials that are left, in order of items and repetitions. Workers take turns.
pub(super) struct Queue {
    /// Held while a worker waits for its time to begin, so that the others wait behind it.
    turn: tokio::sync::Mutex<Pace>,
    left: Mutex<Left>,
    stop: Stop,
    budget: Option<f64>,
}

struct Left {
    items: Vec<Arc<Item>>,
    repeats: u32,
    /// Item and repetition that come next.
    at: (usize, u32),
    done: HashSet<(String, u32)>,
    unscored: HashMap<(String, u32), Trial>,
    spent: f64,
    /// Whether trials were left when the budget was spent.
    broke: bool,
}

impl Queue {
    pub(super) fn new(
        experiment: &Experiment,
        done: &[Trial],
        unscored: HashMap<(String, u32), Trial>,
    ) -> Self {
        let done = done
            .iter()
            .map(|trial| (trial.item_id.clone(), trial.repeat));
        Self {
            turn: tokio::sync::Mutex::new(Pace::new(experiment.rate)),
            left: Mutex::new(Left {
                items: experiment.items.iter().cloned().map(Arc::new).collect(),
                repeats: experiment.repeats,
                at: (0, 0),
                done: done.collect(),
                unscored,
                spent: 0.0,
                broke: false,
            }),
            stop: experiment.stop.clone(),
            budget: experiment.budget,
        }
    }

    /// At most so many trials are left.
    pub(super) fn len(&self) -> usize {
        let left = self.left();
        let repeats = usize::try_from(left.repeats).unwrap_or(usize::MAX);
        let all = left.items.len().saturating_mul(repeats);
        all.saturating_sub(left.done.len())
    }

    /// The next trial, once it may begin; `None` when none may any more.
    pub(super) async fn next(&self) -> Option<Next> {
        let mut pace = self.turn.lock().await;
        if !self.left().may_begin(self.budget) {
            return None;
        }
        if let Some(until) = pace.wait_until() {
            tokio::select! {
                biased;
                () = self.stop.stopped() => return None,
                () = sleep_until(until) => {}
            }
        }
        let mut left = self.left();
        // Others may have spent something meanwhile.
        if self.stop.is_stopped() || !left.may_begin(self.budget) {
            return None;
        }
        pace.begun();
        left.take()
    }

    /// A trial that ended cost this, in US dollars.
    pub(super) fn spent(&self, dollars: f64) {
        self.left().spent += dollars;
    }

    /// Trials that were not scored again, and whether the budget was spent with trials left.
    pub(super) fn rest(&self) -> (Vec<Trial>, bool) {
        let mut left = self.left();
        let unscored = std::mem::take(&mut left.unscored);
        (unscored.into_values().collect(), left.broke)
    }

    fn left(&self) -> std::sync::MutexGuard<'_, Left> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Left {
    /// Whether there is another trial, and money for it.
    fn may_begin(&mut self, budget: Option<f64>) -> bool {
        if self.peek().is_none() {
            return false;
        }
        self.broke |= budget.is_some_and(|most| self.spent >= most);
        !self.broke
    }

    /// The next item and repetition that are not done.
    fn peek(&mut self) -> Option<(Arc<Item>, u32)> {
        loop {
            let (item, repeat) = self.at;
            if repeat >= self.repeats {
                self.at = (item + 1, 0);
                continue;
            }
            let item = self.items.get(item)?;
            // An item without an identifier is hashed for its own, so that is asked for only where
            // there is something to compare it with.
            if self.done.is_empty() || !self.done.contains(&(item.id().into_owned(), repeat)) {
                return Some((Arc::clone(item), repeat));
            }
            self.at.1 += 1;
        }
    }

    fn take(&mut self) -> Option<Next> {
        let (item, repeat) = self.peek()?;
        self.at.1 += 1;
        let before = match self.unscored.is_empty() {
            true => None,
            false => self.unscored.remove(&(item.id().into_owned(), repeat)),
        };
        Some(Next {
            item,
            repeat,
            before,
        })
    }
}
