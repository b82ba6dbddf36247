//! Sessions in memory.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use opik_core::session::{Position, SessionErrorKind, State};
use opik_core::{Event, Session, SessionError, SessionKey, SessionStore, Timestamp};

/// Keeps sessions in memory, to the letter of the contract. Clones share what they hold.
///
/// ```
/// use opik_core::{SessionKey, SessionStore};
/// use opik_testkit::MemorySessions;
///
/// # let run = futures_util::future::FutureExt::now_or_never;
/// # run(async {
/// let sessions = MemorySessions::new();
/// let key = SessionKey::new("app", "ada", "1");
/// sessions.create(&key, &Default::default()).await?;
/// assert!(sessions.session(&key).await?.is_some());
/// # Ok::<(), opik_core::SessionError>(())
/// # }).ok_or("it never waits")??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Default)]
pub struct MemorySessions(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    sessions: BTreeMap<SessionKey, Stored>,
    clock: Timestamp,
}

struct Stored {
    session: Session,
    events: Vec<Event>,
    ids: HashSet<String>,
}

impl MemorySessions {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// A moment that was not given out before, so that sessions have an order.
    fn now(&mut self) -> Timestamp {
        self.clock = Timestamp::now().max(self.clock.plus_micros(1));
        self.clock
    }

    fn stored(&mut self, key: &SessionKey) -> Result<&mut Stored, SessionError> {
        self.sessions
            .get_mut(key)
            .ok_or_else(|| SessionError::new(SessionErrorKind::NotFound, "no such session"))
    }
}

fn conflict(context: impl Into<String>) -> SessionError {
    SessionError::new(SessionErrorKind::Conflict, context)
}

impl fmt::Debug for MemorySessions {
    /// How much it holds, not what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sessions = self.inner().sessions.len();
        f.debug_struct("MemorySessions")
            .field("sessions", &sessions)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionStore for MemorySessions {
    async fn create(&self, key: &SessionKey, state: &State) -> Result<Session, SessionError> {
        let mut inner = self.inner();
        if inner.sessions.contains_key(key) {
            return Err(conflict("the session exists already"));
        }
        let session = Session::new(key.clone(), state.clone(), inner.now());
        let stored = Stored {
            session: session.clone(),
            events: Vec::new(),
            ids: HashSet::new(),
        };
        inner.sessions.insert(key.clone(), stored);
        Ok(session)
    }

    async fn session(&self, key: &SessionKey) -> Result<Option<Session>, SessionError> {
        let inner = self.inner();
        Ok(inner.sessions.get(key).map(|stored| stored.session.clone()))
    }

    async fn append(
        &self,
        key: &SessionKey,
        expected: Position,
        events: &[Event],
    ) -> Result<Position, SessionError> {
        let mut inner = self.inner();
        let now = inner.now();
        let stored = inner.stored(key)?;
        let at = stored.session.position;
        if at != expected {
            let (at, expected) = (at.0, expected.0);
            return Err(conflict(format!(
                "at position {at}, not {expected}; read and try again"
            )));
        }
        let mut fresh = HashSet::new();
        for event in events {
            if stored.ids.contains(&event.id) || !fresh.insert(event.id.clone()) {
                return Err(conflict("an event of this identifier is there already"));
            }
        }
        if events.is_empty() {
            return Ok(at);
        }
        for event in events {
            for (name, value) in &event.state_delta {
                if value.is_null() {
                    stored.session.state.remove(name);
                } else {
                    stored.session.state.insert(name.clone(), value.clone());
                }
            }
        }
        stored.ids.extend(fresh);
        stored.events.extend_from_slice(events);
        stored.session.position = Position(stored.events.len() as u64);
        stored.session.updated_at = now;
        Ok(stored.session.position)
    }

    async fn events(
        &self,
        key: &SessionKey,
        from: Position,
        limit: usize,
    ) -> Result<Vec<Event>, SessionError> {
        let mut inner = self.inner();
        let stored = inner.stored(key)?;
        let from = usize::try_from(from.0).unwrap_or(usize::MAX);
        Ok(stored
            .events
            .iter()
            .skip(from)
            .take(limit)
            .cloned()
            .collect())
    }

    async fn list(&self, app: &str, user: &str) -> Result<Vec<Session>, SessionError> {
        let inner = self.inner();
        let mut found: Vec<Session> = inner
            .sessions
            .values()
            .map(|stored| &stored.session)
            .filter(|session| session.key.app == app && session.key.user == user)
            .cloned()
            .collect();
        found.sort_by_key(|session| std::cmp::Reverse(session.updated_at));
        Ok(found)
    }

    async fn delete(&self, key: &SessionKey) -> Result<bool, SessionError> {
        Ok(self.inner().sessions.remove(key).is_some())
    }
}
