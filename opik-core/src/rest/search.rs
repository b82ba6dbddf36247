//! Searches for traces and spans: one request, several projects, another order.

use std::cmp::Ordering;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::call::{Call, Expect};
use super::client::OpikClient;
use super::filters::WireFilter;
use super::projects::ProjectFields;
use crate::query::{Filter, ProjectSelector, SpanQuery, TraceQuery};
use crate::source::{MAX_PAGE, SourceErrorKind};
use crate::{Cursor, Page, PageRequest, ProjectId, SourceError, SpanId, Timestamp, TraceId};

/// Most matches that are sorted here.
const MAX_SORTED: usize = 10_000;

/// Most requests that a page takes to fill when conditions are evaluated here, and how many records
/// each asks for at least.
const MAX_SCANS: usize = 50;
const SCAN: usize = 500;

/// A record that a search finds, ordered by its identifier from high to low.
pub(super) trait Found: DeserializeOwned + Send {
    /// The endpoint.
    const PATH: &'static str;

    /// Its identifier in the spelling whose order is the server's.
    fn key(&self) -> String;

    /// The record without what the server adds on reading.
    #[must_use]
    fn written(self) -> Self;

    /// Whether conditions hold that the server does not know.
    fn matches(&self, filters: &[Filter]) -> bool;
}

/// What is searched for, whatever it is.
#[derive(Debug, Clone)]
pub(super) struct Search<'a> {
    filters: Vec<WireFilter<'a>>,
    /// Conditions on fields that the server does not filter by.
    ours: Vec<Filter>,
    trace: Option<TraceId>,
    /// Only identifiers below this one.
    below: Option<String>,
    /// Only identifiers from this one.
    from: Option<String>,
    limit: usize,
    without_content: bool,
    /// Where a sorted page begins.
    skip: usize,
}

/// What one search found; `more` when something was left out.
#[derive(Debug)]
pub(super) struct Answered<R> {
    pub(super) items: Vec<R>,
    pub(super) more: bool,
}

impl<R> Default for Answered<R> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            more: false,
        }
    }
}

#[derive(Serialize)]
struct Body<'a> {
    #[serde(flatten)]
    project: ProjectFields,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<TraceId>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    filters: &'a [WireFilter<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    last_retrieved_id: Option<&'a str>,
    limit: usize,
    truncate: bool,
    strip_attachments: bool,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    exclude: &'a [&'a str],
}

pub(super) fn invalid(problem: &str) -> SourceError {
    SourceError::new(SourceErrorKind::InvalidQuery, problem)
}

/// The lowest identifier of a moment. Identifiers hold milliseconds: a moment within one begins
/// with the next.
fn lowest_at(at: Timestamp) -> String {
    let millis = at.as_micros().div_euclid(1_000) + i64::from(at.as_micros().rem_euclid(1_000) > 0);
    let moment = Timestamp::from_micros(millis.saturating_mul(1_000));
    TraceId::from_parts(moment, 0).to_string()
}

impl<'a> Search<'a> {
    pub(super) fn traces(query: &'a TraceQuery) -> Result<Self, SourceError> {
        let (filters, ours) = divide(&query.filters);
        let mut search = Self {
            filters,
            ours,
            trace: None,
            below: query.to.map(lowest_at),
            from: query.from.map(lowest_at),
            limit: query.page.limit(),
            without_content: query.without_content,
            skip: 0,
        };
        refuse_words(query.text.as_deref())?;
        search.begin_at(&query.page, query.sort.is_some())?;
        Ok(search)
    }

    pub(super) fn spans(query: &'a SpanQuery) -> Result<Self, SourceError> {
        let (filters, ours) = divide(&query.filters);
        let mut search = Self {
            filters,
            ours,
            trace: query.trace,
            below: query.to.map(lowest_at),
            from: query.from.map(lowest_at),
            limit: query.page.limit(),
            without_content: query.without_content,
            skip: 0,
        };
        refuse_words(query.text.as_deref())?;
        search.begin_at(&query.page, query.sort.is_some())?;
        Ok(search)
    }

    /// The spans of one trace after one of them.
    pub(super) fn spans_of(trace: TraceId, after: Option<SpanId>, limit: usize) -> Self {
        Self {
            filters: Vec::new(),
            ours: Vec::new(),
            trace: Some(trace),
            below: after.map(|id| id.to_string()),
            from: None,
            limit,
            without_content: false,
            skip: 0,
        }
    }

    fn begin_at(&mut self, page: &PageRequest, sorted: bool) -> Result<(), SourceError> {
        let Some(cursor) = page.cursor() else {
            return Ok(());
        };
        let foreign = |_| invalid("the cursor is not of this source");
        if sorted {
            let skip = cursor.as_str().strip_prefix("sorted/").unwrap_or_default();
            self.skip = skip.parse().map_err(|_| foreign(()))?;
        } else {
            let last: TraceId = cursor.as_str().parse().map_err(|_| foreign(()))?;
            self.below = Some(last.to_string());
        }
        Ok(())
    }
}

/// Conditions for the server, and those that it does not know.
fn divide(filters: &[Filter]) -> (Vec<WireFilter<'_>>, Vec<Filter>) {
    let (ours, theirs): (Vec<_>, Vec<_>) = filters
        .iter()
        .partition(|filter| matches!(filter.field().name(), "span_count" | "parent_span_id"));
    let theirs = theirs.into_iter().map(WireFilter::new).collect();
    (theirs, ours.into_iter().cloned().collect())
}

fn refuse_words(text: Option<&str>) -> Result<(), SourceError> {
    match text {
        Some(text) if !text.trim().is_empty() => Err(invalid(
            "Opik's server has no search for words; filter by name, input or output instead",
        )),
        _ => Ok(()),
    }
}

impl OpikClient {
    /// One request's worth of one project.
    pub(super) async fn search_project<R: Found>(
        &self,
        project: ProjectId,
        search: &Search<'_>,
    ) -> Result<Answered<R>, SourceError> {
        self.search_one(ProjectFields::id(project), search).await
    }

    /// A page's worth of one project, read until it is full or nothing is left.
    async fn search_one<R: Found>(
        &self,
        project: ProjectFields,
        search: &Search<'_>,
    ) -> Result<Answered<R>, SourceError> {
        let mut part = search.clone();
        if !search.ours.is_empty() {
            part.limit = part.limit.max(SCAN);
        }
        let mut all = Answered::default();
        let mut scans = 0;
        loop {
            if scans == MAX_SCANS {
                return Err(invalid(
                    "too few records fit the condition on span_count or parent_span_id; \
                     narrow the search down",
                ));
            }
            scans += 1;
            let found: Answered<R> = self.request(&project, &part).await?;
            part.below = found.items.last().map(Found::key);
            let wanted = found
                .items
                .into_iter()
                .filter(|row| row.matches(&search.ours));
            all.items.extend(wanted);
            all.more = found.more;
            if !found.more || all.items.len() >= search.limit {
                break;
            }
        }
        all.more |= all.items.len() > search.limit;
        all.items.truncate(search.limit);
        all.items = all.items.into_iter().map(Found::written).collect();
        Ok(all)
    }

    async fn request<R: Found>(
        &self,
        project: &ProjectFields,
        search: &Search<'_>,
    ) -> Result<Answered<R>, SourceError> {
        // One more than wanted says if there is more, except where the server gives no more.
        let ask = search.limit.saturating_add(1).min(MAX_PAGE);
        let body = Body {
            project: project.clone(),
            trace_id: search.trace,
            filters: &search.filters,
            last_retrieved_id: search.below.as_deref(),
            limit: ask,
            truncate: false,
            strip_attachments: false,
            exclude: if search.without_content {
                &["input", "output", "metadata"]
            } else {
                &[]
            },
        };
        let call = Call::post(R::PATH).expect(Expect::Lines).json(&body)?;
        let mut items: Vec<R> = self.send(call).await?.lines()?;
        if let (Some(first), Some(below)) = (items.first(), &search.below)
            && first.key() >= *below
        {
            // Going on would never end.
            return Err(SourceError::new(
                SourceErrorKind::Corrupt,
                format!("POST v1/private/{}: the server ignores the cursor", R::PATH),
            ));
        }
        let mut more = items.len() >= ask;
        if let Some(from) = &search.from {
            // From here on everything is older.
            if let Some(end) = items.iter().position(|row| row.key() < *from) {
                items.truncate(end);
                more = items.len() > search.limit;
            }
        }
        items.truncate(search.limit);
        Ok(Answered { items, more })
    }

    /// One page's worth of the selected projects, in the server's order.
    pub(super) async fn search_projects<R: Found>(
        &self,
        project: &ProjectSelector,
        search: &Search<'_>,
    ) -> Result<Answered<R>, SourceError> {
        if *project != ProjectSelector::Any {
            return self.search_one(self.project_fields(project), search).await;
        }
        let mut all = Answered::default();
        for project in self.all_projects().await? {
            let found = match self.search_project::<R>(project, search).await {
                // Deleted since it was listed.
                Err(error) if error.kind() == SourceErrorKind::UnknownProject => continue,
                found => found?,
            };
            all.more |= found.more;
            all.items.extend(found.items);
            // What lies below the page cannot come back into it.
            all.items
                .sort_by_cached_key(|row| std::cmp::Reverse(row.key()));
            all.items.dedup_by_key(|row| row.key());
            all.more |= all.items.len() > search.limit;
            all.items.truncate(search.limit);
        }
        Ok(all)
    }

    /// A page of a search in another order: all matches are read and sorted here.
    pub(super) async fn sorted<R: Found>(
        &self,
        project: &ProjectSelector,
        search: &Search<'_>,
        order: impl Fn(&R, &R) -> Ordering + Send,
    ) -> Result<Page<R>, SourceError> {
        let mut part = search.clone();
        part.limit = MAX_PAGE;
        let mut all: Vec<R> = Vec::new();
        loop {
            let found = self.search_projects::<R>(project, &part).await?;
            all.extend(found.items);
            if all.len() > MAX_SORTED {
                let problem = format!(
                    "over {MAX_SORTED} records match, too many to sort; narrow the search down"
                );
                return Err(invalid(&problem));
            }
            part.below = all.last().map(Found::key);
            if !found.more {
                break;
            }
        }
        all.sort_by(order);
        let end = search.skip.saturating_add(search.limit);
        let next = (end < all.len()).then(|| Cursor::new(format!("sorted/{end}")));
        all.truncate(end);
        all.drain(..search.skip.min(all.len()));
        Ok(Page { items: all, next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_become_the_lowest_identifier_of_their_millisecond() {
        let at = |micros| lowest_at(Timestamp::from_micros(micros));
        assert_eq!(at(0), "00000000-0000-7000-8000-000000000000");
        assert_eq!(at(5_000), "00000000-0005-7000-8000-000000000000");
        assert_eq!(at(5_001), at(6_000));
        let id = TraceId::generate_at(Timestamp::from_micros(5_500)).to_string();
        assert!(at(5_000) < id && id < at(6_000));
    }
}
