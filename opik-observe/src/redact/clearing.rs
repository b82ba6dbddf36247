//! The decision about single texts.

use std::borrow::Cow;

use opik_core::json::MAX_DEPTH;
use serde_json::Value;

use super::cleared::{Content, Leaf};
use super::shape::shape_of;
use crate::policy::{Field, Kinds, Policy, Rule, ScrubberPanicked};
use crate::raw::Payload;

/// The type of a span that has no other.
const GENERAL: &str = "general";

/// A policy applied to one record.
pub(super) struct Clearing<'p> {
    pub(super) policy: &'p Policy,
    /// What the record is; several where that is not known.
    pub(super) kinds: Kinds,
    /// Fields that the scrubber's panic cost.
    pub(super) lost: u64,
}

impl Clearing<'_> {
    pub(super) fn rule(&self, field: Field) -> Rule {
        self.policy.rule(field, self.kinds)
    }

    pub(super) fn keeps(&self, field: Field) -> bool {
        self.rule(field) == Rule::Keep
    }

    /// A name or label, or what stands for it, behind `word` where there is one.
    pub(super) fn label<'a>(
        &mut self,
        field: Field,
        word: Option<&str>,
        text: &'a str,
        declared: bool,
    ) -> Option<Cow<'a, str>> {
        let passes = match self.rule(field) {
            Rule::Hide => return None,
            Rule::Keep => true,
            Rule::Name => self.policy.passes_name(text, declared),
            Rule::Label => declared || Policy::passes_label(text),
        };
        if passes {
            self.scrubbed(field, text.into())
        } else {
            Some(self.policy.stand_in(field, word, text).into())
        }
    }

    /// The type of a span. The four that everyone knows are no text of the program.
    pub(super) fn word<'a>(&mut self, word: &'a str, is_span: bool) -> Cow<'a, str> {
        if !is_span || matches!(word, GENERAL | "llm" | "tool" | "guardrail") {
            return word.into();
        }
        let passes = self.keeps(Field::Name) || Policy::passes_label(word);
        // What reads like content, or is held back, is a span as any other.
        let scrubbed = passes.then(|| self.scrubbed(Field::Name, word.into()));
        scrubbed.flatten().unwrap_or(Cow::Borrowed(GENERAL))
    }

    /// The type of an error; one that does not pass has no stand-in.
    pub(super) fn error_type<'a>(&mut self, kind: &'a str, declared: bool) -> Option<Cow<'a, str>> {
        let passes = match self.rule(Field::ErrorType) {
            Rule::Hide => false,
            Rule::Keep => true,
            Rule::Name | Rule::Label => self.policy.passes_name(kind, declared),
        };
        passes
            .then(|| self.scrubbed(Field::ErrorType, kind.into()))
            .flatten()
    }

    /// A text that passes whole or not at all.
    pub(super) fn text<'a>(&mut self, field: Field, text: &'a str) -> Option<Cow<'a, str>> {
        if self.keeps(field) {
            self.scrubbed(field, text.into())
        } else {
            None
        }
    }

    pub(super) fn scrubbed<'a>(
        &mut self,
        field: Field,
        text: Cow<'a, str>,
    ) -> Option<Cow<'a, str>> {
        let scrubbed = self.policy.scrubbed(field, text);
        self.or_lost(scrubbed).flatten()
    }

    fn or_lost<T>(&mut self, result: Result<T, ScrubberPanicked>) -> Option<T> {
        if result.is_err() {
            self.lost += 1;
        }
        result.ok()
    }

    /// A value that passes, for a place `below` so many others.
    pub(super) fn leaf<'a>(
        &mut self,
        field: Field,
        payload: &Payload<'a>,
        below: usize,
    ) -> Option<Leaf<'a>> {
        Some(match payload {
            Payload::Text(text) | Payload::Declared(text) => {
                Leaf::Text(self.scrubbed(field, (*text).into())?)
            }
            Payload::Cut(text) => Leaf::Text(self.scrubbed(field, text.clone())?),
            Payload::Json(text) => {
                let text = self.scrubbed_json(field, text)?;
                match text {
                    Leaf::Json(text) if !fits(&text, below) => Leaf::Text(text),
                    other => other,
                }
            }
            Payload::Int(number) => Leaf::Int(*number),
            Payload::Float(number) => Leaf::Float(*number),
            Payload::Bool(truth) => Leaf::Bool(*truth),
        })
    }

    /// Content as Opik's readers want it: an object or a list of objects as it is, anything else as
    /// the only field of an object.
    pub(super) fn content<'a>(
        &mut self,
        field: Field,
        payload: &Payload<'a>,
    ) -> Option<Content<'a>> {
        if !self.keeps(field) {
            return None;
        }
        match payload {
            Payload::Cut(text) => self.scrubbed(field, text.clone()).map(Content::Cut),
            Payload::Json(text) => {
                let text = match self.scrubbed_json(field, text)? {
                    Leaf::Json(text) => text,
                    other => return Some(Content::Wrapped(other)),
                };
                Some(match shape_of(&text) {
                    Some(shape) if shape.structured => Content::Whole(text),
                    Some(shape) if shape.depth < MAX_DEPTH => Content::Wrapped(Leaf::Json(text)),
                    // Readable by nobody as JSON, for example nested too deeply: kept as a text.
                    _ => Content::Wrapped(Leaf::Text(text)),
                })
            }
            Payload::Text(text) => {
                // As any text in JSON.
                let scrubbed = self.policy.scrubbed(field, (*text).into());
                let kept = self.or_lost(scrubbed)?;
                Some(Content::Wrapped(
                    kept.map_or(Leaf::Json("null".into()), Leaf::Text),
                ))
            }
            other => self.leaf(field, other, 1).map(Content::Wrapped),
        }
    }

    /// JSON whose texts and keys have been through the scrubber one by one.
    fn scrubbed_json<'a>(&mut self, field: Field, text: &'a str) -> Option<Leaf<'a>> {
        if !self.policy.scrubs() {
            return Some(Leaf::Json(text.into()));
        }
        let Ok(mut value) = serde_json::from_str(text) else {
            return self.scrubbed(field, text.into()).map(Leaf::Text);
        };
        let done = self.scrub_value(field, &mut value);
        self.or_lost(done)?;
        Some(Leaf::Json(value.to_string().into()))
    }

    /// As deep as `serde_json` reads, which is 128 levels.
    fn scrub_value(&self, field: Field, value: &mut Value) -> Result<(), ScrubberPanicked> {
        match value {
            Value::String(text) => {
                let scrubbed = self.policy.scrubbed(field, std::mem::take(text).into())?;
                *value = scrubbed.map_or(Value::Null, |text| Value::String(text.into_owned()));
            }
            Value::Array(list) => {
                for item in list {
                    self.scrub_value(field, item)?;
                }
            }
            Value::Object(map) => {
                for (key, mut inner) in std::mem::take(map) {
                    if let Some(key) = self.policy.scrubbed(field, key.into())? {
                        self.scrub_value(field, &mut inner)?;
                        map.insert(key.into_owned(), inner);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
        Ok(())
    }
}

/// Whether a text is JSON that may stand below so many levels.
fn fits(text: &str, below: usize) -> bool {
    shape_of(text).is_some_and(|shape| shape.depth + below <= MAX_DEPTH)
}
