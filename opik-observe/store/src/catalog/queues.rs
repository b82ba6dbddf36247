//! Annotation queues.

use std::collections::BTreeMap;

use async_trait::async_trait;
use opik_core::EntityId;
use opik_core::catalog::{
    AnnotationQueue, CatalogError, Listing, NewQueue, QueueCatalog, QueueQuery, QueueUpdate,
    check_count,
};
use rusqlite::{Connection, params};

use super::entry::{self, Selection};
use super::experiments::project_name;
use super::{Outcome, count, id_from};
use crate::store::Store;

/// A queue with how many wait in it.
fn seen(conn: &Connection, mut queue: AnnotationQueue) -> Outcome<AnnotationQueue> {
    let number = conn
        .prepare_cached("SELECT count(*) FROM queue_item WHERE queue = ?1")?
        .query_row([queue.id.as_bytes()], |row| row.get(0))?;
    queue.items_count = count(number);
    queue.project_name = project_name(conn, queue.project_id)?;
    Ok(queue)
}

#[async_trait]
impl QueueCatalog for Store {
    async fn create_queues(&self, new: Vec<NewQueue>) -> Result<Vec<EntityId>, CatalogError> {
        self.edit(move |change| {
            check_count(new.len(), "annotationQueues")?;
            let mut ids = Vec::with_capacity(new.len());
            for one in new {
                let record = one.into_record(change.at)?;
                entry::insert(change.conn(), &record)?;
                ids.push(record.id);
            }
            Ok(ids)
        })
        .await
    }

    async fn queue(&self, id: EntityId) -> Result<Option<AnnotationQueue>, CatalogError> {
        self.consult(move |reader| {
            let conn = reader.conn();
            let found = entry::get::<AnnotationQueue>(conn, id)?;
            found.map(|it| seen(conn, it)).transpose()
        })
        .await
    }

    async fn queues(&self, query: &QueueQuery) -> Result<Listing<AnnotationQueue>, CatalogError> {
        let query = query.clone();
        self.consult(move |reader| {
            let conn = reader.conn();
            let selection = Selection {
                name: query.name.as_deref(),
                ..Selection::default()
            };
            let records = selection
                .records::<AnnotationQueue>(conn)?
                .into_iter()
                .map(|it| seen(conn, it))
                .collect::<Outcome<Vec<_>>>()?;
            entry::page_of(records, &query.conditions, query.order.as_ref(), query.page)
        })
        .await
    }

    async fn update_queue(&self, id: EntityId, update: QueueUpdate) -> Result<(), CatalogError> {
        self.edit(move |change| {
            let mut record = entry::expect::<AnnotationQueue>(change.conn(), id)?;
            update.apply(&mut record, change.at)?;
            entry::put(change.conn(), &record)
        })
        .await
    }

    async fn delete_queues(&self, ids: &[EntityId]) -> Result<usize, CatalogError> {
        let ids = ids.to_vec();
        self.edit(move |change| {
            for id in &ids {
                change
                    .conn()
                    .prepare_cached("DELETE FROM queue_item WHERE queue = ?1")?
                    .execute([id.as_bytes()])?;
            }
            entry::delete_all::<AnnotationQueue>(change.conn(), &ids)
        })
        .await
    }

    async fn add_to_queue(&self, id: EntityId, items: &[EntityId]) -> Result<(), CatalogError> {
        let items = items.to_vec();
        self.edit(move |change| {
            check_count(items.len(), "ids")?;
            entry::expect::<AnnotationQueue>(change.conn(), id)?;
            for item in items {
                change
                    .conn()
                    .prepare_cached(
                        "INSERT OR IGNORE INTO queue_item(queue, item, at) VALUES (?1, ?2, ?3)",
                    )?
                    .execute(params![
                        id.as_bytes(),
                        item.as_bytes(),
                        change.at.as_micros()
                    ])?;
            }
            Ok(())
        })
        .await
    }

    async fn take_from_queue(&self, id: EntityId, items: &[EntityId]) -> Result<(), CatalogError> {
        let items = items.to_vec();
        self.edit(move |change| {
            check_count(items.len(), "ids")?;
            entry::expect::<AnnotationQueue>(change.conn(), id)?;
            for item in items {
                change
                    .conn()
                    .prepare_cached("DELETE FROM queue_item WHERE queue = ?1 AND item = ?2")?
                    .execute(params![id.as_bytes(), item.as_bytes()])?;
            }
            Ok(())
        })
        .await
    }

    async fn queues_of(
        &self,
        items: &[EntityId],
    ) -> Result<BTreeMap<EntityId, Vec<(EntityId, String)>>, CatalogError> {
        let items = items.to_vec();
        self.consult(move |reader| {
            let conn = reader.conn();
            let mut found: BTreeMap<EntityId, Vec<_>> = BTreeMap::new();
            for item in items {
                let mut statement = conn.prepare_cached(
                    "SELECT queue FROM queue_item WHERE item = ?1 ORDER BY at, queue",
                )?;
                let mut rows = statement.query([item.as_bytes()])?;
                while let Some(row) = rows.next()? {
                    if let Some(queue) = entry::get::<AnnotationQueue>(conn, id_from(row, 0)?)? {
                        found.entry(item).or_default().push((queue.id, queue.name));
                    }
                }
            }
            Ok(found)
        })
        .await
    }
}
