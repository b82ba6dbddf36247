//! Reading and searching spans.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use opik_core::model::ScoreTarget;
use opik_core::query::{Sort, SpanQuery, matches};
use opik_core::{Page, PageRequest, Span, SpanId, TraceId};
use rusqlite::{Connection, OptionalExtension, params};

use super::Reader;
use super::candidates::{Candidate, Candidates};
use super::cursor::{InTrace, Newest, Sorted};
use super::page::{FirstOf, NewestFirst};
use super::plan::{self, Conditions, Made};
use super::records::{Part, SpanRecord};
use crate::codec::span::SpanRow;
use crate::error::StoreError;
use crate::facet::{Entity, Facet, Kind};
use crate::text::Words;
use crate::write::is_dead;

/// A search in progress.
pub(super) struct Search<'q> {
    pub(super) query: &'q SpanQuery,
    pub(super) conditions: Conditions,
    pub(super) made: Made,
    pub(super) project: Option<i64>,
    trace: Option<TraceId>,
    pub(super) facet: Facet,
}

impl Search<'_> {
    /// Whether it is about the words of all spans of a project, or of all.
    pub(super) fn is_only_words(&self) -> bool {
        self.conditions.are_only_words()
            && self.made.is_ever()
            && self.trace.is_none()
            && self.facet.0 == Kind::All
    }
}

/// How many parts of a project are looked up at a time.
const AT_ONCE: i64 = 16;

/// Parts of one project from a bound on, oldest first.
struct Upwards {
    list: i64,
    ready: VecDeque<(i64, i64)>,
    last: (i64, i64),
    done: bool,
}

impl Upwards {
    fn head(&mut self, conn: &Connection) -> Result<Option<(i64, i64)>, StoreError> {
        if self.ready.is_empty() && !self.done {
            let mut statement = conn.prepare_cached(
                "SELECT hi, ref FROM facet WHERE fid = ?1 AND (hi, ref) > (?2, ?3)
                 ORDER BY hi, ref LIMIT ?4",
            )?;
            let (hi, key) = self.last;
            let rows = statement.query_map(params![self.list, hi, key, AT_ONCE], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
            for row in rows {
                self.ready.push_back(row?);
            }
            self.done = self.ready.len() < usize::try_from(AT_ONCE).unwrap_or(usize::MAX);
            self.last = self.ready.back().copied().unwrap_or(self.last);
        }
        Ok(self.ready.front().copied())
    }
}

/// The part that holds a span. Parts are in the order of their newest span, so the one that is
/// looked for is among the first that may have it, over all projects.
fn part_of_span(conn: &Connection, id: SpanId) -> Result<Option<i64>, StoreError> {
    let mut lists =
        conn.prepare_cached("SELECT fid FROM facet_name WHERE entity = ?1 AND kind = ?2")?;
    let below = (crate::codec::prefix(id.as_bytes()), i64::MIN);
    let mut lists = lists
        .query_map([Entity::Part.code(), Kind::All.code()], |row| {
            Ok(Upwards {
                list: row.get(0)?,
                ready: VecDeque::new(),
                last: below,
                done: false,
            })
        })?
        .collect::<Result<Vec<_>, _>>()?;
    let mut parts = conn.prepare_cached("SELECT dead, head FROM part WHERE key = ?1")?;
    let mut heads = BinaryHeap::new();
    for (number, list) in lists.iter_mut().enumerate() {
        heads.extend(list.head(conn)?.map(|head| Reverse((head, number))));
    }
    while let Some(Reverse(((_, key), number))) = heads.pop() {
        let mut rows = parts.query([key])?;
        if let Some(row) = rows.next()? {
            let dead: Option<Vec<u8>> = row.get(0)?;
            let head = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            let is_here =
                crate::codec::span::decode(head)?
                    .iter()
                    .enumerate()
                    .any(|(number, row)| {
                        row.id == id && !is_dead(dead.as_deref().unwrap_or_default(), number)
                    });
            if is_here {
                return Ok(Some(key));
            }
        }
        if let Some(list) = lists.get_mut(number) {
            list.ready.pop_front();
            heads.extend(list.head(conn)?.map(|head| Reverse((head, number))));
        }
    }
    Ok(None)
}

/// The trace that a span is of, wherever it is.
pub(crate) fn trace_of_span(conn: &Connection, id: SpanId) -> Result<Option<TraceId>, StoreError> {
    let Some(part) = part_of_span(conn, id)? else {
        return Ok(None);
    };
    let trace = conn
        .prepare_cached(
            "SELECT trace.id FROM part JOIN trace ON trace.key = part.trace WHERE part.key = ?1",
        )?
        .query_row([part], |row| row.get(0).map(TraceId::from_bytes))
        .optional()?;
    Ok(trace)
}

impl Reader {
    /// A page of the spans of one trace, part by part.
    pub(crate) fn spans(
        &mut self,
        trace: TraceId,
        request: &PageRequest,
    ) -> Result<Page<Span>, StoreError> {
        let start = InTrace::start(request.cursor())?;
        let mut place = start;
        let mut records = Vec::new();
        let mut next = None;
        'parts: while let Some(part) = self.part_of(trace, place.part)? {
            let skip = if part.key == start.part { start.row } else { 0 };
            for (number, row) in part.rows()? {
                if number < skip {
                    continue;
                }
                if records.len() == request.limit() {
                    next = Some(
                        InTrace {
                            part: part.key,
                            row: number,
                        }
                        .to_cursor(),
                    );
                    break 'parts;
                }
                records.push(self.span_record(&part, &row)?);
            }
            place.part = part.key + 1;
        }
        let items = self.finish_spans(records, false)?;
        Ok(Page { items, next })
    }

    /// One span with everything.
    pub(crate) fn span(&mut self, id: SpanId) -> Result<Option<Span>, StoreError> {
        let Some(key) = part_of_span(&self.conn, id)? else {
            return Ok(None);
        };
        let Some(part) = self.part(key)? else {
            return Ok(None);
        };
        let mut found = None;
        for (_, row) in part.rows()? {
            if row.id == id {
                found = Some(self.span_record(&part, &row)?);
            }
        }
        let records: Vec<_> = found.into_iter().collect();
        Ok(self.finish_spans(records, false)?.pop())
    }

    /// The first part of a trace from a key on.
    fn part_of(&self, trace: TraceId, from: i64) -> Result<Option<Part>, StoreError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT part.key, trace.id, part.project, part.arrived, part.block, part.at, part.dead,
                    part.head
             FROM trace JOIN part ON part.trace = trace.key
             WHERE trace.id = ?1 AND part.key >= ?2 ORDER BY part.key LIMIT 1",
        )?;
        let mut rows = statement.query(params![trace.as_bytes(), from])?;
        rows.next()?.map(Part::of).transpose()
    }

    fn part(&self, key: i64) -> Result<Option<Part>, StoreError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT part.key, trace.id, part.project, part.arrived, part.block, part.at, part.dead,
                    part.head
             FROM part JOIN trace ON trace.key = part.trace WHERE part.key = ?1",
        )?;
        let mut rows = statement.query([key])?;
        rows.next()?.map(Part::of).transpose()
    }

    /// Reads content and scores.
    fn finish_spans(
        &mut self,
        mut records: Vec<SpanRecord>,
        without_content: bool,
    ) -> Result<Vec<Span>, StoreError> {
        // Neighbours share blocks: each is read once.
        let mut by_block: Vec<&mut SpanRecord> = records.iter_mut().collect();
        by_block.sort_by_key(|record| record.block());
        for record in by_block {
            self.fill_span(record, !without_content)?;
        }
        let mut spans = Vec::with_capacity(records.len());
        for record in records {
            let mut span = *record.span;
            if without_content {
                (span.input, span.output, span.metadata) = (None, None, None);
            }
            self.join_scores(&ScoreTarget::Span(span.id), &mut span.feedback_scores)?;
            if self.any_attached()? {
                span.comments.extend(crate::records::comments::of(
                    &self.conn,
                    1,
                    span.id.as_bytes(),
                )?);
            }
            spans.push(span);
        }
        Ok(spans)
    }

    /// A page of the spans that match.
    pub(crate) fn search_spans(&mut self, query: &SpanQuery) -> Result<Page<Span>, StoreError> {
        self.search_spans_then(query, |_| Ok(()))
    }

    /// As [`search_spans`](Self::search_spans), with something to do before the content is read of
    /// a page that is not the last one.
    pub(crate) fn search_spans_then(
        &mut self,
        query: &SpanQuery,
        found: impl FnOnce(&Self) -> Result<(), StoreError>,
    ) -> Result<Page<Span>, StoreError> {
        self.see_index_first(query.text.as_deref())?;
        let search = self.span_search(query)?;
        let (records, next) = match &query.sort {
            None => self.newest_spans(&search)?,
            Some(sort) => self.sorted_spans(&search, sort)?,
        };
        if next.is_some() {
            found(self)?;
        }
        let items = self.finish_spans(records, query.without_content)?;
        Ok(Page { items, next })
    }

    pub(super) fn span_search<'q>(&self, query: &'q SpanQuery) -> Result<Search<'q>, StoreError> {
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
            trace: plan::trace_of(query.trace, &query.filters),
            facet: plan::facet(&query.filters, plan::OF_SPANS),
        })
    }

    pub(super) fn span_candidates(
        &self,
        search: &Search<'_>,
        highest: i64,
    ) -> Result<Candidates, StoreError> {
        if let Some(trace) = search.trace {
            return Candidates::of_trace(self, trace);
        }
        if let Some(words) = &search.conditions.content.words {
            return Candidates::with_words(self, Entity::Part, words, search.project, highest);
        }
        if search.facet.0 == Kind::All
            && let Some(part) = plan::tag_part(&search.query.filters)
        {
            return Candidates::with_tag_part(self, Entity::Part, search.project, &part, highest);
        }
        Candidates::with_facet(self, Entity::Part, search.project, &search.facet, highest)
    }

    /// The part of a candidate, if the search is about it.
    pub(super) fn candidate_part(
        &self,
        search: &Search<'_>,
        candidate: &Candidate,
    ) -> Result<Option<Part>, StoreError> {
        let part = self.part(candidate.key)?;
        Ok(part.filter(|part| {
            search.project.is_none_or(|project| part.project == project)
                && search.query.trace.is_none_or(|trace| part.trace == trace)
        }))
    }

    /// The span of a row, if it matches.
    pub(super) fn matching_span(
        &mut self,
        search: &Search<'_>,
        candidate: &Candidate,
        part: &Part,
        (number, row): (usize, &SpanRow<'_>),
    ) -> Result<Option<SpanRecord>, StoreError> {
        if !candidate.may_have(number)
            || !search.made.has(row.id.timestamp())
            || !plan::row_has(&search.facet, row)
        {
            return Ok(None);
        }
        let mut record = self.span_record(part, row)?;
        if !matches::span_matches(&record.span, &search.conditions.cheap) {
            return Ok(None);
        }
        let wanted = search.conditions.content_of(candidate);
        if !wanted.is_any() {
            let name = record.span.name.as_deref();
            if !self.has_content(wanted, name, record.body())? {
                return Ok(None);
            }
        }
        let needs = search.conditions.needs;
        if needs.body {
            self.fill_span(&mut record, true)?;
        }
        if needs.scores {
            let target = ScoreTarget::Span(record.span.id);
            self.join_scores(&target, &mut record.span.feedback_scores)?;
        }
        let fits = matches::span_matches(&record.span, &search.conditions.dear);
        Ok(fits.then_some(record))
    }

    fn newest_spans(
        &mut self,
        search: &Search<'_>,
    ) -> Result<(Vec<SpanRecord>, Option<opik_core::Cursor>), StoreError> {
        let start = Newest::start(search.query.page.cursor())?;
        let highest = start.map_or(i64::MAX, |start| start.bound);
        let only = plan::only(&search.query.filters).map(|id| crate::codec::prefix(&id));
        let lowest = search.made.lowest().max(only.unwrap_or(i64::MIN));
        let mut candidates = self.span_candidates(search, highest)?;
        let mut page = NewestFirst::new(search.query.page.limit());
        while let Some(candidate) = candidates.next(self)? {
            if candidate.bound < lowest || page.is_settled(candidate.bound) {
                break;
            }
            let Some(part) = self.candidate_part(search, &candidate)? else {
                continue;
            };
            for (number, row) in part.rows()?.iter().rev() {
                let id = *row.id.as_bytes();
                let is_new = start.is_none_or(|start| id < start.before);
                if is_new
                    && page.wants(&id, candidate.bound)
                    && let Some(record) =
                        self.matching_span(search, &candidate, &part, (*number, row))?
                {
                    page.offer(id, candidate.bound, record);
                }
            }
        }
        let (records, next) = page.finish();
        Ok((records, next.map(Newest::to_cursor)))
    }

    fn sorted_spans(
        &mut self,
        search: &Search<'_>,
        sort: &Sort,
    ) -> Result<(Vec<SpanRecord>, Option<opik_core::Cursor>), StoreError> {
        let start = Sorted::start(search.query.page.cursor())?;
        let limit = search.query.page.limit();
        let skip = start.map_or(0, |start| start.skip);
        // A span cannot be found by its identifier alone, so the page is cut by number.
        let order = |a: &SpanRecord, b: &SpanRecord| sort.compare_spans(&a.span, &b.span);
        let mut first = FirstOf::new(skip + limit + 1, order);
        let mut candidates = self.span_candidates(search, i64::MAX)?;
        while let Some(candidate) = candidates.next(self)? {
            if candidate.bound < search.made.lowest() {
                break;
            }
            let Some(part) = self.candidate_part(search, &candidate)? else {
                continue;
            };
            for (number, row) in &part.rows()? {
                if let Some(record) =
                    self.matching_span(search, &candidate, &part, (*number, row))?
                {
                    first.offer(record);
                }
            }
        }
        let mut records: Vec<_> = first.finish().into_iter().skip(skip).collect();
        let more = records.len() > limit;
        records.truncate(limit);
        let last = records.last().filter(|_| more);
        let next = last.map(|last| {
            Sorted {
                skip: skip + records.len(),
                after: *last.span.id.as_bytes(),
            }
            .to_cursor()
        });
        Ok((records, next))
    }
}
