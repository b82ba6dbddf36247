//! Counting the spans that match, which may be all there are.
//!
//! Nothing is made of a span but what its conditions need. Words are counted where they are indexed:
//! which spans have them is known there, and only spans that were replaced have to be left out. Where content decides, reading the blocks
//! takes one part of the time and looking into them the other, so that a second thread looks into
//! those that wait while this one reads; when too many wait, this one helps.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::ScopedJoinHandle;

use opik_core::query::{Filter, SpanQuery, matches};

use super::Reader;
use super::candidates::{Candidate, Candidates};
use super::plan::{self, Conditions};
use super::records::Part;
use super::spans::Search;
use crate::block;
use crate::codec::body::Body;
use crate::codec::prefix;
use crate::codec::span::SpanRow;
use crate::error::StoreError;

/// How many blocks are looked into before a second thread is started.
const ALONE: usize = 64;
/// How many blocks may wait for it.
const WAITING: usize = 32;

/// Spans whose content has to be looked at, in one block as it is stored.
#[derive(Debug)]
struct Look {
    block: i64,
    /// Whether the text index knows that they have the words.
    indexed: bool,
    raw: usize,
    data: Vec<u8>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    name: Option<String>,
    body: Range<usize>,
}

impl Row {
    fn of(words: bool, part: &Part, row: &SpanRow<'_>) -> Self {
        Self {
            name: row.name.filter(|_| words).map(str::to_owned),
            body: part.body(row),
        }
    }
}

impl Look {
    fn count(&self, conditions: &Conditions) -> Result<u64, StoreError> {
        let wanted = conditions.content_if(self.indexed);
        let content = block::decompress(&self.data, self.raw)?;
        let mut count = 0;
        for row in &self.rows {
            let body = content
                .get(row.body.clone())
                .ok_or(StoreError::Damaged("a body lies outside its block"))?;
            count += u64::from(wanted.is_in(row.name.as_deref(), &Body::parse(body)?));
        }
        Ok(count)
    }
}

/// A second thread that counts.
struct Helper<'scope> {
    give: SyncSender<Look>,
    thread: ScopedJoinHandle<'scope, Result<u64, StoreError>>,
}

fn help(take: &Receiver<Look>, wanted: &Conditions) -> Result<u64, StoreError> {
    let mut count = 0;
    while let Ok(look) = take.recv() {
        count += look.count(wanted)?;
    }
    Ok(count)
}

/// The spans of candidates, in the order of candidates.
struct Looks<'s, 'q> {
    search: &'s Search<'q>,
    candidates: Candidates,
    lowest: i64,
    /// Spans that need no look.
    counted: u64,
    /// Collects what is next to each other.
    next: Option<Look>,
}

impl Looks<'_, '_> {
    fn next(&mut self, reader: &mut Reader) -> Result<Option<Look>, StoreError> {
        while let Some(candidate) = self.candidates.next(reader)? {
            if candidate.bound < self.lowest {
                break;
            }
            let look = if self.is_plain() {
                self.plain_look(reader, &candidate)?
            } else {
                self.look(reader, &candidate)?
            };
            let Some(look) = look else { continue };
            if let Some(next) = &mut self.next
                && (next.block, next.indexed) == (look.block, look.indexed)
            {
                next.rows.extend(look.rows);
                continue;
            }
            if let Some(done) = self.next.replace(look) {
                return Ok(Some(done));
            }
        }
        Ok(self.next.take())
    }

    /// Whether a part and its block tell enough, without the trace.
    fn is_plain(&self) -> bool {
        self.search.conditions.cheap.is_empty() && self.search.query.trace.is_none()
    }

    fn look(
        &mut self,
        reader: &mut Reader,
        candidate: &Candidate,
    ) -> Result<Option<Look>, StoreError> {
        let Some(part) = reader.candidate_part(self.search, candidate)? else {
            return Ok(None);
        };
        let rows = rows(reader, self.search, candidate, &part)?;
        if rows.is_empty() {
            return Ok(None);
        }
        if self.search.conditions.content_of(candidate).is_any() {
            self.counted += rows.len() as u64;
            return Ok(None);
        }
        let (raw, data) = reader.stored_block(part.block)?;
        Ok(Some(Look {
            block: part.block,
            indexed: candidate.indexed.is_some(),
            raw,
            data,
            rows,
        }))
    }

    /// As [`look`](Self::look), in one statement. The content of the block that is being collected
    /// is not read again: parts are smaller than blocks.
    fn plain_look(
        &mut self,
        reader: &Reader,
        candidate: &Candidate,
    ) -> Result<Option<Look>, StoreError> {
        let mut statement = reader.conn.prepare_cached(
            "SELECT part.key, zeroblob(16), part.project, part.arrived, part.block, part.at,
                    part.dead, part.head, block.raw,
                    CASE part.block WHEN ?2 THEN x'' ELSE block.data END
             FROM part JOIN block ON block.key = part.block WHERE part.key = ?1",
        )?;
        let indexed = candidate.indexed.is_some();
        let collected = self.next.as_ref().filter(|next| next.indexed == indexed);
        let mut found = statement.query((candidate.key, collected.map(|next| next.block)))?;
        let Some(row) = found.next()? else {
            return Ok(None);
        };
        let part = Part::of(row)?;
        if self.search.project.is_some_and(|of| part.project != of) {
            return Ok(None);
        }
        let wanted = self.search.conditions.content_of(candidate);
        let mut rows = Vec::new();
        for (number, columns) in part.rows()? {
            if may_match(self.search, candidate, number, &columns) {
                rows.push(Row::of(wanted.words.is_some(), &part, &columns));
            }
        }
        if rows.is_empty() {
            return Ok(None);
        }
        if wanted.is_any() {
            self.counted += rows.len() as u64;
            return Ok(None);
        }
        let raw: i64 = row.get(8)?;
        Ok(Some(Look {
            block: part.block,
            indexed,
            raw: usize::try_from(raw).unwrap_or(usize::MAX),
            data: row.get(9)?,
            rows,
        }))
    }
}

/// The next part of the search, of those that may have a match.
fn next_part(
    reader: &Reader,
    search: &Search<'_>,
    candidates: &mut Candidates,
    lowest: i64,
) -> Result<Option<(Candidate, Part)>, StoreError> {
    while let Some(candidate) = candidates.next(reader)? {
        if candidate.bound < lowest {
            return Ok(None);
        }
        if let Some(part) = reader.candidate_part(search, &candidate)? {
            return Ok(Some((candidate, part)));
        }
    }
    Ok(None)
}

/// Whether columns that need no span made of them match.
fn may_match(search: &Search<'_>, candidate: &Candidate, number: usize, row: &SpanRow<'_>) -> bool {
    candidate.may_have(number)
        && search.made.has(row.id.timestamp())
        && plan::row_has(&search.facet, row)
}

/// The rows of a part whose columns match.
fn rows(
    reader: &mut Reader,
    search: &Search<'_>,
    candidate: &Candidate,
    part: &Part,
) -> Result<Vec<Row>, StoreError> {
    let conditions = &search.conditions;
    let words = conditions.content_of(candidate).words.is_some();
    let mut all = Vec::new();
    for (number, row) in part.rows()? {
        if !may_match(search, candidate, number, &row) {
            continue;
        }
        if !conditions.cheap.is_empty() {
            let record = reader.span_record(part, &row)?;
            if !matches::span_matches(&record.span, &conditions.cheap) {
                continue;
            }
        }
        all.push(Row::of(words, part, &row));
    }
    Ok(all)
}

impl Reader {
    /// How many spans match, whatever page is asked for.
    pub(crate) fn count_spans(&mut self, query: &SpanQuery) -> Result<u64, StoreError> {
        let mut unsorted = query.clone();
        unsorted.sort = None;
        let mut search = self.span_search(&unsorted)?;
        let is_told = |filter: &Filter| plan::tells(&search.facet, filter, plan::OF_SPANS);
        search.conditions.cheap.retain(|filter| !is_told(filter));
        let only = plan::only(&query.filters).map(|id| prefix(&id));
        let lowest = search.made.lowest().max(only.unwrap_or(i64::MIN));
        let mut candidates = self.span_candidates(&search, i64::MAX)?;
        let mut count = 0;
        if search.conditions.needs.any() {
            while let Some((at, part)) = next_part(self, &search, &mut candidates, lowest)? {
                for (number, row) in &part.rows()? {
                    let found = self.matching_span(&search, &at, &part, (*number, row))?;
                    count += u64::from(found.is_some());
                }
            }
        } else if search.conditions.content.is_any() {
            while let Some((at, part)) = next_part(self, &search, &mut candidates, lowest)? {
                count += rows(self, &search, &at, &part)?.len() as u64;
            }
        } else {
            if search.is_only_words() {
                let indexed = self.count_indexed(&mut candidates)?;
                count += indexed.0;
                candidates = Candidates::List(indexed.1);
            }
            let looks = Looks {
                search: &search,
                candidates,
                lowest,
                counted: 0,
                next: None,
            };
            count += self.count_content(looks)?;
        }
        Ok(count)
    }

    /// Counts the spans that the text index knows about. Gives the candidates that it does not.
    fn count_indexed(
        &self,
        candidates: &mut Candidates,
    ) -> Result<(u64, VecDeque<Candidate>), StoreError> {
        let mut state = self
            .conn
            .prepare_cached("SELECT dead FROM part WHERE key = ?1")?;
        let all_live = self.are_all_live()?;
        let (mut count, mut others) = (0, VecDeque::new());
        while let Some(candidate) = candidates.next(self)? {
            let Some(mut found) = candidate.indexed else {
                others.push_back(candidate);
                continue;
            };
            if !all_live {
                let mut rows = state.query([candidate.key])?;
                let Some(row) = rows.next()? else { continue };
                let dead = row
                    .get_ref(0)?
                    .as_blob_or_null()
                    .map_err(rusqlite::Error::from)?;
                found.leave_out(dead.unwrap_or_default());
            }
            count += u64::from(found.rows.count_ones());
        }
        Ok((count, others))
    }

    /// Whether every row of every part is one that counts, also of those that are still in the
    /// text index.
    fn are_all_live(&self) -> Result<bool, StoreError> {
        let changed = "SELECT EXISTS (SELECT 1 FROM part WHERE dead IS NOT NULL)
                           OR EXISTS (SELECT 1 FROM gone)";
        let changed: bool = self
            .conn
            .prepare_cached(changed)?
            .query_row([], |row| row.get(0))?;
        let Some(text) = self.text.as_ref().filter(|_| !changed) else {
            return Ok(!changed);
        };
        Ok(!text
            .prepare_cached("SELECT EXISTS (SELECT 1 FROM removed)")?
            .query_row([], |row| row.get::<_, bool>(0))?)
    }

    fn count_content(&mut self, mut looks: Looks<'_, '_>) -> Result<u64, StoreError> {
        let wanted = &looks.search.conditions;
        std::thread::scope(|scope| {
            let mut helper: Option<Helper<'_>> = None;
            let (mut count, mut alone) = (0, 0);
            while let Some(mut look) = looks.next(self)? {
                if let Some(helper) = &helper {
                    match helper.give.try_send(look) {
                        Ok(()) => continue,
                        // Its error is met at the end.
                        Err(TrySendError::Full(back) | TrySendError::Disconnected(back)) => {
                            look = back;
                        }
                    }
                }
                count += look.count(wanted)?;
                alone += 1;
                if alone == ALONE {
                    let (give, take) = sync_channel(WAITING);
                    let thread = std::thread::Builder::new()
                        .name("opik-store-count".to_owned())
                        .spawn_scoped(scope, move || help(&take, wanted));
                    // Without another thread this one goes on alone.
                    helper = thread.ok().map(|thread| Helper { give, thread });
                }
            }
            if let Some(Helper { give, thread }) = helper {
                drop(give);
                let helped = thread.join();
                count += helped
                    .map_err(|_| StoreError::Internal("a thread that counts panicked".into()))??;
            }
            Ok(count + looks.counted)
        })
    }
}
