//! Conditions and orders on records of the catalogue.
//!
//! They look at a record's JSON as it is stored, so one definition serves every kind of record and
//! every engine: a member by its name, or a path into it. The operators are those of
//! [`crate::query`], with Opik's table of what goes with what.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde::Deserialize;

use super::CatalogError;
use crate::Timestamp;
use crate::query::matches::text_at;
use crate::query::{Direction, Operator};

/// How the values of a field compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FieldKind {
    /// Text, without regard to case.
    Text,
    /// Text, exactly.
    Exact,
    /// One of a few words, exactly.
    Word,
    /// A moment.
    Moment,
    /// A number.
    Number,
    /// A list of texts.
    List,
    /// JSON, with a path in the key.
    Map,
    /// Scores by name, with the name in the key.
    Scores,
    /// JSON as a whole, as text.
    Whole,
}

impl FieldKind {
    fn name(self) -> &'static str {
        match self {
            Self::Text | Self::Whole => "string",
            Self::Exact => "string_exact",
            Self::Word => "enum",
            Self::Moment => "date_time",
            Self::Number => "number",
            Self::List => "list",
            Self::Map => "map",
            Self::Scores => "feedback_scores_number",
        }
    }

    fn allows(self, operator: Operator) -> bool {
        use Operator as Op;
        match operator {
            Op::Equal | Op::NotEqual => true,
            Op::Greater | Op::Less => !matches!(self, Self::List | Self::Word),
            Op::GreaterEqual | Op::LessEqual => {
                matches!(self, Self::Moment | Self::Number | Self::Scores)
            }
            Op::Contains | Op::NotContains => self == Self::List || self.is_text(),
            Op::StartsWith | Op::EndsWith => self.is_text(),
            Op::IsEmpty | Op::IsNotEmpty => {
                matches!(self, Self::List | Self::Map | Self::Scores | Self::Word)
            }
            Op::In | Op::NotIn => matches!(self, Self::Word | Self::Exact),
        }
    }

    fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Exact | Self::Map | Self::Whole)
    }
}

/// The fields that records of a kind can be asked for: name, member of the record that has the
/// value, and how it compares.
pub type Fields = &'static [(&'static str, &'static str, FieldKind)];

/// One condition on records, checked.
#[derive(Clone, PartialEq)]
pub struct Condition {
    member: &'static str,
    kind: FieldKind,
    operator: Operator,
    key: String,
    value: String,
    number: Option<f64>,
    moment: Option<Timestamp>,
}

impl std::fmt::Debug for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.member, self.operator.as_str())
    }
}

#[derive(Deserialize)]
struct Wire {
    field: String,
    operator: String,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    value: Option<serde_json::Value>,
}

impl Condition {
    /// Reads a JSON list of `{"field", "operator", "key"?, "value"?}`. An empty text, `null` and
    /// `""` mean none. A field may carry its key after a dot (`data.question`).
    ///
    /// # Errors
    /// [`CatalogErrorKind::Invalid`](super::CatalogErrorKind::Invalid) with Opik's text.
    pub fn parse_list(fields: Fields, text: &str) -> Result<Vec<Self>, CatalogError> {
        let text = text.trim();
        if text.is_empty() || text == "\"\"" {
            return Ok(Vec::new());
        }
        let wire: Option<Vec<Wire>> = serde_json::from_str(text).map_err(|_| {
            CatalogError::invalid("Invalid filters query parameter: not a list of conditions")
        })?;
        let wire = wire.unwrap_or_default();
        wire.into_iter().map(|one| Self::of(fields, one)).collect()
    }

    fn of(fields: Fields, wire: Wire) -> Result<Self, CatalogError> {
        let operator = Operator::find(&wire.operator).ok_or_else(|| {
            CatalogError::invalid(format!(
                "Unable to process JSON. Unknown Operator '{}'",
                wire.operator
            ))
        })?;
        let mut key = wire.key.unwrap_or_default().trim().to_owned();
        let (member, kind) = find(fields, &wire.field, &mut key).ok_or_else(|| {
            CatalogError::invalid(format!(
                "Unable to process JSON. Unknown field '{}'",
                wire.field
            ))
        })?;
        if !kind.allows(operator) {
            return Err(CatalogError::invalid(format!(
                "Invalid operator '{}' for field '{}' of type '{}'",
                operator.as_str(),
                wire.field,
                kind.name()
            )));
        }
        let mut absent = false;
        let value = match wire.value {
            None | Some(serde_json::Value::Null) => {
                absent = true;
                String::new()
            }
            Some(serde_json::Value::String(text)) => text,
            Some(other) => other.to_string(),
        };
        let condition = Self {
            member,
            kind,
            operator,
            number: value.trim().parse().ok().filter(|it: &f64| it.is_finite()),
            moment: value.parse().ok(),
            key,
            value,
        };
        if condition.makes_sense(absent) {
            return Ok(condition);
        }
        Err(CatalogError::invalid(format!(
            "Invalid value '{}' or key '{}' for field '{}' of type '{}'",
            condition.value,
            condition.key,
            wire.field,
            kind.name()
        )))
    }

    /// `absent` when the request had no value at all.
    fn makes_sense(&self, absent: bool) -> bool {
        let needs_key = matches!(self.kind, FieldKind::Map | FieldKind::Scores);
        if needs_key && self.key.is_empty() {
            return false;
        }
        if matches!(self.operator, Operator::IsEmpty | Operator::IsNotEmpty) {
            return true;
        }
        match self.kind {
            FieldKind::Moment => self.moment.is_some(),
            FieldKind::Number | FieldKind::Scores => self.number.is_some(),
            FieldKind::Map => !absent,
            _ => !self.value.trim().is_empty(),
        }
    }

    /// Whether the member that it asks for is this one.
    #[must_use]
    pub fn asks(&self, member: &str) -> bool {
        self.member == member
    }

    /// Whether a record fits all conditions.
    #[must_use]
    pub fn all(conditions: &[Self], record: &str) -> bool {
        conditions.iter().all(|condition| condition.holds(record))
    }

    /// Whether a record fits, given its JSON.
    #[must_use]
    pub fn holds(&self, record: &str) -> bool {
        let found = text_at(record, self.member);
        let text = found.as_deref();
        match self.kind {
            FieldKind::Text | FieldKind::Whole => self.text_holds(text.unwrap_or_default(), true),
            FieldKind::Exact | FieldKind::Word => self.text_holds(text.unwrap_or_default(), false),
            FieldKind::Moment => ordered(self.operator, text.and_then(moment), self.moment),
            FieldKind::Number => ordered(self.operator, text.and_then(number), self.number),
            FieldKind::List => self.list_holds(&list(text)),
            FieldKind::Map => self.map_holds(text),
            FieldKind::Scores => self.scores_hold(text),
        }
    }

    fn text_holds(&self, text: &str, caseless: bool) -> bool {
        let fold = |text| {
            if caseless {
                Cow::Owned(str::to_lowercase(text))
            } else {
                Cow::Borrowed(text)
            }
        };
        let (text, value) = (fold(text), fold(&self.value));
        match self.operator {
            Operator::Contains => text.contains(&*value),
            Operator::NotContains => !text.contains(&*value),
            Operator::StartsWith => text.starts_with(&*value),
            Operator::EndsWith => text.ends_with(&*value),
            Operator::IsEmpty => text.is_empty(),
            Operator::IsNotEmpty => !text.is_empty(),
            Operator::In => value.split(',').any(|one| one.trim() == text),
            Operator::NotIn => value.split(',').all(|one| one.trim() != text),
            operator => fits(operator, text.cmp(&value)),
        }
    }

    fn list_holds(&self, list: &[String]) -> bool {
        let has = || list.contains(&self.value);
        let has_part = || {
            let part = self.value.to_lowercase();
            list.iter().any(|one| one.to_lowercase().contains(&part))
        };
        match self.operator {
            Operator::Equal => has(),
            Operator::NotEqual => !has(),
            Operator::Contains => has_part(),
            Operator::NotContains => !has_part(),
            Operator::IsEmpty => list.is_empty(),
            Operator::IsNotEmpty => !list.is_empty(),
            _ => false,
        }
    }

    fn map_holds(&self, map: Option<&str>) -> bool {
        let key = self.key.strip_prefix("$.").unwrap_or(&self.key);
        let found = map.and_then(|map| text_at(map, key));
        let text = found.as_deref().unwrap_or_default();
        match self.operator {
            Operator::IsEmpty => text.is_empty(),
            Operator::IsNotEmpty => !text.is_empty(),
            Operator::Greater | Operator::Less => ordered(self.operator, number(text), self.number),
            _ => self.text_holds(text, true),
        }
    }

    fn scores_hold(&self, scores: Option<&str>) -> bool {
        #[derive(Deserialize)]
        struct Score {
            name: String,
            value: f64,
        }
        let all: Vec<Score> = scores
            .and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default();
        let mut named = all
            .iter()
            .filter(|score| score.name.eq_ignore_ascii_case(&self.key));
        match self.operator {
            Operator::IsEmpty => named.next().is_none(),
            Operator::IsNotEmpty => named.next().is_some(),
            operator => named.any(|score| ordered(operator, Some(score.value), self.number)),
        }
    }
}

/// The field of this name, or the one before its first dot with the rest as the key.
fn find(fields: Fields, name: &str, key: &mut String) -> Option<(&'static str, FieldKind)> {
    let known = |name: &str| {
        fields
            .iter()
            .find(|(field, _, _)| *field == name)
            .map(|(_, member, kind)| (*member, *kind))
    };
    if let Some((member, kind)) = known(name) {
        let has_part = kind == FieldKind::Whole && !key.is_empty();
        return Some((member, if has_part { FieldKind::Map } else { kind }));
    }
    let (field, rest) = name.split_once('.')?;
    let (member, kind) = known(field)?;
    let kind = match kind {
        FieldKind::Map | FieldKind::Whole => FieldKind::Map,
        FieldKind::Scores => FieldKind::Scores,
        _ => return None,
    };
    if key.is_empty() {
        rest.clone_into(key);
    }
    Some((member, kind))
}

fn list(text: Option<&str>) -> Vec<String> {
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|it: &f64| it.is_finite())
}

fn moment(text: &str) -> Option<Timestamp> {
    text.parse().ok()
}

fn ordered<T: PartialOrd>(operator: Operator, left: Option<T>, right: Option<T>) -> bool {
    left.zip(right)
        .and_then(|(left, right)| left.partial_cmp(&right))
        .is_some_and(|order| fits(operator, order))
}

fn fits(operator: Operator, order: Ordering) -> bool {
    match operator {
        Operator::Equal => order.is_eq(),
        Operator::NotEqual => order.is_ne(),
        Operator::Greater => order.is_gt(),
        Operator::GreaterEqual => order.is_ge(),
        Operator::Less => order.is_lt(),
        Operator::LessEqual => order.is_le(),
        _ => false,
    }
}

/// The order of a list: a field and a direction. Records without a value come last; equal ones
/// keep their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    member: &'static str,
    kind: FieldKind,
    key: String,
    direction: Direction,
}

impl Order {
    /// Reads `[{"field": "name", "direction": "ASC"}]`, of which the first element counts. `None`
    /// where there is none or the field is unknown, as Opik does.
    ///
    /// # Errors
    /// [`CatalogErrorKind::Invalid`](super::CatalogErrorKind::Invalid) when the text is no such
    /// list.
    pub fn parse(fields: Fields, text: &str) -> Result<Option<Self>, CatalogError> {
        #[derive(Deserialize)]
        struct Wire {
            field: String,
            #[serde(default)]
            direction: Option<String>,
        }
        let text = text.trim();
        if text.is_empty() {
            return Ok(None);
        }
        let wire: Option<Vec<Wire>> = serde_json::from_str(text)
            .map_err(|_| CatalogError::invalid("Invalid sorting query parameter"))?;
        let Some(first) = wire.into_iter().flatten().next() else {
            return Ok(None);
        };
        let mut key = String::new();
        let ascending = first
            .direction
            .is_none_or(|word| word.eq_ignore_ascii_case("asc"));
        let direction = if ascending {
            Direction::Ascending
        } else {
            Direction::Descending
        };
        let field = find(fields, &first.field, &mut key);
        Ok(field.map(|(member, kind)| Self {
            member,
            kind,
            key,
            direction,
        }))
    }

    /// Which of two records, given their JSON, comes first.
    #[must_use]
    pub fn compare(&self, left: &str, right: &str) -> Ordering {
        let (left, right) = (self.value(left), self.value(right));
        let order = match (&left, &right) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Greater,
            (Some(_), None) => return Ordering::Less,
            (Some(left), Some(right)) => match (number(left), number(right)) {
                (Some(left), Some(right)) => left.total_cmp(&right),
                _ => left.to_lowercase().cmp(&right.to_lowercase()),
            },
        };
        match self.direction {
            Direction::Ascending => order,
            Direction::Descending => order.reverse(),
        }
    }

    fn value(&self, record: &str) -> Option<String> {
        let found = text_at(record, self.member)?;
        if self.key.is_empty() {
            return Some(found.into_owned());
        }
        if self.kind == FieldKind::Scores {
            #[derive(Deserialize)]
            struct Score {
                name: String,
                value: f64,
            }
            let all: Vec<Score> = serde_json::from_str(&found).ok()?;
            let named = all.iter().find(|score| score.name == self.key)?;
            return Some(named.value.to_string());
        }
        text_at(&found, &self.key).map(Cow::into_owned)
    }
}

#[cfg(test)]
mod tests;
