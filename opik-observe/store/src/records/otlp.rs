//! When traces of other systems began, so that spans that come in several requests meet in one
//! trace: the identifier of the trace here is made of it.
//!
//! What nobody has asked for in a week is forgotten, a little with every request.

use std::collections::BTreeMap;
use std::time::Duration;

use opik_core::Timestamp;
use rusqlite::params;

use crate::error::StoreError;
use crate::store::Store;

/// How long a beginning is remembered after it was last asked for.
const REMEMBERED: Duration = Duration::from_secs(7 * 86_400);
/// How old the note of the last use may be.
const NOTED: Duration = Duration::from_secs(86_400);
/// How many are forgotten with one request.
const FORGET: i64 = 200;

fn before(now: i64, span: Duration) -> i64 {
    now.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX))
}

impl Store {
    /// Notes when traces began that are not known yet, and gives what is known of all of them. What
    /// nobody asks for in a week is forgotten.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn otlp_starts(
        &self,
        starts: BTreeMap<String, Timestamp>,
    ) -> Result<BTreeMap<String, Timestamp>, StoreError> {
        self.change(move |writer| {
            writer.transaction(|work| {
                let now = Timestamp::now().as_micros();
                let mut insert = work.conn().prepare_cached(
                    "INSERT INTO otlp_trace(id, start, used) VALUES (?1, ?2, ?3)
                     ON CONFLICT (id) DO UPDATE SET used = excluded.used WHERE used < ?4",
                )?;
                let mut read = work
                    .conn()
                    .prepare_cached("SELECT start FROM otlp_trace WHERE id = ?1")?;
                let mut known = BTreeMap::new();
                for (id, start) in starts {
                    insert.execute(params![id, start.as_micros(), now, before(now, NOTED)])?;
                    let start = read.query_row([&id], |row| row.get(0))?;
                    known.insert(id, Timestamp::from_micros(start));
                }
                work.conn()
                    .prepare_cached(
                        "DELETE FROM otlp_trace WHERE id IN
                         (SELECT id FROM otlp_trace WHERE used < ?1 ORDER BY used LIMIT ?2)",
                    )?
                    .execute(params![before(now, REMEMBERED), FORGET])?;
                Ok(known)
            })
        })
        .await
    }
}
