//! Filters evaluated in memory: the definition that every store is tested against.
//!
//! - A list of filters holds when all of them do.
//! - Texts compare without regard to the case of `A` to `Z` (as `lower` in ClickHouse and SQLite
//!   do), byte by byte after that; exact texts and words compare byte by byte. An absent text is
//!   the empty text, so `name != "x"` holds for a record without a name. `%` and `_` in a value
//!   are themselves. `input` and `output` are their JSON text, as it was written.
//! - An absent moment, duration or time to first token fits no condition. Absent costs, token
//!   counts and span counts are zero. A duration that is not stored is the time from start to end.
//! - A list equals a value that is one of its elements (exactly), and contains a text that is
//!   part of one of them (any case).
//! - A path into JSON yields the text of what is there: the content of a string, anything else as
//!   written. `null` and nothing are the empty text; `>` and `<` need numbers on both sides. See
//!   [`text_at`].
//! - A score is found by name in any case; without one, only `is_empty` holds. Of several, one
//!   that fits is enough.
//! - `guardrails` is `failed` when any check failed, `passed` when all did not, and the empty text
//!   without checks.
//! - A span without a type is `general`, a trace without a visibility is `default`.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::value::{Value, of_content, of_span, of_thread, of_trace};
use super::{FieldType, Filter, Operator, path};
use crate::model::{FeedbackScore, Span, Thread, Trace};

/// Whether the trace fits all filters.
///
/// ```
/// use opik_core::query::{Entity, matches, oql};
/// use opik_core::{Timestamp, Trace, TraceId};
///
/// let mut trace = Trace::new(TraceId::generate(), Timestamp::now());
/// trace.name = Some("Checkout".to_owned());
/// let filters = oql::parse(Entity::Trace, r#"name = "checkout" AND error_info is_empty"#)?;
/// assert!(matches::trace_matches(&trace, &filters));
/// # Ok::<(), opik_core::query::OqlError>(())
/// ```
#[must_use]
pub fn trace_matches(trace: &Trace, filters: &[Filter]) -> bool {
    filters
        .iter()
        .all(|filter| holds(filter, &of_trace(trace, filter.field())))
}

/// Whether the span fits all filters.
#[must_use]
pub fn span_matches(span: &Span, filters: &[Filter]) -> bool {
    filters
        .iter()
        .all(|filter| holds(filter, &of_span(span, filter.field())))
}

/// Whether the thread fits all filters.
#[must_use]
pub fn thread_matches(thread: &Thread, filters: &[Filter]) -> bool {
    filters
        .iter()
        .all(|filter| holds(filter, &of_thread(thread, filter.field())))
}

/// Whether the JSON texts of `input`, `output` and `metadata` of a trace or span fit all filters;
/// `None` when one of the filters is about something else. Nothing but what the filters name is
/// parsed.
///
/// ```
/// use opik_core::query::{Entity, matches, oql};
///
/// let filters = oql::parse(Entity::Span, r#"metadata.region = "eu-2""#)?;
/// let metadata = Some(r#"{"region": "eu-2"}"#);
/// assert_eq!(matches::content_matches([None, None, metadata], &filters), Some(true));
/// # Ok::<(), opik_core::query::OqlError>(())
/// ```
#[must_use]
pub fn content_matches(content: [Option<&str>; 3], filters: &[Filter]) -> Option<bool> {
    let mut fits = true;
    for filter in filters {
        let value = of_content(content, filter.field())?;
        fits = fits && holds(filter, &value);
    }
    Some(fits)
}

/// Text of the value at `key` in a JSON text: the content of a string, other values as written;
/// `None` when nothing or `null` is there, or when text or key are malformed.
///
/// The key is a JSONPath without its `$.`: `a.b`, `a[0].b`, `[0]`, `["a.b"]`. When nothing is at
/// the path, a member of the outermost object whose name is the whole key counts, so that names
/// with points (`http.method`) need no quoting.
#[must_use]
pub fn text_at<'j>(json: &'j str, key: &str) -> Option<Cow<'j, str>> {
    path::text_at(json, key)
}

fn holds(filter: &Filter, value: &Value<'_>) -> bool {
    let operator = filter.operator();
    match value {
        Value::Text(None) if filter.field().name() == "source" => unknown_source_holds(operator),
        Value::Text(text) => text_holds(filter, text.as_deref().unwrap_or_default()),
        Value::Number(number) => ordered(operator, *number, filter.number()),
        Value::Moment(moment) => ordered(operator, *moment, filter.moment()),
        Value::List(elements) => list_holds(filter, elements),
        Value::Json(json) => {
            let text = json.and_then(|json| path::text_at(json, filter.key().unwrap_or_default()));
            dictionary_holds(filter, text.as_deref().unwrap_or_default())
        }
        Value::Scores(scores) => scores_hold(filter, scores),
        Value::Error(error) => match operator {
            Operator::IsEmpty => error.is_none(),
            Operator::IsNotEmpty => error.is_some(),
            _ => false,
        },
    }
}

/// What was recorded without a source may be of any: it is among those of each.
fn unknown_source_holds(operator: Operator) -> bool {
    matches!(operator, Operator::Equal | Operator::In | Operator::IsEmpty)
}

/// The six comparisons of what may be absent; absent on either side fits none.
fn ordered<T: PartialOrd>(operator: Operator, left: Option<T>, right: Option<T>) -> bool {
    let Some(order) = left
        .zip(right)
        .and_then(|(left, right)| left.partial_cmp(&right))
    else {
        return false;
    };
    fits(operator, order)
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

fn text_holds(filter: &Filter, text: &str) -> bool {
    match filter.operator() {
        Operator::IsEmpty => text.is_empty(),
        Operator::IsNotEmpty => !text.is_empty(),
        Operator::In => filter.values().any(|value| value == text),
        Operator::NotIn => filter.values().all(|value| value != text),
        _ if filter.field().kind() == FieldType::String => caseless_holds(filter, text),
        operator => plain_holds(operator, text, filter.value()),
    }
}

fn caseless_holds(filter: &Filter, text: &str) -> bool {
    let value = filter.value();
    // The most frequent operators need no copies.
    match filter.operator() {
        Operator::Equal => text.eq_ignore_ascii_case(value),
        Operator::NotEqual => !text.eq_ignore_ascii_case(value),
        operator => plain_holds(
            operator,
            &text.to_ascii_lowercase(),
            &value.to_ascii_lowercase(),
        ),
    }
}

fn plain_holds(operator: Operator, text: &str, value: &str) -> bool {
    match operator {
        Operator::Contains => text.contains(value),
        Operator::NotContains => !text.contains(value),
        Operator::StartsWith => text.starts_with(value),
        Operator::EndsWith => text.ends_with(value),
        _ => fits(operator, text.cmp(value)),
    }
}

fn list_holds(filter: &Filter, elements: &[&str]) -> bool {
    let has = || elements.contains(&filter.value());
    let has_part = || {
        let part = filter.value().to_ascii_lowercase();
        elements
            .iter()
            .any(|element| element.to_ascii_lowercase().contains(&part))
    };
    match filter.operator() {
        Operator::Equal => has(),
        Operator::NotEqual => !has(),
        Operator::Contains => has_part(),
        Operator::NotContains => !has_part(),
        Operator::IsEmpty => elements.is_empty(),
        Operator::IsNotEmpty => !elements.is_empty(),
        _ => false,
    }
}

fn dictionary_holds(filter: &Filter, text: &str) -> bool {
    // The word 'null' counts as empty, also where it is the content of a string.
    let empty = text.is_empty() || text == "null";
    match filter.operator() {
        Operator::IsEmpty => empty,
        Operator::IsNotEmpty => !empty,
        operator @ (Operator::Greater | Operator::Less) => {
            ordered(operator, text.trim().parse::<f64>().ok(), filter.number())
        }
        _ => caseless_holds(filter, text),
    }
}

fn scores_hold(filter: &Filter, scores: &[FeedbackScore]) -> bool {
    let name = filter.key().unwrap_or_default();
    let mut named = scores
        .iter()
        .filter(|score| score.name.eq_ignore_ascii_case(name));
    match filter.operator() {
        Operator::IsEmpty => named.next().is_none(),
        Operator::IsNotEmpty => named.next().is_some(),
        operator => named.any(|score| ordered(operator, Some(score.value), filter.number())),
    }
}

#[cfg(test)]
#[path = "matches_tests.rs"]
mod tests;
