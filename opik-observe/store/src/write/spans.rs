//! Upserts of spans: by `last_updated_at`, whole rows, equal versions by arrival.
//!
//! An upsert carries its trace, so only the parts of that trace are looked at, and only when the
//! trace was there before. What was read stays in a bounded memory, keyed by the trace and valid
//! while the trace's `seq` is what it was: a live recorder that writes a long trace span by span
//! reads its heads once.
//!
//! A row that is replaced becomes a set bit in its part's `dead`, leaves the totals, and its body
//! is overwritten; a part whose rows are all dead is removed. A row that arrives too late is
//! written dead, or not at all when its whole part is late.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use opik_core::SpanId;
use rusqlite::{OptionalExtension, params};

use super::Work;
use super::blocks::{Blocks, Stored, int};
use super::traces::{Known, project};
use crate::codec::span::{self, SpanRow};
use crate::error::StoreError;
use crate::facet::{self, Entity};
use crate::pack::PackedPart;

/// Spans that are remembered at most, over all traces.
const MOST_SPANS: usize = 200_000;
/// A part with fewer live rows than this is small: it waits for others to be merged with.
pub(super) const SMALL: usize = crate::pack::PART_ROWS / 2;

/// Where a span is, and which version of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seat {
    pub(super) updated: i64,
    pub(super) part: i64,
    pub(super) row: usize,
}

/// The live spans of one trace.
#[derive(Debug, Default)]
pub(super) struct TraceSpans {
    seq: i64,
    pub(super) seats: HashMap<SpanId, Seat>,
    /// Parts with few rows.
    pub(super) small: Vec<i64>,
}

/// The live spans of the traces that were updated last.
#[derive(Debug, Default)]
pub(super) struct SpanCache {
    traces: HashMap<i64, TraceSpans>,
    spans: usize,
}

impl SpanCache {
    fn take(&mut self, trace: i64, seq: i64) -> Option<TraceSpans> {
        let known = self.traces.remove(&trace)?;
        self.spans -= known.seats.len();
        (known.seq == seq).then_some(known)
    }

    fn put(&mut self, trace: i64, seq: i64, mut spans: TraceSpans) {
        spans.seq = seq;
        if self.spans + spans.seats.len() > MOST_SPANS {
            self.traces.clear();
            self.spans = 0;
        }
        self.spans += spans.seats.len();
        self.traces.insert(trace, spans);
    }

    pub(super) fn forget(&mut self, trace: i64) {
        self.take(trace, 0);
    }
}

/// A part as it is stored.
#[derive(Debug)]
pub(super) struct StoredPart {
    pub(super) key: i64,
    pub(super) project: i64,
    pub(super) hi: i64,
    pub(super) arrived: i64,
    pub(super) bodies: Stored,
    pub(super) dead: Vec<u8>,
    pub(super) head: Vec<u8>,
}

/// Whether the bit of a row is set.
pub(crate) fn is_dead(dead: &[u8], row: usize) -> bool {
    dead.get(row / 8)
        .is_some_and(|byte| byte & (1 << (row % 8)) != 0)
}

fn set_dead(dead: &mut Vec<u8>, row: usize) {
    if dead.len() <= row / 8 {
        dead.resize(row / 8 + 1, 0);
    }
    if let Some(byte) = dead.get_mut(row / 8) {
        *byte |= 1 << (row % 8);
    }
}

/// How many bits are set.
pub(super) fn dead_count(dead: &[u8]) -> i64 {
    dead.iter().map(|byte| i64::from(byte.count_ones())).sum()
}

impl Work<'_> {
    pub(super) fn stored_part(&self, key: i64) -> Result<StoredPart, StoreError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT project, hi, arrived, block, at, len, dead, head FROM part WHERE key = ?1",
        )?;
        let mut rows = statement.query([key])?;
        let row = rows
            .next()?
            .ok_or(StoreError::Damaged("a part is missing"))?;
        Ok(StoredPart {
            key,
            project: row.get(0)?,
            hi: row.get(1)?,
            arrived: row.get(2)?,
            bodies: Stored::of(row.get(3)?, row.get(4)?, row.get(5)?)?,
            dead: row.get::<_, Option<Vec<u8>>>(6)?.unwrap_or_default(),
            head: row.get(7)?,
        })
    }

    /// Adds a part to a trace; `dead` are rows of it that came too late.
    pub(super) fn add_part(
        &mut self,
        arrived: i64,
        projects: &[i64],
        blocks: &mut Blocks<'_>,
        part: &PackedPart,
        known: &mut Known,
        dead: Option<&[u8]>,
    ) -> Result<i64, StoreError> {
        let project = project(projects, part.project)?;
        let bodies = blocks.store(self, part.bodies)?;
        self.part += 1;
        let key = self.part;
        self.conn
            .prepare_cached(
                "INSERT INTO part(key, trace, project, hi, rows, arrived, block, at, len, dead, head)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            )?
            .execute(params![
                key,
                known.key,
                project,
                part.hi,
                int(part.ids.len()),
                arrived,
                bodies.block,
                int(bodies.at),
                int(bodies.len),
                dead,
                part.head,
            ])?;
        let facets = part.facets.iter().map(|(facet, count)| (facet, *count));
        self.post(Entity::Part, project, (part.hi, key), facets)?;
        known.parts += 1;
        known.dead += dead.map_or(0, dead_count);
        if known.project == 0 {
            known.project = project;
        }
        Ok(key)
    }

    /// The live spans of a trace.
    pub(super) fn known_spans(
        &mut self,
        known: &Known,
        seq: i64,
    ) -> Result<TraceSpans, StoreError> {
        if let Some(spans) = self.state.spans.take(known.key, seq) {
            return Ok(spans);
        }
        let mut spans = TraceSpans::default();
        let mut statement = self
            .conn
            .prepare_cached("SELECT key, dead, head FROM part WHERE trace = ?1 ORDER BY key")?;
        let mut rows = statement.query([known.key])?;
        while let Some(row) = rows.next()? {
            let part: i64 = row.get(0)?;
            let dead: Option<Vec<u8>> = row.get(1)?;
            let dead = dead.unwrap_or_default();
            let columns = span::decode(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?)?;
            let mut live = 0;
            for (number, column) in columns.iter().enumerate() {
                if !is_dead(&dead, number) {
                    live += 1;
                    let seat = Seat {
                        updated: column.updated,
                        part,
                        row: number,
                    };
                    spans.seats.insert(column.id, seat);
                }
            }
            if live < SMALL {
                spans.small.push(part);
            }
        }
        Ok(spans)
    }

    /// Takes the spans of a trace that was there before. Tells whether anything changed.
    pub(super) fn update_spans(
        &mut self,
        arrived: i64,
        projects: &[i64],
        blocks: &mut Blocks<'_>,
        parts: &[PackedPart],
        known: &mut Known,
        old_seq: i64,
    ) -> Result<bool, StoreError> {
        if parts.is_empty() {
            // The memory stays valid under the trace's new number, if the row is news.
            if let Some(spans) = self.state.spans.take(known.key, old_seq) {
                self.state.spans.put(known.key, known.seq, spans);
            }
            return Ok(false);
        }
        let mut spans = self.known_spans(known, old_seq)?;
        let mut changed = false;
        for part in parts {
            changed |= self.update_part(arrived, projects, blocks, part, known, &mut spans)?;
        }
        if changed {
            blocks.flush(self)?;
            self.merge_small(known, &mut spans)?;
        }
        let seq = if changed { known.seq } else { old_seq };
        self.state.spans.put(known.key, seq, spans);
        Ok(changed)
    }

    fn update_part(
        &mut self,
        arrived: i64,
        projects: &[i64],
        blocks: &mut Blocks<'_>,
        part: &PackedPart,
        known: &mut Known,
        spans: &mut TraceSpans,
    ) -> Result<bool, StoreError> {
        let rows = span::decode(&part.head)?;
        let mut late = Vec::new();
        let mut replaced: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
        let mut equal: BTreeMap<i64, Vec<(usize, usize)>> = BTreeMap::new();
        for (number, (id, updated)) in part.ids.iter().enumerate() {
            let Some(seat) = spans.seats.get(id) else {
                continue;
            };
            match updated.cmp(&seat.updated) {
                Ordering::Greater => replaced.entry(seat.part).or_default().push(seat.row),
                Ordering::Less => late.push(number),
                Ordering::Equal => equal.entry(seat.part).or_default().push((number, seat.row)),
            }
        }
        for (old, pairs) in equal {
            let same = self.same_rows(projects, blocks, part, &rows, old, &pairs)?;
            for ((number, row), same) in pairs.into_iter().zip(same) {
                if same {
                    late.push(number);
                } else {
                    replaced.entry(old).or_default().push(row);
                }
            }
        }
        if late.len() == part.ids.len() {
            blocks.skip(part.bodies);
            return Ok(false);
        }
        for (old, rows) in replaced {
            self.kill_rows(old, &rows, known, spans)?;
        }
        known.totals.merge(&part.totals);
        let mut dead = Vec::new();
        for &number in &late {
            set_dead(&mut dead, number);
            if let Some(row) = rows.get(number) {
                known.totals.count(row, -1);
            }
        }
        let mask = (!dead.is_empty()).then_some(dead.as_slice());
        let key = self.add_part(arrived, projects, blocks, part, known, mask)?;
        let project = project(projects, part.project)?;
        self.uncount(project, late.iter().filter_map(|&number| rows.get(number)))?;
        let bodies = blocks.store(self, part.bodies)?;
        for (number, row) in rows.iter().enumerate() {
            if is_dead(&dead, number) {
                self.wipe(body_of(bodies, row));
            } else {
                spans.seats.insert(
                    row.id,
                    Seat {
                        updated: row.updated,
                        part: key,
                        row: number,
                    },
                );
            }
        }
        if rows.len() - late.len() < SMALL {
            spans.small.push(key);
        }
        Ok(true)
    }

    /// Whether rows of a new part say the same as rows of a stored one, pair by pair. A batch that a
    /// client sends again has nothing but such pairs, so a part and its block are read once for all
    /// of them.
    fn same_rows(
        &mut self,
        projects: &[i64],
        blocks: &mut Blocks<'_>,
        part: &PackedPart,
        new_rows: &[SpanRow<'_>],
        old: i64,
        pairs: &[(usize, usize)],
    ) -> Result<Vec<bool>, StoreError> {
        let old = self.stored_part(old)?;
        let old_rows = span::decode(&old.head)?;
        let is_of_project = old.project == project(projects, part.project)?;
        let all = blocks.read(part.bodies)?;
        let mut same = Vec::with_capacity(pairs.len());
        for &(number, row) in pairs {
            let (Some(mine), Some(new)) = (old_rows.get(row), new_rows.get(number)) else {
                return Err(StoreError::Damaged("a part has fewer rows than it should"));
            };
            let comparable = SpanRow {
                body_at: mine.body_at,
                ..new.clone()
            };
            same.push(
                is_of_project && comparable == *mine && {
                    let block = self.compared_block(blocks, old.bodies.block)?;
                    let mine = body_of(old.bodies, mine);
                    block.get(mine.at..mine.at + mine.len)
                        == all.get(new.body_at..new.body_at + new.body_len)
                },
            );
        }
        Ok(same)
    }

    /// Marks rows as replaced, and takes them out of the totals.
    fn kill_rows(
        &mut self,
        key: i64,
        numbers: &[usize],
        known: &mut Known,
        spans: &mut TraceSpans,
    ) -> Result<(), StoreError> {
        let mut part = self.stored_part(key)?;
        let head = std::mem::take(&mut part.head);
        let rows = span::decode(&head)?;
        for &number in numbers {
            let row = rows
                .get(number)
                .ok_or(StoreError::Damaged("a part has fewer rows than it should"))?;
            known.totals.count(row, -1);
            set_dead(&mut part.dead, number);
            self.wipe(body_of(part.bodies, row));
        }
        let killed = numbers.iter().filter_map(|&number| rows.get(number));
        self.uncount(part.project, killed)?;
        let dead = dead_count(&part.dead);
        if dead == int(rows.len()) {
            known.dead -= dead - int(numbers.len());
            known.parts -= 1;
            spans.small.retain(|&small| small != key);
            return self.remove_part(&part, &rows);
        }
        known.dead += int(numbers.len());
        if rows.len() < SMALL + usize::try_from(dead).unwrap_or(0) && !spans.small.contains(&key) {
            spans.small.push(key);
        }
        self.conn
            .prepare_cached("UPDATE part SET dead = ?2 WHERE key = ?1")?
            .execute(params![key, part.dead])?;
        Ok(())
    }

    /// Removes a part with everything that refers to it. Its live rows no longer count.
    pub(super) fn remove_part(
        &mut self,
        part: &StoredPart,
        rows: &[SpanRow<'_>],
    ) -> Result<(), StoreError> {
        let rows = rows.iter().enumerate();
        let live = rows.map(|(number, row)| (row, !is_dead(&part.dead, number)));
        let facets = facet::of_spans(live);
        let facets = facets.iter().map(|(facet, count)| (facet, *count));
        self.unpost(Entity::Part, part.project, (part.hi, part.key), facets)?;
        self.conn
            .prepare_cached("DELETE FROM part WHERE key = ?1")?
            .execute([part.key])?;
        self.gone(Entity::Part, part.key)?;
        self.release(part.bodies);
        Ok(())
    }

    /// Tells the text index to forget a row.
    pub(super) fn gone(&self, entity: Entity, key: i64) -> Result<(), StoreError> {
        self.conn
            .prepare_cached("INSERT INTO gone(entity, key) VALUES (?1, ?2)")?
            .execute([entity.code(), key])?;
        Ok(())
    }

    /// Whether any span has a score.
    pub(super) fn has_span_scores(&self) -> Result<bool, StoreError> {
        Ok(self
            .conn
            .prepare_cached("SELECT 1 FROM score WHERE kind = 1 LIMIT 1")?
            .query_row([], |_| Ok(()))
            .optional()?
            .is_some())
    }
}

/// Where the body of a row lies.
pub(super) fn body_of(part: Stored, row: &SpanRow<'_>) -> Stored {
    Stored {
        block: part.block,
        at: part.at + row.body_at,
        len: row.body_len,
    }
}
