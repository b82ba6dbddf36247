//! The Opik span that a tracing span carries in its extensions.

use std::sync::Arc;

use opik_core::{SpanType, Usage};
use serde_json::value::RawValue;

use super::conventions::{self, METADATA, SLOTS, SOURCE_TYPE, STATUS, Slot, USAGE};
use super::fields::{Fields, Ranked, text};
use crate::context::SpanHandle;
use crate::guard::SpanGuard;
use crate::name::Name;
use crate::recorder::Core;
use crate::value::Value;

/// Weaker than any field of the table.
const FREE: u8 = u8::MAX;

/// The conversation, and the field that told it.
pub(super) type Thread = (&'static str, String);

/// An Opik span under way.
pub(super) struct OpikSpan {
    handle: SpanHandle,
    guard: SpanGuard,
    /// The trace began with it and ends with it.
    owns_trace: bool,
    has_kind: bool,
    has_thread: bool,
    /// By which field of the table each slot was filled.
    ranks: [u8; SLOTS],
    prompt: Option<i64>,
    completion: Option<i64>,
}

impl OpikSpan {
    pub(super) fn new(guard: SpanGuard, owns_trace: bool, has_kind: bool) -> Self {
        Self {
            handle: guard.handle(),
            guard,
            owns_trace,
            has_kind,
            has_thread: false,
            ranks: [FREE; SLOTS],
            prompt: None,
            completion: None,
        }
    }

    /// Whether this recorder records it, and not that of another layer in the same subscriber.
    pub(super) fn is_of(&self, core: &Arc<Core>) -> bool {
        let own = self.handle.core.as_ref();
        own.is_some_and(|own| Arc::ptr_eq(own, core))
    }

    pub(super) fn handle(&self) -> SpanHandle {
        self.handle.clone()
    }

    /// Takes the conversation if the trace is its own; the first one stays.
    pub(super) fn thread_of_trace(&mut self, thread: &str) -> bool {
        if self.owns_trace && !self.has_thread {
            self.has_thread = true;
            self.guard.thread_id(thread);
        }
        self.owns_trace
    }

    pub(super) fn metadata(&mut self, name: &str, value: &str) {
        self.guard.metadata(name, value);
    }

    /// Writes the fields; gives the conversation back, which belongs to the trace.
    pub(super) fn apply(&mut self, fields: Fields) -> Option<Thread> {
        if !self.has_kind
            && let Some(kind) = fields.kind()
        {
            self.has_kind = true;
            self.guard.kind(&kind);
        }
        let mut thread = None;
        let (mut failed, mut said, mut error_kind) = (false, None, None);
        for Ranked { slot, name, value } in fields.into_ranked() {
            let Some((rank, slot)) = slot.filter(|(rank, slot)| self.is_free(*rank, *slot)) else {
                self.other(name, value);
                continue;
            };
            let taken = match slot {
                Slot::Thread => {
                    thread = text(&value).map(|it| (name, it));
                    thread.is_some()
                }
                Slot::Error => {
                    failed = !matches!(value, Value::Bool(false));
                    if !matches!(value, Value::Bool(_)) {
                        said = text(&value);
                    }
                    failed
                }
                Slot::ErrorKind => {
                    error_kind = text(&value);
                    error_kind.is_some()
                }
                slot => self.set(slot, &value),
            };
            if taken {
                if let Some(place) = self.ranks.get_mut(slot as usize) {
                    *place = rank;
                }
            } else {
                self.other(name, value);
            }
        }
        if failed || error_kind.is_some() {
            self.fail_with(error_kind.as_deref(), said.as_deref());
        }
        thread
    }

    /// Whether nothing stronger was there. The same field again replaces itself.
    fn is_free(&self, rank: u8, slot: Slot) -> bool {
        let filled_by = self.ranks.get(slot as usize);
        filled_by.is_some_and(|filled_by| rank <= *filled_by)
    }

    fn set(&mut self, slot: Slot, value: &Value<'_>) -> bool {
        match slot {
            Slot::Kind => {
                let Some(word) = text(value) else {
                    return false;
                };
                let kind = conventions::kind(&word);
                if kind.is_none() {
                    self.guard.metadata(SOURCE_TYPE, &word);
                }
                self.guard.kind(&kind.unwrap_or(SpanType::General));
                self.has_kind = true;
                true
            }
            Slot::Model => self.text(value, |guard, model| {
                guard.model(model, "");
            }),
            Slot::Provider => self.text(value, SpanGuard::provider),
            Slot::Cost => match number(value) {
                Some(cost) => {
                    self.guard.cost(cost);
                    true
                }
                None => false,
            },
            Slot::Input => self.content(value, |guard, content| match content {
                Content::Json(json) => guard.input(json),
                Content::Text(text) => guard.input(text),
            }),
            Slot::Output => self.content(value, |guard, content| match content {
                Content::Json(json) => guard.output(json),
                Content::Text(text) => guard.output(text),
            }),
            Slot::Tags => self.tags(value),
            Slot::Thread | Slot::Error | Slot::ErrorKind => false,
            Slot::Prompt | Slot::Completion | Slot::Total | Slot::CacheRead | Slot::Reasoning => {
                let Some((name, count)) = slot.counter().zip(whole(value)) else {
                    return false;
                };
                match slot {
                    Slot::Prompt => self.prompt = Some(count),
                    Slot::Completion => self.completion = Some(count),
                    _ => {}
                }
                self.count(name, count);
                true
            }
        }
    }

    fn text(&mut self, value: &Value<'_>, set: impl FnOnce(&mut SpanGuard, &str)) -> bool {
        let text = text(value);
        if let Some(text) = &text {
            set(&mut self.guard, text);
        }
        text.is_some()
    }

    /// What was written as a JSON object or list inside a text becomes one.
    fn content(
        &mut self,
        value: &Value<'_>,
        set: impl for<'a> FnOnce(&'a mut SpanGuard, Content<'a>) -> &'a mut SpanGuard,
    ) -> bool {
        let Some(text) = text(value) else {
            return false;
        };
        let may_be_json =
            text.trim_start().starts_with(['{', '[']) || !matches!(value, Value::Text(_));
        let json = may_be_json
            .then(|| serde_json::from_str::<&RawValue>(&text).ok())
            .flatten();
        match json {
            Some(json) => set(&mut self.guard, Content::Json(json)),
            None => set(&mut self.guard, Content::Text(&text)),
        };
        true
    }

    fn tags(&mut self, value: &Value<'_>) -> bool {
        let Some(words) = text(value) else {
            return false;
        };
        let list: Vec<String> = serde_json::from_str(&words)
            .unwrap_or_else(|_| words.split(',').map(str::to_owned).collect());
        for word in list.iter().map(|word| word.trim()) {
            if !word.is_empty() {
                self.guard.tag(word);
            }
        }
        true
    }

    fn count(&mut self, name: &str, count: i64) {
        let mut usage = Usage::default();
        usage.0.insert(name.to_owned(), count);
        self.guard.usage(&usage);
    }

    /// A field that fills no slot.
    fn other(&mut self, name: &'static str, value: Value<'_>) {
        if let Some(counter) = name.strip_prefix(USAGE)
            && let Some(count) = whole(&value)
        {
            return self.count(counter, count);
        }
        if name == STATUS && matches!(&value, Value::Text(code) if code == "ERROR") {
            return self.fail_with(None, None);
        }
        let name = name.strip_prefix(METADATA).unwrap_or(name);
        self.guard.metadata(name, value);
    }

    /// The span failed, says an event in it.
    pub(super) fn fail(&mut self, event: Fields) {
        let (mut message, mut said, mut kind) = (None, None, None);
        for Ranked { slot, name, value } in event.into_ranked() {
            match slot {
                Some((_, Slot::Error)) if said.is_none() => said = text(&value),
                Some((_, Slot::ErrorKind)) if kind.is_none() => kind = text(&value),
                _ if name == "message" => message = text(&value),
                _ => {}
            }
        }
        let text = match (message, said) {
            (Some(message), Some(said)) => Some(format!("{message}: {said}")),
            (message, said) => message.or(said),
        };
        self.fail_with(kind.as_deref(), text.as_deref());
    }

    fn fail_with(&mut self, kind: Option<&str>, text: Option<&str>) {
        let kind = kind.map_or(Name::from("error"), Name::dynamic);
        self.guard.fail(kind, text.unwrap_or_default());
    }

    /// Ends the span.
    pub(super) fn end(mut self) {
        let is_free = self.is_free(FREE, Slot::Total);
        if let (Some(prompt), Some(completion), true) = (self.prompt, self.completion, is_free)
            && let Some(name) = Slot::Total.counter()
        {
            self.count(name, prompt.saturating_add(completion));
        }
        self.guard.end();
    }
}

/// An input or output.
enum Content<'a> {
    Json(&'a RawValue),
    Text(&'a str),
}

fn whole(value: &Value<'_>) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Text(text) => text.parse().ok(),
        Value::Bool(_) | Value::Float(_) | Value::Json(_) => None,
    }
}

fn number(value: &Value<'_>) -> Option<f64> {
    let number = match value {
        Value::Float(number) => Some(*number),
        Value::Int(_) | Value::Text(_) => text(value).and_then(|it| it.parse().ok()),
        Value::Bool(_) | Value::Json(_) => None,
    };
    number.filter(|it: &f64| it.is_finite())
}
