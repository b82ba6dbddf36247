//! The two layouts of ADK: tables equal to its own, and the way from one to the other.

use opik_core::session::{Position, SessionErrorKind, State, ToolCall};
use opik_core::{Event, Json, Message, Part, Role, SessionKey, SessionStore as _, Timestamp};
use opik_sessions::{Layout, SessionOptions, open};
use serde_json::{Value, json};

use crate::adk::{self, APP, Made, SESSION, USER};
use crate::place::{Kind, Place};

/// Columns of ADK's tables, as the database describes them.
fn columns(place: &Place) -> String {
    let tables = "'sessions', 'events', 'app_states', 'user_states', 'adk_internal_metadata'";
    place.run(&match place.kind() {
        Kind::Sqlite => format!(
            "SELECT m.name, c.name, c.type, c.\"notnull\", c.pk FROM sqlite_master m \
             JOIN pragma_table_info(m.name) c WHERE m.name IN ({tables}) ORDER BY m.name, c.cid"
        ),
        Kind::MariaDb => format!(
            "SELECT table_name, column_name, column_type, is_nullable, column_key \
             FROM information_schema.columns WHERE table_schema = DATABASE() \
             AND table_name IN ({tables}) ORDER BY table_name, ordinal_position"
        ),
        Kind::Postgres => format!(
            "SELECT table_name, column_name, data_type, character_maximum_length, is_nullable \
             FROM information_schema.columns WHERE table_name IN ({tables}) \
             ORDER BY table_name, ordinal_position"
        ),
    })
}

#[tokio::test]
async fn our_tables_are_those_of_adk() {
    for kind in Kind::ALL {
        for (made, layout) in [(Made::Old, Layout::V0), (Made::New, Layout::V1)] {
            let test = "our_tables_are_those_of_adk";
            let (Some(theirs), Some(ours)) = (kind.fresh(test), kind.fresh(test)) else {
                continue;
            };
            theirs.run(adk::ddl(kind, made));
            ours.open_with(SessionOptions::new().layout(layout)).await;
            // What opening adds to theirs: an index, which MySQL shows with the column.
            theirs.open().await;
            assert_eq!(columns(&ours), columns(&theirs), "{kind:?} {made:?}");
            assert!(columns(&ours).lines().count() >= 22);
        }
    }
}

fn key() -> SessionKey {
    SessionKey::new(APP, USER, SESSION)
}

/// An event that ADK's columns hold only in part.
fn odd() -> Event {
    let call = ToolCall {
        id: "1".to_owned(),
        name: "read".to_owned(),
        arguments: Json::parse("[1.0e2, \"\\u0000\"]").unwrap(),
    };
    let parts = vec![Part::Text("a\0b".to_owned()), Part::ToolCall(call)];
    let mut event = Event::new("odd", "turn", "agent", Timestamp::from_micros(-5));
    event.message = Some(Message::new(Role::Assistant, parts));
    event.state_delta = json!({"text": "\0", "number": 1e300, "list": [1, {"a": null}]})
        .as_object()
        .cloned()
        .unwrap();
    event.error_code = Some("x".repeat(300));
    event.error_message = Some("é\0".repeat(2_000));
    event
}

#[tokio::test]
async fn a_database_is_migrated_in_place_and_keeps_its_history() {
    for kind in Kind::ALL {
        for made in [Made::Old, Made::Late] {
            let Some(place) = kind.fresh("a_database_is_migrated_in_place_and_keeps_its_history")
            else {
                continue;
            };
            adk::make(&place, made);
            if made == Made::Late {
                place.run("UPDATE events SET usage_metadata = '{\"total_token_count\": 7}', partial = FALSE;");
            }
            let old = place.open().await;
            old.append(&key(), Position(13), &[odd()]).await.unwrap();
            let before = old.events(&key(), Position(0), 100).await.unwrap();
            let session = old.session(&key()).await.unwrap();
            old.close().await;

            let new = place
                .open_with(SessionOptions::new().layout(Layout::V1))
                .await;
            assert_eq!(new.layout(), Some(Layout::V1), "{kind:?} {made:?}");
            let after = new.events(&key(), Position(0), 100).await.unwrap();
            assert_eq!(after, before, "{kind:?} {made:?}");
            assert_eq!(new.session(&key()).await.unwrap(), session);
            new.append(
                &key(),
                Position(14),
                &[Event::new("more", "turn", "user", Timestamp::EPOCH)],
            )
            .await
            .unwrap();

            let document =
                place.run("SELECT event_data FROM events WHERE invocation_id = 'session_setup'");
            let document: Value = serde_json::from_str(document.trim()).unwrap();
            assert_eq!(
                document["actions"]["state_delta"]["trace_id"],
                "0198ec6e-2222-7000-8000-000000000500"
            );
            assert_eq!(document["timestamp"], json!(1_795_170_697.495_031));
            if made == Made::Late {
                assert_eq!(document["usage_metadata"], json!({"total_token_count": 7}));
                assert_eq!(document["partial"], json!(false));
            }
            let key_column = if kind == Kind::MariaDb {
                "`key`"
            } else {
                "\"key\""
            };
            let version = format!(
                "SELECT value FROM adk_internal_metadata WHERE {key_column} = 'schema_version'"
            );
            assert_eq!(place.run(&version).trim(), "1");

            // There is no way back, and Auto stays with what is there.
            let auto = place.open().await;
            assert_eq!(auto.layout(), Some(Layout::V1));
            let refused = open(&place.uri(), SessionOptions::new().layout(Layout::V0)).await;
            assert_eq!(refused.unwrap_err().kind(), SessionErrorKind::Invalid);
            // The columns of a database that was migrated are those of a new one.
            let fresh = kind.fresh("columns").unwrap();
            fresh
                .open_with(SessionOptions::new().layout(Layout::V1))
                .await;
            assert_eq!(columns(&place), columns(&fresh), "{kind:?} {made:?}");
        }
    }
}

#[tokio::test]
async fn tables_of_another_program_and_of_a_newer_version_are_refused() {
    for kind in Kind::ALL {
        let test = "tables_of_another_program_and_of_a_newer_version_are_refused";
        let Some(place) = kind.fresh(test) else {
            continue;
        };
        place.run("CREATE TABLE sessions (id VARCHAR(10) NOT NULL, token VARCHAR(10));");
        let refused = open(&place.uri(), SessionOptions::new()).await.unwrap_err();
        assert_eq!(
            refused.kind(),
            SessionErrorKind::Invalid,
            "{kind:?}: {refused}"
        );
        assert!(refused.to_string().contains("another program"), "{refused}");

        let place = kind.fresh(test).unwrap();
        place.open().await.close().await;
        place.run("INSERT INTO opik_session_schema (version) VALUES (99);");
        let refused = open(&place.uri(), SessionOptions::new()).await.unwrap_err();
        assert!(refused.to_string().contains("newer version"), "{refused}");
    }
}

#[tokio::test]
async fn everything_odd_is_read_back_equal_in_both_layouts() {
    for kind in Kind::ALL {
        for layout in [Layout::V0, Layout::V1] {
            let Some(place) = kind.fresh("everything_odd_is_read_back_equal_in_both_layouts")
            else {
                continue;
            };
            let store = place.open_with(SessionOptions::new().layout(layout)).await;
            let key = SessionKey::new("app", "user", "odd");
            let state =
                json!({"\0": ["\0"], "big": 1e300, "exact": 0.1, "n": 18446744073709551615u64});
            let state: State = state.as_object().cloned().unwrap();
            let made = store.create(&key, &state).await.unwrap();
            assert_eq!(
                store.session(&key).await.unwrap().as_ref(),
                Some(&made),
                "{kind:?}"
            );
            store.append(&key, Position(0), &[odd()]).await.unwrap();
            let found = store.events(&key, Position(0), 10).await.unwrap();
            assert_eq!(found, [odd()], "{kind:?} {layout:?}");
            let found = store.session(&key).await.unwrap().unwrap();
            let mut expected = state;
            expected.extend(odd().state_delta);
            assert_eq!(found.state, expected, "{kind:?} {layout:?}");
        }
    }
}

/// What a crash leaves in MySQL, where changes of tables are no part of a transaction.
#[tokio::test]
async fn a_migration_that_was_cut_anywhere_is_brought_to_its_end() {
    let test = "a_migration_that_was_cut_anywhere_is_brought_to_its_end";
    let collate = "CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin;";
    let cuts = [
        "ALTER TABLE events DROP FOREIGN KEY events_ibfk_1;".to_owned(),
        format!(
            "ALTER TABLE events DROP FOREIGN KEY events_ibfk_1; ALTER TABLE sessions {collate}"
        ),
        format!(
            "ALTER TABLE events DROP FOREIGN KEY events_ibfk_1; ALTER TABLE sessions {collate} \
             ALTER TABLE events {collate} DELETE FROM sessions WHERE id = 'nobody';"
        ),
        // In the middle of the copy.
        "CREATE TABLE opik_new_events (id INT); INSERT INTO opik_new_events VALUES (1);".to_owned(),
    ];
    for cut in cuts {
        for layout in [Layout::V0, Layout::V1] {
            let Some(place) = Kind::MariaDb.fresh(test) else {
                return;
            };
            adk::make(&place, Made::Old);
            place.run(&cut);
            let store = place.open_with(SessionOptions::new().layout(layout)).await;
            let session = store.session(&key()).await.unwrap().unwrap();
            assert_eq!(session.position, Position(13), "{cut}");
            let references = "SELECT COUNT(*) FROM information_schema.referential_constraints \
                 WHERE constraint_schema = DATABASE() AND referenced_table_name = 'sessions'";
            assert_eq!(place.run(references).trim(), "3", "{cut}");
        }
    }
    // After the tables changed places.
    let Some(place) = Kind::MariaDb.fresh(test) else {
        return;
    };
    adk::make(&place, Made::Old);
    place
        .open_with(SessionOptions::new().layout(Layout::V1))
        .await;
    let whole = columns(&place);
    place.run(
        "DELETE FROM adk_internal_metadata; CREATE TABLE opik_old_events (id INT); \
         ALTER TABLE sessions MODIFY update_time DATETIME NOT NULL;",
    );
    let store = place.open().await;
    assert_eq!(columns(&place), whole);
    assert_eq!(place.run("SHOW TABLES LIKE 'opik_old_events'"), "");
    assert_eq!(
        place.run("SELECT value FROM adk_internal_metadata").trim(),
        "1"
    );
    assert_eq!(
        store.events(&key(), Position(0), 99).await.unwrap().len(),
        13
    );
}

#[tokio::test]
async fn a_layout_that_nobody_knows_yet_is_refused() {
    for kind in Kind::ALL {
        let Some(place) = kind.fresh("a_layout_that_nobody_knows_yet_is_refused") else {
            continue;
        };
        adk::make(&place, Made::New);
        place.run("UPDATE adk_internal_metadata SET value = '2';");
        let refused = open(&place.uri(), SessionOptions::new()).await.unwrap_err();
        assert_eq!(
            refused.kind(),
            SessionErrorKind::Invalid,
            "{kind:?}: {refused}"
        );
    }
}
