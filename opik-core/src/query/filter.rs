//! One condition.

use serde::Deserialize;

use super::{Entity, Field, rules};
use crate::Timestamp;

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// Equal; for lists: has the element.
    Equal,
    /// Not equal; for lists: lacks the element.
    NotEqual,
    /// Greater.
    Greater,
    /// Greater or equal.
    GreaterEqual,
    /// Less.
    Less,
    /// Less or equal.
    LessEqual,
    /// Has the text in it.
    Contains,
    /// Lacks the text.
    NotContains,
    /// Begins with the text.
    StartsWith,
    /// Ends with the text.
    EndsWith,
    /// Has no value.
    IsEmpty,
    /// Has a value.
    IsNotEmpty,
    /// Is one of a list that is separated by commas.
    In,
    /// Is none of a list that is separated by commas.
    NotIn,
}

impl Operator {
    /// Every operator with its name on the wire.
    pub const ALL: [(Self, &'static str); 14] = [
        (Self::Equal, "="),
        (Self::NotEqual, "!="),
        (Self::Greater, ">"),
        (Self::GreaterEqual, ">="),
        (Self::Less, "<"),
        (Self::LessEqual, "<="),
        (Self::Contains, "contains"),
        (Self::NotContains, "not_contains"),
        (Self::StartsWith, "starts_with"),
        (Self::EndsWith, "ends_with"),
        (Self::IsEmpty, "is_empty"),
        (Self::IsNotEmpty, "is_not_empty"),
        (Self::In, "in"),
        (Self::NotIn, "not_in"),
    ];

    /// The operator with this name on the wire.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(operator, _)| *operator)
    }

    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "!=",
            Self::Greater => ">",
            Self::GreaterEqual => ">=",
            Self::Less => "<",
            Self::LessEqual => "<=",
            Self::Contains => "contains",
            Self::NotContains => "not_contains",
            Self::StartsWith => "starts_with",
            Self::EndsWith => "ends_with",
            Self::IsEmpty => "is_empty",
            Self::IsNotEmpty => "is_not_empty",
            Self::In => "in",
            Self::NotIn => "not_in",
        }
    }
}

/// A condition that was checked: the operator fits the field, the value fits both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    field: Field,
    operator: Operator,
    key: Option<String>,
    value: String,
}

/// Why a condition makes no sense. The texts are those of Opik's server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FilterError {
    /// The entity has no such field.
    #[error("unknown field '{0}'")]
    UnknownField(String),
    /// There is no such operator.
    #[error("unknown operator '{0}'")]
    UnknownOperator(String),
    /// The operator does not go with the field.
    #[error("Invalid operator '{operator}' for field '{field}' of type '{kind}'")]
    InvalidOperator {
        /// The operator.
        operator: &'static str,
        /// The field.
        field: &'static str,
        /// The field's type on the wire.
        kind: &'static str,
    },
    /// The value or key does not go with the field.
    #[error("Invalid value '{value}' or key '{key}' for field '{field}' of type '{kind}'")]
    InvalidValue {
        /// The value.
        value: String,
        /// The key.
        key: String,
        /// The field.
        field: &'static str,
        /// The field's type on the wire.
        kind: &'static str,
    },
    /// The text is not a list of conditions.
    #[error("the filters are not a JSON list of conditions: {0}")]
    Syntax(String),
}

impl Filter {
    /// Checks a condition by Opik's table of operators. `key` is the path or score name of the
    /// fields that have parts; an empty one is none, and other fields ignore it. The field
    /// `custom` stands for the one that its key begins with: `input.a.b` is a path into the input,
    /// `input` alone is its text.
    ///
    /// Two rules are wider than the real server's: a moment may be in any spelling that
    /// [`Timestamp`] reads, and values are taken as they are, without the server's extra
    /// percent-decoding.
    ///
    /// ```
    /// use opik_core::query::{Entity, Filter, Operator};
    ///
    /// Filter::new(Entity::Span, "model", Operator::Contains, None, "mini")?;
    /// let refused = Filter::new(Entity::Span, "metadata", Operator::GreaterEqual, Some("n"), "2");
    /// assert_eq!(
    ///     refused.unwrap_err().to_string(),
    ///     "Invalid operator '>=' for field 'metadata' of type 'dictionary'",
    /// );
    /// # Ok::<(), opik_core::query::FilterError>(())
    /// ```
    ///
    /// # Errors
    /// [`FilterError`] when field, operator, key and value do not go together.
    pub fn new(
        entity: Entity,
        field: &str,
        operator: Operator,
        key: Option<&str>,
        value: &str,
    ) -> Result<Self, FilterError> {
        let (field, key) = match field {
            "custom" => custom(key.unwrap_or_default()),
            _ => (field, key),
        };
        let field = Field::find(entity, field)
            .ok_or_else(|| FilterError::UnknownField(field.to_owned()))?;
        let filter = Self {
            field,
            operator,
            key: key.filter(|key| !key.trim().is_empty()).map(str::to_owned),
            value: value.to_owned(),
        }
        .normalised();
        filter.check()?;
        Ok(filter)
    }

    /// The field.
    #[must_use]
    pub fn field(&self) -> Field {
        self.field
    }

    /// The operator.
    #[must_use]
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// The path or score name, if any.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// The value to compare with; empty for `is_empty` and `is_not_empty`.
    #[must_use]
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The value as a number, where it is one that Opik reads: digits with at most one point and
    /// an optional minus sign, no exponent.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        rules::parse_number(&self.value)
    }

    /// The value as a moment, where it is one.
    #[must_use]
    pub fn moment(&self) -> Option<Timestamp> {
        self.value.parse().ok()
    }

    /// The values of an `in` or `not_in`.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.value.split(',')
    }

    /// Reads conditions as they travel: a JSON list of `{"field", "operator", "key"?, "value"?}`.
    /// An empty text, `null` and `""` mean none. `type` and unknown members are ignored, as Opik
    /// does; numbers and booleans stand for their text.
    ///
    /// ```
    /// use opik_core::query::{Entity, Filter};
    ///
    /// let text = r#"[{"field": "duration", "operator": ">", "key": "", "value": "100"}]"#;
    /// assert_eq!(Filter::parse_list(Entity::Trace, text)?.len(), 1);
    /// assert_eq!(Filter::parse_list(Entity::Trace, "null")?, []);
    /// # Ok::<(), opik_core::query::FilterError>(())
    /// ```
    ///
    /// # Errors
    /// [`FilterError::Syntax`] when the text is not such a list, else the first condition's error.
    pub fn parse_list(entity: Entity, text: &str) -> Result<Vec<Self>, FilterError> {
        let text = text.trim();
        if text.is_empty() || text == "\"\"" {
            return Ok(Vec::new());
        }
        let syntax = |error: serde_json::Error| {
            let (line, column) = (error.line(), error.column());
            FilterError::Syntax(format!("line {line}, column {column}"))
        };
        let items: Option<Vec<WireFilter>> = serde_json::from_str(text).map_err(syntax)?;
        items
            .unwrap_or_default()
            .into_iter()
            .map(|item| {
                let operator = Operator::find(&item.operator)
                    .ok_or(FilterError::UnknownOperator(item.operator))?;
                let absent = item.value.is_none();
                let value = item.value.map(Scalar::into_text).unwrap_or_default();
                let filter = Self::new(entity, &item.field, operator, item.key.as_deref(), &value)?;
                if absent && filter.needs_value() {
                    return Err(filter.invalid());
                }
                Ok(filter)
            })
            .collect()
    }

    /// Brings a condition into its one spelling, so that equal conditions are equal values.
    fn normalised(mut self) -> Self {
        if !self.field.kind().has_key() {
            self.key = None;
        }
        match self.operator {
            Operator::IsEmpty | Operator::IsNotEmpty => self.value.clear(),
            Operator::In | Operator::NotIn => {
                let words = self.value.split(',').map(str::trim);
                self.value = words
                    .filter(|word| !word.is_empty())
                    .collect::<Vec<_>>()
                    .join(",");
            }
            _ => {}
        }
        self
    }

    fn check(&self) -> Result<(), FilterError> {
        let kind = self.field.kind();
        if !rules::allows(kind, self.operator) {
            return Err(FilterError::InvalidOperator {
                operator: self.operator.as_str(),
                field: self.field.name(),
                kind: kind.as_str(),
            });
        }
        let key = self.key.as_deref().unwrap_or_default();
        if rules::accepts(kind, self.operator, key, &self.value) {
            return Ok(());
        }
        Err(self.invalid())
    }

    fn needs_value(&self) -> bool {
        !matches!(self.operator, Operator::IsEmpty | Operator::IsNotEmpty)
    }

    fn invalid(&self) -> FilterError {
        FilterError::InvalidValue {
            value: self.value.clone(),
            key: self.key.clone().unwrap_or_default(),
            field: self.field.name(),
            kind: self.field.kind().as_str(),
        }
    }
}

/// The field that the key of a `custom` condition begins with, and the rest of the key.
fn custom(key: &str) -> (&str, Option<&str>) {
    match key.split_once('.') {
        Some(("input", path)) => ("input_json", Some(path)),
        Some(("output", path)) => ("output_json", Some(path)),
        Some(("metadata", path)) => ("metadata", Some(path)),
        _ => (key, None),
    }
}

#[derive(Deserialize)]
struct WireFilter {
    field: String,
    operator: String,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    value: Option<Scalar>,
}

/// What Opik's JSON reader takes for a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Number(serde_json::Number),
    Bool(bool),
}

impl Scalar {
    fn into_text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Number(number) => number.to_string(),
            Self::Bool(flag) => flag.to_string(),
        }
    }
}

#[cfg(test)]
mod tests;
