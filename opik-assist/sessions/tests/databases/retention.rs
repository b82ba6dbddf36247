//! What is deleted, and what is not.

use std::time::Duration;

use opik_core::session::{Position, State};
use opik_core::{Event, SessionKey, SessionStore as _, Timestamp};
use opik_sessions::{Retention, SessionOptions, Sessions, open};

use crate::place::Kind;

/// Sessions 0 to 4 of two users and of another application, made in this order, one event each.
async fn fill(store: &Sessions) {
    for (app, user) in [("app", "ada"), ("app", "bob"), ("other", "ada")] {
        for id in 0..5 {
            let key = SessionKey::new(app, user, id.to_string());
            store.create(&key, &State::new()).await.unwrap();
            let event = Event::new("e", "t", "user", Timestamp::EPOCH);
            store.append(&key, Position(0), &[event]).await.unwrap();
        }
    }
}

async fn ids(store: &Sessions, app: &str, user: &str) -> Vec<String> {
    let listed = store.list(app, user).await.unwrap();
    listed.into_iter().map(|session| session.key.id).collect()
}

async fn check(store: &Sessions) {
    fill(store).await;
    let hour = Duration::from_secs(3_600);
    let nothing = store
        .prune(&Retention::new().older_than(hour).at_most_per_user(5))
        .await
        .unwrap();
    assert_eq!((nothing.sessions, nothing.orphans), (0, 0));

    let pruned = store
        .prune(&Retention::new().at_most_per_user(2).app("app"))
        .await
        .unwrap();
    assert_eq!(pruned.sessions, 6);
    assert_eq!(ids(store, "app", "ada").await, ["4", "3"]);
    assert_eq!(ids(store, "app", "bob").await, ["4", "3"]);
    assert_eq!(ids(store, "other", "ada").await.len(), 5);

    let pruned = store
        .prune(&Retention::new().older_than(Duration::ZERO).app("app"))
        .await
        .unwrap();
    assert_eq!(pruned.sessions, 4);
    assert!(ids(store, "app", "ada").await.is_empty());
    assert_eq!(ids(store, "other", "ada").await.len(), 5);
    let pruned = store
        .prune(&Retention::new().at_most_per_user(0))
        .await
        .unwrap();
    assert_eq!(pruned.sessions, 5);
}

#[tokio::test]
async fn old_and_surplus_sessions_are_deleted_with_their_events() {
    check(&open("memory:", SessionOptions::new()).await.unwrap()).await;
    for kind in Kind::ALL {
        let Some(place) = kind.fresh("old_and_surplus_sessions_are_deleted_with_their_events")
        else {
            continue;
        };
        check(&place.open().await).await;
        for table in ["sessions", "events", "opik_sessions", "opik_events"] {
            let left = place.run(&format!("SELECT COUNT(*) FROM {table}"));
            assert_eq!(left.trim(), "0", "{kind:?}: {table}");
        }
    }
}

#[tokio::test]
async fn what_the_python_program_used_lately_is_not_old() {
    for kind in Kind::ALL {
        let test = "what_the_python_program_used_lately_is_not_old";
        let Some(place) = kind.fresh(test) else {
            continue;
        };
        let store = place.open().await;
        fill(&store).await;
        // ADK 1.10 changes the time of a session only with its state.
        place.run(
            "UPDATE sessions SET update_time = '2020-01-01 00:00:00', create_time = '2020-01-01 00:00:00'; \
             DELETE FROM opik_sessions; \
             UPDATE events SET timestamp = '2020-01-01 00:00:00' WHERE session_id <> '3'; \
             UPDATE events SET timestamp = '2037-01-01 00:00:00' WHERE session_id = '3';",
        );
        let day = Duration::from_secs(86_400);
        let pruned = store
            .prune(&Retention::new().older_than(day))
            .await
            .unwrap();
        assert_eq!(pruned.sessions, 12, "{kind:?}");
        assert_eq!(ids(&store, "app", "ada").await, ["3"], "{kind:?}");
    }
}
