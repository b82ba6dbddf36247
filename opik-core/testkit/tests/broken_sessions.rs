//! Session stores with one defect each: the suite has to find every one, in the case that names it.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use opik_core::session::{Position, State};
use opik_core::{Event, Message, Session, SessionError, SessionKey, SessionStore};
use opik_testkit::{MemorySessions, SessionPlace, session_suite};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Defect {
    None,
    OverwritesAtAWrongPosition,
    HalfAppends,
    LeaksOtherUsers,
    FoldsCase,
    TrimsKeys,
    JoinsKeyParts,
    OrdersByTime,
    LosesTheRace,
    KeepsNulls,
    ForgetsToolCalls,
    KeepsEventsOfTheDeleted,
    ListsInOrderOfCreation,
    CachesSessions,
    IgnoresTheLimit,
}

#[derive(Debug, Clone)]
struct Broken {
    defect: Defect,
    store: MemorySessions,
    keys: Arc<Mutex<HashSet<SessionKey>>>,
    nulls: Arc<Mutex<HashMap<SessionKey, State>>>,
    trash: Arc<Mutex<HashMap<SessionKey, Vec<Event>>>>,
    cache: Arc<Mutex<HashMap<SessionKey, Session>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Broken {
    fn new(defect: Defect) -> Self {
        Self {
            defect,
            store: MemorySessions::new(),
            keys: Arc::default(),
            nulls: Arc::default(),
            trash: Arc::default(),
            cache: Arc::default(),
        }
    }

    /// Another handle: the same data, a cache of its own.
    fn other(&self) -> Self {
        Self {
            cache: Arc::default(),
            ..self.clone()
        }
    }

    fn key(&self, key: &SessionKey) -> SessionKey {
        match self.defect {
            Defect::FoldsCase => {
                let lower = |part: &str| part.to_lowercase();
                SessionKey::new(lower(&key.app), lower(&key.user), lower(&key.id))
            }
            Defect::TrimsKeys => {
                SessionKey::new(key.app.trim_end(), key.user.trim_end(), key.id.trim_end())
            }
            Defect::JoinsKeyParts => {
                SessionKey::new(format!("{}:{}", key.app, key.user), "", &key.id)
            }
            _ => key.clone(),
        }
    }
}

#[async_trait]
impl SessionStore for Broken {
    async fn create(&self, key: &SessionKey, state: &State) -> Result<Session, SessionError> {
        lock(&self.keys).insert(key.clone());
        let session = self.store.create(&self.key(key), state).await?;
        let old = lock(&self.trash).remove(key);
        if let Some(old) = old {
            self.store.append(key, Position(0), &old).await?;
        }
        Ok(session)
    }

    async fn session(&self, key: &SessionKey) -> Result<Option<Session>, SessionError> {
        let mut found = self.store.session(&self.key(key)).await?;
        if self.defect == Defect::CachesSessions {
            return Ok(found.map(|session| {
                lock(&self.cache)
                    .entry(key.clone())
                    .or_insert(session)
                    .clone()
            }));
        }
        if let (Some(session), Some(nulls)) = (&mut found, lock(&self.nulls).get(key)) {
            session.state.extend(nulls.clone());
        }
        Ok(found)
    }

    async fn append(
        &self,
        key: &SessionKey,
        expected: Position,
        events: &[Event],
    ) -> Result<Position, SessionError> {
        let key = &self.key(key);
        match self.defect {
            Defect::OverwritesAtAWrongPosition => {
                let at = self
                    .store
                    .session(key)
                    .await?
                    .map_or(expected, |session| session.position);
                self.store.append(key, at, events).await
            }
            Defect::LosesTheRace => {
                let before = self
                    .store
                    .session(key)
                    .await?
                    .map(|session| session.position);
                if before != Some(expected) {
                    return self.store.append(key, expected, events).await;
                }
                tokio::task::yield_now().await;
                let at = self
                    .store
                    .session(key)
                    .await?
                    .map_or(expected, |session| session.position);
                self.store.append(key, at, events).await
            }
            Defect::HalfAppends if !events.is_empty() => {
                let mut at = expected;
                for event in events {
                    at = self
                        .store
                        .append(key, at, std::slice::from_ref(event))
                        .await?;
                }
                Ok(at)
            }
            Defect::KeepsNulls => {
                let deltas = events.iter().flat_map(|event| &event.state_delta);
                let nulls = deltas.filter(|(_, value)| value.is_null());
                let nulls: State = nulls
                    .map(|(name, value)| (name.clone(), value.clone()))
                    .collect();
                lock(&self.nulls)
                    .entry(key.clone())
                    .or_default()
                    .extend(nulls);
                self.store.append(key, expected, events).await
            }
            _ => self.store.append(key, expected, events).await,
        }
    }

    async fn events(
        &self,
        key: &SessionKey,
        from: Position,
        limit: usize,
    ) -> Result<Vec<Event>, SessionError> {
        let key = &self.key(key);
        let limit = match self.defect {
            Defect::IgnoresTheLimit => usize::MAX,
            _ => limit,
        };
        let mut found = self.store.events(key, from, limit).await?;
        if self.defect == Defect::OrdersByTime {
            found.sort_by_key(|event| event.timestamp);
        }
        if self.defect == Defect::ForgetsToolCalls {
            for message in found.iter_mut().filter_map(|event| event.message.as_mut()) {
                *message = Message::text(message.role, message.words());
            }
        }
        Ok(found)
    }

    async fn list(&self, app: &str, user: &str) -> Result<Vec<Session>, SessionError> {
        if self.defect == Defect::LeaksOtherUsers {
            let mut users: Vec<String> = {
                let keys = lock(&self.keys);
                keys.iter()
                    .filter(|key| key.app == app)
                    .map(|key| key.user.clone())
                    .collect()
            };
            users.sort_unstable();
            users.dedup();
            let mut all = Vec::new();
            for user in users {
                all.extend(self.store.list(app, &user).await?);
            }
            return Ok(all);
        }
        let folded = self.key(&SessionKey::new(app, user, ""));
        let mut found = self.store.list(&folded.app, &folded.user).await?;
        if self.defect == Defect::ListsInOrderOfCreation {
            found.sort_by_key(|session| session.created_at);
        }
        Ok(found)
    }

    async fn delete(&self, key: &SessionKey) -> Result<bool, SessionError> {
        if self.defect == Defect::KeepsEventsOfTheDeleted
            && let Ok(old) = self.store.events(key, Position(0), usize::MAX).await
        {
            lock(&self.trash).insert(key.clone(), old);
        }
        self.store.delete(&self.key(key)).await
    }
}

async fn run(defect: Defect) -> opik_testkit::SuiteReport {
    let make = || async {
        let store = Broken::new(defect);
        let other = Arc::new(store.other());
        SessionPlace::new(Arc::new(store)).with_other_handle(other)
    };
    session_suite(make, &[]).await
}

#[tokio::test]
async fn every_defect_fails_in_the_case_that_names_it() {
    for (defect, case) in [
        (
            Defect::OverwritesAtAWrongPosition,
            "append_elsewhere_is_a_conflict",
        ),
        (Defect::HalfAppends, "append_takes_all_or_none"),
        (
            Defect::LeaksOtherUsers,
            "other_users_and_applications_are_not_touched",
        ),
        (Defect::FoldsCase, "keys_differ_by_part_case_and_space"),
        (Defect::TrimsKeys, "keys_differ_by_part_case_and_space"),
        (Defect::JoinsKeyParts, "keys_differ_by_part_case_and_space"),
        (
            Defect::OrdersByTime,
            "events_are_in_order_and_cut_by_position_and_limit",
        ),
        (Defect::LosesTheRace, "of_several_appenders_one_wins"),
        (Defect::KeepsNulls, "state_is_the_first_with_every_delta"),
        (Defect::ForgetsToolCalls, "events_are_read_back_equal"),
        (
            Defect::KeepsEventsOfTheDeleted,
            "a_deleted_session_is_gone_with_its_events",
        ),
        (
            Defect::ListsInOrderOfCreation,
            "the_session_changed_last_is_listed_first",
        ),
        (Defect::CachesSessions, "append_moves_the_position"),
        (Defect::CachesSessions, "another_handle_sees_the_same"),
        (
            Defect::IgnoresTheLimit,
            "events_are_in_order_and_cut_by_position_and_limit",
        ),
    ] {
        let report = run(defect).await;
        assert!(report.has_failed(case), "{defect:?} {case}\n{report}");
        assert!(
            report.passed.len() > report.failed.len(),
            "{defect:?}\n{report}"
        );
    }
}

#[tokio::test]
async fn without_a_defect_the_same_store_passes() {
    run(Defect::None).await.assert_ok();
}
