//! The log of one session, as one turn writes to it.
//!
//! Another turn, in this process or another one, may append at the same time. A conflict is read
//! up on: when our events are there already (the answer to an earlier attempt was lost), all is
//! well, else they are appended behind those of the others. The order does not matter: events know
//! their turn.

use std::sync::Arc;
use std::time::Duration;

use opik_core::session::{Position, SessionErrorKind, State};
use opik_core::{Event, SessionError, SessionKey, SessionStore};

/// How often an append is tried at another position.
const CONFLICTS: usize = 40;
/// How often a store that fails is tried.
const FAILURES: usize = 3;
/// Wait between attempts at a store that fails.
const PAUSE: Duration = Duration::from_millis(100);
/// Events that are read at once.
const PAGE: usize = 500;

/// A position in the log of a session.
#[derive(Debug)]
pub(super) struct SessionLog {
    store: Arc<dyn SessionStore>,
    key: SessionKey,
    position: Position,
    limit: Duration,
    /// The state of a session that is made with the first events.
    first_state: Option<State>,
    /// Everything in the log, as long as only we have written to it and nobody has asked for it.
    ours: Option<Vec<Event>>,
}

/// What became of an attempt whose answer did not say.
enum Fate {
    Stored,
    NotStored,
}

impl SessionLog {
    /// The log of a session that is made with this state when the first events are appended, unless
    /// somebody else is faster.
    pub(super) fn new(
        store: Arc<dyn SessionStore>,
        key: SessionKey,
        state: State,
        limit: Duration,
    ) -> Self {
        Self {
            store,
            key,
            position: Position(0),
            limit,
            first_state: Some(state),
            ours: None,
        }
    }

    /// The log of a session; `None` when it does not exist.
    pub(super) async fn find(
        store: Arc<dyn SessionStore>,
        key: SessionKey,
        limit: Duration,
    ) -> Result<Option<Self>, SessionError> {
        let found = bounded(limit, store.session(&key)).await?;
        Ok(found.map(|session| Self {
            store,
            key,
            position: session.position,
            limit,
            first_state: None,
            ours: None,
        }))
    }

    /// Appends the events, all or none, whatever others append meanwhile.
    pub(super) async fn append(&mut self, events: &[Event]) -> Result<(), SessionError> {
        if events.is_empty() {
            return Ok(());
        }
        let (mut conflicts, mut failures) = (0, 0);
        loop {
            let append = async {
                match &self.first_state {
                    Some(state) => self.store.create_with(&self.key, state, events).await,
                    None => self.store.append(&self.key, self.position, events).await,
                }
            };
            let error = match bounded(self.limit, append).await {
                Ok(position) => {
                    self.position = position;
                    if self.first_state.take().is_some() {
                        self.ours = Some(Vec::new());
                    }
                    if let Some(ours) = &mut self.ours {
                        ours.extend_from_slice(events);
                    }
                    return Ok(());
                }
                Err(error) => error,
            };
            self.ours = None;
            if error.kind() == SessionErrorKind::Conflict {
                conflicts += 1;
                if conflicts > CONFLICTS {
                    return Err(error);
                }
                // Not all at once again.
                tokio::task::yield_now().await;
            } else if error.is_retryable() {
                failures += 1;
                if failures >= FAILURES {
                    return Err(error);
                }
                tokio::time::sleep(PAUSE).await;
            } else {
                return Err(error);
            }
            match self.catch_up(events).await {
                Ok(Fate::Stored) => return Ok(()),
                Ok(Fate::NotStored) => {}
                // It is still to be made.
                Err(other)
                    if self.first_state.is_some() && other.kind() == SessionErrorKind::NotFound => {
                }
                Err(other) if other.is_retryable() => {}
                Err(other) => return Err(other),
            }
        }
    }

    /// Reads what was appended since, and says whether ours is among it.
    async fn catch_up(&mut self, ours: &[Event]) -> Result<Fate, SessionError> {
        let first = ours.first().map(|event| event.id.as_str());
        let mut fate = Fate::NotStored;
        loop {
            let read = self.store.events(&self.key, self.position, PAGE);
            let page = bounded(self.limit, read).await?;
            // Whoever made it: it is there.
            self.first_state = None;
            if page.iter().any(|event| Some(event.id.as_str()) == first) {
                fate = Fate::Stored;
            }
            self.position = Position(self.position.0 + page.len() as u64);
            if page.len() < PAGE {
                return Ok(fate);
            }
        }
    }

    /// The last events, at most `count`.
    pub(super) async fn tail(&mut self, count: u64) -> Result<Vec<Event>, SessionError> {
        // A turn asks once, so nothing is kept for a second time.
        if let Some(mut ours) = self.ours.take() {
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            ours.drain(..ours.len().saturating_sub(count));
            return Ok(ours);
        }
        let mut from = Position(self.position.0.saturating_sub(count));
        let mut events = Vec::new();
        loop {
            let read = self.store.events(&self.key, from, PAGE);
            let page = bounded(self.limit, read).await?;
            let length = page.len();
            events.extend(page);
            from = Position(from.0 + length as u64);
            if length < PAGE {
                return Ok(events);
            }
        }
    }
}

/// The result within the time, or an error that says that there was none.
pub(super) async fn bounded<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, SessionError>>,
) -> Result<T, SessionError> {
    tokio::time::timeout(limit, call).await.unwrap_or_else(|_| {
        let context = format!("no answer of the session store within {limit:?}");
        Err(SessionError::new(SessionErrorKind::Timeout, context))
    })
}
