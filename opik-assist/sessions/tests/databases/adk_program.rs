//! The very ADK 1.10 beside our store, where there is one: `OPIK_ADK_PYTHON` names a Python that has
//! `google-adk==1.10.0`, `pymysql` and `psycopg2-binary`.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use opik_core::session::{Position, ToolCall, ToolResult};
use opik_core::{Event, Json, Message, Part, Role, SessionKey, SessionStore as _, Timestamp};
use serde_json::{Value, json};

use crate::place::{Kind, Place};

fn python(test: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "where the program is")]
    let python = std::env::var("OPIK_ADK_PYTHON").ok();
    if python.is_none() {
        // Past the test harness, which hides what passing tests print.
        writeln!(
            std::io::stderr(),
            "SKIPPED {test}: OPIK_ADK_PYTHON names no Python with ADK"
        )
        .ok();
    }
    python
}

fn talk(python: &str, what: &str, place: &Place) -> Value {
    let uri = match place.kind() {
        Kind::Sqlite => place.uri(),
        Kind::MariaDb => place.uri().replace("mysql://", "mysql+pymysql://"),
        Kind::Postgres => place.uri().replace("postgres://", "postgresql+psycopg2://"),
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/adk/talk.py");
    let output = Command::new(python)
        .arg(script)
        .args([what, &uri, "app", "user", "session"])
        .env("TZ", "UTC")
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{:?} {what}: {errors}",
        place.kind()
    );
    serde_json::from_slice(output.stdout.trim_ascii()).unwrap()
}

fn key() -> SessionKey {
    SessionKey::new("app", "user", "session")
}

fn texts(session: &Value) -> Vec<String> {
    let events = session["events"].as_array().unwrap().iter();
    events
        .map(|event| {
            let part = &event["content"]["parts"][0];
            part["text"].as_str().unwrap_or("-").to_owned()
        })
        .collect()
}

/// How a turn went, as its last event keeps it.
fn outcome(id: &str) -> Value {
    let spent = json!({"rounds": 2, "total_tokens": 1280, "dollars": 0.25});
    json!({"end": "answered", "computed": false, "message_id": id, "spent": spent})
}

/// A turn of ours with everything in it.
fn turn() -> Vec<Event> {
    let call = ToolCall {
        id: "call 1".to_owned(),
        name: "get_span_details".to_owned(),
        arguments: Json::parse(r#"{"span_id": "1", "n": 1.0e2}"#).unwrap(),
    };
    let result = ToolResult {
        id: "call 1".to_owned(),
        name: "get_span_details".to_owned(),
        content: Json::string("no such span"),
        is_error: true,
    };
    let messages = [
        Message::text(Role::User, "Why?"),
        Message::new(
            Role::Assistant,
            vec![
                Part::Text("Looking \u{1F980} \0.".to_owned()),
                Part::ToolCall(call),
            ],
        ),
        Message::new(Role::Tool, vec![Part::ToolResult(result)]),
        Message::text(Role::Assistant, "Because."),
    ];
    // All at one moment: the order is not in the time.
    let now = Timestamp::now();
    let ids = ["d", "c", "b", "a"];
    let events = ids.into_iter().zip(messages).map(|(id, message)| {
        let author = if message.role == Role::User {
            "user"
        } else {
            "agent"
        };
        let mut event = Event::new(id, "turn 1", author, now).with_message(message);
        event.state_delta = json!({ "last": id, "turn": outcome(id) })
            .as_object()
            .cloned()
            .unwrap();
        event
    });
    events.collect()
}

#[tokio::test]
async fn adk_reads_what_we_wrote_and_goes_on() {
    let test = "adk_reads_what_we_wrote_and_goes_on";
    let Some(python) = python(test) else { return };
    for kind in Kind::ALL {
        let Some(place) = kind.fresh(test) else {
            continue;
        };
        let store = place.open().await;
        let state = json!({"trace_id": "1"}).as_object().cloned().unwrap();
        store.create(&key(), &state).await.unwrap();
        store.append(&key(), Position(0), &turn()).await.unwrap();

        let seen = talk(&python, "read", &place);
        assert_eq!(
            seen["state"],
            json!({"trace_id": "1", "last": "a", "turn": outcome("a")}),
            "{kind:?}"
        );
        let nul = if kind == Kind::Postgres {
            '\u{fffd}'
        } else {
            '\0'
        };
        let looking = format!("Looking \u{1F980} {nul}.");
        assert_eq!(
            texts(&seen),
            ["Why?", looking.as_str(), "-", "Because."],
            "{kind:?}"
        );
        let call = &seen["events"][1]["content"]["parts"][1]["function_call"];
        assert_eq!(call["args"]["span_id"], "1", "{kind:?}");
        assert_eq!(call["args"]["n"].as_f64(), Some(100.0), "{kind:?}");
        let answer = &seen["events"][2]["content"]["parts"][0]["function_response"];
        assert_eq!(
            answer["response"],
            json!({"error": "no such span"}),
            "{kind:?}"
        );

        // It appends, and we go on after that, and it reads both.
        talk(&python, "append", &place);
        let session = store.session(&key()).await.unwrap().unwrap();
        assert_eq!(session.position, Position(5), "{kind:?}");
        assert_eq!(session.state["python"], json!(true), "{kind:?}");
        let events = store.events(&key(), Position(0), 10).await.unwrap();
        assert_eq!(events[..4], turn_at(&events), "{kind:?}");
        assert_eq!(events[4].message.as_ref().unwrap().words(), "from Python");
        assert_eq!(
            events[4].state_delta["python"],
            json!(true),
            "{kind:?}: from its pickle"
        );
        let more = Event::new("e", "turn 2", "user", Timestamp::now())
            .with_message(Message::text(Role::User, "Thanks"));
        store.append(&key(), Position(5), &[more]).await.unwrap();
        let seen = talk(&python, "read", &place);
        assert_eq!(texts(&seen)[4..], ["from Python", "Thanks"], "{kind:?}");

        // It deletes; what we make anew under the name begins at the beginning.
        assert_eq!(talk(&python, "delete", &place), Value::Null);
        assert!(store.session(&key()).await.unwrap().is_none());
        store.create(&key(), &state).await.unwrap();
        assert!(
            store
                .events(&key(), Position(0), 10)
                .await
                .unwrap()
                .is_empty(),
            "{kind:?}"
        );
        assert!(texts(&talk(&python, "read", &place)).is_empty(), "{kind:?}");
    }
}

/// The turn with the moment that the events have.
fn turn_at(events: &[Event]) -> Vec<Event> {
    let mut expected = turn();
    for event in &mut expected {
        event.timestamp = events[0].timestamp;
    }
    expected
}

#[tokio::test]
async fn we_read_what_adk_wrote() {
    let test = "we_read_what_adk_wrote";
    let Some(python) = python(test) else { return };
    for kind in Kind::ALL {
        let Some(place) = kind.fresh(test) else {
            continue;
        };
        talk(&python, "make", &place);
        let store = place.open().await;
        let session = store.session(&key()).await.unwrap().unwrap();
        let state = json!({"made_by": "python", "count": 2});
        assert_eq!(Value::Object(session.state), state, "{kind:?}");
        let events = store.events(&key(), Position(0), 10).await.unwrap();
        let words: Vec<String> = events
            .iter()
            .map(|event| event.message.as_ref().unwrap().words())
            .collect();
        assert_eq!(words, ["first", "second"], "{kind:?}");
        assert_eq!(events[1].state_delta["count"], json!(2), "{kind:?}");
        let age = Timestamp::now().micros_since(events[1].timestamp);
        assert!((0..600_000_000).contains(&age), "{kind:?}: {age} us");
        // It may use the database further, although its tables were changed.
        talk(&python, "append", &place);
        assert_eq!(
            store.events(&key(), Position(2), 10).await.unwrap().len(),
            1,
            "{kind:?}"
        );
    }
}
