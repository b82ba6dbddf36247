//! The threads that read, and how questions get to them.
//!
//! Waking a sleeping core costs about as much as a short question, so no more are woken than have
//! something to do: a question goes to the reader that went to sleep last, whose thread and pages
//! are the warmest, and one that has just answered looks for the next question for a moment
//! before it sleeps.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::threads::lock;

/// A question to a reader.
pub(crate) type Task<R> = Box<dyn FnOnce(&mut R) + Send>;

/// How long a reader that has answered looks for the next question: about what its sleep and its
/// waking would cost.
const LINGER: Duration = Duration::from_micros(50);

/// Hands questions to readers. They end when this is dropped.
pub(crate) struct Readers<R>(Asker<R>);

/// Hands questions to readers, as long as there are any.
pub(crate) struct Asker<R>(Arc<Shared<R>>);

struct Shared<R> {
    state: Mutex<State<R>>,
    /// Questions that nobody has taken, for those that look without the lock.
    waiting: AtomicUsize,
}

struct State<R> {
    tasks: VecDeque<Task<R>>,
    /// Those that sleep, the last one last.
    asleep: Vec<Arc<Condvar>>,
    /// Looking for a question without sleeping.
    looking: usize,
    alive: usize,
    closed: bool,
}

impl<R> Readers<R> {
    pub(crate) fn new() -> Self {
        Self(Asker(Arc::new(Shared {
            state: Mutex::new(State {
                tasks: VecDeque::new(),
                asleep: Vec::new(),
                looking: 0,
                alive: 0,
                closed: false,
            }),
            waiting: AtomicUsize::new(0),
        })))
    }

    /// Hands a question over. Tells whether there is anyone who will answer it.
    #[must_use]
    pub(crate) fn ask(&self, task: Task<R>) -> bool {
        self.0.ask(task)
    }

    /// Hands questions over too, and keeps no reader.
    pub(crate) fn asker(&self) -> Asker<R> {
        Asker(Arc::clone(&self.0.0))
    }

    /// Lets the readers end when they have answered what was asked.
    pub(crate) fn close(&self) {
        let mut state = lock(&self.0.0.state);
        state.closed = true;
        for reader in state.asleep.drain(..) {
            reader.notify_one();
        }
    }

    /// One more reader; it counts until what is returned is dropped.
    pub(crate) fn join(&self) -> Member<R> {
        lock(&self.0.0.state).alive += 1;
        Member {
            shared: Arc::clone(&self.0.0),
            wake: Arc::default(),
        }
    }
}

impl<R> std::fmt::Debug for Asker<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asker").finish_non_exhaustive()
    }
}

impl<R> Asker<R> {
    /// Hands a question over. Tells whether there is anyone who will answer it.
    #[must_use]
    pub(crate) fn ask(&self, task: Task<R>) -> bool {
        self.hand_over(task, 0)
    }

    /// Hands a question over if another reader stays free for those of others. Tells whether it did.
    #[must_use]
    pub(crate) fn ask_to_spare(&self, task: Task<R>) -> bool {
        self.hand_over(task, 2)
    }

    /// Hands a question over if so many readers have nothing to do.
    fn hand_over(&self, task: Task<R>, idle: usize) -> bool {
        let mut state = lock(&self.0.state);
        let free = (state.asleep.len() + state.looking).saturating_sub(state.tasks.len());
        if state.closed || state.alive == 0 || free < idle {
            return false;
        }
        state.tasks.push_back(task);
        self.0.waiting.store(state.tasks.len(), Ordering::Release);
        // Whoever looks takes one each; only what is left needs somebody woken.
        let woken = if state.tasks.len() > state.looking {
            state.asleep.pop()
        } else {
            None
        };
        drop(state);
        if let Some(reader) = woken {
            reader.notify_one();
        }
        true
    }
}

impl<R> Drop for Readers<R> {
    fn drop(&mut self) {
        self.close();
    }
}

/// The place of one reader among the others.
pub(crate) struct Member<R> {
    shared: Arc<Shared<R>>,
    wake: Arc<Condvar>,
}

impl<R> Member<R> {
    /// Answers questions until there will be no more.
    pub(crate) fn run(&self, reader: &mut R) {
        while let Some(task) = self.next() {
            task(reader);
        }
    }

    /// The next question, waiting for one; nothing when there will be none.
    fn next(&self) -> Option<Task<R>> {
        let mut state = lock(&self.shared.state);
        if state.tasks.is_empty() && !state.closed {
            state.looking += 1;
            drop(state);
            self.look();
            state = lock(&self.shared.state);
            state.looking -= 1;
        }
        loop {
            if let Some(task) = state.tasks.pop_front() {
                let left = state.tasks.len();
                self.shared.waiting.store(left, Ordering::Release);
                return Some(task);
            }
            if state.closed {
                return None;
            }
            state.asleep.push(Arc::clone(&self.wake));
            state = self
                .wake
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            // Also when nobody called: one that is awake is not to be called.
            state.asleep.retain(|wake| !Arc::ptr_eq(wake, &self.wake));
        }
    }

    /// Waits for a question without sleeping, for a moment; others go first.
    fn look(&self) {
        let begin = Instant::now();
        while self.shared.waiting.load(Ordering::Acquire) == 0 && begin.elapsed() < LINGER {
            std::thread::yield_now();
        }
    }
}

impl<R> Drop for Member<R> {
    /// A reader that ends by a panic leaves its questions to the others. The last one takes them
    /// along, so that whoever waits is told.
    fn drop(&mut self) {
        let mut state = lock(&self.shared.state);
        state.alive -= 1;
        let left = (state.alive == 0).then(|| std::mem::take(&mut state.tasks));
        drop(state);
        drop(left);
    }
}

#[cfg(test)]
#[path = "readers_tests.rs"]
mod tests;
