//! Databases of the Python program open with their history, and it can read ours.

use opik_core::session::{Position, State};
use opik_core::{Event, Message, Part, Role, SessionKey, SessionStore as _, Timestamp};
use opik_sessions::{Layout, SessionOptions};
use serde_json::{Value, json};

use crate::adk::{self, APP, Made, SESSION, USER};
use crate::place::{Kind, Place};

fn key() -> SessionKey {
    SessionKey::new(APP, USER, SESSION)
}

fn places(test: &str) -> impl Iterator<Item = Place> {
    Kind::ALL
        .into_iter()
        .filter_map(move |kind| kind.fresh(test))
}

/// Who said what, in short.
fn outline(event: &Event) -> String {
    let Some(message) = &event.message else {
        return format!(
            "{}: {}",
            event.author,
            event.error_code.as_deref().unwrap_or("-")
        );
    };
    let parts = message.parts.iter().map(|part| match part {
        Part::Text(text) => text.clone(),
        Part::ToolCall(call) => format!(
            "{}({}) {}",
            call.name,
            call.id,
            call.arguments.to_value().unwrap()
        ),
        Part::ToolResult(result) => format!("{} -> {}", result.id, result.name),
        _ => "?".to_owned(),
    });
    let parts: Vec<String> = parts.collect();
    format!("{} {:?}: {}", event.author, message.role, parts.join(" | "))
}

const HISTORY: [&str; 13] = [
    "system: -",
    "user User: Why is it slow? [[tool]]",
    "data_analyzer Assistant: Checking the root span. | get_span_details(call_A1) {\"include_input\":true,\"include_output\":true,\"span_id\":\"0198ec6e-1111-7000-8000-000000000001\"}",
    "data_analyzer Tool: call_A1 -> get_span_details",
    "data_analyzer Assistant: The trace part1 part2 part3 part4 part5 part6 is healthy.",
    "user User: second question, naïve ☃",
    "data_analyzer Assistant: The trace part1 part2 part3 part4 part5 part6 is healthy.",
    "user User: third [[parallel]]",
    "data_analyzer Assistant: Looking at two spans. | get_span_details(call_P1) {\"include_input\":true,\"span_id\":\"0198ec6e-1111-7000-8000-000000000001\"} | get_span_details(call_P2) {\"include_output\":true,\"span_id\":\"0198ec6e-1111-7000-8000-000000000002\"}",
    "data_analyzer Tool: call_P1 -> get_span_details | call_P2 -> get_span_details",
    "data_analyzer Assistant: The trace part1 part2 part3 part4 part5 part6 is healthy.",
    "user User: [[unknown]]",
    "data_analyzer Assistant: Trying something. | drop_all_tables(call_U1) {\"x\":1}",
];

fn question(id: &str) -> Event {
    Event::new(id, "turn", "user", Timestamp::EPOCH)
        .with_message(Message::text(Role::User, "And now?"))
}

#[tokio::test]
async fn a_database_of_the_python_program_opens_with_its_history() {
    for place in places("a_database_of_the_python_program_opens_with_its_history") {
        for made in [Made::Old, Made::Late] {
            let kind = place.kind();
            let Some(place) = kind.fresh("history") else {
                continue;
            };
            adk::make(&place, made);
            let store = place.open().await;
            assert_eq!(store.layout(), Some(Layout::V0), "{kind:?} {made:?}");

            let listed = store.list(APP, USER).await.unwrap();
            assert_eq!(listed.len(), 1, "{kind:?}");
            let session = store.session(&key()).await.unwrap().unwrap();
            assert_eq!(session, listed[0]);
            assert_eq!(session.position, Position(13));
            let trace = json!({"trace_id": "0198ec6e-2222-7000-8000-000000000500"});
            assert_eq!(Value::Object(session.state.clone()), trace);
            assert_eq!(
                session.created_at.to_string(),
                "2026-11-20T10:31:37.000000Z"
            );
            assert_eq!(
                session.updated_at.to_string(),
                "2026-11-20T10:31:42.957701Z"
            );

            let events = store.events(&key(), Position(0), 100).await.unwrap();
            let outlines: Vec<String> = events.iter().map(outline).collect();
            assert_eq!(outlines, HISTORY, "{kind:?}");
            assert_eq!(
                Value::Object(events[0].state_delta.clone()),
                trace,
                "from the pickle"
            );
            assert!(events[1..].iter().all(|event| event.state_delta.is_empty()));
            assert_eq!(
                events[0].timestamp.to_string(),
                "2026-11-20T10:31:37.495031Z"
            );
            let page = store.events(&key(), Position(5), 3).await.unwrap();
            assert_eq!(page, events[5..8]);
        }
    }
}

#[tokio::test]
async fn the_conversation_goes_on_and_the_old_rows_stay_as_they_were() {
    for place in places("the_conversation_goes_on_and_the_old_rows_stay_as_they_were") {
        let kind = place.kind();
        adk::make(&place, Made::Old);
        let store = place.open().await;
        let before = store.events(&key(), Position(0), 100).await.unwrap();
        let mut answer = question("answer");
        answer.state_delta = json!({"seen": true}).as_object().cloned().unwrap();
        let batch = [question("question"), answer];
        assert_eq!(
            store.append(&key(), Position(13), &batch).await.unwrap(),
            Position(15)
        );
        let after = store.events(&key(), Position(0), 100).await.unwrap();
        assert_eq!(after[..13], before, "{kind:?}");
        assert_eq!(after[13..], batch, "{kind:?}");

        // As the Python program reads it: by time, with actions that it can unpickle.
        let order = place.run("SELECT id FROM events ORDER BY timestamp, id DESC");
        let order: Vec<&str> = order.lines().map(str::trim).collect();
        let ids: Vec<&str> = after.iter().map(|event| event.id.as_str()).collect();
        assert_eq!(order, ids, "{kind:?}");
        let actions = match kind {
            Kind::Postgres => {
                "SELECT upper(encode(actions, 'hex')) FROM events WHERE id = 'answer'"
            }
            _ => "SELECT hex(actions) FROM events WHERE id = 'answer'",
        };
        assert_eq!(place.run(actions).trim(), "80057D942E", "{kind:?}");
        let content = place.run("SELECT content FROM events WHERE id = 'answer'");
        let content: Value = serde_json::from_str(content.trim()).unwrap();
        assert_eq!(
            content,
            json!({"parts": [{"text": "And now?"}], "role": "user"})
        );
        let state = place.run("SELECT state FROM sessions");
        let state: Value = serde_json::from_str(state.trim()).unwrap();
        assert_eq!(state["seen"], json!(true), "{kind:?}");
    }
}

#[tokio::test]
async fn a_database_of_the_newer_layout_opens_with_its_history_and_goes_on() {
    for place in places("a_database_of_the_newer_layout_opens_with_its_history_and_goes_on") {
        let kind = place.kind();
        adk::make(&place, Made::New);
        let store = place.open().await;
        assert_eq!(store.layout(), Some(Layout::V1));
        let listed = store.list(APP, USER).await.unwrap();
        assert_eq!(listed.len(), 2);
        let key = listed[0].key.clone();
        assert!(key.id.ends_with("0501"), "the one changed last: {key:?}");
        let events = store.events(&key, Position(0), 100).await.unwrap();
        assert_eq!(events.len() as u64, listed[0].position.0);
        assert_eq!(
            events[0].state_delta["trace_id"],
            "0198ec6e-2222-7000-8000-000000000501"
        );
        assert_eq!(
            outline(&events[1]),
            "user User: Why slow? [[tool]]",
            "{kind:?}"
        );
        assert_eq!(
            outline(&events[3]),
            "data_analyzer Tool: call_A1 -> get_span_details"
        );
        let failed = store.events(&listed[1].key, Position(2), 1).await.unwrap();
        assert_eq!(failed[0].error_code.as_deref(), Some("APIConnectionError"));

        let at = listed[0].position;
        store
            .append(&key, at, &[question("question")])
            .await
            .unwrap();
        let found = store.events(&key, at, 10).await.unwrap();
        assert_eq!(found, [question("question")]);
        let document = place.run("SELECT event_data FROM events WHERE id = 'question'");
        let document: Value = serde_json::from_str(document.trim()).unwrap();
        assert_eq!(document["author"], "user");
        assert_eq!(document["content"]["parts"][0]["text"], "And now?");
        assert!(
            document["timestamp"].as_f64().unwrap() > 1_795_171_142.0,
            "{document}"
        );
    }
}

#[tokio::test]
async fn shared_state_of_the_python_program_is_seen_under_a_sessions_own() {
    for place in places("shared_state_of_the_python_program_is_seen_under_a_sessions_own") {
        adk::make(&place, Made::Old);
        place.run(
            "UPDATE app_states SET state = '{\"a\": 1, \"both\": 1}'; \
             UPDATE user_states SET state = '{\"u\": [2]}'; \
             UPDATE sessions SET state = '{\"app:both\": 3}';",
        );
        let store = place.open().await;
        let expected = json!({"app:a": 1, "app:both": 3, "user:u": [2]});
        let session = store.session(&key()).await.unwrap().unwrap();
        assert_eq!(Value::Object(session.state), expected);
        let listed = store.list(APP, USER).await.unwrap();
        assert_eq!(Value::Object(listed[0].state.clone()), expected);
        // What is shared does not become the session's own.
        store
            .append(&key(), Position(13), &[question("q")])
            .await
            .unwrap();
        let kept: Value =
            serde_json::from_str(place.run("SELECT state FROM sessions").trim()).unwrap();
        assert_eq!(kept, json!({"app:both": 3}));
    }
}

#[tokio::test]
async fn new_sessions_have_the_rows_that_the_python_program_expects() {
    for place in places("new_sessions_have_the_rows_that_the_python_program_expects") {
        let store = place.open_with(SessionOptions::new()).await;
        for id in ["1", "2"] {
            let key = SessionKey::new(APP, USER, id);
            store.create(&key, &State::new()).await.unwrap();
        }
        for table in ["app_states", "user_states"] {
            let found = place.run(&format!("SELECT state FROM {table}"));
            assert_eq!(found.trim(), "{}", "{:?}: {table}", place.kind());
        }
    }
}
