//! Taking what a batch brings for one trace.

use opik_core::TraceId;
use rusqlite::params;

use super::Work;
use super::blocks::{Blocks, Stored, int};
use crate::codec::prefix;
use crate::codec::totals::Totals;
use crate::codec::trace::TraceRow;
use crate::error::StoreError;
use crate::facet::{self, Entity};
use crate::pack::{PackedPart, PackedRow, PackedTrace};

/// The row of a trace in the store.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) key: i64,
    pub(super) project: i64,
    pub(super) present: bool,
    updated: i64,
    start: i64,
    pub(super) seq: i64,
    row_seq: i64,
    pub(super) parts: i64,
    pub(super) dead: i64,
    pub(super) body: Stored,
    pub(super) totals: Totals,
    pub(super) head: Vec<u8>,
    arrived: i64,
}

/// Where a trace without a row has its body.
const NOWHERE: Stored = Stored {
    block: 0,
    at: 0,
    len: 0,
};

impl Known {
    /// `last_updated_at` of the row.
    pub(super) fn version(&self) -> i64 {
        self.updated
    }

    pub(super) fn arrived(&self) -> i64 {
        self.arrived
    }
}

impl Work<'_> {
    pub(super) fn find(&self, id: TraceId) -> Result<Option<Known>, StoreError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT key, project, present, updated, start, seq, row_seq, parts, dead, block, at,
                    len, totals, head, arrived
             FROM trace WHERE id = ?1",
        )?;
        let mut rows = statement.query([id.as_bytes()])?;
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        Ok(Some(Known {
            key: row.get(0)?,
            project: row.get(1)?,
            present: row.get(2)?,
            updated: row.get(3)?,
            start: row.get(4)?,
            seq: row.get(5)?,
            row_seq: row.get(6)?,
            parts: row.get(7)?,
            dead: row.get(8)?,
            body: Stored::of(row.get(9)?, row.get(10)?, row.get(11)?)?,
            totals: Totals::decode(row.get_ref(12)?.as_blob().map_err(rusqlite::Error::from)?)?,
            head: row.get(13)?,
            arrived: row.get(14)?,
        }))
    }

    pub(super) fn trace(
        &mut self,
        arrived: i64,
        projects: &[i64],
        blocks: &mut Blocks<'_>,
        packed: &PackedTrace,
    ) -> Result<(), StoreError> {
        match self.find(packed.id)? {
            None => self.new_trace(arrived, projects, blocks, packed),
            Some(known) => self.known_trace(arrived, projects, blocks, packed, known),
        }
    }

    fn new_trace(
        &mut self,
        arrived: i64,
        projects: &[i64],
        blocks: &mut Blocks<'_>,
        packed: &PackedTrace,
    ) -> Result<(), StoreError> {
        self.trace += 1;
        let mut known = Known {
            key: self.trace,
            project: 0,
            present: false,
            updated: 0,
            start: 0,
            seq: self.next_seq(),
            row_seq: 0,
            parts: 0,
            dead: 0,
            body: NOWHERE,
            totals: Totals::default(),
            head: Vec::new(),
            arrived,
        };
        for part in &packed.parts {
            known.totals.merge(&part.totals);
            self.add_part(arrived, projects, blocks, part, &mut known, None)?;
        }
        if let Some(row) = &packed.row {
            self.set_row(projects, blocks, packed.id, row, &mut known)?;
        }
        known.start = start(packed.id, packed.row.as_ref(), &packed.parts, known.start);
        self.conn
            .prepare_cached(
                "INSERT INTO trace(key, id, project, present, updated, start, arrived, seq,
                                   row_seq, parts, dead, block, at, len, totals, head)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)",
            )?
            .execute(params![
                known.key,
                packed.id.as_bytes(),
                known.project,
                known.present,
                known.updated,
                known.start,
                arrived,
                known.seq,
                known.row_seq,
                known.parts,
                known.dead,
                known.body.block,
                int(known.body.at),
                int(known.body.len),
                known.totals.encode(),
                known.head,
            ])?;
        Ok(())
    }

    fn known_trace(
        &mut self,
        arrived: i64,
        projects: &[i64],
        blocks: &mut Blocks<'_>,
        packed: &PackedTrace,
        mut known: Known,
    ) -> Result<(), StoreError> {
        let before = self.seq;
        let old_seq = known.seq;
        known.seq = self.next_seq();
        let spans = self.update_spans(
            arrived,
            projects,
            blocks,
            &packed.parts,
            &mut known,
            old_seq,
        )?;
        let mut row_changed = false;
        if let Some(row) = &packed.row {
            row_changed = self.is_news(projects, blocks, row, &known)?;
            if row_changed {
                self.set_row(projects, blocks, packed.id, row, &mut known)?;
            } else {
                blocks.skip(row.body);
            }
        }
        if !spans && !row_changed {
            self.seq = before;
            return Ok(());
        }
        let row = packed.row.as_ref().filter(|_| row_changed);
        known.start = match row {
            Some(row) if row.start != 0 => row.start,
            _ if known.present => known.start,
            _ => start(packed.id, None, &packed.parts, known.start),
        };
        self.save(&known)
    }

    /// Writes the row of a known trace.
    pub(super) fn save(&self, known: &Known) -> Result<(), StoreError> {
        self.conn
            .prepare_cached(
                "UPDATE trace SET project = ?2, present = ?3, updated = ?4, start = ?5,
                        arrived = ?6, seq = ?7, row_seq = ?8, parts = ?9, dead = ?10, block = ?11,
                        at = ?12, len = ?13, totals = ?14, head = ?15
                 WHERE key = ?1",
            )?
            .execute(params![
                known.key,
                known.project,
                known.present,
                known.updated,
                known.start,
                known.arrived,
                known.seq,
                known.row_seq,
                known.parts,
                known.dead,
                known.body.block,
                int(known.body.at),
                int(known.body.len),
                known.totals.encode(),
                known.head,
            ])?;
        Ok(())
    }

    /// Whether a row wins against the one that is there: by version, and of equal versions the
    /// later wins, unless it says the same.
    fn is_news(
        &mut self,
        projects: &[i64],
        blocks: &mut Blocks<'_>,
        row: &PackedRow,
        known: &Known,
    ) -> Result<bool, StoreError> {
        if !known.present || row.updated > known.updated {
            return Ok(true);
        }
        if row.updated < known.updated {
            return Ok(false);
        }
        if row.head != known.head
            || row.body.len != known.body.len
            || project(projects, row.project)? != known.project
        {
            return Ok(true);
        }
        blocks.flush(self)?;
        let block = self.block_content(known.body.block)?;
        let body = block.get(known.body.at..known.body.at + known.body.len);
        Ok(body != Some(blocks.read(row.body)?))
    }

    /// Puts a row into a trace, in place of the one that may be there.
    fn set_row(
        &mut self,
        projects: &[i64],
        blocks: &mut Blocks<'_>,
        id: TraceId,
        row: &PackedRow,
        known: &mut Known,
    ) -> Result<(), StoreError> {
        let project = project(projects, row.project)?;
        let posting = (prefix(id.as_bytes()), known.key);
        let columns = TraceRow::decode(&row.head)?;
        if let Some(thread) = columns.thread.filter(|thread| !thread.is_empty()) {
            self.touch_thread(project, thread)?;
        }
        let new = facet::of_trace(&columns);
        if known.present {
            let old = facet::of_trace(&TraceRow::decode(&known.head)?);
            if project == known.project {
                let once = |facet| (facet, 1);
                let gone = old.difference(&new).map(once);
                self.unpost(Entity::Trace, project, posting, gone)?;
                let added = new.difference(&old).map(once);
                self.post(Entity::Trace, project, posting, added)?;
            } else {
                let old = old.iter().map(|facet| (facet, 1));
                self.unpost(Entity::Trace, known.project, posting, old)?;
                let new = new.iter().map(|facet| (facet, 1));
                self.post(Entity::Trace, project, posting, new)?;
            }
            self.release(known.body);
        } else {
            let new = new.iter().map(|facet| (facet, 1));
            self.post(Entity::Trace, project, posting, new)?;
        }
        known.body = blocks.store(self, row.body)?;
        known.project = project;
        known.present = true;
        known.updated = row.updated;
        known.head.clone_from(&row.head);
        known.row_seq = known.seq;
        Ok(())
    }
}

/// The key of a batch's project.
pub(super) fn project(projects: &[i64], number: usize) -> Result<i64, StoreError> {
    projects
        .get(number)
        .copied()
        .ok_or(StoreError::Damaged("a batch refers to a project it lacks"))
}

/// When a trace started: as its row says, else its earliest span, else its identifier.
fn start(id: TraceId, row: Option<&PackedRow>, parts: &[PackedPart], known: i64) -> i64 {
    let spans = parts
        .iter()
        .map(|part| part.start)
        .chain([known])
        .filter(|&at| at != 0)
        .min();
    row.map(|row| row.start)
        .filter(|&at| at != 0)
        .or(spans)
        .or_else(|| id.timestamp().map(opik_core::Timestamp::as_micros))
        .unwrap_or(0)
}
