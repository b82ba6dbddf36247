//! Reading and searching traces.

use opik_core::model::ScoreTarget;
use opik_core::query::{Sort, TraceQuery, matches};
use opik_core::{Page, Trace, TraceId};
use rusqlite::{OptionalExtension, params};

use super::Reader;
use super::candidates::{Candidate, Candidates};
use super::cursor::{Newest, Sorted};
use super::page::{FirstOf, NewestFirst};
use super::plan::{self, Conditions, Made};
use super::records::{TRACE_BY_ID, TRACE_BY_KEY, TraceRecord};
use super::together::Together;
use crate::error::StoreError;
use crate::facet::{Entity, Kind};
use crate::records::{checks, comments};
use crate::text::Words;

/// How many traces are read together when all of them are counted.
const AT_ONCE: usize = 512;

/// A search in progress.
struct Search<'q> {
    query: &'q TraceQuery,
    conditions: Conditions,
    made: Made,
    project: Option<i64>,
}

/// What a search looks at.
enum Proposed {
    /// With their traces.
    Together(Together),
    /// Traces that have to be read one by one.
    Alone(Candidates),
}

impl Proposed {
    fn of(candidates: Candidates, highest: i64, page: usize, content: bool) -> Self {
        match candidates.only_list() {
            Some(fid) => Self::Together(Together::new(fid, highest, page, content)),
            None => Self::Alone(candidates),
        }
    }

    fn next(
        &mut self,
        reader: &mut Reader,
    ) -> Result<Option<(Candidate, Option<TraceRecord>)>, StoreError> {
        Ok(match self {
            Self::Together(traces) => traces.next(reader)?.map(|(at, trace)| (at, Some(trace))),
            Self::Alone(candidates) => candidates.next(reader)?.map(|at| (at, None)),
        })
    }
}

impl Reader {
    /// One trace with everything.
    pub(crate) fn trace(&mut self, id: TraceId) -> Result<Option<Trace>, StoreError> {
        let Some(mut record) = self.trace_by(TRACE_BY_ID, id.as_bytes())? else {
            return Ok(None);
        };
        self.fill_trace(&mut record, true)?;
        self.finish_trace(&mut record)?;
        Ok(Some(*record.trace))
    }

    /// One trace with its totals and scores, without its content and without what its spans were
    /// scored.
    pub(crate) fn trace_without_content(
        &mut self,
        id: TraceId,
    ) -> Result<Option<Trace>, StoreError> {
        let Some(record) = self.trace_by(TRACE_BY_ID, id.as_bytes())? else {
            return Ok(None);
        };
        let mut trace = *record.trace;
        self.join_scores(&ScoreTarget::Trace(id), &mut trace.feedback_scores)?;
        Ok(Some(trace))
    }

    fn trace_by(
        &mut self,
        sql: &'static str,
        value: impl rusqlite::ToSql,
    ) -> Result<Option<TraceRecord>, StoreError> {
        // The statement borrows the connection, and making the record may ask for the project.
        let conn = &self.conn;
        let mut statement = conn.prepare_cached(sql)?;
        let mut rows = statement.query(params![value])?;
        match rows.next()? {
            Some(row) => Ok(Some(super::records::trace_record(
                conn,
                &mut self.projects,
                &mut self.spare,
                row,
                true,
            )?)),
            None => Ok(None),
        }
    }

    /// Adds what is joined on reading.
    fn finish_trace(&mut self, record: &mut TraceRecord) -> Result<(), StoreError> {
        let trace = &mut record.trace;
        self.join_scores(&ScoreTarget::Trace(trace.id), &mut trace.feedback_scores)?;
        self.join_span_scores(record.key, trace)?;
        self.join_catalog(trace)?;
        if self.any_attached()? {
            trace
                .comments
                .extend(comments::of(&self.conn, 0, trace.id.as_bytes())?);
            self.join_guardrails(trace)?;
        }
        Ok(())
    }

    /// Puts in what guardrails found, once.
    fn join_guardrails(&self, trace: &mut Trace) -> Result<(), StoreError> {
        for found in checks::guardrails_of(&self.conn, trace.id)? {
            let known = &mut trace.guardrails_validations;
            known.retain(|one| one.span_id != found.span_id);
            known.push(found);
        }
        Ok(())
    }

    fn trace_search<'q>(&self, query: &'q TraceQuery) -> Result<Search<'q>, StoreError> {
        let words = query
            .text
            .as_deref()
            .map(Words::of)
            .filter(|words| !words.is_empty());
        Ok(Search {
            query,
            conditions: Conditions::of(&query.filters, query.sort.as_ref(), words),
            made: Made::within(query.from, query.to),
            project: self.selected(&query.project)?,
        })
    }

    /// How many traces match, whatever page is asked for. Looks at every candidate.
    pub(crate) fn count_traces(&mut self, query: &TraceQuery) -> Result<u64, StoreError> {
        let search = self.trace_search(query)?;
        let highest = search.made.highest();
        let candidates = self.candidates(&search, highest)?;
        let content = search.conditions.looks_into_bodies();
        let mut candidates = Proposed::of(candidates, highest, AT_ONCE, content);
        let is_told = search.conditions.are_only_words() && search.made.is_ever();
        let mut count = 0;
        while let Some((candidate, record)) = candidates.next(self)? {
            if candidate.bound < search.made.lowest() {
                break;
            }
            if !self.is_current(&candidate)? {
                continue;
            }
            if is_told && candidate.indexed.is_some() {
                count += 1;
                continue;
            }
            let record = match record {
                Some(record) => Some(record),
                None => self.trace_by(TRACE_BY_KEY, candidate.key)?,
            };
            if let Some(record) = record {
                count += u64::from(self.matching(&search, &candidate, record)?.is_some());
            }
        }
        Ok(count)
    }

    /// A page of the traces that match.
    pub(crate) fn search_traces(&mut self, query: &TraceQuery) -> Result<Page<Trace>, StoreError> {
        self.search_traces_then(query, |_| Ok(()))
    }

    /// As [`search_traces`](Self::search_traces), with something to do before the content is read of
    /// a page that is not the last one.
    pub(crate) fn search_traces_then(
        &mut self,
        query: &TraceQuery,
        found: impl FnOnce(&Self) -> Result<(), StoreError>,
    ) -> Result<Page<Trace>, StoreError> {
        self.see_index_first(query.text.as_deref())?;
        let search = self.trace_search(query)?;
        let (records, next) = match &query.sort {
            None => self.newest_traces(&search)?,
            Some(sort) => self.sorted_traces(&search, sort)?,
        };
        if next.is_some() {
            found(self)?;
        }
        let mut items = Vec::with_capacity(records.len());
        for mut record in records {
            self.fill_trace(&mut record, !query.without_content)?;
            if query.without_content {
                let trace = &mut record.trace;
                (trace.input, trace.output, trace.metadata) = (None, None, None);
            }
            self.finish_trace(&mut record)?;
            items.push(self.spare.take(record.trace));
        }
        Ok(Page { items, next })
    }

    fn candidates(&self, search: &Search<'_>, highest: i64) -> Result<Candidates, StoreError> {
        if let Some(words) = &search.conditions.content.words {
            return Candidates::with_words(self, Entity::Trace, words, search.project, highest);
        }
        if let Some(id) = plan::only(&search.query.filters) {
            return Candidates::one_trace(self, &id);
        }
        let facet = plan::facet(&search.query.filters, plan::OF_TRACES);
        if facet.0 == Kind::All
            && let Some(part) = plan::tag_part(&search.query.filters)
        {
            return Candidates::with_tag_part(self, Entity::Trace, search.project, &part, highest);
        }
        Candidates::with_facet(self, Entity::Trace, search.project, &facet, highest)
    }

    /// Whether a trace still is what the text index knows of it.
    fn is_current(&self, candidate: &Candidate) -> Result<bool, StoreError> {
        let Some(found) = candidate.indexed else {
            return Ok(true);
        };
        let version: Option<i64> = self
            .conn
            .prepare_cached("SELECT row_seq FROM trace WHERE key = ?1 AND present")?
            .query_row([candidate.key], |row| row.get(0))
            .optional()?;
        Ok(version == Some(found.doc.version))
    }

    /// A candidate's trace, if it matches.
    fn matching(
        &mut self,
        search: &Search<'_>,
        candidate: &Candidate,
        mut record: TraceRecord,
    ) -> Result<Option<TraceRecord>, StoreError> {
        let is_in_project = match search.project {
            None => true,
            Some(project) => Some(self.project_id(project)?) == record.trace.project_id,
        };
        if !is_in_project
            || !search.made.has(record.trace.id.timestamp())
            || !matches::trace_matches(&record.trace, &search.conditions.cheap)
        {
            return Ok(None);
        }
        let wanted = search.conditions.content_of(candidate);
        if !wanted.is_any() {
            let name = record.trace.name.as_deref();
            if !self.has_content(wanted, name, record.body())? {
                return Ok(None);
            }
        }
        let needs = search.conditions.needs;
        if needs.body {
            self.fill_trace(&mut record, true)?;
        }
        if needs.scores {
            let target = ScoreTarget::Trace(record.trace.id);
            self.join_scores(&target, &mut record.trace.feedback_scores)?;
        }
        if needs.span_scores {
            self.join_span_scores(record.key, &mut record.trace)?;
        }
        if needs.catalog {
            self.join_catalog(&mut record.trace)?;
        }
        if needs.guardrails {
            self.join_guardrails(&mut record.trace)?;
        }
        let fits = matches::trace_matches(&record.trace, &search.conditions.dear);
        Ok(fits.then_some(record))
    }

    fn newest_traces(
        &mut self,
        search: &Search<'_>,
    ) -> Result<(Vec<TraceRecord>, Option<opik_core::Cursor>), StoreError> {
        let start = Newest::start(search.query.page.cursor())?;
        let highest = start
            .map_or(i64::MAX, |start| start.bound)
            .min(search.made.highest());
        let limit = search.query.page.limit();
        let content = search.conditions.looks_into_bodies() || !search.query.without_content;
        let candidates = self.candidates(search, highest)?;
        let mut candidates = Proposed::of(candidates, highest, limit, content);
        let mut page = NewestFirst::new(limit);
        while let Some((candidate, record)) = candidates.next(self)? {
            if candidate.bound < search.made.lowest() || page.is_settled(candidate.bound) {
                break;
            }
            if !self.is_current(&candidate)? {
                continue;
            }
            let record = match record {
                Some(record) => Some(record),
                None => self.trace_by(TRACE_BY_KEY, candidate.key)?,
            };
            let Some(record) = record else { continue };
            if let Some(record) = self.matching(search, &candidate, record)? {
                let id = *record.trace.id.as_bytes();
                if start.is_none_or(|start| id < start.before) && page.wants(&id, candidate.bound) {
                    page.offer(id, candidate.bound, record);
                }
            }
        }
        let (records, next) = page.finish();
        Ok((records, next.map(Newest::to_cursor)))
    }

    fn sorted_traces(
        &mut self,
        search: &Search<'_>,
        sort: &Sort,
    ) -> Result<(Vec<TraceRecord>, Option<opik_core::Cursor>), StoreError> {
        let start = Sorted::start(search.query.page.cursor())?;
        let limit = search.query.page.limit();
        let mut skip = start.map_or(0, |start| start.skip);
        let mut anchor = None;
        if let Some(start) = start {
            anchor = self.trace_by(TRACE_BY_ID, start.after)?;
            if let Some(anchor) = &mut anchor {
                self.fill_trace(anchor, true)?;
                let target = ScoreTarget::Trace(anchor.trace.id);
                self.join_scores(&target, &mut anchor.trace.feedback_scores)?;
                self.join_span_scores(anchor.key, &mut anchor.trace)?;
            }
        }
        let from = if anchor.is_some() { 0 } else { skip };
        let order = |a: &TraceRecord, b: &TraceRecord| sort.compare_traces(&a.trace, &b.trace);
        let mut first = FirstOf::new(from + limit + 1, order);
        let mut candidates = self.candidates(search, search.made.highest())?;
        while let Some(candidate) = candidates.next(self)? {
            if candidate.bound < search.made.lowest() {
                break;
            }
            if !self.is_current(&candidate)? {
                continue;
            }
            let Some(record) = self.trace_by(TRACE_BY_KEY, candidate.key)? else {
                continue;
            };
            if let Some(record) = self.matching(search, &candidate, record)?
                && anchor
                    .as_ref()
                    .is_none_or(|anchor| order(anchor, &record).is_lt())
            {
                first.offer(record);
            }
        }
        let mut records: Vec<_> = first.finish().into_iter().skip(from).collect();
        let more = records.len() > limit;
        records.truncate(limit);
        skip += records.len();
        let last = records.last().filter(|_| more);
        let next = last.map(|last| {
            Sorted {
                skip,
                after: *last.trace.id.as_bytes(),
            }
            .to_cursor()
        });
        Ok((records, next))
    }
}
