//! Fields of a span or event, as the program gives them.

use std::error::Error;
use std::fmt::{self, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};

use opik_core::SpanType;
use tracing::field::{Field, Visit};

use super::conventions::{self, NAMES, Slot, TOOL_NAMES};
use crate::value::Value;

/// Names and values. What is `Debug` or `Display` of the program runs in here: it may log, be
/// endless or panic, and none of it reaches the program.
pub(super) struct Fields {
    list: Vec<(&'static str, Value<'static>)>,
    /// Bytes of one value.
    limit: usize,
    lost: usize,
}

/// A field and what it becomes.
pub(super) struct Ranked {
    pub(super) slot: Option<(u8, Slot)>,
    pub(super) name: &'static str,
    pub(super) value: Value<'static>,
}

impl Fields {
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
        fields.list = list;
        fields
    }

    /// How many could not be written.
    pub(super) fn lost(&self) -> usize {
        self.lost
    }

    /// The kind that these fields say or hint at.
    pub(super) fn kind(&self) -> SpanType {
        self.said_kind().unwrap_or_else(|| {
            if self.has_slot(Slot::Model) {
                SpanType::Llm
            } else if self.names_tool() {
                SpanType::Tool
            } else {
                SpanType::General
            }
        })
    }

    /// Whether that is more than the kind of all other spans.
    pub(super) fn has_kind(&self) -> bool {
        self.said_kind().is_some() || self.has_slot(Slot::Model) || self.names_tool()
    }

    pub(super) fn names_tool(&self) -> bool {
        self.list.iter().any(|(name, _)| TOOL_NAMES.contains(name))
    }

    fn has_slot(&self, wanted: Slot) -> bool {
        self.list
            .iter()
            .any(|(name, _)| conventions::slot(name).is_some_and(|(_, slot)| slot == wanted))
    }

    fn said_kind(&self) -> Option<SpanType> {
        let words = self.list.iter().filter_map(|(name, value)| {
            let (rank, slot) = conventions::slot(name)?;
            (slot == Slot::Kind).then_some((rank, value))
        });
        let (_, word) = words.min_by_key(|(rank, _)| *rank)?;
        Some(conventions::kind(&text(word)?).unwrap_or(SpanType::General))
    }

    /// The name that the span was given in a field.
    pub(super) fn take_name(&mut self) -> Option<String> {
        NAMES.iter().find_map(|wanted| {
            let place = self.list.iter().position(|(name, value)| {
                name == wanted && matches!(value, Value::Text(text) if !text.is_empty())
            })?;
            text(&self.list.remove(place).1)
        })
    }

    /// By what they become, the stronger ones first; the rest last.
    pub(super) fn into_ranked(self) -> Vec<Ranked> {
        let ranked = self.list.into_iter();
        let mut ranked: Vec<_> = ranked
            .map(|(name, value)| Ranked {
                slot: conventions::slot(name),
                name,
                value,
            })
            .collect();
        ranked.sort_by_key(|field| field.slot.map_or(u8::MAX, |(rank, _)| rank));
        ranked
    }

    /// Runs code of the program that writes text.
    fn write(&mut self, field: &Field, write: impl FnOnce(&mut Limited) -> fmt::Result) {
        let mut text = Limited {
            text: String::new(),
            left: self.limit,
        };
        let written = catch_unwind(AssertUnwindSafe(|| write(&mut text)));
        if written.is_ok() {
            // Not complete when it was too long: its beginning counts.
            self.push(field, text.text.into());
        } else {
            self.lost += 1;
        }
    }

    fn push(&mut self, field: &Field, value: Value<'static>) {
        self.list.push((field.name(), value));
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

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.push(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.write(field, |text| text.write_str(value));
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.write(field, |text| {
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
        self.write(field, |text| write!(text, "{value:?}"));
    }
}

/// Takes so many bytes and then fails, which ends the formatting.
struct Limited {
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
