//! Rows of sessions and events, read and written.

use opik_core::session::{Position, SessionErrorKind, State};
use opik_core::{Event, Session, SessionKey, Timestamp};
use serde_json::Value;

use super::connect::Ready;
use super::dialect::{parse_time, whole_seconds};
use super::failure::Failure;
use super::link::{Kind, Row};
use crate::adk::{Found, read};

/// A session as its row, and what is beside it, say.
pub(crate) struct Stored {
    pub(crate) session: Session,
    /// The state of the session's own row.
    pub(crate) state: State,
    /// Whether there is a row beside ADK's that belongs to this session.
    pub(crate) is_ours: bool,
    /// Whether every event has its place in the order.
    pub(crate) is_ordered: bool,
    /// The time of the last event, in ADK's column.
    pub(crate) last_event: Option<Timestamp>,
    /// The place in the order that nobody has yet.
    pub(crate) next_seq: i64,
}

fn corrupt(what: &str) -> Failure {
    let text = format!("{what} of a session cannot be read");
    Failure::new(SessionErrorKind::Corrupt, text)
}

/// Reads a state; SQLAlchemy may have written a missing one as `null`.
fn state(text: &str) -> Result<State, Failure> {
    match serde_json::from_str(text) {
        Ok(Value::Object(state)) => Ok(state),
        Ok(Value::Null) => Ok(State::new()),
        _ => Err(corrupt("the state")),
    }
}

/// Reads a row of `Statements::session` or `Statements::list`.
pub(crate) fn stored(mut row: Row, app: &str, user: &str) -> Result<Stored, Failure> {
    let key = SessionKey::new(app, user, row.text());
    let kept = state(&row.text())?;
    let created = parse_time(&row.text()).ok_or_else(|| corrupt("the time"))?;
    let updated = parse_time(&row.text()).ok_or_else(|| corrupt("the time"))?;
    let (created_us, updated_us, ordered) = (row.int(), row.int(), row.int());
    let exact = row.maybe();
    let events = row.int().unwrap_or(0).max(0);
    let last_event = row.maybe().as_deref().and_then(parse_time);
    let next_seq = row.int().unwrap_or(0);

    // The Python program, which knows nothing of the row beside, may have deleted the session and
    // made it anew: then the times differ.
    let ours = created_us.map(Timestamp::from_micros);
    let is_ours = ours.is_some_and(|ours| created == ours || created == whole_seconds(ours));
    let is_ordered = is_ours && ordered == Some(events);
    let mut session = Session::new(key, State::new(), created);
    if let (true, Some(ours)) = (is_ours, ours) {
        session.created_at = ours;
    }
    let beside = updated_us.filter(|_| is_ours).map(Timestamp::from_micros);
    session.updated_at = match beside {
        Some(beside) if is_ordered => beside,
        _ => [beside, last_event, Some(updated)]
            .into_iter()
            .flatten()
            .fold(session.created_at, Timestamp::max),
    };
    session.position = Position(events.unsigned_abs());
    let exact = exact
        .filter(|_| is_ours)
        .map(|text| state(&text))
        .transpose()?;
    // The exact state counts as long as nobody else has changed the one in ADK's row.
    let state = match exact {
        Some(exact) if is_same(&Value::Object(exact.clone()), &Value::Object(kept.clone())) => {
            exact
        }
        _ => kept,
    };
    session.state = state.clone();
    Ok(Stored {
        session,
        state,
        is_ours,
        is_ordered,
        last_event,
        next_seq,
    })
}

/// Puts what ADK shares among the sessions of an application and of a user under a session's own.
pub(crate) fn share(
    session: &mut Session,
    app: Option<&str>,
    user: Option<&str>,
) -> Result<(), Failure> {
    for (prefix, text) in [("app:", app), ("user:", user)] {
        let Some(text) = text else { continue };
        for (name, value) in state(text)? {
            session
                .state
                .entry(format!("{prefix}{name}"))
                .or_insert(value);
        }
    }
    Ok(())
}

/// Whether PostgreSQL would make `theirs` of `ours`.
fn is_same(ours: &Value, theirs: &Value) -> bool {
    let mut pairs = vec![(ours, theirs)];
    while let Some(pair) = pairs.pop() {
        match pair {
            (Value::Object(ours), Value::Object(theirs)) => {
                if ours.len() != theirs.len() {
                    return false;
                }
                for (name, value) in ours {
                    let Some(other) = theirs.get(&name.replace('\0', "\u{fffd}")) else {
                        return false;
                    };
                    pairs.push((value, other));
                }
            }
            (Value::Array(ours), Value::Array(theirs)) => {
                if ours.len() != theirs.len() {
                    return false;
                }
                pairs.extend(ours.iter().zip(theirs));
            }
            (Value::String(ours), Value::String(theirs)) => {
                if ours.replace('\0', "\u{fffd}") != *theirs {
                    return false;
                }
            }
            (Value::Number(ours), Value::Number(theirs)) => {
                if ours != theirs && ours.as_f64() != theirs.as_f64() {
                    return false;
                }
            }
            (ours, theirs) if ours == theirs => {}
            _ => return false,
        }
    }
    true
}

/// A state as ADK's row holds it, and the exact one when that is not the same.
pub(crate) fn written_state(ready: &Ready, state: &State) -> (String, Option<String>) {
    let value = Value::Object(state.clone());
    let text = value.to_string();
    if ready.limits.keeps_json || !is_changed(&value) {
        return (text, None);
    }
    (without_nul(value).to_string(), Some(text))
}

/// Whether PostgreSQL may spell a value anew so that it reads as another one.
fn is_changed(value: &Value) -> bool {
    let mut values = vec![value];
    while let Some(value) = values.pop() {
        match value {
            Value::Number(number) if number.is_f64() => return true,
            Value::String(text) if text.contains('\0') => return true,
            Value::Array(items) => values.extend(items),
            Value::Object(map) => {
                if map.keys().any(|name| name.contains('\0')) {
                    return true;
                }
                values.extend(map.values());
            }
            _ => {}
        }
    }
    false
}

/// As deep as JSON that was read can be, which `serde_json` limits.
fn without_nul(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.replace('\0', "\u{fffd}")),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nul).collect()),
        Value::Object(map) => Value::Object(
            map.into_iter()
                .map(|(name, value)| (name.replace('\0', "\u{fffd}"), without_nul(value)))
                .collect(),
        ),
        other => other,
    }
}

/// How a row of `Statements::events` is read.
pub(crate) fn event_kinds(documents: bool) -> &'static [Kind] {
    const COLUMNS: [Kind; 9] = [
        Kind::Text,
        Kind::Text,
        Kind::Text,
        Kind::Text,
        Kind::Text,
        Kind::Text,
        Kind::Bytes,
        Kind::Text,
        Kind::Text,
    ];
    const DOCUMENTS: [Kind; 5] = [Kind::Text; 5];
    if documents { &DOCUMENTS } else { &COLUMNS }
}

/// Reads a row of `Statements::events`.
pub(crate) fn event(mut row: Row, documents: bool) -> Result<Event, Failure> {
    let mut found = Found {
        id: row.text(),
        invocation_id: row.text(),
        ..Found::default()
    };
    let time = row.text();
    found.timestamp = parse_time(&time).ok_or_else(|| corrupt("the time of an event"))?;
    let content = row.maybe();
    found.exact = row.maybe();
    if documents {
        found.document = Some(content.unwrap_or_default());
    } else {
        found.content = content;
        found.author = row.text();
        found.actions = row.bytes();
        found.error_code = row.maybe();
        found.error_message = row.maybe();
    }
    Ok(read(&found)?)
}
