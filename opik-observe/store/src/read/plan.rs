//! What of a query the index answers, and what each record has to have for the rest.

use opik_core::query::{Filter, Operator, Sort, matches};
use opik_core::{SpanId, Timestamp, TraceId};

use super::candidates::Candidate;
use super::cursor::Id;
use crate::codec::body::Body;
use crate::codec::prefix;
use crate::codec::span::SpanRow;
use crate::facet::{self, Facet, Kind};
use crate::text::Words;

/// The facet that finds candidates; the rarest kind first.
pub(super) fn facet(filters: &[Filter], all: &[(Kind, &str, Operator)]) -> Facet {
    for (kind, field, operator) in all {
        let fits = |filter: &&Filter| {
            filter.field().name() == *field
                && filter.operator() == *operator
                && !(*kind == Kind::Type && filter.value() == "general")
                && (*operator != Operator::Equal || !filter.value().is_empty())
        };
        if let Some(filter) = filters.iter().find(fits) {
            let value = if *operator == Operator::IsNotEmpty {
                ""
            } else {
                filter.value()
            };
            return (*kind, facet::fold(*kind, value));
        }
    }
    (Kind::All, String::new())
}

/// A text that one of a record's tags has to contain, as far as filters say so.
pub(super) fn tag_part(filters: &[Filter]) -> Option<String> {
    let fits = |filter: &&Filter| {
        filter.field().name() == "tags"
            && filter.operator() == Operator::Contains
            && !filter.value().is_empty()
    };
    filters
        .iter()
        .find(fits)
        .map(|filter| filter.value().to_lowercase())
}

/// Whether having a facet is all that a filter asks for.
pub(super) fn tells(
    (kind, value): &Facet,
    filter: &Filter,
    all: &[(Kind, &str, Operator)],
) -> bool {
    let known = all.iter().find(|(known, ..)| known == kind);
    known.is_some_and(|(_, field, operator)| {
        filter.field().name() == *field
            && filter.operator() == *operator
            && (*kind == Kind::Error || facet::fold(*kind, filter.value()) == *value)
    })
}

/// The facet that says all that filters say, if there is one.
pub(super) fn only_facet(filters: &[Filter], all: &[(Kind, &str, Operator)]) -> Option<Facet> {
    let facet = facet(filters, all);
    let told = filters.iter().all(|filter| tells(&facet, filter, all));
    told.then_some(facet)
}

/// The facets that a search for spans can use.
pub(super) const OF_SPANS: &[(Kind, &str, Operator)] = &[
    (Kind::Tag, "tags", Operator::Equal),
    (Kind::ErrorType, "error_type", Operator::Equal),
    (Kind::Error, "error_info", Operator::IsNotEmpty),
    (Kind::Model, "model", Operator::Equal),
    (Kind::Provider, "provider", Operator::Equal),
    (Kind::Type, "type", Operator::Equal),
];

/// The facets that a search for traces can use.
pub(super) const OF_TRACES: &[(Kind, &str, Operator)] = &[
    (Kind::Thread, "thread_id", Operator::Equal),
    (Kind::Tag, "tags", Operator::Equal),
    (Kind::ErrorType, "error_type", Operator::Equal),
    (Kind::Error, "error_info", Operator::IsNotEmpty),
    (Kind::Name, "name", Operator::Equal),
];

/// Whether a row has a facet, without making a span of it.
pub(super) fn row_has((kind, value): &Facet, row: &SpanRow<'_>) -> bool {
    let is = |text: Option<&str>| text.is_some_and(|text| text.eq_ignore_ascii_case(value));
    match kind {
        Kind::Tag => row.tags.contains(&value.as_str()),
        Kind::ErrorType => is(row.error),
        Kind::Error => row.error.is_some(),
        Kind::Model => is(row.model),
        Kind::Provider => is(row.provider),
        Kind::Type => row.kind == Some(value),
        _ => true,
    }
}

/// A value that a filter fixes.
fn fixed<'f>(filters: &'f [Filter], field: &str) -> Option<&'f str> {
    let mut fixed = filters
        .iter()
        .filter(|filter| filter.field().name() == field && filter.operator() == Operator::Equal);
    fixed.next().map(Filter::value)
}

/// The trace that a search for spans is limited to.
pub(super) fn trace_of(trace: Option<TraceId>, filters: &[Filter]) -> Option<TraceId> {
    trace.or_else(|| fixed(filters, "trace_id")?.parse().ok())
}

/// The identifier that a search is limited to.
pub(super) fn only(filters: &[Filter]) -> Option<Id> {
    let id: SpanId = fixed(filters, "id")?.parse().ok()?;
    Some(*id.as_bytes())
}

/// A stretch of time, as identifiers know it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Made {
    /// Milliseconds.
    from: Option<i64>,
    to: Option<Timestamp>,
}

impl Made {
    pub(super) fn within(from: Option<Timestamp>, to: Option<Timestamp>) -> Self {
        Self {
            from: from.map(|from| from.as_micros().div_euclid(1_000)),
            to,
        }
    }

    /// Whether it is all of the time.
    pub(super) fn is_ever(self) -> bool {
        self.from.is_none() && self.to.is_none()
    }

    /// Whether a record was made in it, as its identifier says.
    pub(super) fn has(self, made: Option<Timestamp>) -> bool {
        let from = self
            .from
            .map(|from| Timestamp::from_micros(from.saturating_mul(1_000)));
        from.is_none_or(|from| made.is_some_and(|made| made >= from))
            && self.to.is_none_or(|to| made.is_some_and(|made| made < to))
    }

    /// No candidate below this has anything made in it.
    pub(super) fn lowest(self) -> i64 {
        self.from.map_or(i64::MIN, bound)
    }

    /// No candidate of one record above this was made in it.
    pub(super) fn highest(self) -> i64 {
        let end = |to: Timestamp| bound(to.as_micros().div_euclid(1_000).saturating_add(1));
        self.to.map_or(i64::MAX, end)
    }
}

/// The lowest bound of identifiers of a millisecond.
fn bound(millis: i64) -> i64 {
    let millis = u64::try_from(millis).unwrap_or(0).min((1 << 48) - 1);
    let mut id = [0; 16];
    let [_, _, bytes @ ..] = millis.to_be_bytes();
    for (to, from) in id.iter_mut().zip(bytes) {
        *to = from;
    }
    prefix(&id)
}

/// What a record has to have before a filter or an order can look at it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// Its body.
    pub(super) body: bool,
    /// Its scores.
    pub(super) scores: bool,
    /// The scores of its spans.
    pub(super) span_scores: bool,
    /// Its experiment and annotation queues.
    pub(super) catalog: bool,
    /// What its guardrails found.
    pub(super) guardrails: bool,
}

impl Needs {
    fn of_field(name: &str) -> Self {
        match name {
            "input" | "output" | "input_json" | "output_json" | "metadata" => Self {
                body: true,
                ..Self::default()
            },
            "experiment_id" | "annotation_queue_ids" => Self {
                body: true,
                catalog: true,
                ..Self::default()
            },
            "guardrails" => Self {
                guardrails: true,
                ..Self::default()
            },
            "feedback_scores" => Self {
                body: true,
                scores: true,
                ..Self::default()
            },
            "span_feedback_scores" => Self {
                span_scores: true,
                ..Self::default()
            },
            _ => Self::default(),
        }
    }

    pub(super) fn any(self) -> bool {
        self != Self::default()
    }

    fn and(self, other: Self) -> Self {
        Self {
            body: self.body || other.body,
            scores: self.scores || other.scores,
            span_scores: self.span_scores || other.span_scores,
            catalog: self.catalog || other.catalog,
            guardrails: self.guardrails || other.guardrails,
        }
    }
}

/// Filters in three groups: on columns, on content, and on what else has to be fetched.
pub(super) struct Conditions {
    pub(super) cheap: Vec<Filter>,
    pub(super) content: Content,
    /// What is left of it where the text index knows about the words.
    pub(super) beside_words: Content,
    pub(super) dear: Vec<Filter>,
    pub(super) needs: Needs,
}

/// What content has to be like. It is looked at where it lies, and only what is asked for parsed.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) filters: Vec<Filter>,
    pub(super) words: Option<Words>,
}

impl Content {
    /// Whether any content will do.
    pub(super) fn is_any(&self) -> bool {
        self.filters.is_empty() && self.words.is_none()
    }

    /// Whether a body, and a name, are like that.
    pub(super) fn is_in(&self, name: Option<&str>, body: &Body<'_>) -> bool {
        let content = [body.input, body.output, body.metadata];
        matches::content_matches(content, &self.filters) != Some(false)
            && self
                .words
                .as_ref()
                .is_none_or(|words| words.all_in(name, content))
    }
}

impl Conditions {
    /// What the content of a candidate has to be like.
    pub(super) fn content_of(&self, candidate: &Candidate) -> &Content {
        self.content_if(candidate.indexed.is_some())
    }

    /// As [`content_of`](Self::content_of) a candidate that the text index knows, or not.
    pub(super) fn content_if(&self, indexed: bool) -> &Content {
        if indexed {
            &self.beside_words
        } else {
            &self.content
        }
    }

    /// Whether words are all that is asked for.
    pub(super) fn are_only_words(&self) -> bool {
        self.content.words.is_some()
            && self.beside_words.is_any()
            && self.cheap.is_empty()
            && self.dear.is_empty()
            && !self.needs.any()
    }

    /// Whether anything in a body decides.
    pub(super) fn looks_into_bodies(&self) -> bool {
        self.needs.body || !self.content.is_any()
    }

    pub(super) fn of(filters: &[Filter], sort: Option<&Sort>, words: Option<Words>) -> Self {
        let needs = |filter: &Filter| Needs::of_field(filter.field().name());
        let (dear, cheap): (Vec<_>, Vec<_>) = filters
            .iter()
            .cloned()
            .partition(|filter| needs(filter).any());
        let is_about_content = |filter: &Filter| {
            matches::content_matches([None; 3], std::slice::from_ref(filter)).is_some()
        };
        let (content, dear): (Vec<_>, Vec<_>) = dear.into_iter().partition(is_about_content);
        let sorting = sort.map_or(Needs::default(), |sort| {
            Needs::of_field(sort.field().name())
        });
        let all = dear.iter().map(needs).fold(sorting, Needs::and);
        Self {
            cheap,
            beside_words: Content {
                filters: content.clone(),
                words: None,
            },
            content: Content {
                filters: content,
                words,
            },
            dear,
            needs: all,
        }
    }
}
