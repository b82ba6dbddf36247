//! One condition.

use super::{Entity, Field, FieldType};

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

impl FieldType {
    /// The type's name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::StringExact => "string_exact",
            Self::DateTime => "date_time",
            Self::Number => "number",
            Self::List => "list",
            Self::Dictionary => "dictionary",
            Self::FeedbackScores => "feedback_scores_number",
            Self::Enum => "enum",
            Self::ErrorContainer => "error_container",
        }
    }
}

impl Filter {
    /// Checks a condition. `key` is the path or score name of the fields that have parts; an
    /// empty one is none.
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
        let field = Field::find(entity, field)
            .ok_or_else(|| FilterError::UnknownField(field.to_owned()))?;
        let filter = Self {
            field,
            operator,
            key: key.filter(|key| !key.is_empty()).map(str::to_owned),
            value: value.to_owned(),
        };
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

    fn check(&self) -> Result<(), FilterError> {
        // Filled in by the checks of the table of operators.
        Ok(())
    }
}
