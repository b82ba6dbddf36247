//! A turn as its listeners see it: the events so far, and who waits for more.
//!
//! The turn never waits for a listener. Events are kept for those who come later, up to a count and
//! a size; beyond that the oldest are dropped, and a listener that still wanted them gets
//! [`TurnEventKind::Missed`].

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;
use opik_core::{SessionKey, Timestamp};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::event::{FailureKind, Outcome, TurnEvent, TurnEventKind};

/// How much of a turn is kept for listeners.
#[derive(Debug, Clone, Copy)]
pub(super) struct Replay {
    pub(super) events: usize,
    pub(super) bytes: usize,
}

/// A turn, running or over.
pub(super) struct Live {
    pub(super) id: String,
    pub(super) key: SessionKey,
    pub(super) cancel: CancellationToken,
    /// Why it was cancelled; the first reason counts.
    reason: OnceLock<FailureKind>,
    replay: Replay,
    log: Mutex<Log>,
    listeners: watch::Sender<usize>,
    over: watch::Sender<bool>,
}

#[derive(Default)]
struct Log {
    events: VecDeque<Arc<TurnEvent>>,
    next: u64,
    bytes: usize,
    wakers: HashMap<u64, Waker>,
    last_listener: u64,
    outcome: Option<Outcome>,
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live")
            .field("id", &self.id)
            .field("key", &self.key)
            .field("listeners", &*self.listeners.borrow())
            .field("over", &*self.over.borrow())
            .finish_non_exhaustive()
    }
}

impl Live {
    pub(super) fn new(id: String, key: SessionKey, replay: Replay) -> Arc<Self> {
        Arc::new(Self {
            id,
            key,
            cancel: CancellationToken::new(),
            reason: OnceLock::new(),
            replay,
            log: Mutex::default(),
            listeners: watch::Sender::new(0),
            over: watch::Sender::new(false),
        })
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends events that happened at once. Nothing follows [`TurnEventKind::Done`].
    pub(super) fn publish(&self, at: Timestamp, kinds: Vec<TurnEventKind>) {
        let count = kinds.len();
        let mut wakers = Vec::new();
        {
            let mut log = self.log();
            if log.outcome.is_some() {
                return;
            }
            for (place, kind) in kinds.into_iter().enumerate() {
                if let TurnEventKind::Done(outcome) = &kind {
                    log.outcome = Some(outcome.clone());
                }
                let event = TurnEvent {
                    position: log.next,
                    at,
                    ends_batch: place + 1 == count,
                    kind,
                };
                log.next += 1;
                log.bytes += size(&event);
                log.events.push_back(Arc::new(event));
            }
            while log.events.len() > 1
                && (log.events.len() > self.replay.events || log.bytes > self.replay.bytes)
            {
                if let Some(old) = log.events.pop_front() {
                    log.bytes -= size(&old);
                }
            }
            wakers.extend(log.wakers.drain().map(|(_, waker)| waker));
            if log.outcome.is_some() {
                self.over.send_replace(true);
            }
        }
        for waker in wakers {
            waker.wake();
        }
    }

    /// What its events take in memory, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.log().bytes
    }

    pub(super) fn outcome(&self) -> Option<Outcome> {
        self.log().outcome.clone()
    }

    pub(super) fn cancel(&self, reason: FailureKind) {
        if self.reason.set(reason).is_err() {
            tracing::trace!(target: "opik_assist", "a turn is cancelled twice");
        }
        self.cancel.cancel();
    }

    pub(super) fn reason(&self) -> FailureKind {
        self.reason.get().copied().unwrap_or(FailureKind::Cancelled)
    }

    /// Waits until the turn is over.
    pub(super) async fn over(&self) {
        // The sender lives as long as this does.
        drop(self.over.subscribe().wait_for(|over| *over).await);
    }

    /// Waits until nobody has listened for `grace`.
    pub(super) async fn abandoned(&self, grace: std::time::Duration) {
        let mut listeners = self.listeners.subscribe();
        loop {
            if listeners.wait_for(|count| *count == 0).await.is_err() {
                return;
            }
            let back = listeners.wait_for(|count| *count > 0);
            if tokio::time::timeout(grace, back).await.is_err() {
                return;
            }
        }
    }
}

/// What an event takes in memory, roughly.
fn size(event: &TurnEvent) -> usize {
    let content = match &event.kind {
        TurnEventKind::Text { text } | TurnEventKind::Reasoning { text } => text.len(),
        TurnEventKind::Message(message) => message.text.len(),
        TurnEventKind::ToolStarted { arguments, .. } => arguments.as_str().len(),
        _ => 0,
    };
    content + 160
}

/// Counts as a listener as long as it lives.
#[derive(Debug)]
struct Presence(Arc<Live>);

impl Presence {
    fn new(live: &Arc<Live>) -> Self {
        live.listeners.send_modify(|count| *count += 1);
        Self(Arc::clone(live))
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.0
            .listeners
            .send_modify(|count| *count = count.saturating_sub(1));
    }
}

/// A turn that was begun or joined.
///
/// The handle and every stream of [`events`](Self::events) count as listeners. When the last of them
/// is gone, the turn goes on for the grace that the assistant allows, and is then cancelled with
/// what it has stored.
#[derive(Debug)]
pub struct TurnHandle {
    presence: Presence,
}

impl TurnHandle {
    pub(super) fn new(live: &Arc<Live>) -> Self {
        Self {
            presence: Presence::new(live),
        }
    }

    fn live(&self) -> &Arc<Live> {
        &self.presence.0
    }

    /// The turn, which is the `invocation_id` of its events in the session.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.live().id
    }

    /// The conversation.
    #[must_use]
    pub fn session(&self) -> &SessionKey {
        &self.live().key
    }

    /// The events from a position on: 0 for all of them, one more than the last one that is known to
    /// go on after a break. The stream ends after [`TurnEventKind::Done`].
    pub fn events(&self, from: u64) -> TurnEvents {
        self.heard(from, Some(Presence::new(self.live())))
    }

    /// As [`events`](Self::events), for somebody who only keeps the books: it does not count as a
    /// listener, so the turn is cancelled as if it were not there.
    pub fn watch(&self, from: u64) -> TurnEvents {
        self.heard(from, None)
    }

    fn heard(&self, from: u64, presence: Option<Presence>) -> TurnEvents {
        let listener = {
            let mut log = self.live().log();
            log.last_listener += 1;
            log.last_listener
        };
        TurnEvents {
            live: Arc::clone(self.live()),
            _presence: presence,
            listener,
            next: from,
        }
    }

    /// Cancels the turn. What it has said so far is stored, and the events end as always.
    pub fn cancel(&self) {
        self.live().cancel(FailureKind::Cancelled);
    }

    /// How the turn went; `None` while it runs.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.live().outcome()
    }

    /// Waits for the end of the turn, which its limit of time bounds.
    pub async fn finished(&self) -> Outcome {
        loop {
            if let Some(outcome) = self.live().outcome() {
                return outcome;
            }
            self.live().over().await;
        }
    }
}

/// The events of a turn as they happen; see [`TurnHandle::events`].
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct TurnEvents {
    live: Arc<Live>,
    /// `None` for those who only watch.
    _presence: Option<Presence>,
    listener: u64,
    next: u64,
}

impl Stream for TurnEvents {
    type Item = Arc<TurnEvent>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let wanted = self.next;
        let (found, missed) = {
            let mut log = self.live.log();
            let place = log.events.partition_point(|event| event.position < wanted);
            match log.events.get(place) {
                Some(event) if event.position > wanted => {
                    let events = event.position - wanted;
                    let missed = TurnEvent {
                        position: event.position - 1,
                        at: event.at,
                        ends_batch: true,
                        kind: TurnEventKind::Missed { events },
                    };
                    (Some(Arc::new(missed)), true)
                }
                Some(event) => (Some(Arc::clone(event)), false),
                None if log.outcome.is_some() => return Poll::Ready(None),
                None => {
                    log.wakers.insert(self.listener, context.waker().clone());
                    (None, false)
                }
            }
        };
        let Some(event) = found else {
            return Poll::Pending;
        };
        self.next = if missed {
            event.position + 1
        } else {
            wanted + 1
        };
        Poll::Ready(Some(event))
    }
}

impl Drop for TurnEvents {
    fn drop(&mut self) {
        self.live.log().wakers.remove(&self.listener);
    }
}
