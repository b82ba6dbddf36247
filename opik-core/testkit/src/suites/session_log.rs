//! Cases about the log of events.

use futures_util::future::join_all;
use opik_core::session::{Position, SessionErrorKind, State, ToolCall, ToolResult};
use opik_core::{Event, Message, Part, Role, SessionError, SessionKey, Timestamp};
use serde_json::json;

use super::SessionPlace;
use super::session::{first_state, key};
use crate::records::{at, content};
use crate::report::{Failure, Outcome, check, check_eq};

/// An event whose author and message are made of its identifier.
fn event(id: &str) -> Event {
    Event::new(id, "turn 1", "user", at(1)).with_message(Message::text(Role::User, id))
}

fn events(ids: &[&str]) -> Vec<Event> {
    ids.iter().map(|id| event(id)).collect()
}

/// Appends events with these identifiers and insists that the position follows.
pub(super) async fn append(
    place: &SessionPlace,
    key: &SessionKey,
    at: u64,
    ids: &[&str],
) -> Outcome {
    let reached = place.store.append(key, Position(at), &events(ids)).await?;
    check_eq!(reached.0, at + ids.len() as u64, "position after an append");
    Ok(())
}

/// Identifiers of all events, in order.
pub(super) async fn ids(place: &SessionPlace, key: &SessionKey) -> Result<Vec<String>, Failure> {
    let events = place.store.events(key, Position(0), 10_000).await?;
    Ok(events.into_iter().map(|event| event.id).collect())
}

/// Lets the clock move on, so that an order by time has nothing to guess.
pub(super) fn next_millisecond() {
    let begin = Timestamp::now();
    while Timestamp::now().micros_since(begin) < 2_000 {
        std::hint::spin_loop();
    }
}

fn check_kind<T>(
    answer: Result<T, SessionError>,
    expected: SessionErrorKind,
    what: &str,
) -> Outcome {
    let kind = answer.err().map(|error| error.kind());
    check_eq!(kind, Some(expected), "{what}");
    Ok(())
}

/// That the session holds these events and says so everywhere.
async fn check_log(place: &SessionPlace, expected: &[&str]) -> Outcome {
    check_eq!(ids(place, &key()).await?, expected, "events of the session");
    let session = place.store.session(&key()).await?;
    let position = session.map(|session| session.position.0);
    check_eq!(
        position,
        Some(expected.len() as u64),
        "position of the session"
    );
    Ok(())
}

pub(super) async fn create_twice(place: SessionPlace) -> Outcome {
    place.store.create(&key(), &first_state()).await?;
    append(&place, &key(), 0, &["one"]).await?;
    let again = place.store.create(&key(), &State::new()).await;
    check_kind(
        again,
        SessionErrorKind::Conflict,
        "creating a session that exists",
    )?;
    let found = place.store.session(&key()).await?;
    check_eq!(
        found.map(|session| session.state),
        Some(first_state()),
        "state of the first"
    );
    check_log(&place, &["one"]).await
}

pub(super) async fn create_with_events(place: SessionPlace) -> Outcome {
    let mut first = events(&["one", "two"]);
    if let Some(event) = first.last_mut() {
        event.state_delta = json!({"added": 1, "gone": null})
            .as_object()
            .cloned()
            .unwrap_or_default();
    }
    let mut state = first_state();
    state.insert("gone".to_owned(), json!(true));
    let reached = place.store.create_with(&key(), &state, &first).await?;
    check_eq!(reached.0, 2, "position of a session with two events");
    check_log(&place, &["one", "two"]).await?;
    let found = place.other.events(&key(), Position(0), 10).await?;
    check_eq!(found, first, "events that a session began with");
    append(&place, &key(), 2, &["three"]).await?;
    let mut expected = first_state();
    expected.insert("added".to_owned(), json!(1));
    let found = place.store.session(&key()).await?;
    check_eq!(
        found.map(|session| session.state),
        Some(expected.clone()),
        "state with the deltas of the first events"
    );
    let again = place
        .store
        .create_with(&key(), &State::new(), &events(&["four"]))
        .await;
    check_kind(
        again,
        SessionErrorKind::Conflict,
        "creating a session that exists, with an event",
    )?;
    check_log(&place, &["one", "two", "three"]).await?;
    let other = SessionKey::new("an-app", "a-user", "without events");
    let reached = place.store.create_with(&other, &first_state(), &[]).await?;
    check_eq!(reached.0, 0, "position of a session without events");
    Ok(())
}

pub(super) async fn creators(place: SessionPlace) -> Outcome {
    let key = key();
    let answers = join_all((0..8u64).map(|number| {
        let state = json!({"creator": number})
            .as_object()
            .cloned()
            .unwrap_or_default();
        let (store, key) = if number % 2 == 0 {
            (&place.store, &key)
        } else {
            (&place.other, &key)
        };
        async move { store.create(key, &state).await }
    }))
    .await;
    let won: Vec<_> = answers
        .iter()
        .flatten()
        .map(|session| session.state.clone())
        .collect();
    check_eq!(won.len(), 1, "creators that won");
    for lost in answers.into_iter().filter(Result::is_err) {
        check_kind(lost, SessionErrorKind::Conflict, "creating at once")?;
    }
    let found = place.store.session(&key).await?;
    check_eq!(
        found.map(|session| session.state).as_ref(),
        won.first(),
        "state of the winner"
    );
    Ok(())
}

pub(super) async fn moves(place: SessionPlace) -> Outcome {
    let made = place.store.create(&key(), &State::new()).await?;
    append(&place, &key(), 0, &["one"]).await?;
    check_log(&place, &["one"]).await?;
    append(&place, &key(), 1, &["two", "three"]).await?;
    check_log(&place, &["one", "two", "three"]).await?;
    append(&place, &key(), 3, &["four"]).await?;
    check_log(&place, &["one", "two", "three", "four"]).await?;
    let found = place.store.session(&key()).await?;
    let created = found.as_ref().map(|session| session.created_at);
    check_eq!(
        created,
        Some(made.created_at),
        "when it was made, after appends"
    );
    let updated = found.map(|session| session.updated_at);
    check!(
        updated >= Some(made.updated_at),
        "an append moved the last change back"
    );
    Ok(())
}

pub(super) async fn elsewhere(place: SessionPlace) -> Outcome {
    place.store.create(&key(), &State::new()).await?;
    let early = place
        .store
        .append(&key(), Position(1), &events(&["early"]))
        .await;
    check_kind(early, SessionErrorKind::Conflict, "append after the end")?;
    append(&place, &key(), 0, &["one", "two"]).await?;
    for position in [0, 1, 3, u64::MAX] {
        let mut late = event("late");
        late.state_delta.insert("leak".to_owned(), json!(true));
        let answer = place
            .store
            .append(&key(), Position(position), &[late])
            .await;
        let what = format!("append at {position} of 2");
        check_kind(answer, SessionErrorKind::Conflict, &what)?;
    }
    let found = place.store.session(&key()).await?;
    check_eq!(
        found.map(|session| session.state),
        Some(State::new()),
        "state after conflicts"
    );
    check_log(&place, &["one", "two"]).await
}

pub(super) async fn append_unknown(place: SessionPlace) -> Outcome {
    let answer = place
        .store
        .append(&key(), Position(0), &events(&["one"]))
        .await;
    check_kind(
        answer,
        SessionErrorKind::NotFound,
        "append to an unknown session",
    )?;
    check!(
        place.store.session(&key()).await?.is_none(),
        "the append made the session"
    );
    Ok(())
}

pub(super) async fn empty_append(place: SessionPlace) -> Outcome {
    place.store.create(&key(), &State::new()).await?;
    append(&place, &key(), 0, &["one"]).await?;
    append(&place, &key(), 1, &[]).await?;
    let elsewhere = place.store.append(&key(), Position(0), &[]).await;
    check_kind(
        elsewhere,
        SessionErrorKind::Conflict,
        "an empty append elsewhere",
    )?;
    check_log(&place, &["one"]).await
}

pub(super) async fn all_or_none(place: SessionPlace) -> Outcome {
    place.store.create(&key(), &first_state()).await?;
    append(&place, &key(), 0, &["one"]).await?;
    // The last event of the call cannot go in; those before it must not stay.
    let mut batch = events(&["two", "three", "one"]);
    for event in &mut batch {
        event.state_delta.insert("leak".to_owned(), json!(true));
    }
    let answer = place.store.append(&key(), Position(1), &batch).await;
    check_kind(
        answer,
        SessionErrorKind::Conflict,
        "append with an event that is there",
    )?;
    check_log(&place, &["one"]).await?;
    let found = place.store.session(&key()).await?;
    check_eq!(
        found.map(|session| session.state),
        Some(first_state()),
        "state after a refusal"
    );
    append(&place, &key(), 1, &["two", "three"]).await?;
    check_log(&place, &["one", "two", "three"]).await
}

pub(super) async fn ids_once(place: SessionPlace) -> Outcome {
    place.store.create(&key(), &State::new()).await?;
    let twice = place
        .store
        .append(&key(), Position(0), &events(&["one", "one"]))
        .await;
    check_kind(
        twice,
        SessionErrorKind::Conflict,
        "one identifier twice in a call",
    )?;
    append(&place, &key(), 0, &["one"]).await?;
    let again = place
        .store
        .append(&key(), Position(1), &events(&["one"]))
        .await;
    check_kind(
        again,
        SessionErrorKind::Conflict,
        "one identifier in two calls",
    )?;
    check_log(&place, &["one"]).await?;
    // Another session may use the same identifier, and case makes another one.
    let other = SessionKey::new("app", "ada", "session-2");
    place.store.create(&other, &State::new()).await?;
    append(&place, &other, 0, &["one", "ONE", "one "]).await
}

pub(super) async fn appenders(place: SessionPlace) -> Outcome {
    let key = key();
    place.store.create(&key, &State::new()).await?;
    for round in 0..5u64 {
        let answers = join_all((0..8u64).map(|number| {
            let batch = vec![event(&format!("{round}-{number}"))];
            let store = if number % 2 == 0 {
                &place.store
            } else {
                &place.other
            };
            let key = &key;
            async move { store.append(key, Position(round), &batch).await }
        }))
        .await;
        let won = answers.iter().flatten().count();
        check_eq!(won, 1, "appenders that won in round {round}");
        for lost in answers.into_iter().filter(Result::is_err) {
            check_kind(lost, SessionErrorKind::Conflict, "appending at once")?;
        }
        check_eq!(
            ids(&place, &key).await?.len() as u64,
            round + 1,
            "events after a round"
        );
    }
    Ok(())
}

pub(super) async fn retries(place: SessionPlace) -> Outcome {
    let key = key();
    place.store.create(&key, &State::new()).await?;
    let writers = join_all((0..4u64).map(|writer| {
        let store = if writer % 2 == 0 {
            &place.store
        } else {
            &place.other
        };
        let key = &key;
        async move {
            for number in 0..5u64 {
                let batch = vec![event(&format!("{writer}-{number}"))];
                let mut tries = 0;
                loop {
                    let session = store.session(key).await?;
                    let at = session.map_or(Position(0), |session| session.position);
                    match store.append(key, at, &batch).await {
                        Ok(_) => break,
                        Err(error) if error.kind() == SessionErrorKind::Conflict => tries += 1,
                        Err(error) => return Err(Failure::from(error)),
                    }
                    check!(tries < 1_000, "an appender never gets its turn");
                }
            }
            Ok(())
        }
    }))
    .await;
    for done in writers {
        done?;
    }
    let mut found = ids(&place, &key).await?;
    check_eq!(found.len(), 20, "events of four writers");
    for writer in 0..4 {
        let own: Vec<&String> = found
            .iter()
            .filter(|id| id.starts_with(&format!("{writer}-")))
            .collect();
        check!(own.is_sorted(), "the events of a writer are out of order");
    }
    found.sort_unstable();
    found.dedup();
    check_eq!(found.len(), 20, "different events of four writers");
    Ok(())
}

/// One event of every kind.
fn every_kind() -> Vec<Event> {
    let arguments = content(r#"{"b": 1.0e2, "a": [12345678901234567890123, "日本 🦀"]}"#);
    let call = ToolCall {
        id: "call 1".to_owned(),
        name: "read_file".to_owned(),
        arguments,
    };
    let result = ToolResult {
        id: "call 1".to_owned(),
        name: "read_file".to_owned(),
        content: content(r#""no such file""#),
        is_error: true,
    };
    let message = Message::new(
        Role::Assistant,
        vec![
            Part::Reasoning("so\u{0301} …".to_owned()),
            Part::Text(String::new()),
            Part::Text("line\r\nbreak \u{7} \\ \"quoted\" 'single' %_ \u{1F980}".to_owned()),
            Part::ToolCall(call),
        ],
    );
    let mut full = Event::new(
        "2",
        "turn 2",
        "agent",
        Timestamp::from_micros(1_767_225_600_123_457),
    );
    full.message = Some(message);
    full.state_delta = first_state();
    let mut failed = Event::new("3", "turn 2", "system", Timestamp::EPOCH);
    failed.error_code = Some("timeout".to_owned());
    failed.error_message = Some("It took too long.".to_owned());
    let answer = Message::new(Role::Tool, vec![Part::ToolResult(result)]);
    vec![
        Event::new("1", "", "", at(0)),
        full,
        failed,
        Event::new("4", "turn 3", "agent", at(-1)).with_message(answer),
        Event::new("5", "turn 3", "user", at(5)).with_message(Message::new(Role::System, vec![])),
        Event::new("6", "turn 3", "user", at(5))
            .with_message(Message::text(Role::User, "x".repeat(200_000))),
    ]
}

pub(super) async fn equal(place: SessionPlace) -> Outcome {
    place.store.create(&key(), &State::new()).await?;
    let written = every_kind();
    place.store.append(&key(), Position(0), &written).await?;
    let found = place.store.events(&key(), Position(0), 100).await?;
    check_eq!(found.len(), written.len(), "events");
    for (found, written) in found.iter().zip(&written) {
        check!(
            found == written,
            "event {} is not read back equal",
            written.id
        );
    }
    Ok(())
}

pub(super) async fn in_order(place: SessionPlace) -> Outcome {
    place.store.create(&key(), &State::new()).await?;
    // Identifiers and times run against the order of arrival.
    let names: Vec<String> = (0..300)
        .map(|number| format!("event {}", 999 - number))
        .collect();
    let mut batch: Vec<Event> = names.iter().map(|name| event(name)).collect();
    for (millis, event) in (0..).zip(&mut batch) {
        event.timestamp = at(10_000 - millis);
    }
    let (first, rest) = batch.split_at(7);
    place.store.append(&key(), Position(0), first).await?;
    place.store.append(&key(), Position(7), rest).await?;
    for (from, limit, expected) in [
        (0u64, 1_000usize, 0..300usize),
        (0, 7, 0..7),
        (5, 4, 5..9),
        (299, 10, 299..300),
        (300, 10, 300..300),
        (u64::MAX, 10, 300..300),
        (0, 0, 0..0),
    ] {
        let found = place.store.events(&key(), Position(from), limit).await?;
        let found: Vec<&str> = found.iter().map(|event| event.id.as_str()).collect();
        let expected: Vec<&str> = names
            .iter()
            .skip(expected.start)
            .take(expected.len())
            .map(String::as_str)
            .collect();
        check_eq!(found, expected, "events from {from}, at most {limit}");
    }
    Ok(())
}

pub(super) async fn events_unknown(place: SessionPlace) -> Outcome {
    let answer = place.store.events(&key(), Position(0), 10).await;
    check_kind(
        answer,
        SessionErrorKind::NotFound,
        "events of an unknown session",
    )
}

fn delta(id: &str, delta: &serde_json::Value) -> Event {
    let mut event = event(id);
    event.state_delta = delta.as_object().cloned().unwrap_or_default();
    event
}

pub(super) async fn state(place: SessionPlace) -> Outcome {
    let first = json!({"keep": "x", "change": 1, "forget": {"a": 1}, "nested": {"a": 1, "b": 2}});
    let first = first.as_object().cloned().unwrap_or_default();
    place.store.create(&key(), &first).await?;
    let batch = [
        delta("1", &json!({"change": 2, "new": [1], "brief": 1})),
        delta("2", &json!({"change": 3, "brief": null})),
        event("3"),
    ];
    place.store.append(&key(), Position(0), &batch).await?;
    let batch = [delta(
        "4",
        &json!({"forget": null, "nested": {"c": 3}, "never": null}),
    )];
    place.store.append(&key(), Position(3), &batch).await?;
    let found = place
        .store
        .session(&key())
        .await?
        .map(|session| session.state);
    let expected = json!({"keep": "x", "change": 3, "new": [1], "nested": {"c": 3}});
    check_eq!(
        found,
        expected.as_object().cloned(),
        "state after every delta"
    );
    let listed = place.store.list("app", "ada").await?;
    let listed = listed.into_iter().map(|session| session.state).next();
    check_eq!(listed, expected.as_object().cloned(), "state in the list");
    Ok(())
}

pub(super) async fn other_handle(place: SessionPlace) -> Outcome {
    place.store.create(&key(), &first_state()).await?;
    let written = every_kind();
    place.store.append(&key(), Position(0), &written).await?;
    let here = place.store.session(&key()).await?;
    let there = place.other.session(&key()).await?;
    check_eq!(there, here, "the session as another handle sees it");
    let found = place.other.events(&key(), Position(0), 100).await?;
    check!(found == written, "another handle reads other events");
    let at = Position(written.len() as u64);
    place.other.append(&key(), at, &events(&["there"])).await?;
    let here = place.store.session(&key()).await?;
    let here = here.map(|session| session.position.0);
    check_eq!(
        here,
        Some(at.0 + 1),
        "position after another handle appended"
    );
    let stale = place.store.append(&key(), at, &events(&["here"])).await;
    check_kind(
        stale,
        SessionErrorKind::Conflict,
        "append at a position another handle took",
    )?;
    check_eq!(
        ids(&place, &key()).await?.last().map(String::as_str),
        Some("there"),
        "last event"
    );
    check!(
        place.other.delete(&key()).await?,
        "another handle does not see the session"
    );
    check!(
        place.store.session(&key()).await?.is_none(),
        "deleted by another handle, still there"
    );
    Ok(())
}
