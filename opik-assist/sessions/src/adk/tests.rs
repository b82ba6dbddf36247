//! Whatever an event holds comes back, whatever the database does to it.

use opik_core::session::{State, ToolCall, ToolResult};
use opik_core::{Event, Json, Message, Part, Role, Timestamp};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::Value;

use super::{Found, Limits, read, write};

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        ".*",
        "[\\\\u0\\x00\"a]{0,8}",
        Just("\0".to_owned()),
        "x{250,260}",
        "é{1020,1030}",
    ]
}

fn json() -> impl Strategy<Value = Json> {
    prop_oneof![
        Just(r#"{"b": 1.0e2, "a": {"\u0000": [null]}}"#.to_owned()),
        Just("[1, 2]".to_owned()),
        Just(" {} ".to_owned()),
        Just("null".to_owned()),
        Just(format!("{}{}", "[".repeat(127), "]".repeat(127))),
        text().prop_map(|text| Value::from(text).to_string()),
    ]
    .prop_map(|text| Json::parse(&text).unwrap())
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        text().prop_map(Part::Text),
        text().prop_map(Part::Reasoning),
        (text(), text(), json()).prop_map(|(id, name, arguments)| {
            Part::ToolCall(ToolCall {
                id,
                name,
                arguments,
            })
        }),
        (text(), text(), json(), any::<bool>()).prop_map(|(id, name, content, is_error)| {
            Part::ToolResult(ToolResult {
                id,
                name,
                content,
                is_error,
            })
        }),
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let roles = vec![Role::System, Role::User, Role::Assistant, Role::Tool];
    let role = proptest::sample::select(roles);
    (role, vec(part(), 0..4)).prop_map(|(role, parts)| Message::new(role, parts))
}

fn delta() -> impl Strategy<Value = State> {
    let value = prop_oneof![
        Just(Value::Null),
        // `serde_json` reads other fractions to one unit in the last place.
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 8.0)),
        any::<u64>().prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    vec((text(), value), 0..3).prop_map(State::from_iter)
}

fn event() -> impl Strategy<Value = Event> {
    let texts = (text(), text(), option::of(text()), option::of(text()));
    let time = prop_oneof![
        -4_000_000_000_000_000i64..4_000_000_000_000_000,
        Just(i64::MAX),
        Just(i64::MIN),
    ];
    (texts, time, option::of(message()), delta()).prop_map(|(texts, time, message, delta)| {
        let (invocation, author, code, error) = texts;
        let mut event = Event::new("id", invocation, author, Timestamp::from_micros(time));
        event.message = message;
        event.state_delta = delta;
        event.error_code = code;
        event.error_message = error;
        event
    })
}

/// JSON as PostgreSQL gives it back: keys in another order, numbers spelled anew.
fn spelled_anew(text: &str) -> String {
    assert!(
        !text.contains('\0') && !has_nul_escape(text),
        "PostgreSQL refuses this"
    );
    // Deeper than `Value` goes: PostgreSQL goes deeper still.
    match serde_json::from_str::<Value>(text) {
        Ok(value) => value.to_string(),
        Err(_) => text.to_owned(),
    }
}

fn has_nul_escape(text: &str) -> bool {
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character == '\\' {
            let rest = characters.as_str();
            if rest.starts_with("u0000") {
                return true;
            }
            characters.next();
        }
    }
    false
}

proptest! {
    #[test]
    fn every_event_is_read_back_equal(
        event in event(),
        not_before in 0i64..4_000_000_000_000_000,
        documents: bool,
        is_postgres: bool,
    ) {
        let limits = Limits { documents, keeps_json: !is_postgres, keeps_nul: !is_postgres };
        let not_before = Timestamp::from_micros(not_before);
        let written = write(&event, not_before, limits).unwrap();
        prop_assert!(written.timestamp >= not_before);
        prop_assert!(written.invocation_id.chars().count() <= 256);
        prop_assert!(written.author.chars().count() <= 256);
        prop_assert!(written.error_message.iter().all(|text| text.chars().count() <= 1_024));
        let stored = |text: Option<String>| match text {
            Some(text) if is_postgres => Some(spelled_anew(&text)),
            text => text,
        };
        let plain = |text: &Option<String>| text.as_ref().is_none_or(|text| !is_postgres || !text.contains('\0'));
        prop_assert!(plain(&written.error_code) && plain(&written.error_message));
        prop_assert!(plain(&written.exact) && plain(&Some(written.author.clone())));
        let found = Found {
            id: written.id,
            invocation_id: written.invocation_id,
            author: written.author,
            timestamp: written.timestamp,
            content: stored(written.content),
            actions: Some(super::NO_ACTIONS.to_vec()),
            error_code: written.error_code,
            error_message: written.error_message,
            document: stored(written.document),
            exact: written.exact,
        };
        prop_assert!(read(&found).unwrap() == event);
    }

    #[test]
    fn no_bytes_make_the_reader_of_pickles_fail(bytes in vec(any::<u8>(), 0..200)) {
        let delta = super::pickle::state_delta(&bytes);
        prop_assert!(delta.is_none_or(|delta| delta.len() <= bytes.len()));
    }
}
