//! JSON content that travels as raw text: `input`, `output` and `metadata`.

pub mod escape;

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Deepest nesting that [`Json::parse`] accepts, which is what `serde_json` reads back.
pub const MAX_DEPTH: usize = 127;

/// A JSON text, kept as it was written: order of keys, spelling of numbers and all.
///
/// Parsed only where it is read, so passing it on costs a copy and no more. `Debug` prints the
/// size, never the text: what is in here may be a prompt.
///
/// ```
/// use opik_core::Json;
///
/// let input = Json::parse(r#"{"question": "why?"}"#)?;
/// assert_eq!(input.as_str(), r#"{"question": "why?"}"#);
/// assert_eq!(input.to_value()?["question"], "why?");
/// # Ok::<(), opik_core::json::JsonError>(())
/// ```
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Json(Box<RawValue>);

/// A text that is not JSON, or JSON that readers down the line would refuse.
///
/// The message names what is wrong and where, and never the text itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError {
    problem: &'static str,
    field: Option<String>,
    line: usize,
    column: usize,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid JSON: {}", self.problem)?;
        if let Some(field) = &self.field {
            write!(f, " in field `{field}`")?;
        }
        write!(f, " at line {}, column {}", self.line, self.column)
    }
}

impl std::error::Error for JsonError {}

impl JsonError {
    /// The field of the record that does not fit, by its name on the wire, where it is known.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        self.field.as_deref()
    }

    /// The line of the problem, counted from 1; 0 when it is in no text.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column of the problem, counted from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.column
    }

    pub(crate) fn from_serde(error: &serde_json::Error) -> Self {
        use serde_json::error::Category;
        let problem = match error.classify() {
            Category::Io => "unreadable",
            Category::Syntax => "syntax error",
            Category::Data => "another type was expected",
            Category::Eof => "the text ends too early",
        };
        Self {
            problem,
            field: None,
            line: error.line(),
            column: error.column(),
        }
    }

    /// The same error with what is wrong with the record and with which field.
    pub(crate) fn in_field(mut self, problem: &'static str, field: &str) -> Self {
        self.problem = problem;
        self.field = Some(field.to_owned());
        self
    }
}

impl Json {
    /// Takes a text after checking that every reader will accept it: well-formed, nested no
    /// deeper than [`MAX_DEPTH`], without lone surrogates.
    ///
    /// # Errors
    /// [`JsonError`] with the place of the first problem.
    pub fn parse(text: &str) -> Result<Self, JsonError> {
        // IgnoredAny accepts what Value refuses (lone surrogates), so Value is the check.
        serde_json::from_str::<serde_json::Value>(text)
            .map_err(|error| JsonError::from_serde(&error))?;
        serde_json::from_str(text)
            .map(Self)
            .map_err(|error| JsonError::from_serde(&error))
    }

    /// Writes a value as JSON.
    ///
    /// # Errors
    /// When the value has no JSON form (a map whose keys are not texts).
    pub fn from_serialize<T: Serialize + ?Sized>(value: &T) -> Result<Self, JsonError> {
        serde_json::value::to_raw_value(value)
            .map(Self)
            .map_err(|error| JsonError::from_serde(&error))
    }

    /// The JSON string with this content.
    #[must_use]
    pub fn string(text: &str) -> Self {
        Self::from_value(&serde_json::Value::from(text))
    }

    /// The JSON text of a value that is already in memory.
    #[must_use]
    pub fn from_value(value: &serde_json::Value) -> Self {
        // A Value always has a JSON form; `null` is unreachable and harmless.
        serde_json::value::to_raw_value(value).map_or_else(|_| Self::null(), Self)
    }

    /// The text `null`.
    #[must_use]
    pub fn null() -> Self {
        Self(RawValue::NULL.to_owned())
    }

    /// The text as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// Parses the text.
    ///
    /// # Errors
    /// When the text holds what `serde_json::Value` cannot (see [`Json::parse`]); texts that came
    /// off the wire are checked for well-formedness only.
    pub fn to_value(&self) -> Result<serde_json::Value, JsonError> {
        self.decode()
    }

    /// Parses the text into a type.
    ///
    /// # Errors
    /// When the text does not fit the type.
    pub fn decode<T: DeserializeOwned>(&self) -> Result<T, JsonError> {
        serde_json::from_str(self.0.get()).map_err(|error| JsonError::from_serde(&error))
    }
}

impl PartialEq for Json {
    /// Equal texts. Two spellings of one value are different.
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Json {}

impl std::hash::Hash for Json {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Json({} bytes)", self.as_str().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_kept_to_the_letter() {
        let text = r#"{"b": 1.0e2, "a": 12345678901234567890123, "b": 2}"#;
        assert_eq!(Json::parse(text).unwrap().as_str(), text);
    }

    #[test]
    fn what_readers_refuse_is_refused_at_the_edge() {
        let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(Json::parse(&deep(MAX_DEPTH)).is_ok());
        for text in [&deep(MAX_DEPTH + 1), r#""\ud800""#, "NaN", "", "{", "[1] 2"] {
            assert!(Json::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn debug_and_errors_show_no_content() {
        let json = Json::string("my secret prompt");
        assert_eq!(format!("{json:?}"), "Json(18 bytes)");
        let error = Json::parse(r#"{"secret": tru}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid JSON: syntax error at line 1, column 15"
        );
    }
}
