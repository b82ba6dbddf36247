//! How many records match a search: what lists tell beside a page.
//!
//! A search for one facet has its tally (see [`tally`](crate::tally)). Any other is counted, and what
//! was counted is remembered while the store and, for words, its text index stay as they are.

use std::collections::HashMap;
use std::sync::Mutex;

use opik_core::PageRequest;
use opik_core::query::{SpanQuery, TraceQuery};
use rusqlite::params;

use super::Reader;
use super::plan;
use crate::error::StoreError;
use crate::facet::{Entity, Facet};
use crate::tally;
use crate::text::{self, Progress};
use crate::threads::lock;

/// How many totals are remembered; beyond, the memory starts anew.
const MOST: usize = 1_000;
/// Questions that are longer than this, in bytes, are not remembered.
const LONGEST: usize = 2_000;

/// The state of a store that a total belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    /// Number of the latest change.
    change: i64,
    text: Option<Progress>,
}

/// Totals that were counted, by question: the derived `Debug` text of a query, which has all that it
/// asks for.
#[derive(Debug, Default)]
pub(crate) struct Counted(Mutex<HashMap<String, (Version, u64)>>);

impl Counted {
    fn get(&self, question: &str, version: Version) -> Option<u64> {
        let counted = lock(&self.0);
        let (known, total) = counted.get(question)?;
        (*known == version).then_some(*total)
    }

    fn put(&self, question: String, version: Version, total: u64) {
        if question.len() > LONGEST {
            return;
        }
        let mut counted = lock(&self.0);
        if counted.len() >= MOST {
            counted.clear();
        }
        counted.insert(question, (version, total));
    }
}

impl Reader {
    /// How many spans match, whatever page is asked for. `seen` is the number when a page showed it.
    pub(crate) fn total_of_spans(
        &mut self,
        query: &SpanQuery,
        seen: Option<u64>,
    ) -> Result<u64, StoreError> {
        self.see_index_first(query.text.as_deref())?;
        let query = spans_question(query);
        if let Some(facet) = self.tallied_spans(&query) {
            let project = self.selected(&query.project)?;
            return self.tally(Entity::Part, project, &facet);
        }
        let question = format!("{query:?}");
        let words = query.text.is_some();
        self.counted(question, words, |reader| {
            seen.map_or_else(|| reader.count_spans(&query), Ok)
        })
    }

    /// How many traces match, whatever page is asked for. `seen` is the number when a page showed it.
    pub(crate) fn total_of_traces(
        &mut self,
        query: &TraceQuery,
        seen: Option<u64>,
    ) -> Result<u64, StoreError> {
        self.see_index_first(query.text.as_deref())?;
        let query = traces_question(query);
        if let Some(facet) = self.tallied_traces(&query) {
            let project = self.selected(&query.project)?;
            return self.tally(Entity::Trace, project, &facet);
        }
        let question = format!("{query:?}");
        let words = query.text.is_some();
        self.counted(question, words, |reader| {
            seen.map_or_else(|| reader.count_traces(&query), Ok)
        })
    }

    /// The facet that a search for spans is about and nothing else, which has a tally.
    pub(super) fn tallied_spans(&self, query: &SpanQuery) -> Option<Facet> {
        let is_plain = query.trace.is_none()
            && (query.from, query.to) == (None, None)
            && is_without_words(query.text.as_deref());
        let facet = || plan::only_facet(&query.filters, plan::OF_SPANS);
        is_plain.then(facet).flatten()
    }

    /// As [`tallied_spans`](Self::tallied_spans), for traces.
    pub(super) fn tallied_traces(&self, query: &TraceQuery) -> Option<Facet> {
        let is_plain =
            (query.from, query.to) == (None, None) && is_without_words(query.text.as_deref());
        let facet = || plan::only_facet(&query.filters, plan::OF_TRACES);
        is_plain.then(facet).flatten()
    }

    /// The state that totals belong to, with that of the text index where there are words.
    pub(super) fn version(&self, words: bool) -> Result<Version, StoreError> {
        Ok(Version {
            change: self
                .conn
                .prepare_cached("SELECT change FROM counter")?
                .query_row([], |row| row.get(0))?,
            text: match &self.text {
                Some(text) if words => Some(text::progress(text)?),
                _ => None,
            },
        })
    }

    /// What is remembered of a question.
    pub(super) fn remembered(&self, question: &str, version: Version) -> Option<u64> {
        self.counted.as_ref()?.get(question, version)
    }

    /// Whether what is counted for a question is remembered.
    pub(super) fn may_remember(&self, question: &str) -> bool {
        self.counted.is_some() && question.len() <= LONGEST
    }

    /// How many rows have a facet, in one project or all.
    fn tally(
        &self,
        entity: Entity,
        project: Option<i64>,
        (kind, value): &Facet,
    ) -> Result<u64, StoreError> {
        let sql = if tally::is_kept(*kind) {
            "SELECT sum(t.rows) FROM facet_name n JOIN tally t ON t.fid = n.fid
             WHERE n.entity = ?1 AND n.kind = ?2 AND n.value = ?3
               AND (?4 IS NULL OR n.project = ?4)"
        } else {
            "SELECT count(*) FROM facet_name n JOIN facet f ON f.fid = n.fid
             WHERE n.entity = ?1 AND n.kind = ?2 AND n.value = ?3
               AND (?4 IS NULL OR n.project = ?4)"
        };
        let total: Option<i64> = self
            .conn
            .prepare_cached(sql)?
            .query_row(params![entity.code(), kind.code(), value, project], |row| {
                row.get(0)
            })?;
        Ok(total.unwrap_or(0).max(0).cast_unsigned())
    }

    /// A total that is remembered, or counted and remembered.
    fn counted(
        &mut self,
        question: String,
        words: bool,
        count: impl FnOnce(&mut Self) -> Result<u64, StoreError>,
    ) -> Result<u64, StoreError> {
        let Some(counted) = self.counted.clone() else {
            return count(self);
        };
        let version = self.version(words)?;
        if let Some(total) = counted.get(&question, version) {
            return Ok(total);
        }
        let total = count(self)?;
        counted.put(question, version, total);
        Ok(total)
    }
}

/// What a total of spans depends on.
pub(super) fn spans_question(query: &SpanQuery) -> SpanQuery {
    let mut query = query.clone();
    (query.page, query.sort, query.without_content) = (PageRequest::default(), None, true);
    query
}

/// What a total of traces depends on.
pub(super) fn traces_question(query: &TraceQuery) -> TraceQuery {
    let mut query = query.clone();
    (query.page, query.sort, query.without_content) = (PageRequest::default(), None, true);
    query
}

/// Whether a question has no word to look for.
fn is_without_words(text: Option<&str>) -> bool {
    text.is_none_or(|text| text::Words::of(text).is_empty())
}
