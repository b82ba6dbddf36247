//! What the catalogue says about a trace: its experiment and the queues that it waits in.

use opik_core::model::{AnnotationQueueRef, ExperimentRef};
use opik_core::{EntityId, Trace, TraceId};
use rusqlite::{Connection, OptionalExtension};

use crate::error::StoreError;

/// Whether any trace can have something; mostly none does.
pub(crate) fn any(conn: &Connection) -> Result<bool, StoreError> {
    Ok(conn
        .prepare_cached(
            "SELECT 1 FROM (SELECT 1 FROM experiment_item LIMIT 1)
             UNION ALL SELECT 1 FROM (SELECT 1 FROM queue_item LIMIT 1)",
        )?
        .exists([])?)
}

/// Puts the experiment and the queues of a trace in.
pub(crate) fn join(conn: &Connection, trace: &mut Trace) -> Result<(), StoreError> {
    let text = |id: Option<[u8; 16]>| id.map(EntityId::from_bytes).map(|id| id.to_string());
    let experiment = conn
        .prepare_cached(
            "SELECT entry.id, body ->> '$.name', parent, item.item
             FROM (SELECT experiment, item FROM experiment_item WHERE trace = ?1 LIMIT 1) item
             JOIN catalog_entry entry ON entry.kind = 2 AND entry.id = item.experiment",
        )?
        .query_row([trace.id.as_bytes()], |row| {
            Ok(ExperimentRef {
                id: text(row.get(0)?).unwrap_or_default(),
                name: row.get(1)?,
                dataset_id: text(row.get(2)?).unwrap_or_default(),
                dataset_item_id: text(row.get(3)?).unwrap_or_default(),
            })
        })
        .optional()?;
    trace.experiment = experiment.or(trace.experiment.take());
    for queue in queues(conn, trace.id)? {
        trace.annotation_queues.retain(|known| known.id != queue.id);
        trace.annotation_queues.push(queue);
    }
    Ok(())
}

/// The queues that a trace, or the thread with this identifier of the store, waits in.
pub(crate) fn queues(
    conn: &Connection,
    item: TraceId,
) -> Result<Vec<AnnotationQueueRef>, StoreError> {
    let mut statement = conn.prepare_cached(
        "SELECT entry.id, body ->> '$.name' FROM queue_item item
         JOIN catalog_entry entry ON entry.kind = 5 AND entry.id = item.queue
         WHERE item.item = ?1 ORDER BY item.at, item.queue",
    )?;
    let queues = statement.query_map([item.as_bytes()], |row| {
        let id: Option<[u8; 16]> = row.get(0)?;
        Ok(AnnotationQueueRef {
            id: id
                .map(EntityId::from_bytes)
                .map(|id| id.to_string())
                .unwrap_or_default(),
            name: row.get(1)?,
        })
    })?;
    Ok(queues.collect::<Result<_, _>>()?)
}
