//! Opik's query language: conditions joined by `AND`.
//!
//! ```text
//! expression := condition ( "AND" condition )*
//! condition  := field [ "." key ] operator [ value ]
//! key        := word | '"' text '"'                (a quote in the text is doubled)
//! operator   := = != > >= < <= contains not_contains starts_with ends_with
//!               is_empty is_not_empty in not_in
//! value      := '"' text '"' | number | '(' '"' text '"' ( ',' '"' text '"' )* ')'
//! ```
//!
//! Keys go with `metadata`, `input_json`, `output_json`, `feedback_scores` and
//! `span_feedback_scores`; `usage.total_tokens` is one name. There is no `OR`. Wider than the
//! official clients: `'` works in place of `"`, and symbols need no space after them.

use super::{Entity, Field, Filter, FilterError, Operator, rules};

/// Why a text is not a query: what, where and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem} at character {position}; {hint}")]
pub struct OqlError {
    problem: String,
    position: usize,
    hint: String,
}

impl OqlError {
    /// What is wrong.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// The character where it was seen, counted from 1.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// What to write instead.
    #[must_use]
    pub fn hint(&self) -> &str {
        &self.hint
    }
}

/// Reads a query. An empty text has no conditions.
///
/// ```
/// use opik_core::query::{Entity, oql};
///
/// let filters = oql::parse(
///     Entity::Span,
///     r#"type = "llm" AND metadata."http.status" != "200" AND duration > 100"#,
/// )?;
/// assert_eq!(filters.len(), 3);
/// let error = oql::parse(Entity::Span, "duration > fast").unwrap_err();
/// assert_eq!(error.position(), 12);
/// # Ok::<(), opik_core::query::OqlError>(())
/// ```
///
/// # Errors
/// [`OqlError`] with the first problem.
pub fn parse(entity: Entity, text: &str) -> Result<Vec<Filter>, OqlError> {
    let mut reader = Reader { text, rest: text };
    let mut filters = Vec::new();
    reader.skip_space();
    if reader.rest.is_empty() {
        return Ok(filters);
    }
    loop {
        filters.push(reader.condition(entity)?);
        reader.skip_space();
        if reader.rest.is_empty() {
            return Ok(filters);
        }
        let at = reader.rest;
        let word = reader.word();
        if word.eq_ignore_ascii_case("or") {
            return Err(reader.error(at, "OR is not supported", "run one search for each side"));
        }
        if !word.eq_ignore_ascii_case("and") {
            return Err(reader.error(
                at,
                "a condition ended before the text did",
                "join conditions with AND and put texts in double quotes",
            ));
        }
        reader.skip_space();
    }
}

/// Writes conditions as a query that [`parse`] reads back.
#[must_use]
pub fn write(filters: &[Filter]) -> String {
    let conditions: Vec<String> = filters.iter().map(write_one).collect();
    conditions.join(" AND ")
}

fn write_one(filter: &Filter) -> String {
    let mut text = filter.field().name().to_owned();
    if let Some(key) = filter.key() {
        text.push('.');
        text.push_str(&quoted(key));
    }
    text.push(' ');
    text.push_str(filter.operator().as_str());
    match filter.operator() {
        Operator::IsEmpty | Operator::IsNotEmpty => {}
        Operator::In | Operator::NotIn => {
            let values: Vec<String> = filter.values().map(quoted).collect();
            text.push_str(&format!(" ({})", values.join(",")));
        }
        _ => {
            text.push(' ');
            text.push_str(&quoted(filter.value()));
        }
    }
    text
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

struct Reader<'t> {
    text: &'t str,
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn error(&self, at: &str, problem: impl Into<String>, hint: impl Into<String>) -> OqlError {
        let before = self.text.len().saturating_sub(at.len());
        let position = self.text.get(..before).map_or(0, |t| t.chars().count()) + 1;
        OqlError {
            problem: problem.into(),
            position,
            hint: hint.into(),
        }
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// Takes what begins the rest and satisfies `is`.
    fn take(&mut self, is: impl Fn(char) -> bool) -> &'t str {
        let end = self.rest.find(|c| !is(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at_checked(end).unwrap_or_default();
        self.rest = rest;
        taken
    }

    fn word(&mut self) -> &'t str {
        self.take(|c| c.is_ascii_alphanumeric() || c == '_')
    }

    fn condition(&mut self, entity: Entity) -> Result<Filter, OqlError> {
        let at = self.rest;
        let (field, key) = self.field(entity)?;
        self.skip_space();
        let operator_at = self.rest;
        let operator = self.operator(field)?;
        self.skip_space();
        let value_at = self.rest;
        let value = match operator {
            Operator::IsEmpty | Operator::IsNotEmpty => String::new(),
            Operator::In | Operator::NotIn => self.list()?,
            _ => self.value()?,
        };
        let built = Filter::new(entity, field.name(), operator, key.as_deref(), &value);
        built.map_err(|error| {
            let (at, hint) = match &error {
                FilterError::InvalidOperator { .. } => (operator_at, operators_of(field)),
                _ if field.kind().has_key() && key.is_none() => (
                    at,
                    format!("name a part, for example {}.name", field.name()),
                ),
                _ => (value_at, value_hint(field)),
            };
            self.error(at, error.to_string(), hint)
        })
    }

    fn field(&mut self, entity: Entity) -> Result<(Field, Option<String>), OqlError> {
        let at = self.rest;
        let name = self.word();
        if name.is_empty() {
            return Err(self.error(at, "a field was expected", fields_of(entity)));
        }
        let mut key = None;
        if let Some(after) = self.rest.strip_prefix('.') {
            self.rest = after;
            key = Some(self.key()?);
        }
        let whole = key.as_ref().map(|key| format!("{name}.{key}"));
        let compound = whole.and_then(|whole| Field::find(entity, &whole));
        if let Some(field) = compound {
            return Ok((field, None));
        }
        let Some(field) = Field::find(entity, name) else {
            return Err(self.error(at, format!("unknown field '{name}'"), fields_of(entity)));
        };
        if key.is_some() && !field.kind().has_key() {
            let problem = format!("field '{name}' has no parts");
            return Err(self.error(at, problem, "leave out the point and what follows it"));
        }
        Ok((field, key))
    }

    fn key(&mut self) -> Result<String, OqlError> {
        if self.rest.starts_with(['"', '\'']) {
            return self.text();
        }
        let at = self.rest;
        match self.word() {
            "" => Err(self.error(at, "a key was expected", "put it in double quotes")),
            word => Ok(word.to_owned()),
        }
    }

    fn operator(&mut self, field: Field) -> Result<Operator, OqlError> {
        let at = self.rest;
        let mut name = self.word();
        if name.is_empty() {
            // The longer of two that begin alike comes first.
            name = ["!=", ">=", "<=", "=", ">", "<"]
                .into_iter()
                .find(|symbol| at.starts_with(symbol))
                .unwrap_or_default();
            self.rest = at.strip_prefix(name).unwrap_or(at);
        }
        Operator::find(&name.to_ascii_lowercase())
            .ok_or_else(|| self.error(at, "an operator was expected", operators_of(field)))
    }

    fn value(&mut self) -> Result<String, OqlError> {
        if self.rest.starts_with(['"', '\'']) {
            return self.text();
        }
        let at = self.rest;
        let number = self.take(|c| c.is_ascii_digit() || matches!(c, '-' | '.'));
        let ends = !self
            .rest
            .starts_with(|c: char| c.is_alphanumeric() || c == '_');
        if ends && rules::parse_number(number).is_some() {
            return Ok(number.to_owned());
        }
        self.rest = at;
        Err(self.error(at, "a value was expected", "put a text in double quotes"))
    }

    /// A text in quotes, with doubled quotes for single ones.
    fn text(&mut self) -> Result<String, OqlError> {
        let start = self.rest;
        let mut chars = start.chars();
        let quote = chars.next().unwrap_or('"');
        let mut content = String::new();
        loop {
            let Some(next) = chars.next() else {
                let problem = "a quote is not closed";
                return Err(self.error(start, problem, "write a quote inside a text twice"));
            };
            if next == quote {
                let Some(after) = chars.as_str().strip_prefix(quote) else {
                    break;
                };
                chars = after.chars();
            }
            content.push(next);
        }
        self.rest = chars.as_str();
        Ok(content)
    }

    /// `("a", "b")` as `a,b`.
    fn list(&mut self) -> Result<String, OqlError> {
        let hint = "write a list, for example (\"a\", \"b\")";
        let Some(after) = self.rest.strip_prefix('(') else {
            return Err(self.error(self.rest, "a list was expected", hint));
        };
        self.rest = after;
        let mut values = Vec::new();
        loop {
            self.skip_space();
            if !self.rest.starts_with(['"', '\'']) {
                return Err(self.error(self.rest, "a text in quotes was expected", hint));
            }
            values.push(self.text()?);
            self.skip_space();
            if let Some(after) = self.rest.strip_prefix(')') {
                self.rest = after;
                return Ok(values.join(","));
            }
            let Some(after) = self.rest.strip_prefix(',') else {
                return Err(self.error(self.rest, "a comma or ) was expected", hint));
            };
            self.rest = after;
        }
    }
}

fn fields_of(entity: Entity) -> String {
    let names: Vec<_> = Field::all(entity).map(Field::name).collect();
    format!("fields are {}", names.join(", "))
}

fn operators_of(field: Field) -> String {
    let fitting = Operator::ALL
        .into_iter()
        .filter(|(operator, _)| rules::allows(field.kind(), *operator));
    let names: Vec<_> = fitting.map(|(_, name)| name).collect();
    format!("operators of {} are {}", field.name(), names.join(" "))
}

fn value_hint(field: Field) -> String {
    use super::FieldType;
    match field.kind() {
        FieldType::DateTime => "write a moment, for example \"2026-11-20T10:25:15Z\"".to_owned(),
        FieldType::Number | FieldType::FeedbackScores => {
            "write a number without exponent, for example 1.5".to_owned()
        }
        _ => "write a text that is not blank".to_owned(),
    }
}

#[cfg(test)]
#[path = "oql_tests.rs"]
mod tests;
