//! Looking for damage.

use opik_core::TraceId;
use rusqlite::OptionalExtension;

use super::Reader;
use super::records::Part;
use crate::codec::body::Body;
use crate::codec::totals::Totals;
use crate::codec::trace::TraceRow;
use crate::error::StoreError;
use crate::tally;

/// How many traces are read from one snapshot, so that the log does not grow meanwhile.
const AT_ONCE: i64 = 200;

impl Reader {
    /// What SQLite and the references between tables have to say against the file.
    pub(crate) fn problems(&self) -> Result<Vec<String>, StoreError> {
        let mut found = Vec::new();
        let mut statement = self.conn.prepare("PRAGMA integrity_check")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let line: String = row.get(0)?;
            if line != "ok" {
                found.push(line);
            }
        }
        for (question, problem) in [
            (
                "SELECT count(*) FROM part WHERE block NOT IN (SELECT key FROM block)",
                "parts refer to blocks that are missing",
            ),
            (
                "SELECT count(*) FROM trace WHERE present AND block NOT IN (SELECT key FROM block)",
                "traces refer to blocks that are missing",
            ),
            (
                "SELECT count(*) FROM part WHERE trace NOT IN (SELECT key FROM trace)",
                "parts refer to traces that are missing",
            ),
            (
                "SELECT count(*) FROM trace
                 WHERE parts <> (SELECT count(*) FROM part WHERE part.trace = trace.key)",
                "traces miscount their parts",
            ),
            (
                "SELECT count(*) FROM block LEFT JOIN (
                     SELECT block, count(*) AS users
                     FROM (SELECT block FROM part UNION ALL
                           SELECT block FROM trace WHERE present)
                     GROUP BY block
                 ) AS used ON used.block = block.key
                 WHERE live <> ifnull(users, 0)",
                "blocks miscount what refers to them",
            ),
        ] {
            let count: i64 = self.conn.query_row(question, [], |row| row.get(0))?;
            if count > 0 {
                found.push(format!("{count} {problem}"));
            }
        }
        let wrong = tally::mistakes(&self.conn)?;
        if wrong > 0 {
            found.push(format!("{wrong} facets miscount what has them"));
        }
        Ok(found)
    }

    /// Reads some traces after a key with all that belongs to them, and says what is wrong. Tells
    /// the key of the last one; `None` when there are no more.
    pub(crate) fn damaged_traces(
        &mut self,
        after: i64,
    ) -> Result<(Vec<String>, Option<i64>), StoreError> {
        let traces: Vec<(i64, TraceId)> = self
            .conn
            .prepare_cached("SELECT key, id FROM trace WHERE key > ?1 ORDER BY key LIMIT ?2")?
            .query_map([after, AT_ONCE], |row| {
                Ok((row.get(0)?, TraceId::from_bytes(row.get(1)?)))
            })?
            .collect::<Result<_, _>>()?;
        let mut found = Vec::new();
        for (key, id) in &traces {
            match self.read_all_of(*key) {
                Ok(()) => {}
                Err(error @ (StoreError::Damaged(_) | StoreError::Corrupt(_))) => {
                    found.push(format!("trace {id}: {error}"));
                }
                Err(error) => return Err(error),
            }
        }
        Ok((found, traces.last().map(|(key, _)| *key)))
    }

    /// Reads a trace with its spans and their content, and adds the totals up.
    fn read_all_of(&mut self, key: i64) -> Result<(), StoreError> {
        let mut statement = self.conn.prepare_cached(
            "SELECT key, zeroblob(16), project, arrived, block, at, dead, head
             FROM part WHERE trace = ?1 ORDER BY key",
        )?;
        let mut parts = Vec::new();
        let mut rows = statement.query([key])?;
        while let Some(row) = rows.next()? {
            parts.push(Part::of(row)?);
        }
        drop(rows);
        drop(statement);
        let mut totals = Totals::default();
        for part in parts {
            let content = self.block(part.block)?;
            for (_, row) in part.rows()? {
                totals.count(&row, 1);
                let body = content.get(part.body(&row)).ok_or(OUTSIDE)?;
                Body::parse(body)?.check()?;
            }
        }

        type Row = (bool, i64, i64, i64, Vec<u8>, Vec<u8>);
        let row: Option<Row> = self
            .conn
            .prepare_cached(
                "SELECT present, block, at, len, totals, head FROM trace WHERE key = ?1",
            )?
            .query_row([key], |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    row.get(2)?,
                    row.get(3)?,
                    row.get(4)?,
                    row.get(5)?,
                ))
            })
            .optional()?;
        let Some((present, block, at, len, known, head)) = row else {
            return Ok(());
        };
        if !Totals::decode(&known)?.are(&totals) {
            return Err(StoreError::Damaged("its totals are not those of its spans"));
        }
        if present {
            TraceRow::decode(&head)?;
            let size = |n| usize::try_from(n).map_err(|_| OUTSIDE);
            let (at, len) = (size(at)?, size(len)?);
            let content = self.block(block)?;
            let body = content.get(at..at.saturating_add(len)).ok_or(OUTSIDE)?;
            Body::parse(body)?.check()?;
        }
        Ok(())
    }
}

const OUTSIDE: StoreError = StoreError::Damaged("a body lies outside its block");
