//! Counts and changes.

use opik_core::TraceId;

use super::Reader;
use crate::codec::totals::Totals;
use crate::error::StoreError;

/// Counts of what a store holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) traces: u64,
    pub(crate) spans: u64,
    pub(crate) projects: u64,
}

impl Reader {
    /// Counts what is there, by looking at every trace.
    pub(crate) fn counts(&self) -> Result<Counts, StoreError> {
        let mut counts = Counts::default();
        let mut statement = self
            .conn
            .prepare_cached("SELECT present, totals FROM trace")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            counts.traces += u64::from(row.get::<_, bool>(0)?);
            let totals = row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?;
            counts.spans += Totals::decode(totals)?.spans.max(0).cast_unsigned();
        }
        let projects: i64 = self.conn.query_row(
            "SELECT count(*) FROM project WHERE key NOT IN
                    (SELECT project FROM project_detail WHERE deleted)",
            [],
            |row| row.get(0),
        )?;
        counts.projects = projects.max(0).cast_unsigned();
        Ok(counts)
    }

    /// Traces that changed after a number, oldest change first.
    pub(crate) fn changed_since(
        &self,
        seq: i64,
        limit: i64,
    ) -> Result<Vec<(i64, TraceId)>, StoreError> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT seq, id FROM trace WHERE seq > ?1 ORDER BY seq LIMIT ?2")?;
        let changes = statement
            .query_map([seq, limit], |row| {
                Ok((row.get(0)?, TraceId::from_bytes(row.get(1)?)))
            })?
            .collect::<Result<_, _>>()?;
        Ok(changes)
    }

    /// Number of the latest change.
    pub(crate) fn last_change(&self) -> Result<i64, StoreError> {
        Ok(self
            .conn
            .query_row("SELECT seq FROM counter", [], |row| row.get(0))?)
    }

    /// How many parts and changed traces the text index does not have.
    pub(crate) fn index_lag(&self) -> Result<u64, StoreError> {
        let goal = self.text_goal()?;
        let Some(text) = &self.text else { return Ok(0) };
        let at = crate::text::progress(text)?;
        let lag = (goal.part - at.part).max(0) + (goal.seq - at.seq).max(0);
        Ok(lag.cast_unsigned())
    }
}
