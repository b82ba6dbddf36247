//! Fields of a span or event, as the program gives them.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};

use opik_core::SpanType;
use tracing::field::{Field, Visit};

use super::conventions::{self, NAMES, Slot, TOOL_NAMES};
use crate::guard::SpanGuard;
use crate::recorder::Core;
use crate::value::Value;

/// What is `Debug` or `Display` of the program runs in here: it may log, be endless or panic, and
/// none of it reaches the program.
pub(super) trait Writes {
    /// Bytes of one value.
    fn limit(&self) -> usize;
    fn value(&mut self, field: &Field, value: Value<'_>);
    fn lost(&mut self);

    /// A text of the program's own making.
    fn text(&mut self, field: &Field, write: impl FnOnce(&mut Limited) -> fmt::Result) {
        let mut text = Limited {
            text: String::new(),
            left: self.limit(),
        };
        let written = catch_unwind(AssertUnwindSafe(|| write(&mut text)));
        if written.is_ok() {
            // Not complete when it was too long: its beginning counts.
            self.value(field, Value::from(&text.text));
        } else {
            self.lost();
        }
    }
}

/// Visits fields in the same way wherever they go.
pub(super) struct Visitor<W>(pub(super) W);

impl<W: Writes> Visit for Visitor<W> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.value(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.value(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.value(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.value(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let end = value.floor_char_boundary(self.0.limit());
        self.0
            .value(field, value.get(..end).unwrap_or_default().into());
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.0.text(field, |text| {
            write!(text, "{value}")?;
            let mut source = value.source();
            // Bounded: nothing stops a foreign error from being its own source.
            for _ in 0..32 {
                let Some(cause) = source else { break };
                write!(text, ": {cause}")?;
                source = cause.source();
            }
            Ok(())
        });
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.text(field, |text| write!(text, "{value:?}"));
    }
}

/// Fields go straight to the metadata of a span that nobody else knows of yet.
pub(super) struct Plain<'a> {
    pub(super) core: &'a Core,
    pub(super) guard: &'a mut SpanGuard,
}

impl Writes for Plain<'_> {
    fn limit(&self) -> usize {
        self.core.field_bytes()
    }

    fn value(&mut self, field: &Field, value: Value<'_>) {
        self.guard.metadata(field.name(), value);
    }

    fn lost(&mut self) {
        self.core.field_lost();
    }
}

/// Names and values, kept until it is known what they make of the span.
pub(super) struct Fields {
    list: Vec<Ranked>,
    limit: usize,
    lost: usize,
}

/// A field and what it becomes.
pub(super) struct Ranked {
    pub(super) slot: Option<(u8, Slot)>,
    pub(super) name: &'static str,
    pub(super) value: Value<'static>,
}

impl Writes for Fields {
    fn limit(&self) -> usize {
        self.limit
    }

    fn value(&mut self, field: &Field, value: Value<'_>) {
        let value = match value {
            Value::Bool(truth) => Value::Bool(truth),
            Value::Int(number) => Value::Int(number),
            Value::Float(number) => Value::Float(number),
            Value::Text(text) => Value::from(text.into_owned()),
            Value::Json(json) => Value::from(json.into_owned()),
        };
        self.push(field.name(), value);
    }

    fn lost(&mut self) {
        self.lost += 1;
    }
}

impl Fields {
    /// Values of at most so many bytes each.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            list: Vec::new(),
            limit,
            lost: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn of(list: Vec<(&'static str, Value<'static>)>) -> Self {
        let mut fields = Self::new(1_000);
        for (name, value) in list {
            fields.push(name, value);
        }
        fields
    }

    fn push(&mut self, name: &'static str, value: Value<'static>) {
        let slot = conventions::slot(name);
        self.list.push(Ranked { slot, name, value });
    }

    /// How many could not be written.
    pub(super) fn lost_count(&self) -> usize {
        self.lost
    }

    /// The kind that these fields say or hint at; `None` when they do neither.
    pub(super) fn kind(&self) -> Option<SpanType> {
        let slots = |wanted| {
            let list = self.list.iter();
            list.filter_map(move |field| {
                let (rank, slot) = field.slot?;
                (slot == wanted).then_some((rank, &field.value))
            })
        };
        let said = slots(Slot::Kind).min_by_key(|(rank, _)| *rank);
        if let Some(word) = said.and_then(|(_, word)| text(word)) {
            return Some(conventions::kind(&word).unwrap_or(SpanType::General));
        }
        if slots(Slot::Model).next().is_some() {
            return Some(SpanType::Llm);
        }
        let mut names = self.list.iter().map(|field| field.name);
        names
            .any(|name| TOOL_NAMES.contains(&name))
            .then_some(SpanType::Tool)
    }

    /// The name that the span was given in a field.
    pub(super) fn take_name(&mut self) -> Option<String> {
        NAMES.iter().find_map(|wanted| {
            let place = self.list.iter().position(|field| {
                field.name == *wanted
                    && matches!(&field.value, Value::Text(text) if !text.is_empty())
            })?;
            text(&self.list.remove(place).value)
        })
    }

    /// By what they become, the stronger ones first; the rest last.
    pub(super) fn into_ranked(mut self) -> Vec<Ranked> {
        self.list
            .sort_by_key(|field| field.slot.map_or(u8::MAX, |(rank, _)| rank));
        self.list
    }
}

/// A number, truth value or text as text.
pub(super) fn text(value: &Value<'_>) -> Option<String> {
    match value {
        Value::Text(text) if !text.is_empty() => Some(text.clone().into_owned()),
        Value::Text(_) => None,
        Value::Int(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Json(json) => Some(json.to_string()),
    }
}

/// Takes so many bytes and then fails, which ends the formatting.
pub(super) struct Limited {
    text: String,
    left: usize,
}

impl fmt::Write for Limited {
    fn write_str(&mut self, piece: &str) -> fmt::Result {
        let end = piece.floor_char_boundary(self.left);
        self.left -= end;
        self.text.push_str(piece.get(..end).unwrap_or_default());
        if end < piece.len() {
            self.left = 0;
            return Err(fmt::Error);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters() {
        let mut text = Limited {
            text: String::new(),
            left: 4,
        };
        assert!(text.write_str("aé").is_ok());
        assert!(text.write_str("é").is_err());
        assert!(text.write_str("b").is_err());
        assert_eq!(text.text, "aé");
    }
}
