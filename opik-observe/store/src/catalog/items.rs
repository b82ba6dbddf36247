//! Items of datasets, by version.
//!
//! A row holds for the versions from `first` to the one before `until`. Changing an item in
//! version `v` ends its row there and begins another; within the version that began it, the row
//! itself changes.

use opik_core::EntityId;
use opik_core::catalog::{Condition, DatasetItem, ItemQuery, Listing};
use rusqlite::{Connection, OptionalExtension, params};

use super::{Outcome, count, from_text, limit, to_text};

/// No version yet.
const EVER: i64 = i64::MAX;

/// An item of a dataset in its newest version.
pub(super) fn live(
    conn: &Connection,
    dataset: EntityId,
    id: EntityId,
) -> Outcome<Option<DatasetItem>> {
    conn.prepare_cached(
        "SELECT body FROM dataset_item WHERE dataset = ?1 AND id = ?2 AND until = ?3",
    )?
    .query_row(params![dataset.as_bytes(), id.as_bytes(), EVER], |row| {
        row.get::<_, String>(0)
    })
    .optional()?
    .map(|body| from_text(&body))
    .transpose()
}

/// The datasets whose newest version has an item.
pub(super) fn homes(conn: &Connection, id: EntityId) -> Outcome<Vec<EntityId>> {
    let mut statement =
        conn.prepare_cached("SELECT dataset FROM dataset_item WHERE id = ?1 AND until = ?2")?;
    let rows = statement.query_map(params![id.as_bytes(), EVER], |row| super::id_from(row, 0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Ends an item in a version; `false` when the version does not have it.
pub(super) fn remove(
    conn: &Connection,
    dataset: EntityId,
    version: i64,
    id: EntityId,
) -> Outcome<bool> {
    let place = params![dataset.as_bytes(), id.as_bytes(), version, EVER];
    let made_here = conn
        .prepare_cached(
            "DELETE FROM dataset_item WHERE dataset = ?1 AND id = ?2 AND first = ?3 AND until = ?4",
        )?
        .execute(place)?;
    let ended = conn
        .prepare_cached(
            "UPDATE dataset_item SET until = ?3 WHERE dataset = ?1 AND id = ?2 AND until = ?4",
        )?
        .execute(place)?;
    Ok(made_here + ended > 0)
}

/// Puts an item into a version, over the one that it has.
pub(super) fn put(conn: &Connection, version: i64, item: &DatasetItem) -> Outcome<bool> {
    let replaced = remove(conn, item.dataset_id, version, item.id)?;
    conn.prepare_cached(
        "INSERT INTO dataset_item(dataset, id, first, until, body) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute(params![
        item.dataset_id.as_bytes(),
        item.id.as_bytes(),
        version,
        EVER,
        to_text(item)?,
    ])?;
    Ok(replaced)
}

/// The identifiers of the items of a version.
pub(super) fn ids(conn: &Connection, dataset: EntityId, version: i64) -> Outcome<Vec<EntityId>> {
    let mut statement = conn.prepare_cached(
        "SELECT id FROM dataset_item WHERE dataset = ?1 AND first <= ?2 AND until > ?2
         ORDER BY id",
    )?;
    let rows = statement.query_map(params![dataset.as_bytes(), version], |row| {
        super::id_from(row, 0)
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The items of a version, oldest first.
pub(super) fn all(conn: &Connection, dataset: EntityId, version: i64) -> Outcome<Vec<DatasetItem>> {
    let mut statement = conn.prepare_cached(
        "SELECT body FROM dataset_item WHERE dataset = ?1 AND first <= ?2 AND until > ?2
         ORDER BY id",
    )?;
    let mut rows = statement.query(params![dataset.as_bytes(), version])?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        items.push(from_text(
            row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?,
        )?);
    }
    Ok(items)
}

/// An item as it was in a version, else as it was last.
pub(super) fn at(
    conn: &Connection,
    dataset: EntityId,
    id: EntityId,
    version: i64,
) -> Outcome<Option<DatasetItem>> {
    conn.prepare_cached(
        "SELECT body FROM dataset_item WHERE dataset = ?1 AND id = ?2
         ORDER BY (first <= ?3 AND until > ?3) DESC, first DESC LIMIT 1",
    )?
    .query_row(params![dataset.as_bytes(), id.as_bytes(), version], |row| {
        row.get::<_, String>(0)
    })
    .optional()?
    .map(|body| from_text(&body))
    .transpose()
}

/// The items of the newest version that fit.
pub(super) fn fitting(
    conn: &Connection,
    dataset: EntityId,
    conditions: &[Condition],
) -> Outcome<Vec<EntityId>> {
    let mut statement =
        conn.prepare_cached("SELECT id, body FROM dataset_item WHERE dataset = ?1 AND until = ?2")?;
    let mut rows = statement.query(params![dataset.as_bytes(), EVER])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let body = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        if Condition::all(conditions, body) {
            found.push(super::id_from(row, 0)?);
        }
    }
    Ok(found)
}

/// A page of the items of a version, newest first.
pub(super) fn page(
    conn: &Connection,
    query: &ItemQuery,
    version: i64,
) -> Outcome<Listing<DatasetItem>> {
    let after = query.after.map(|id| *id.as_bytes());
    let (skip, size) = (query.page.skip(), query.page.size());
    let is_plain = query.conditions.is_empty();
    let mut statement = conn.prepare_cached(
        "SELECT body FROM dataset_item
         WHERE dataset = ?1 AND first <= ?2 AND until > ?2 AND (?3 IS NULL OR id < ?3)
         ORDER BY id DESC LIMIT ?4 OFFSET ?5",
    )?;
    let (most, offset) = if is_plain {
        (limit(size), limit(skip))
    } else {
        (-1, 0)
    };
    let mut rows = statement.query(params![
        query.dataset.as_bytes(),
        version,
        after,
        most,
        offset
    ])?;
    let (mut items, mut seen) = (Vec::new(), 0);
    while let Some(row) = rows.next()? {
        let body = row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?;
        if is_plain {
            items.push(from_text(body)?);
        } else if Condition::all(&query.conditions, body) {
            if seen >= skip && items.len() < size {
                items.push(from_text(body)?);
            }
            seen += 1;
        }
    }
    let total = if is_plain {
        total(conn, query.dataset, version)?
    } else {
        seen
    };
    Ok(Listing { items, total })
}

fn total(conn: &Connection, dataset: EntityId, version: i64) -> Outcome<usize> {
    let number = conn
        .prepare_cached(
            "SELECT count(*) FROM dataset_item
             WHERE dataset = ?1 AND first <= ?2 AND until > ?2",
        )?
        .query_row(params![dataset.as_bytes(), version], |row| row.get(0))?;
    Ok(usize::try_from(count(number)).unwrap_or(usize::MAX))
}

/// Deletes everything that a dataset has.
pub(super) fn forget(conn: &Connection, dataset: EntityId) -> Outcome<()> {
    conn.prepare_cached("DELETE FROM dataset_item WHERE dataset = ?1")?
        .execute([dataset.as_bytes()])?;
    Ok(())
}
