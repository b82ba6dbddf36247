//! A reply of the model as it arrives, and what it is when it is whole.

use opik_core::chat::{ChatEvent, FinishReason, ModelErrorKind};
use opik_core::session::ToolCall;
use opik_core::{Json, Usage};
use serde_json::{Value, json};

use super::{Ended, Limit};

/// Longest name of a tool that providers take.
const NAME: usize = 64;
/// Longest id of a call that is kept.
const ID: usize = 128;
/// Most calls of one reply that are looked at.
const CALLS: usize = 128;

/// A piece of a reply that can be shown at once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delta {
    /// Words to append.
    Text(String),
    /// The model's own notes to append.
    Reasoning(String),
    /// Token counts so far.
    Usage(Usage),
}

/// A reply that arrives.
#[derive(Debug)]
pub(super) struct Reply {
    text: String,
    calls: Vec<ToolCall>,
    usage: Usage,
    finish: Option<FinishReason>,
    most: usize,
    full: bool,
}

/// A reply that has arrived.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) text: String,
    pub(super) calls: Vec<ToolCall>,
    /// Why the turn cannot go on after it.
    pub(super) ended: Option<Ended>,
}

impl Reply {
    pub(super) fn new(most: usize) -> Self {
        Self {
            text: String::new(),
            calls: Vec::new(),
            usage: Usage::default(),
            finish: None,
            most,
            full: false,
        }
    }

    pub(super) fn event(&mut self, event: ChatEvent) -> Option<Delta> {
        match event {
            ChatEvent::Usage(usage) => {
                self.usage = usage.clone();
                return Some(Delta::Usage(usage));
            }
            // What comes after the end is not part of the reply.
            _ if self.finish.is_some() => {}
            ChatEvent::Text(text) => return self.append(text).map(Delta::Text),
            ChatEvent::Reasoning(notes) => return Some(Delta::Reasoning(notes)),
            ChatEvent::ToolCall(call) if self.calls.len() < CALLS => self.calls.push(call),
            ChatEvent::Finish(reason) => self.finish = Some(reason),
            _ => {}
        }
        None
    }

    fn append(&mut self, mut text: String) -> Option<String> {
        let room = self.most.saturating_sub(self.text.len());
        if text.len() > room {
            self.full = true;
            text.truncate(text.floor_char_boundary(room));
        }
        self.text.push_str(&text);
        (!text.is_empty()).then_some(text)
    }

    pub(super) fn is_full(&self) -> bool {
        self.full
    }

    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty() && self.calls.is_empty()
    }

    pub(super) fn usage(&self) -> &Usage {
        &self.usage
    }

    pub(super) fn into_whole(self, result: Result<(), ModelErrorKind>) -> Whole {
        let ended = match (result, self.finish) {
            (Err(kind), _) => Some(Ended::ModelFailed(kind)),
            _ if self.full => Some(Ended::Limited(Limit::ReplyLength)),
            (Ok(()), None) => Some(Ended::ModelFailed(ModelErrorKind::Truncated)),
            (Ok(()), Some(FinishReason::Length)) => Some(Ended::CutOff),
            (Ok(()), Some(FinishReason::ContentFilter)) => Some(Ended::Withheld),
            // Whether tools are to run is told by the calls: providers do not agree on the reason.
            (Ok(()), Some(_)) => None,
        };
        Whole {
            text: self.text,
            calls: acceptable(self.calls),
            ended,
        }
    }
}

/// The calls as every provider takes them back.
fn acceptable(calls: Vec<ToolCall>) -> Vec<ToolCall> {
    let mut done: Vec<ToolCall> = Vec::with_capacity(calls.len());
    for (number, call) in calls.into_iter().enumerate() {
        let mut id: String = call.id.chars().take(ID).collect();
        if id.is_empty() {
            id = format!("call_{number}");
        }
        if done.iter().any(|other| other.id == id) {
            id = format!("{id}-{number}");
        }
        done.push(ToolCall {
            id,
            name: name(&call.name),
            arguments: arguments(call.arguments),
        });
    }
    done
}

fn name(name: &str) -> String {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
    let letters = name.chars().take(NAME);
    let name: String = letters
        .map(|letter| if is_allowed(letter) { letter } else { '_' })
        .collect();
    if name.is_empty() {
        "unnamed".to_owned()
    } else {
        name
    }
}

/// The arguments as an object; a text that holds one is taken for it, anything else is kept beside
/// a name that no tool has.
fn arguments(arguments: Json) -> Json {
    match arguments.to_value() {
        Ok(Value::Object(_)) => arguments,
        Ok(Value::Null) => Json::from_value(&json!({})),
        Ok(Value::String(text)) if text.trim().is_empty() => Json::from_value(&json!({})),
        Ok(Value::String(text)) => match Json::parse(&text) {
            Ok(inner) if matches!(inner.to_value(), Ok(Value::Object(_))) => inner,
            _ => Json::from_value(&json!({ INVALID: text })),
        },
        Ok(other) => Json::from_value(&json!({ INVALID: other })),
        Err(_) => Json::from_value(&json!({ INVALID: "not JSON" })),
    }
}

/// The name under which arguments are kept that are no object.
pub(crate) const INVALID: &str = "invalid_arguments";
