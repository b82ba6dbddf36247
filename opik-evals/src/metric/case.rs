//! What a metric scores: named JSON values, most often an output and a reference.

use serde_json::{Map, Value};
use std::fmt;

use super::MetricError;

const OUTPUT: &str = "output";
const REFERENCE: &str = "reference";

/// One case: what was written (`output`), what was expected (`reference`), and whatever else a
/// metric reads, such as `conversation` (a list of `{"role", "content"}` messages).
///
/// The fields are those that the Python SDK passes to a metric by keyword: the dataset item and the
/// output of the task. `Debug` shows their names, not their content.
///
/// ```
/// use opik_evals::Case;
///
/// let case = Case::new("4").with_reference("four").with("input", "2 + 2?");
/// assert_eq!(case.get("input").and_then(|v| v.as_str()), Some("2 + 2?"));
/// assert!(!format!("{case:?}").contains("four"));
/// ```
#[derive(Clone, Default, PartialEq)]
pub struct Case {
    // What most metrics read lies in the case itself: to look for it in a map, and to compare names
    // there, takes longer than a cheap metric.
    output: Option<Value>,
    reference: Option<Value>,
    others: Map<String, Value>,
}

impl Case {
    /// A case with an output.
    #[must_use]
    pub fn new(output: impl Into<Value>) -> Self {
        Self::default().with("output", output)
    }

    /// A case of a conversation: pairs of role and content, oldest first.
    #[must_use]
    pub fn conversation<R: Into<String>, C: Into<String>>(
        messages: impl IntoIterator<Item = (R, C)>,
    ) -> Self {
        let messages = messages.into_iter().map(|(role, content)| {
            let mut message = Map::new();
            message.insert("role".into(), Value::String(role.into()));
            message.insert("content".into(), Value::String(content.into()));
            Value::Object(message)
        });
        Self::default().with("conversation", messages.collect::<Vec<_>>())
    }

    /// With the expected text, or a list of texts of which any will do.
    #[must_use]
    pub fn with_reference(self, reference: impl Into<Value>) -> Self {
        self.with("reference", reference)
    }

    /// With a field; a field of that name is replaced.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.set(name.into(), value.into());
        self
    }

    fn set(&mut self, name: String, value: Value) {
        match name.as_str() {
            OUTPUT => self.output = Some(value),
            REFERENCE => self.reference = Some(value),
            _ => drop(self.others.insert(name, value)),
        }
    }

    /// A field; `None` when it is absent. JSON null is a value here.
    #[must_use]
    #[inline]
    pub fn get(&self, name: &str) -> Option<&Value> {
        match name {
            OUTPUT => self.output.as_ref(),
            REFERENCE => self.reference.as_ref(),
            _ => self.others.get(name),
        }
    }

    /// Output and reference, where they are.
    pub(super) fn common(&self) -> impl Iterator<Item = &Value> {
        self.output.iter().chain(&self.reference)
    }

    /// All fields: name and value, in no order that means anything.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &Value)> {
        let own = [(OUTPUT, &self.output), (REFERENCE, &self.reference)];
        let own = own
            .into_iter()
            .filter_map(|(name, value)| Some((name, value.as_ref()?)));
        let others = self.others.iter();
        own.chain(others.map(|(name, value)| (name.as_str(), value)))
    }

    /// A field that has to be there and not null.
    ///
    /// # Errors
    ///
    /// [`Input`](super::MetricErrorKind::Input) when it is absent or null.
    #[inline]
    pub fn require(&self, name: &str) -> Result<&Value, MetricError> {
        match self.get(name) {
            Some(value) if !value.is_null() => Ok(value),
            absent => Err(missing(name, absent.is_some())),
        }
    }

    /// A field that has to be text.
    ///
    /// # Errors
    ///
    /// [`Input`](super::MetricErrorKind::Input) when it is absent, null or not text.
    #[inline]
    pub fn text(&self, name: &str) -> Result<&str, MetricError> {
        as_text(self.require(name)?, name)
    }

    /// A field that has to be a text or a list of texts.
    ///
    /// # Errors
    ///
    /// [`Input`](super::MetricErrorKind::Input) when it is absent, null or something else.
    pub fn texts(&self, name: &str) -> Result<Vec<&str>, MetricError> {
        value_texts(self.require(name)?, name)
    }
}

/// A text, or the texts of a list.
pub(crate) fn value_texts<'a>(value: &'a Value, name: &str) -> Result<Vec<&'a str>, MetricError> {
    match value {
        Value::Array(items) => items.iter().map(|item| as_text(item, name)).collect(),
        other => Ok(vec![as_text(other, name)?]),
    }
}

#[inline]
fn as_text<'a>(value: &'a Value, name: &str) -> Result<&'a str, MetricError> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(not_text(other, name)),
    }
}

#[cold]
fn not_text(value: &Value, name: &str) -> MetricError {
    let kind = match value {
        Value::String(_) => "text",
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    MetricError::input(format!("`{name}` has to be text, not {kind}"))
}

#[cold]
fn missing(name: &str, null: bool) -> MetricError {
    MetricError::input(if null {
        format!("`{name}` is null")
    } else {
        format!("the case has no `{name}`")
    })
}

impl From<Map<String, Value>> for Case {
    fn from(mut fields: Map<String, Value>) -> Self {
        Self {
            output: fields.remove(OUTPUT),
            reference: fields.remove(REFERENCE),
            others: fields,
        }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Case")
            .field(&self.fields().map(|(name, _)| name).collect::<Vec<_>>())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_found_however_they_came() {
        let given = json!({ "output": null, "reference": ["a", "b"], "input": "q" });
        let from = Case::from(given.as_object().unwrap().clone());
        let built = Case::default()
            .with("input", "old")
            .with("reference", json!(["a", "b"]))
            .with("output", Value::Null)
            .with("input", "q");
        assert_eq!(from, built);
        for case in [from, built] {
            assert_eq!(case.get("output"), Some(&Value::Null));
            assert_eq!(case.get("input"), Some(&json!("q")));
            assert_eq!(case.get("context"), None);
            let fields = case.fields();
            let fields: Map<String, Value> = fields
                .map(|(name, value)| (name.to_owned(), value.clone()))
                .collect();
            assert_eq!(Value::Object(fields), given);
        }
    }
}
