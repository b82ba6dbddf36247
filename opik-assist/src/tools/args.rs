//! The arguments of a call: what the model wrote, checked and never trusted.

use opik_core::tree::NodeId;
use opik_core::{Json, TraceTree};
use serde_json::{Map, Value};

use super::{Scene, ToolError};
use crate::answer::by_id;
use crate::context::SpanLabel;
use crate::quote::clean;
use crate::turn::INVALID;

/// Longest text of an argument.
const LONGEST: usize = 1_000;

/// The arguments of a call by name. Those that a tool does not know are ignored.
#[derive(Debug)]
pub(super) struct Args(Map<String, Value>);

impl Args {
    pub(super) fn read(arguments: &Json) -> Result<Self, ToolError> {
        match arguments.to_value() {
            Ok(Value::Object(map)) if !map.contains_key(INVALID) => Ok(Self(map)),
            Ok(Value::Null) => Ok(Self(Map::new())),
            _ => Err(ToolError::Argument {
                name: "list".to_owned(),
                problem: "the arguments must be one JSON object".to_owned(),
            }),
        }
    }

    fn wrong<T>(name: &str, problem: impl Into<String>) -> Result<T, ToolError> {
        Err(ToolError::Argument {
            name: name.to_owned(),
            problem: problem.into(),
        })
    }

    /// A text; `None` where it is absent, `null` or empty.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, ToolError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.trim().is_empty() => Ok(None),
            Some(Value::String(text)) if text.len() > LONGEST => {
                Self::wrong(name, format!("longer than {LONGEST} bytes"))
            }
            Some(Value::String(text)) => Ok(Some(text.trim())),
            Some(_) => Self::wrong(name, "must be a text"),
        }
    }

    /// Yes or no; no where it is absent.
    pub(super) fn flag(&self, name: &str) -> Result<bool, ToolError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(_) => Self::wrong(name, "must be true or false"),
        }
    }

    /// A whole number that is moved into the range.
    pub(super) fn number(
        &self,
        name: &str,
        default: usize,
        least: usize,
        most: usize,
    ) -> Result<usize, ToolError> {
        let number = match self.0.get(name) {
            None | Some(Value::Null) => return Ok(default),
            Some(Value::Number(number)) => number.as_u64().or_else(|| {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "checked to be whole, not negative and small"
                )]
                let whole = |value: f64| value as u64;
                let value = number.as_f64()?;
                (value.fract() == 0.0 && (0.0..1e9).contains(&value)).then(|| whole(value))
            }),
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        match number {
            Some(number) => Ok(usize::try_from(number).unwrap_or(most).clamp(least, most)),
            None => Self::wrong(name, "must be a whole number, not negative"),
        }
    }

    /// A span of the trace (or of the second one) that has to be named.
    pub(super) fn span<'a>(
        &self,
        name: &str,
        scene: &'a Scene,
    ) -> Result<(&'a TraceTree, NodeId), ToolError> {
        match self.optional_span(name, scene)? {
            Some(found) => Ok(found),
            None => Self::wrong(name, "is missing: give the id of a span"),
        }
    }

    /// A span of the trace (or of the second one), where one is named.
    pub(super) fn optional_span<'a>(
        &self,
        name: &str,
        scene: &'a Scene,
    ) -> Result<Option<(&'a TraceTree, NodeId)>, ToolError> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        match span_in(scene, text) {
            Some(found) => Ok(Some(found)),
            None => Err(ToolError::NoSuchSpan(clean(text, 64))),
        }
    }
}

/// The span that a text names by its whole id, its label or a short id.
fn span_in<'a>(scene: &'a Scene, text: &str) -> Option<(&'a TraceTree, NodeId)> {
    let text = text
        .trim_start_matches("{span:")
        .trim_matches(['{', '}', '(', ')', '`', '"', ' ']);
    if let Ok(id) = text.parse() {
        return scene.find(id);
    }
    if let Some(node) = SpanLabel::find(text.trim_matches(['[', ']']), &scene.tree) {
        return Some((&scene.tree, node));
    }
    let short = |tree: &'a TraceTree| match by_id(text, tree).as_slice() {
        [node] => Some((tree, *node)),
        _ => None,
    };
    short(&scene.tree).or_else(|| short(&scene.other.as_ref()?.0))
}
