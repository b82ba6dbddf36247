//! From the log of a session to messages that any provider takes.
//!
//! A log may have been written by several processes at once, by an older program, or by one that
//! was killed in mid-turn. So the messages are put in order turn by turn, and repaired:
//!
//! - events of one turn stay together, turns are in the order of their first event;
//! - every tool call is answered right after its message, once; answers without a call are left out;
//! - a turn in which nothing was answered is left out: its question failed, and whoever still wants
//!   to know asks again; the turn that is about to begin is left out as well;
//! - a turn that broke off after some words gets a last sentence that says so;
//! - of old turns only question and last answer are kept when there is no room for more, and the
//!   oldest are left out.

use std::collections::HashMap;

use opik_core::session::{ToolCall, ToolResult};
use opik_core::{Event, Message, Part, Role};

use super::unanswered;

/// The conversation of these events, oldest first, at most about `most` characters; without the
/// turn `current`.
///
/// ```
/// use opik_assist::turn::conversation;
/// use opik_core::{Event, Message, Role, Timestamp};
///
/// let event = |id: &str, author: &str| Event::new(id, "turn 1", author, Timestamp::now());
/// let question = event("1", "user").with_message(Message::text(Role::User, "Why?"));
/// // Nobody answered, so there is nothing to be told.
/// assert!(conversation(&[question.clone()], "turn 2", 10_000).is_empty());
///
/// let answer = event("2", "agent").with_message(Message::text(Role::Assistant, "Because."));
/// assert_eq!(conversation(&[question, answer], "turn 2", 10_000).len(), 2);
/// ```
#[must_use]
pub fn conversation(events: &[Event], current: &str, most: usize) -> Vec<Message> {
    let mut order: Vec<&str> = Vec::new();
    let mut turns: HashMap<&str, Vec<&Event>> = HashMap::new();
    for event in events.iter().filter(|event| event.invocation_id != current) {
        let turn = turns.entry(&event.invocation_id).or_insert_with(|| {
            order.push(&event.invocation_id);
            Vec::new()
        });
        turn.push(event);
    }
    let mut kept: Vec<Vec<Message>> = Vec::new();
    let mut left = most;
    for id in order.iter().rev() {
        let Some(messages) = turns.get(id).and_then(|events| messages_of(events)) else {
            continue;
        };
        let slim = || match (messages.first(), messages.last()) {
            (Some(first), Some(last)) => vec![first.clone(), without_calls(last)],
            _ => Vec::new(),
        };
        if size(&messages) <= left {
            left -= size(&messages);
            kept.push(messages);
        } else if size(&slim()) <= left {
            let slim = slim();
            left -= size(&slim);
            kept.push(slim);
        } else {
            break;
        }
    }
    kept.into_iter().rev().flatten().collect()
}

/// The messages of one turn, from the question on; `None` when nothing was answered.
fn messages_of(events: &[&Event]) -> Option<Vec<Message>> {
    let spoken = |event: &&&Event| event.message.is_some();
    let mut said = events
        .iter()
        .filter(spoken)
        .skip_while(|event| kind(event) != Some(Kind::Question));
    let question = said.next()?.message.as_ref()?;
    let mut results: Vec<&ToolResult> = events.iter().flat_map(results).collect();
    let mut messages = vec![Message::text(Role::User, question.words())];
    for event in said {
        let (Some(message), Some(Kind::Reply)) = (&event.message, kind(event)) else {
            continue;
        };
        let calls: Vec<ToolCall> = message.parts.iter().filter_map(call).cloned().collect();
        let words = message.words();
        let mut parts = Vec::new();
        if !words.trim().is_empty() {
            parts.push(Part::Text(words));
        }
        parts.extend(calls.iter().cloned().map(Part::ToolCall));
        if parts.is_empty() {
            continue;
        }
        messages.push(Message::new(Role::Assistant, parts));
        if calls.is_empty() {
            continue;
        }
        let answers = calls.iter().map(|call| {
            let at = results.iter().position(|result| result.id == call.id);
            let result = at.map(|at| results.remove(at).clone());
            Part::ToolResult(
                result.unwrap_or_else(|| unanswered(call, "not run: the turn ended before")),
            )
        });
        messages.push(Message::new(Role::Tool, answers.collect()));
    }
    let last = messages.last()?;
    match last.role {
        Role::User => return None,
        Role::Tool => messages.push(Message::text(
            Role::Assistant,
            "(This turn ended before an answer.)",
        )),
        _ => {}
    }
    Some(messages)
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Question,
    Reply,
    Results,
}

/// What an event is, by what it says: some programs store answers of tools as words of the user.
fn kind(event: &Event) -> Option<Kind> {
    let message = event.message.as_ref()?;
    let is_result = |part: &Part| matches!(part, Part::ToolResult(_));
    if message.parts.iter().any(is_result) {
        return Some(Kind::Results);
    }
    match message.role {
        Role::User => Some(Kind::Question),
        Role::Assistant => Some(Kind::Reply),
        _ => None,
    }
}

fn results<'a>(event: &&'a Event) -> impl Iterator<Item = &'a ToolResult> + use<'a> {
    let parts = event.message.iter().flat_map(|message| &message.parts);
    parts.filter_map(|part| match part {
        Part::ToolResult(result) => Some(result),
        _ => None,
    })
}

fn call(part: &Part) -> Option<&ToolCall> {
    match part {
        Part::ToolCall(call) => Some(call),
        _ => None,
    }
}

fn without_calls(message: &Message) -> Message {
    Message::text(message.role, message.words())
}

fn size(messages: &[Message]) -> usize {
    let parts = messages.iter().flat_map(|message| &message.parts);
    parts
        .map(|part| match part {
            Part::Text(text) | Part::Reasoning(text) => text.len(),
            Part::ToolCall(call) => call.arguments.as_str().len() + call.name.len(),
            Part::ToolResult(result) => result.content.as_str().len(),
            _ => 0,
        })
        .sum()
}
