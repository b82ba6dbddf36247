//! What a [`SessionStore`](opik_core::SessionStore) promises.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::sync::Arc;

use opik_core::session::State;
use opik_core::{SessionKey, SessionStore};
use serde_json::json;

use super::session_log as log;
use crate::report::{Outcome, Runner, Skip, SuiteReport, check, check_eq};

/// An empty session store: what a case of [`session_suite`] runs against.
pub struct SessionPlace {
    pub(super) store: Arc<dyn SessionStore>,
    pub(super) other: Arc<dyn SessionStore>,
    keep: Option<Box<dyn Any + Send>>,
}

impl SessionPlace {
    /// A store; its other handle is itself.
    #[must_use]
    pub fn new(store: Arc<dyn SessionStore>) -> Self {
        Self {
            other: Arc::clone(&store),
            store,
            keep: None,
        }
    }

    /// Another handle on the same data: a second connection, a second opening of the file.
    #[must_use]
    pub fn with_other_handle(mut self, other: Arc<dyn SessionStore>) -> Self {
        self.other = other;
        self
    }

    /// Keeps something alive as long as the store: a temporary folder, a server.
    #[must_use]
    pub fn keeping(mut self, what: impl Any + Send) -> Self {
        self.keep = Some(Box::new(what));
        self
    }
}

impl fmt::Debug for SessionPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionPlace")
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

/// Runs every case of the contract of [`SessionStore`](opik_core::SessionStore).
///
/// `make` returns an empty [`SessionPlace`] for each case. Cases, in order:
///
/// - `a_created_session_is_read_back`, `an_unknown_session_is_none`
/// - `creating_twice_is_a_conflict`: and leaves the first as it is
/// - `a_session_may_begin_with_events`: and their state
/// - `of_several_creators_one_wins`
/// - `append_moves_the_position`, `append_elsewhere_is_a_conflict`,
///   `append_to_an_unknown_session_is_not_found`, `an_empty_append_changes_nothing`
/// - `append_takes_all_or_none`: events that cannot go in cost the whole call
/// - `an_event_id_is_there_once`: in one call and across calls, and per session
/// - `of_several_appenders_one_wins`, `appenders_that_try_again_lose_nothing`
/// - `events_are_read_back_equal`: every kind of part, state, errors, text of any script
/// - `events_are_in_order_and_cut_by_position_and_limit`
/// - `events_of_an_unknown_session_are_not_found`
/// - `state_is_the_first_with_every_delta`: `null` forgets
/// - `another_handle_sees_the_same`
/// - `the_session_changed_last_is_listed_first`
/// - `other_users_and_applications_are_not_touched`
/// - `keys_differ_by_part_case_and_space`, `long_and_foreign_keys_are_kept`
/// - `a_deleted_session_is_gone_with_its_events`
pub async fn session_suite<F>(make: impl Fn() -> F, skips: &[Skip]) -> SuiteReport
where
    F: Future<Output = SessionPlace>,
{
    let mut run = Runner::new("session", skips);
    macro_rules! cases {
        ($($name:ident: $case:path),+ $(,)?) => {
            $(run.case(stringify!($name), || Box::pin(async { $case(make().await).await })).await;)+
        };
    }
    cases! {
        a_created_session_is_read_back: created,
        an_unknown_session_is_none: unknown,
        creating_twice_is_a_conflict: log::create_twice,
        a_session_may_begin_with_events: log::create_with_events,
        of_several_creators_one_wins: log::creators,
        append_moves_the_position: log::moves,
        append_elsewhere_is_a_conflict: log::elsewhere,
        append_to_an_unknown_session_is_not_found: log::append_unknown,
        an_empty_append_changes_nothing: log::empty_append,
        append_takes_all_or_none: log::all_or_none,
        an_event_id_is_there_once: log::ids_once,
        of_several_appenders_one_wins: log::appenders,
        appenders_that_try_again_lose_nothing: log::retries,
        events_are_read_back_equal: log::equal,
        events_are_in_order_and_cut_by_position_and_limit: log::in_order,
        events_of_an_unknown_session_are_not_found: log::events_unknown,
        state_is_the_first_with_every_delta: log::state,
        another_handle_sees_the_same: log::other_handle,
        the_session_changed_last_is_listed_first: listed,
        other_users_and_applications_are_not_touched: isolated,
        keys_differ_by_part_case_and_space: distinct_keys,
        long_and_foreign_keys_are_kept: odd_keys,
        a_deleted_session_is_gone_with_its_events: deleted,
    }
    run.finish()
}

pub(super) fn key() -> SessionKey {
    SessionKey::new("app", "ada", "session-1")
}

pub(super) fn first_state() -> State {
    let text = json!({"name": "Ada", "count": 1, "nested": {"list": [1, 2.5, null, "é"]}});
    text.as_object().cloned().unwrap_or_default()
}

async fn created(place: SessionPlace) -> Outcome {
    let made = place.store.create(&key(), &first_state()).await?;
    check_eq!(made.key, key(), "key");
    check_eq!(made.position.0, 0, "position of a new session");
    check_eq!(made.state, first_state(), "state");
    check!(
        made.updated_at >= made.created_at,
        "changed before it was made"
    );
    let found = place.store.session(&key()).await?;
    check_eq!(found, Some(made), "the session that is read back");
    let bare = SessionKey::new("app", "ada", "bare");
    place.store.create(&bare, &State::new()).await?;
    let found = place.store.session(&bare).await?;
    check_eq!(
        found.map(|session| session.state),
        Some(State::new()),
        "an empty state"
    );
    Ok(())
}

async fn unknown(place: SessionPlace) -> Outcome {
    check!(
        place.store.session(&key()).await?.is_none(),
        "a session that nobody made is found"
    );
    check_eq!(
        place.store.list("app", "ada").await?.len(),
        0,
        "sessions of a new user"
    );
    Ok(())
}

async fn listed(place: SessionPlace) -> Outcome {
    let [a, b, c] = ["a", "b", "c"].map(|id| SessionKey::new("app", "ada", id));
    for key in [&a, &b, &c] {
        place.store.create(key, &State::new()).await?;
        log::next_millisecond();
    }
    let listed = |sessions: Vec<opik_core::Session>| -> Vec<String> {
        sessions.into_iter().map(|session| session.key.id).collect()
    };
    let found = listed(place.store.list("app", "ada").await?);
    check_eq!(found, ["c", "b", "a"], "sessions as they were made");
    log::append(&place, &a, 0, &["one"]).await?;
    log::next_millisecond();
    let found = listed(place.store.list("app", "ada").await?);
    check_eq!(
        found,
        ["a", "c", "b"],
        "sessions after an append to the oldest"
    );
    log::append(&place, &b, 0, &["one", "two"]).await?;
    let sessions = place.store.list("app", "ada").await?;
    let positions: Vec<u64> = sessions.iter().map(|session| session.position.0).collect();
    check_eq!(positions, [2, 1, 0], "positions in the list");
    check_eq!(
        listed(sessions),
        ["b", "a", "c"],
        "sessions after another append"
    );
    Ok(())
}

async fn isolated(place: SessionPlace) -> Outcome {
    let keys = [
        SessionKey::new("app", "ada", "same"),
        SessionKey::new("app", "bob", "same"),
        SessionKey::new("other", "ada", "same"),
    ];
    for key in &keys {
        place.store.create(key, &State::new()).await?;
    }
    log::append(&place, &keys[0], 0, &["secret"]).await?;
    for (key, expected) in keys.iter().zip([1, 0, 0]) {
        let found = log::ids(&place, key).await?.len();
        check_eq!(found, expected, "events of {}/{}", key.app, key.user);
        let session = place.store.session(key).await?;
        let position = session.map(|session| session.position.0);
        check_eq!(
            position,
            Some(expected as u64),
            "position of {}/{}",
            key.app,
            key.user
        );
        let listed = place.store.list(&key.app, &key.user).await?;
        let listed: Vec<SessionKey> = listed.into_iter().map(|session| session.key).collect();
        check_eq!(
            listed,
            std::slice::from_ref(key),
            "sessions of {}/{}",
            key.app,
            key.user
        );
    }
    check!(
        place.store.delete(&keys[1]).await?,
        "the session of bob was not there"
    );
    check_eq!(
        log::ids(&place, &keys[0]).await?.len(),
        1,
        "events of ada after bob's are deleted"
    );
    check!(
        place.store.session(&keys[2]).await?.is_some(),
        "deleted in another application"
    );
    Ok(())
}

async fn distinct_keys(place: SessionPlace) -> Outcome {
    let keys = [
        SessionKey::new("a", "b", "c"),
        SessionKey::new("ab", "", "c"),
        SessionKey::new("a", "bc", ""),
        SessionKey::new("a:b", "c", "c"),
        SessionKey::new("a", "b:c", "c"),
        SessionKey::new("a/b", "c", "c"),
        SessionKey::new("A", "b", "c"),
        SessionKey::new("a", "B", "c"),
        SessionKey::new("a", "b", "C"),
        SessionKey::new("a", "b", "c "),
        SessionKey::new("a", "b ", "c"),
        SessionKey::new("a", "b", "%"),
        SessionKey::new("a", "b", "é"),
        SessionKey::new("a", "b", "e"),
        SessionKey::new("a", "b", "e\u{301}"),
    ];
    for (number, key) in (1u64..).zip(&keys) {
        let state = json!({"number": number})
            .as_object()
            .cloned()
            .unwrap_or_default();
        place.store.create(key, &state).await?;
    }
    for (number, key) in (1u64..).zip(&keys) {
        let found = place.store.session(key).await?;
        let number_found = found.and_then(|session| session.state.get("number")?.as_u64());
        check_eq!(number_found, Some(number), "the session of {key:?}");
    }
    let listed = place.store.list("a", "b").await?.len();
    check_eq!(listed, 7, "sessions of the user b of a");
    Ok(())
}

async fn odd_keys(place: SessionPlace) -> Outcome {
    let keys = [
        SessionKey::new("app", "ada", "x".repeat(128)),
        SessionKey::new("app", "ada", "日".repeat(128)),
        SessionKey::new("приложение", "Ада 🦀", "'; DROP TABLE sessions; --"),
        SessionKey::new("app", "ada", "line\nbreak\tand \"quotes\" \\ %_"),
    ];
    for key in &keys {
        place.store.create(key, &State::new()).await?;
        log::append(&place, key, 0, &["one"]).await?;
    }
    for key in &keys {
        let found = place.store.session(key).await?;
        check_eq!(
            found.map(|session| session.key),
            Some(key.clone()),
            "key that is read back"
        );
        check_eq!(log::ids(&place, key).await?, ["one"], "events");
    }
    Ok(())
}

async fn deleted(place: SessionPlace) -> Outcome {
    place.store.create(&key(), &first_state()).await?;
    log::append(&place, &key(), 0, &["one", "two"]).await?;
    check!(
        place.store.delete(&key()).await?,
        "a session that exists was not there to delete"
    );
    check!(
        place.store.session(&key()).await?.is_none(),
        "the session is still there"
    );
    check_eq!(
        place.store.list("app", "ada").await?.len(),
        0,
        "sessions that are listed"
    );
    check!(!place.store.delete(&key()).await?, "deleted twice");
    log::events_unknown(SessionPlace::new(Arc::clone(&place.store))).await?;
    // A new one of the same name begins at the beginning.
    let again = place.store.create(&key(), &State::new()).await?;
    check_eq!(again.position.0, 0, "position of the new session");
    check_eq!(
        log::ids(&place, &key()).await?.len(),
        0,
        "events of the new session"
    );
    check_eq!(again.state, State::new(), "state of the new session");
    log::append(&place, &key(), 0, &["one"]).await?;
    Ok(())
}
