//! Deleting traces, and giving space back.

use opik_core::TraceId;
use rusqlite::params;

use super::{Work, Writer};
use crate::codec::prefix;
use crate::codec::span;
use crate::codec::trace::TraceRow;
use crate::error::StoreError;
use crate::facet::{self, Entity};

/// How many traces are deleted in one transaction, so that other writers get their turn.
pub(crate) const CHUNK: usize = 200;

/// What was deleted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Deleted {
    pub(crate) traces: u64,
    pub(crate) spans: u64,
}

impl Deleted {
    /// Counts more.
    pub(crate) fn add(&mut self, more: Self) {
        self.traces += more.traces;
        self.spans += more.spans;
    }
}

impl Writer {
    /// Deletes traces with their spans and scores. Unknown ones count as nothing.
    pub(crate) fn delete(&mut self, ids: &[TraceId]) -> Result<Deleted, StoreError> {
        let mut all = Deleted::default();
        for chunk in ids.chunks(CHUNK) {
            let some = self.transaction(|work| {
                let mut some = Deleted::default();
                for &id in chunk {
                    work.delete_trace(id, &mut some)?;
                }
                Ok(some)
            })?;
            all.traces += some.traces;
            all.spans += some.spans;
        }
        Ok(all)
    }

    /// Some traces that started before a moment, the oldest first.
    pub(crate) fn oldest(&self, before: i64) -> Result<Vec<TraceId>, StoreError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT id FROM trace WHERE start < ?1 ORDER BY start, key LIMIT 5000",
        )?;
        let ids = statement
            .query_map([before], |row| row.get(0).map(TraceId::from_bytes))?
            .collect::<Result<_, _>>()?;
        Ok(ids)
    }

    fn pragma(&self, name: &str) -> Result<u64, StoreError> {
        let value: i64 = self.conn.pragma_query_value(None, name, |row| row.get(0))?;
        Ok(value.max(0).cast_unsigned())
    }

    /// Size of the database, free pages and all.
    pub(crate) fn file_size(&self) -> Result<u64, StoreError> {
        Ok(self.pragma("page_count")? * self.pragma("page_size")?)
    }

    pub(crate) fn used_bytes(&self) -> Result<u64, StoreError> {
        let used = self
            .pragma("page_count")?
            .saturating_sub(self.pragma("freelist_count")?);
        Ok(used * self.pragma("page_size")?)
    }

    /// Gives some free pages back to the file system. Tells whether there are more.
    pub(crate) fn shrink(&self, pages: u64) -> Result<bool, StoreError> {
        {
            let sql = format!("PRAGMA incremental_vacuum({pages})");
            let mut statement = self.conn.prepare(&sql)?;
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
        }
        Ok(self.pragma("freelist_count")? > 0)
    }

    /// Writes the whole file anew, which needs as much space again for a while.
    pub(crate) fn rewrite(&self) -> Result<(), StoreError> {
        self.conn.flush_prepared_statement_cache();
        self.conn.execute_batch("VACUUM")?;
        Ok(())
    }

    /// Empties the log.
    pub(crate) fn empty_log(&self) -> Result<(), StoreError> {
        self.log.empty(&self.conn)
    }

    /// Forgets removals that the text index has taken in.
    pub(crate) fn trim_gone(&self, upto: i64) -> Result<(), StoreError> {
        let any = self
            .conn
            .prepare_cached("SELECT 1 FROM gone WHERE seq <= ?1 LIMIT 1")?
            .exists([upto])?;
        if any {
            self.conn
                .prepare_cached("DELETE FROM gone WHERE seq <= ?1")?
                .execute([upto])?;
        }
        Ok(())
    }
}

impl Work<'_> {
    fn delete_trace(&mut self, id: TraceId, deleted: &mut Deleted) -> Result<(), StoreError> {
        let Some(known) = self.find(id)? else {
            return Ok(());
        };
        self.state.spans.forget(known.key);
        let parts: Vec<i64> = self
            .conn
            .prepare_cached("SELECT key FROM part WHERE trace = ?1")?
            .query_map([known.key], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        let scored = self.has_span_scores()?;
        for key in parts {
            let part = self.stored_part(key)?;
            let rows = span::decode(&part.head)?;
            for row in &rows {
                if scored {
                    self.delete_scores(1, row.id.as_bytes())?;
                }
                self.forget_attached(1, row.id.as_bytes())?;
            }
            self.remove_part(&part, &rows)?;
        }
        if known.present {
            let facets = facet::of_trace(&TraceRow::decode(&known.head)?);
            let posting = (prefix(id.as_bytes()), known.key);
            let facets = facets.iter().map(|facet| (facet, 1));
            self.unpost(Entity::Trace, known.project, posting, facets)?;
            self.release(known.body);
            self.gone(Entity::Trace, known.key)?;
            deleted.traces += 1;
        }
        self.delete_scores(0, id.as_bytes())?;
        self.forget_attached(0, id.as_bytes())?;
        self.conn
            .prepare_cached("DELETE FROM trace WHERE key = ?1")?
            .execute([known.key])?;
        deleted.spans += known.totals.spans.max(0).cast_unsigned();
        Ok(())
    }

    fn delete_scores(&self, kind: i64, target: &[u8]) -> Result<(), StoreError> {
        self.conn
            .prepare_cached("DELETE FROM score WHERE kind = ?1 AND target = ?2")?
            .execute(params![kind, target])?;
        Ok(())
    }
}
