//! Order of a list.

use std::borrow::Cow;
use std::cmp::Ordering;

use super::value::{Value, of_span, of_thread, of_trace};
use super::{Entity, Field, path};
use crate::Timestamp;
use crate::model::{Span, Thread, Trace};

/// Up or down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Smallest first.
    Ascending,
    /// Largest first.
    #[default]
    Descending,
}

/// A field and a direction. Ties are broken by identifier, in the same direction; records without
/// a value come last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sort {
    field: Field,
    key: Option<String>,
    direction: Direction,
}

impl Sort {
    /// The order by a field of this name; `None` when the entity has none. A dot separates the
    /// field from a key (`feedback_scores.relevance`), except in names that contain one.
    #[must_use]
    pub fn by(entity: Entity, name: &str, direction: Direction) -> Option<Self> {
        if let Some(field) = Field::find(entity, name) {
            return Some(Self {
                field,
                key: None,
                direction,
            });
        }
        let (field, key) = name.split_once('.')?;
        let field = Field::find(entity, field)?;
        Some(Self {
            field,
            key: Some(key.to_owned()),
            direction,
        })
    }

    /// The field.
    #[must_use]
    pub fn field(&self) -> Field {
        self.field
    }

    /// The path or score name, if any.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_deref()
    }

    /// Up or down.
    #[must_use]
    pub fn direction(&self) -> Direction {
        self.direction
    }
}

impl Sort {
    /// Whether `left` comes before `right` in this order.
    ///
    /// Records without a value come last in both directions; equal values are in the order of
    /// their identifiers, in the same direction. Texts compare byte by byte, lists element by
    /// element, errors by type; absent costs and counts are zero, as in [`matches`](mod@super::matches).
    #[must_use]
    pub fn compare_traces(&self, left: &Trace, right: &Trace) -> Ordering {
        let values = self.compare(&of_trace(left, self.field), &of_trace(right, self.field));
        values.then_with(|| self.directed(left.id.cmp(&right.id)))
    }

    /// Whether `left` comes before `right` in this order; see [`Sort::compare_traces`].
    #[must_use]
    pub fn compare_spans(&self, left: &Span, right: &Span) -> Ordering {
        let values = self.compare(&of_span(left, self.field), &of_span(right, self.field));
        values.then_with(|| self.directed(left.id.cmp(&right.id)))
    }

    /// Whether `left` comes before `right` in this order; see [`Sort::compare_traces`]. Ties go by
    /// the names of the threads.
    #[must_use]
    pub fn compare_threads(&self, left: &Thread, right: &Thread) -> Ordering {
        let values = self.compare(&of_thread(left, self.field), &of_thread(right, self.field));
        values.then_with(|| self.directed(left.id.cmp(&right.id)))
    }

    fn directed(&self, order: Ordering) -> Ordering {
        match self.direction {
            Direction::Ascending => order,
            Direction::Descending => order.reverse(),
        }
    }

    fn compare(&self, left: &Value<'_>, right: &Value<'_>) -> Ordering {
        match (self.rank(left), self.rank(right)) {
            (Some(left), Some(right)) => self.directed(left.compare(&right)),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        }
    }

    /// What a value is ordered by; none when there is no value.
    fn rank<'v>(&self, value: &'v Value<'_>) -> Option<Rank<'v>> {
        let text = |text: Cow<'v, str>| (!text.is_empty()).then_some(Rank::Text(text));
        match value {
            Value::Text(it) => text(Cow::Borrowed(it.as_deref()?)),
            Value::Number(number) => number.map(Rank::Number),
            Value::Moment(moment) => moment.map(Rank::Moment),
            Value::List(list) => (!list.is_empty()).then_some(Rank::List(list)),
            Value::Json(json) => match (json, self.key.as_deref()) {
                (Some(json), Some(key)) => text(path::text_at(json, key)?),
                (Some(json), None) => text(Cow::Borrowed(json)),
                (None, _) => None,
            },
            Value::Scores(scores) => {
                let name = self.key.as_deref()?;
                let score = scores
                    .iter()
                    .find(|score| score.name.eq_ignore_ascii_case(name))?;
                Some(Rank::Number(score.value))
            }
            Value::Error(error) => text(Cow::Borrowed((*error)?)),
        }
    }
}

/// What values of one field are ordered by.
enum Rank<'v> {
    Text(Cow<'v, str>),
    Number(f64),
    Moment(Timestamp),
    List(&'v [&'v str]),
}

impl Rank<'_> {
    fn compare(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Text(left), Self::Text(right)) => left.cmp(right),
            (Self::Number(left), Self::Number(right)) => left.total_cmp(right),
            (Self::Moment(left), Self::Moment(right)) => left.cmp(right),
            (Self::List(left), Self::List(right)) => left.cmp(right),
            // One field has one kind of value.
            _ => Ordering::Equal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{FeedbackScore, Json, TraceId};

    fn trace(id: u64) -> Trace {
        Trace::new(
            TraceId::from_parts(Timestamp::from_micros(1_000), id << 2),
            Timestamp::from_micros(1_000),
        )
    }

    fn order(name: &str, direction: Direction, mut traces: Vec<Trace>) -> Vec<usize> {
        let ids: Vec<_> = traces.iter().map(|trace| trace.id).collect();
        let sort = Sort::by(Entity::Trace, name, direction).unwrap();
        traces.reverse();
        traces.sort_by(|left, right| sort.compare_traces(left, right));
        let place = |trace: &Trace| ids.iter().position(|id| *id == trace.id).unwrap();
        traces.iter().map(place).collect()
    }

    #[test]
    fn records_without_a_value_come_last_and_ties_go_by_id_in_the_same_direction() {
        let named = |id, name: Option<&str>| {
            let mut it = trace(id);
            it.name = name.map(str::to_owned);
            it
        };
        let traces = || {
            vec![
                named(0, Some("b")),
                named(1, None),
                named(2, Some("a")),
                named(3, Some("b")),
                named(4, Some("")),
            ]
        };
        assert_eq!(
            order("name", Direction::Ascending, traces()),
            [2, 0, 3, 1, 4]
        );
        assert_eq!(
            order("name", Direction::Descending, traces()),
            [3, 0, 2, 4, 1]
        );
    }

    #[test]
    fn every_kind_of_value_has_an_order() {
        let mut first = trace(0);
        first.end_time = Some(Timestamp::from_micros(2_000));
        first.tags = vec!["a".to_owned()];
        first.metadata = Some(Json::parse(r#"{"n": {"m": "x"}}"#).unwrap());
        first.feedback_scores = vec![FeedbackScore::new("Accuracy", 0.1)];
        first.error_info = Some(crate::ErrorInfo::of_type("A"));
        let mut second = trace(1);
        second.end_time = Some(Timestamp::from_micros(3_000));
        second.tags = vec!["a".to_owned(), "b".to_owned()];
        second.metadata = Some(Json::parse(r#"{"n": {"m": "y"}}"#).unwrap());
        second.feedback_scores = vec![FeedbackScore::new("accuracy", 0.2)];
        second.error_info = Some(crate::ErrorInfo::of_type("B"));
        second.total_estimated_cost = Some(0.1);
        for name in [
            "id",
            "end_time",
            "duration",
            "tags",
            "metadata",
            "metadata.n.m",
            "feedback_scores.ACCURACY",
            "error_info",
            "total_estimated_cost",
        ] {
            let traces = || vec![first.clone(), second.clone()];
            assert_eq!(
                order(name, Direction::Ascending, traces()),
                [0, 1],
                "{name}"
            );
            assert_eq!(
                order(name, Direction::Descending, traces()),
                [1, 0],
                "{name}"
            );
        }
    }
}
