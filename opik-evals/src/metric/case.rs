//! What a metric scores: named JSON values, most often an output and a reference.

use serde_json::{Map, Value};
use std::fmt;

use super::MetricError;

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
    fields: Map<String, Value>,
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
        self.fields.insert(name.into(), value.into());
        self
    }

    /// A field; `None` when it is absent. JSON null is a value here.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.fields.get(name)
    }

    /// All fields.
    #[must_use]
    pub fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// A field that has to be there and not null.
    ///
    /// # Errors
    ///
    /// [`Input`](super::MetricErrorKind::Input) when it is absent or null.
    pub fn require(&self, name: &str) -> Result<&Value, MetricError> {
        match self.fields.get(name) {
            None => Err(MetricError::input(format!("the case has no `{name}`"))),
            Some(Value::Null) => Err(MetricError::input(format!("`{name}` is null"))),
            Some(value) => Ok(value),
        }
    }

    /// A field that has to be text.
    ///
    /// # Errors
    ///
    /// [`Input`](super::MetricErrorKind::Input) when it is absent, null or not text.
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

fn as_text<'a>(value: &'a Value, name: &str) -> Result<&'a str, MetricError> {
    let kind = match value {
        Value::String(text) => return Ok(text),
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    Err(MetricError::input(format!(
        "`{name}` has to be text, not {kind}"
    )))
}

impl From<Map<String, Value>> for Case {
    fn from(fields: Map<String, Value>) -> Self {
        Self { fields }
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Case")
            .field(&self.fields.keys().collect::<Vec<_>>())
            .finish()
    }
}
