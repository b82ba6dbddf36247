//! Keys: what is told apart, and what is refused.

use opik_core::session::{Position, SessionErrorKind, State};
use opik_core::{Event, Message, Role, SessionKey, SessionStore as _, Timestamp};

use crate::adk::{self, APP, Made, SESSION, USER};
use crate::place::Kind;

#[tokio::test]
async fn keys_that_are_too_long_are_refused_by_name() {
    for kind in Kind::ALL {
        let Some(place) = kind.fresh("keys_that_are_too_long_are_refused_by_name") else {
            continue;
        };
        let store = place.open().await;
        let long = "é".repeat(129);
        let keys = [
            ("application", SessionKey::new(long.as_str(), "u", "s")),
            ("user", SessionKey::new("a", long.as_str(), "s")),
            ("session id", SessionKey::new("a", "u", long.as_str())),
        ];
        for (name, key) in keys {
            let answers = [
                store.create(&key, &State::new()).await.map(drop),
                store.session(&key).await.map(drop),
                store.append(&key, Position(0), &[]).await.map(drop),
                store.events(&key, Position(0), 1).await.map(drop),
                store.delete(&key).await.map(drop),
            ];
            for answer in answers {
                let error = answer.unwrap_err();
                assert_eq!(error.kind(), SessionErrorKind::Invalid);
                let text = error.to_string();
                assert!(text.contains(name) && text.contains("129"), "{text}");
                assert!(!text.contains('é'), "{text}");
            }
        }
        let key = SessionKey::new("a", "u", "s");
        store.create(&key, &State::new()).await.unwrap();
        let event = Event::new(long, "t", "user", Timestamp::EPOCH);
        let error = store.append(&key, Position(0), &[event]).await.unwrap_err();
        assert!(error.to_string().contains("event id"), "{error}");
        assert!(store.events(&key, Position(0), 1).await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_nul_in_a_key_is_kept_or_refused_but_never_lost() {
    for kind in Kind::ALL {
        let Some(place) = kind.fresh("a_nul_in_a_key_is_kept_or_refused_but_never_lost") else {
            continue;
        };
        let store = place.open().await;
        let key = SessionKey::new("a", "u", "s\0");
        let made = store.create(&key, &State::new()).await;
        if kind == Kind::Postgres {
            let error = made.unwrap_err();
            assert_eq!(error.kind(), SessionErrorKind::Invalid);
            assert!(error.to_string().contains("NUL"), "{error}");
        } else {
            made.unwrap();
            assert!(store.session(&key).await.unwrap().is_some());
            let plain = SessionKey::new("a", "u", "s");
            assert!(store.session(&plain).await.unwrap().is_none(), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn keys_of_an_old_database_are_told_apart_once_it_was_opened() {
    for kind in Kind::ALL {
        let test = "keys_of_an_old_database_are_told_apart_once_it_was_opened";
        let Some(place) = kind.fresh(test) else {
            continue;
        };
        adk::make(&place, Made::Old);
        let store = place.open().await;
        for id in [SESSION.to_uppercase(), format!("{SESSION} ")] {
            let key = SessionKey::new(APP, USER, id);
            assert!(store.session(&key).await.unwrap().is_none(), "{kind:?}");
            store.create(&key, &State::new()).await.unwrap();
            assert!(
                store
                    .events(&key, Position(0), 10)
                    .await
                    .unwrap()
                    .is_empty()
            );
            assert!(store.delete(&key).await.unwrap());
        }
        let key = SessionKey::new(APP, USER, SESSION);
        let session = store.session(&key).await.unwrap().unwrap();
        assert_eq!(session.position, Position(13), "{kind:?}");
    }
}

#[tokio::test]
async fn an_event_that_is_too_large_for_the_server_is_refused_for_good() {
    let test = "an_event_that_is_too_large_for_the_server_is_refused_for_good";
    for kind in Kind::ALL {
        let Some(place) = kind.fresh(test) else {
            continue;
        };
        let store = place.open().await;
        let key = SessionKey::new("a", "u", "s");
        store.create(&key, &State::new()).await.unwrap();
        let event = |id: &str, bytes: usize| {
            Event::new(id, "t", "user", Timestamp::EPOCH)
                .with_message(Message::text(Role::User, "x".repeat(bytes)))
        };
        let small = event("1", 1_000_000);
        let large = event("2", 17_000_000);
        let answer = store
            .append(&key, Position(0), &[small.clone(), large])
            .await;
        let position = if kind == Kind::MariaDb {
            let error = answer.unwrap_err();
            assert_eq!(error.kind(), SessionErrorKind::Invalid, "{error}");
            assert!(!error.is_retryable() && error.to_string().contains("max_allowed_packet"));
            Position(0)
        } else {
            answer.unwrap()
        };
        let session = store.session(&key).await.unwrap().unwrap();
        assert_eq!(session.position, position, "{kind:?}");
        if position == Position(0) {
            store.append(&key, position, &[small]).await.unwrap();
        }
    }
}
