//! Conversations about traces that last: [`Assistant`].
//!
//! # A turn
//!
//! 1. [`Assistant::ask`] reads the trace once, opens the session, and appends the question at its
//!    end. Then the question is *taken*: `ask` returns a [`TurnHandle`], and the first event is out.
//! 2. The evidence is computed. With a model, the [step machine](crate::turn) and a driver ask it and
//!    run its tools; without one the answer is computed.
//! 3. Whole replies are appended to the session before they are told to listeners. A tool call in the
//!    session is answered there by the next event of its turn.
//! 4. The turn ends with [`TurnEventKind::Done`], whatever happens, and its question has an answer
//!    or an event that says why not.
//!
//! # Who runs it
//!
//! A turn is a task of the tokio runtime that `ask` is called in (with its time driver enabled). It
//! belongs to the assistant, not to the caller: it outlives a dropped listener for the grace (30 s
//! unless told otherwise), can be joined again from any position with [`Assistant::join`], by any
//! number of listeners at once, and ends at [`Assistant::shutdown`].
//!
//! # What is kept for listeners
//!
//! The last 16,384 events of a turn, at most 4 MiB, until a minute after its end (of at most 256 turns
//! that are over). Beyond that
//! [`TurnEventKind::Missed`] says how many are gone; whole replies are in the session in any case.
//!
//! # When several write to one session
//!
//! In one assistant a session has one running turn at a time; a second question is refused or
//! waits ([`WhenBusy`]). Other processes may append at any moment: appends are repeated at the new
//! end, events never occur twice, and [`crate::turn::conversation`] puts turns that were mixed in order.

mod answering;
mod ask;
mod builder;
mod citation;
mod converse;
mod driver;
mod ending;
mod event;
mod live;
mod load;
mod log;
mod record;
mod registry;
mod repair;
mod sessions;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use opik_core::SessionKey;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

pub use ask::{Ask, AskError, WhenBusy, WhenModelFails};
pub use builder::AssistantBuilder;
pub use citation::SpanStyle;
pub use event::{
    Failed, FailureKind, Outcome, Started, TurnEnd, TurnEvent, TurnEventKind, WholeMessage,
};
pub use live::{TurnEvents, TurnHandle};
pub use record::TurnRecord;
pub use sessions::Feedback;

use builder::Config;
use live::Live;
use registry::Registry;

/// Leads conversations about traces. Clones are the same assistant.
///
/// ```
/// use std::sync::Arc;
/// use opik_assist::assistant::{Assistant, TurnEventKind};
/// use opik_assist::Ask;
/// use opik_core::{Batch, Exporter, SessionKey};
/// use opik_testkit::{MemorySessions, MemoryStore, records};
///
/// # let run = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
/// # run.block_on(async {
/// let store = MemoryStore::new();
/// store.export(&Batch::new(vec![records::trace(1)], vec![records::span(1, 1)])).await?;
///
/// // No model: answers are computed.
/// let assistant = Assistant::builder(Arc::new(MemorySessions::new()))
///     .source(Arc::new(store))
///     .build();
/// let session = SessionKey::new("trace-analyzer", "ada", "1");
/// let turn = assistant.ask(Ask::new(session, records::trace_id(1), "Why is it slow?")).await?;
/// let outcome = turn.finished().await;
/// assert!(outcome.computed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Assistant(Arc<Inner>);

struct Inner {
    config: Config,
    registry: Registry,
    tracker: TaskTracker,
}

impl fmt::Debug for Assistant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Assistant")
            .field("config", &self.0.config)
            .field("running", &self.running())
            .finish_non_exhaustive()
    }
}

/// What became of the turns at [`Assistant::shutdown`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Turns that ran when it began and came to their end.
    pub finished: usize,
    /// Turns that were cancelled, with what they had stored.
    pub cancelled: usize,
    /// Turns that did not end within the time.
    pub left_running: usize,
}

impl Assistant {
    /// Asks. The question is taken when this returns: the trace is loaded and the question stored.
    ///
    /// Dropping the future before that cancels the question; afterwards the turn is the assistant's.
    ///
    /// # Errors
    /// [`AskError`] when the question is not taken; nothing is stored then, except that the session
    /// may have been made.
    ///
    /// # Panics
    /// Outside a tokio runtime, as all of tokio does.
    pub async fn ask(&self, ask: Ask) -> Result<TurnHandle, AskError> {
        let config = &self.0.config;
        let limits = ask.limits.as_ref().unwrap_or(&config.limits);
        let limit = limits.question;
        if ask.question.len() > limit && ask.question.chars().count() > limit {
            return Err(AskError::TooLong { limit });
        }
        if ask.source.is_none() && config.source.is_none() {
            return Err(AskError::NoSource);
        }
        let id = format!("e-{}", fresh_id());
        let live = Live::new(id, ask.session.clone(), config.replay);
        let busy = ask.busy.unwrap_or(config.busy);
        // From here on a shutdown waits for this turn.
        let _counted = self.0.tracker.token();
        let place = self.0.registry.enter(&live, busy, config)?;
        let (taken, accepted) = oneshot::channel();
        // Whoever waits for the answer listens, however long the trace takes to load.
        let _present = TurnHandle::new(&live);
        let turn = driver::run(self.clone(), ask, Arc::clone(&live), place, taken);
        self.0.tracker.spawn(turn);
        let waiting = CancelUnlessTaken(Some(live));
        let answer = accepted.await.unwrap_or(Err(AskError::Internal));
        waiting.taken();
        answer
    }

    /// Joins a turn that runs or ended less than a minute ago; `None` when there is none. The
    /// caller has to know that whoever joins may read the conversation: see
    /// [`TurnHandle::session`].
    #[must_use]
    pub fn join(&self, turn: &str) -> Option<TurnHandle> {
        let live = self.0.registry.find(turn)?;
        Some(TurnHandle::new(&live))
    }

    /// The running turn of a session.
    #[must_use]
    pub fn running_turn(&self, session: &SessionKey) -> Option<TurnHandle> {
        let live = self.0.registry.running(session)?;
        Some(TurnHandle::new(&live))
    }

    /// How many turns run or wait for their session.
    #[must_use]
    pub fn running(&self) -> usize {
        self.0.registry.count()
    }

    /// Takes no more questions and waits until all turns are over. Those that run when three
    /// quarters of the time have passed are cancelled, with what they have stored.
    pub async fn shutdown(&self, timeout: Duration) -> ShutdownReport {
        let running = self.0.registry.close();
        self.0.tracker.close();
        let mut report = ShutdownReport::default();
        let patience = timeout * 3 / 4;
        if tokio::time::timeout(patience, self.0.tracker.wait())
            .await
            .is_ok()
        {
            report.finished = running.len();
            return report;
        }
        let late: Vec<&Arc<Live>> = running
            .iter()
            .filter(|live| live.outcome().is_none())
            .collect();
        for live in &late {
            live.cancel(FailureKind::ShutDown);
        }
        // What has not ended by then is counted below.
        drop(tokio::time::timeout(timeout - patience, self.0.tracker.wait()).await);
        let ended = late.iter().filter(|live| live.outcome().is_some()).count();
        report.finished = running.len() - late.len();
        report.cancelled = ended;
        report.left_running = late.len() - ended;
        report
    }
}

/// Cancels a turn whose asker went away before the question was taken.
struct CancelUnlessTaken(Option<Arc<Live>>);

impl CancelUnlessTaken {
    fn taken(mut self) {
        self.0 = None;
    }
}

impl Drop for CancelUnlessTaken {
    fn drop(&mut self) {
        if let Some(live) = &self.0 {
            live.cancel(FailureKind::Abandoned);
        }
    }
}

/// A new identifier for a turn or an event.
fn fresh_id() -> String {
    opik_core::SpanId::generate().to_string()
}
