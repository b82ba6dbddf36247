//! What a turn that was killed left undone in the log, and the events that put it right.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use opik_core::session::ToolCall;
use opik_core::{Event, Message, Part, Role, Timestamp};

use super::fresh_id;
use crate::turn::unanswered;

/// The code of a turn that was killed.
const INTERRUPTED: &str = "INTERRUPTED";

/// The events that are missing in these: an answer for each tool call that has none, and an outcome
/// for each question that has none. Turns whose last event is younger than `age` may still run in
/// another process and are left alone.
pub(super) fn repairs(events: &[Event], agent: &str, now: Timestamp, age: Duration) -> Vec<Event> {
    let mut order: Vec<&str> = Vec::new();
    let mut turns: HashMap<&str, Vec<&Event>> = HashMap::new();
    for event in events {
        let turn = turns.entry(&event.invocation_id).or_insert_with(|| {
            order.push(&event.invocation_id);
            Vec::new()
        });
        turn.push(event);
    }
    let oldest = now.plus_micros(-i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
    let mut repairs = Vec::new();
    for id in order {
        let Some(turn) = turns.get(id) else { continue };
        let is_old = turn.iter().all(|event| event.timestamp <= oldest);
        if !is_old || turn.iter().any(|event| event.error_code.is_some()) {
            continue;
        }
        repairs.extend(repair(id, turn, agent, now));
    }
    repairs
}

fn repair(id: &str, turn: &[&Event], agent: &str, now: Timestamp) -> Vec<Event> {
    let parts = || {
        turn.iter()
            .filter_map(|event| event.message.as_ref())
            .flat_map(|message| &message.parts)
    };
    let answered: HashSet<&str> = parts()
        .filter_map(|part| match part {
            Part::ToolResult(result) => Some(result.id.as_str()),
            _ => None,
        })
        .collect();
    let open: Vec<&ToolCall> = parts()
        .filter_map(|part| match part {
            Part::ToolCall(call) if !answered.contains(call.id.as_str()) => Some(call),
            _ => None,
        })
        .collect();
    let is = |event: &&&Event, role: Role| {
        let message = event.message.as_ref();
        message.is_some_and(|message| message.role == role && !has_result(message))
    };
    let asked = turn.iter().any(|event| is(&event, Role::User));
    let last_said = turn.iter().rev().find_map(|event| event.message.as_ref());
    let is_answered = last_said.is_some_and(|message| {
        message.role == Role::Assistant
            && !message
                .parts
                .iter()
                .any(|part| matches!(part, Part::ToolCall(_)))
    });
    let mut repairs = Vec::new();
    if !open.is_empty() {
        let why = "not run: the program ended before";
        let answers = open
            .iter()
            .map(|call| Part::ToolResult(unanswered(call, why)))
            .collect();
        let event = Event::new(fresh_id(), id, agent, now);
        repairs.push(event.with_message(Message::new(Role::Tool, answers)));
    }
    if asked && !is_answered {
        let mut event = Event::new(fresh_id(), id, agent, now);
        event.error_code = Some(INTERRUPTED.to_owned());
        event.error_message = Some("The turn was interrupted before its answer.".to_owned());
        repairs.push(event);
    }
    repairs
}

fn has_result(message: &Message) -> bool {
    message
        .parts
        .iter()
        .any(|part| matches!(part, Part::ToolResult(_)))
}
