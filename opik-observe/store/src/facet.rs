//! Facets: the indexed properties of parts and traces.
//!
//! A facet is (entity, project, kind, value). Its postings are (first half of the newest
//! identifier, row), one per part or trace that has the value in at least one of its spans. They
//! only propose candidates: the row itself decides. A part that lost the last span with a value
//! keeps its posting until it is merged.

use std::collections::{BTreeMap, BTreeSet};

use crate::codec::span::SpanRow;
use crate::codec::trace::TraceRow;

/// What a facet is about. The numbers are in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Every row of the project.
    All = 0,
    /// A model, in lower case.
    Model = 1,
    /// A tag.
    Tag = 2,
    /// Any error.
    Error = 3,
    /// Type of an error, in lower case.
    ErrorType = 4,
    /// Type of a span; `general` is not indexed.
    Type = 5,
    /// Name, in lower case; of traces only.
    Name = 6,
    /// Thread of a trace.
    Thread = 7,
    /// Provider, in lower case.
    Provider = 8,
}

impl Kind {
    pub(crate) fn code(self) -> i64 {
        i64::from(self as u8)
    }
}

/// Which kind of row a facet finds. The numbers are in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Entity {
    /// Parts, for spans.
    Part = 0,
    /// Traces.
    Trace = 1,
}

impl Entity {
    pub(crate) fn code(self) -> i64 {
        i64::from(self as u8)
    }
}

/// Kind and value of a facet within a project.
pub(crate) type Facet = (Kind, String);

/// The facets of a part with these rows, and how many of the rows that are said to count have each.
pub(crate) fn of_spans<'r, 'a: 'r>(
    rows: impl IntoIterator<Item = (&'r SpanRow<'a>, bool)>,
) -> BTreeMap<Facet, i64> {
    // Texts repeat within a part: compare before copying.
    let mut seen: Vec<((Kind, &str), i64)> = vec![((Kind::All, ""), 0)];
    for (row, counts) in rows {
        let mut add = |kind, value| match seen.iter_mut().find(|known| known.0 == (kind, value)) {
            Some((_, count)) => *count += i64::from(counts),
            None => seen.push(((kind, value), i64::from(counts))),
        };
        add(Kind::All, "");
        if let Some(model) = row.model {
            add(Kind::Model, model);
        }
        if let Some(provider) = row.provider {
            add(Kind::Provider, provider);
        }
        for (number, tag) in row.tags.iter().enumerate() {
            // A row has a tag once, however often it names it.
            if !row.tags.iter().take(number).any(|known| known == tag) {
                add(Kind::Tag, tag);
            }
        }
        if let Some(error) = row.error {
            add(Kind::Error, "");
            add(Kind::ErrorType, error);
        }
        if let Some(kind) = row.kind.filter(|&kind| kind != "general") {
            add(Kind::Type, kind);
        }
    }
    let mut facets = BTreeMap::new();
    for (facet, count) in seen {
        *facets.entry(folded(facet)).or_default() += count;
    }
    facets
}

/// The facets of a trace.
pub(crate) fn of_trace(row: &TraceRow<'_>) -> BTreeSet<Facet> {
    let mut facets = BTreeSet::from([folded((Kind::All, ""))]);
    facets.extend(row.tags.iter().map(|tag| folded((Kind::Tag, tag))));
    if let Some(error) = row.error {
        facets.extend([folded((Kind::Error, "")), folded((Kind::ErrorType, error))]);
    }
    facets.extend(row.name.map(|name| folded((Kind::Name, name))));
    facets.extend(row.thread.map(|thread| folded((Kind::Thread, thread))));
    facets
}

fn folded((kind, value): (Kind, &str)) -> Facet {
    (kind, fold(kind, value))
}

/// The form of a value in the index: what compares as equal is equal there.
pub(crate) fn fold(kind: Kind, value: &str) -> String {
    match kind {
        Kind::Tag | Kind::Type | Kind::Thread => value.to_owned(),
        _ => value.to_ascii_lowercase(),
    }
}
