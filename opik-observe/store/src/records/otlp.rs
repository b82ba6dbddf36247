//! When traces of OpenTelemetry began, so that spans that come in several requests meet in one
//! trace: the identifier of the trace here is made of it.

use std::collections::BTreeMap;

use opik_core::Timestamp;
use rusqlite::params;

use crate::error::StoreError;
use crate::store::Store;

impl Store {
    /// Notes when traces began that are not known yet, and gives what is known of all of them.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn otlp_starts(
        &self,
        starts: BTreeMap<String, Timestamp>,
    ) -> Result<BTreeMap<String, Timestamp>, StoreError> {
        self.change(move |writer| {
            writer.transaction(|work| {
                let mut insert = work.conn().prepare_cached(
                    "INSERT OR IGNORE INTO otlp_trace(id, start) VALUES (?1, ?2)",
                )?;
                let mut read = work
                    .conn()
                    .prepare_cached("SELECT start FROM otlp_trace WHERE id = ?1")?;
                let mut known = BTreeMap::new();
                for (id, start) in starts {
                    insert.execute(params![id, start.as_micros()])?;
                    let start = read.query_row([&id], |row| row.get(0))?;
                    known.insert(id, Timestamp::from_micros(start));
                }
                Ok(known)
            })
        })
        .await
    }
}
