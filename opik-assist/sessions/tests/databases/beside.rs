//! The Python program at work on the same database at the same time.

use opik_core::session::{Position, SessionErrorKind, State};
use opik_core::{Event, Message, Role, SessionKey, SessionStore as _, Timestamp};
use serde_json::json;

use crate::adk;
use crate::place::{Kind, Place};

fn key() -> SessionKey {
    SessionKey::new("app", "user", "session")
}

fn ours(id: &str) -> Event {
    Event::new(id, "turn", "user", Timestamp::now()).with_message(Message::text(Role::User, id))
}

/// Appends an event as the Python program does.
fn theirs(place: &Place, id: &str, time: &str) {
    let row = json!({
        "id": id, "app_name": "app", "user_id": "user", "session_id": "session",
        "invocation_id": "e-1", "author": "data_analyzer", "timestamp": time,
        "content": "{\"parts\": [{\"text\": \"theirs\"}], \"role\": \"model\"}",
        "actions_hex": "80057D942E",
    });
    place.run(&adk::insert(place.kind(), "events", &row));
}

#[tokio::test]
async fn events_of_the_python_program_count_and_get_their_place() {
    for kind in Kind::ALL {
        let test = "events_of_the_python_program_count_and_get_their_place";
        let Some(place) = kind.fresh(test) else {
            continue;
        };
        let store = place.open().await;
        store.create(&key(), &State::new()).await.unwrap();
        store
            .append(&key(), Position(0), &[ours("1"), ours("2")])
            .await
            .unwrap();
        // Their clock may go after ours; their events still come after those that were there.
        theirs(&place, "4", "2020-01-01 00:00:02.000000");
        theirs(&place, "3", "2020-01-01 00:00:01.000000");

        let session = store.session(&key()).await.unwrap().unwrap();
        assert_eq!(session.position, Position(4), "{kind:?}");
        let late = store
            .append(&key(), Position(2), &[ours("5")])
            .await
            .unwrap_err();
        assert_eq!(late.kind(), SessionErrorKind::Conflict);
        store
            .append(&key(), Position(4), &[ours("5")])
            .await
            .unwrap();
        theirs(&place, "6", "2020-01-01 00:00:00.000000");
        let events = store.events(&key(), Position(0), 100).await.unwrap();
        let ids: Vec<&str> = events.iter().map(|event| event.id.as_str()).collect();
        assert_eq!(ids, ["1", "2", "3", "4", "5", "6"], "{kind:?}");
        assert_eq!(events[2].message.as_ref().unwrap().words(), "theirs");

        // An event that they wrote is there, whoever appends it again.
        let twice = store
            .append(&key(), Position(6), &[ours("6")])
            .await
            .unwrap_err();
        assert_eq!(twice.kind(), SessionErrorKind::Conflict, "{kind:?}");
    }
}

#[tokio::test]
async fn state_that_the_python_program_changed_counts() {
    for kind in Kind::ALL {
        let test = "state_that_the_python_program_changed_counts";
        let Some(place) = kind.fresh(test) else {
            continue;
        };
        let store = place.open().await;
        let state = json!({"n": 1.5, "text": "a\0"})
            .as_object()
            .cloned()
            .unwrap();
        store.create(&key(), &state).await.unwrap();
        assert_eq!(
            store.session(&key()).await.unwrap().unwrap().state,
            state,
            "{kind:?}"
        );
        place.run("UPDATE sessions SET state = '{\"n\": 2}';");
        let changed = json!({"n": 2}).as_object().cloned().unwrap();
        assert_eq!(
            store.session(&key()).await.unwrap().unwrap().state,
            changed,
            "{kind:?}"
        );
        let mut event = ours("1");
        event.state_delta = json!({"m": 1}).as_object().cloned().unwrap();
        store.append(&key(), Position(0), &[event]).await.unwrap();
        let changed = json!({"n": 2, "m": 1}).as_object().cloned().unwrap();
        assert_eq!(
            store.session(&key()).await.unwrap().unwrap().state,
            changed,
            "{kind:?}"
        );
    }
}

#[tokio::test]
async fn a_session_that_the_python_program_deleted_and_made_anew_begins_anew() {
    for kind in Kind::ALL {
        let test = "a_session_that_the_python_program_deleted_and_made_anew_begins_anew";
        let Some(place) = kind.fresh(test) else {
            continue;
        };
        let store = place.open().await;
        store.create(&key(), &State::new()).await.unwrap();
        store
            .append(&key(), Position(0), &[ours("1"), ours("2")])
            .await
            .unwrap();
        let script = "DELETE FROM sessions; \
             INSERT INTO sessions (app_name, user_id, id, state, create_time, update_time) VALUES \
             ('app', 'user', 'session', '{}', '2030-01-01 00:00:00', '2030-01-01 00:00:00');";
        // In SQLite their events stay behind, and they come back with the session: for them too.
        place.run(script);
        let left = if kind == Kind::Sqlite { 2 } else { 0 };
        let session = store.session(&key()).await.unwrap().unwrap();
        assert_eq!(session.position, Position(left), "{kind:?}");
        assert_eq!(
            session.created_at.to_string(),
            "2030-01-01T00:00:00.000000Z"
        );
        store
            .append(&key(), Position(left), &[ours("3")])
            .await
            .unwrap();
        let events = store.events(&key(), Position(left), 10).await.unwrap();
        assert_eq!(events.len(), 1, "{kind:?}");
    }
}

#[tokio::test]
async fn orphans_of_the_python_program_do_not_come_back() {
    let place = Kind::Sqlite.fresh("orphans").unwrap();
    let store = place.open().await;
    let other = SessionKey::new("app", "user", "other");
    for key in [key(), other.clone()] {
        store.create(&key, &State::new()).await.unwrap();
        store
            .append(&key, Position(0), &[ours("1"), ours("2")])
            .await
            .unwrap();
    }
    place.run("DELETE FROM sessions;");
    for key in [key(), other] {
        assert!(store.session(&key).await.unwrap().is_none());
        let gone = store.events(&key, Position(0), 10).await.unwrap_err();
        assert_eq!(gone.kind(), SessionErrorKind::NotFound);
    }
    let again = store.create(&key(), &State::new()).await.unwrap();
    assert_eq!(again.position, Position(0));
    assert!(
        store
            .events(&key(), Position(0), 10)
            .await
            .unwrap()
            .is_empty()
    );
    store
        .append(&key(), Position(0), &[ours("1")])
        .await
        .unwrap();
    assert_eq!(place.run("SELECT COUNT(*) FROM events").trim(), "3");
    // Those of the other one go when room is made.
    let pruned = store.prune(&opik_sessions::Retention::new()).await.unwrap();
    assert_eq!((pruned.sessions, pruned.orphans), (0, 2));
    assert_eq!(place.run("SELECT COUNT(*) FROM opik_events").trim(), "1");
}
