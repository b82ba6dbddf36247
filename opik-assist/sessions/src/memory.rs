//! Sessions in the memory of the process.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use opik_core::session::{Position, SessionErrorKind, State};
use opik_core::{Event, Session, SessionError, SessionKey, SessionStore, Timestamp};

use crate::{Pruned, Retention};

/// Keeps sessions in memory. Clones share what they hold; it is gone with the last of them.
#[derive(Clone, Default)]
pub struct MemorySessions(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// Application and user, then session, so that a user's sessions are found without a search.
    users: BTreeMap<(String, String), BTreeMap<String, Stored>>,
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

    /// Deletes what the rules name.
    #[must_use = "it says how much was deleted"]
    pub fn prune(&self, retention: &Retention) -> Pruned {
        let mut inner = self.inner();
        let limit = retention
            .older_than
            .map(|age| i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
        let oldest = limit.map(|micros| inner.now().plus_micros(-micros));
        let mut pruned = Pruned::default();
        for ((app, _), sessions) in &mut inner.users {
            if retention.app.as_ref().is_some_and(|only| only != app) {
                continue;
            }
            let before = sessions.len();
            if let Some(oldest) = oldest {
                sessions.retain(|_, stored| stored.session.updated_at >= oldest);
            }
            if let Some(most) = retention.at_most_per_user
                && sessions.len() > most
            {
                let mut times: Vec<Timestamp> = sessions
                    .values()
                    .map(|stored| stored.session.updated_at)
                    .collect();
                times.sort_unstable_by(|a, b| b.cmp(a));
                // No two moments are equal, so this is as many as are to go.
                let first_to_go = times.get(most).copied();
                sessions.retain(|_, stored| Some(stored.session.updated_at) > first_to_go);
            }
            pruned.sessions += (before - sessions.len()) as u64;
        }
        inner.users.retain(|_, sessions| !sessions.is_empty());
        pruned
    }
}

impl Inner {
    /// A moment that was not given out before, so that sessions have an order.
    fn now(&mut self) -> Timestamp {
        self.clock = Timestamp::now().max(self.clock.plus_micros(1));
        self.clock
    }

    fn stored(&mut self, key: &SessionKey) -> Result<&mut Stored, SessionError> {
        self.users
            .get_mut(&(key.app.clone(), key.user.clone()))
            .and_then(|sessions| sessions.get_mut(&key.id))
            .ok_or_else(|| SessionError::new(SessionErrorKind::NotFound, "no such session"))
    }
}

fn conflict(context: impl Into<String>) -> SessionError {
    SessionError::new(SessionErrorKind::Conflict, context)
}

/// Applies what an event remembers and forgets.
pub(crate) fn apply(state: &mut State, delta: &State) {
    for (name, value) in delta {
        if value.is_null() {
            state.remove(name);
        } else {
            state.insert(name.clone(), value.clone());
        }
    }
}

impl fmt::Debug for MemorySessions {
    /// How much it holds, not what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sessions: usize = self.inner().users.values().map(BTreeMap::len).sum();
        f.debug_struct("MemorySessions")
            .field("sessions", &sessions)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl SessionStore for MemorySessions {
    async fn create(&self, key: &SessionKey, state: &State) -> Result<Session, SessionError> {
        let mut inner = self.inner();
        let now = inner.now();
        let user = (key.app.clone(), key.user.clone());
        let sessions = inner.users.entry(user).or_default();
        if sessions.contains_key(&key.id) {
            return Err(conflict("the session exists already"));
        }
        let session = Session::new(key.clone(), state.clone(), now);
        let stored = Stored {
            session: session.clone(),
            events: Vec::new(),
            ids: HashSet::new(),
        };
        sessions.insert(key.id.clone(), stored);
        Ok(session)
    }

    async fn session(&self, key: &SessionKey) -> Result<Option<Session>, SessionError> {
        Ok(self
            .inner()
            .stored(key)
            .ok()
            .map(|stored| stored.session.clone()))
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
            return Err(elsewhere(at, expected));
        }
        let mut fresh = HashSet::new();
        for event in events {
            if stored.ids.contains(&event.id) || !fresh.insert(event.id.clone()) {
                return Err(twice());
            }
        }
        if events.is_empty() {
            return Ok(at);
        }
        for event in events {
            apply(&mut stored.session.state, &event.state_delta);
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
        let events = &inner.stored(key)?.events;
        let from = usize::try_from(from.0).unwrap_or(usize::MAX);
        Ok(events.iter().skip(from).take(limit).cloned().collect())
    }

    async fn list(&self, app: &str, user: &str) -> Result<Vec<Session>, SessionError> {
        let inner = self.inner();
        let sessions = inner.users.get(&(app.to_owned(), user.to_owned()));
        let mut found: Vec<Session> = sessions
            .into_iter()
            .flat_map(BTreeMap::values)
            .map(|stored| stored.session.clone())
            .collect();
        found.sort_by_key(|session| std::cmp::Reverse(session.updated_at));
        Ok(found)
    }

    async fn delete(&self, key: &SessionKey) -> Result<bool, SessionError> {
        let mut inner = self.inner();
        let user = (key.app.clone(), key.user.clone());
        let Some(sessions) = inner.users.get_mut(&user) else {
            return Ok(false);
        };
        let was_there = sessions.remove(&key.id).is_some();
        if sessions.is_empty() {
            inner.users.remove(&user);
        }
        Ok(was_there)
    }
}

/// The session is at another position than the caller thinks.
pub(crate) fn elsewhere(at: Position, expected: Position) -> SessionError {
    let (at, expected) = (at.0, expected.0);
    conflict(format!(
        "at position {at}, not {expected}; read the session and try again"
    ))
}

/// An event identifier that is not new.
pub(crate) fn twice() -> SessionError {
    conflict("an event of this identifier is there already")
}
