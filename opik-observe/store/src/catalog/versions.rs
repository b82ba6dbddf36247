//! Versions of datasets.

use opik_core::catalog::{CatalogError, DatasetVersion, Listing, Numbered};
use opik_core::{EntityId, Timestamp};
use rusqlite::{Connection, OptionalExtension, params};

use super::{Outcome, from_text, limit, to_text};

/// A version and its number.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) number: i64,
    pub(super) record: DatasetVersion,
    member: Option<EntityId>,
}

impl Version {
    fn of(row: &rusqlite::Row<'_>) -> Outcome<Self> {
        let member: Option<[u8; 16]> = row.get(1)?;
        Ok(Self {
            number: row.get(0)?,
            record: from_text(row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?)?,
            member: member.map(EntityId::from_bytes),
        })
    }

    /// As it is shown.
    pub(super) fn seen(self, conn: &Connection) -> Outcome<DatasetVersion> {
        let newest = latest_number(conn, self.record.dataset_id)?;
        Ok(self.record.seen(self.number == newest))
    }

    pub(super) fn save(&self, conn: &Connection) -> Outcome<()> {
        conn.prepare_cached(
            "INSERT OR REPLACE INTO dataset_version(dataset, number, id, hash, member, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            self.record.dataset_id.as_bytes(),
            self.number,
            self.record.id.as_bytes(),
            self.record.version_hash,
            self.member.map(|id| *id.as_bytes()),
            to_text(&self.record)?,
        ])?;
        Ok(())
    }

    /// Notes that items were added, replaced or deleted.
    pub(super) fn note(&mut self, added: u64, modified: u64, deleted: u64, at: Timestamp) {
        let record = &mut self.record;
        record.items_added += added;
        record.items_modified += modified;
        record.items_deleted += deleted;
        record.items_total = (record.items_total + added).saturating_sub(deleted);
        record.audit.touch(at);
    }
}

fn latest_number(conn: &Connection, dataset: EntityId) -> Outcome<i64> {
    let number: Option<i64> = conn
        .prepare_cached("SELECT max(number) FROM dataset_version WHERE dataset = ?1")?
        .query_row([dataset.as_bytes()], |row| row.get(0))?;
    Ok(number.unwrap_or(0))
}

/// The newest version.
pub(super) fn latest(conn: &Connection, dataset: EntityId) -> Outcome<Option<Version>> {
    first(
        conn,
        "SELECT number, member, body FROM dataset_version WHERE dataset = ?1
         ORDER BY number DESC LIMIT 1",
        params![dataset.as_bytes()],
    )
}

fn first(conn: &Connection, sql: &str, values: impl rusqlite::Params) -> Outcome<Option<Version>> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(values)?;
    match rows.next()? {
        Some(row) => Version::of(row).map(Some),
        None => Ok(None),
    }
}

/// A new version after the newest.
pub(super) fn begin(
    conn: &Connection,
    dataset: EntityId,
    member: Option<EntityId>,
    at: Timestamp,
) -> Outcome<Version> {
    let before = latest(conn, dataset)?;
    let number = before.as_ref().map_or(1, |before| before.number + 1);
    Ok(Version {
        number,
        record: DatasetVersion::new(
            dataset,
            super::count(number),
            before.as_ref().map(|before| &before.record),
            at,
        ),
        member,
    })
}

/// The version that a write changes: the newest when it is of the same group or when there is no
/// group, else a new one.
pub(super) fn to_write(
    conn: &Connection,
    dataset: EntityId,
    member: Option<EntityId>,
    at: Timestamp,
) -> Outcome<(Version, bool)> {
    match latest(conn, dataset)? {
        Some(newest) if member.is_none() || newest.member == member => Ok((newest, false)),
        _ => Ok((begin(conn, dataset, member, at)?, true)),
    }
}

/// The version with this identifier, of any dataset.
pub(super) fn by_id(conn: &Connection, id: EntityId) -> Outcome<Option<Version>> {
    first(
        conn,
        "SELECT number, member, body FROM dataset_version WHERE id = ?1",
        params![id.as_bytes()],
    )
}

/// The version that is meant: by hash, name, identifier, label or `latest`.
pub(super) fn find(
    conn: &Connection,
    dataset: EntityId,
    reference: &str,
) -> Outcome<Option<Version>> {
    let reference = reference.trim();
    if reference == "latest" {
        return latest(conn, dataset);
    }
    let by_hash = first(
        conn,
        "SELECT number, member, body FROM dataset_version WHERE dataset = ?1 AND hash = ?2",
        params![dataset.as_bytes(), reference],
    )?;
    if by_hash.is_some() {
        return Ok(by_hash);
    }
    if let Ok(id) = reference.parse() {
        let found = by_id(conn, id)?;
        return Ok(found.filter(|version| version.record.dataset_id == dataset));
    }
    let number = reference
        .strip_prefix('v')
        .and_then(|digits| digits.parse::<i64>().ok());
    if let Some(number) = number {
        let found = first(
            conn,
            "SELECT number, member, body FROM dataset_version WHERE dataset = ?1 AND number = ?2",
            params![dataset.as_bytes(), number],
        )?;
        if found.is_some() {
            return Ok(found);
        }
    }
    labelled(conn, dataset, reference)
}

/// The version with a label.
pub(super) fn labelled(
    conn: &Connection,
    dataset: EntityId,
    label: &str,
) -> Outcome<Option<Version>> {
    let mut statement = conn.prepare_cached(
        "SELECT number, member, body FROM dataset_version
         WHERE dataset = ?1 AND EXISTS
            (SELECT 1 FROM json_each(body, '$.tags') WHERE json_each.value = ?2)
         ORDER BY number DESC LIMIT 1",
    )?;
    let mut rows = statement.query(params![dataset.as_bytes(), label])?;
    match rows.next()? {
        Some(row) => Version::of(row).map(Some),
        None => Ok(None),
    }
}

/// The version that has to be there.
pub(super) fn expect(conn: &Connection, dataset: EntityId, reference: &str) -> Outcome<Version> {
    find(conn, dataset, reference)?.ok_or_else(|| {
        CatalogError::not_found(format!(
            "Version '{reference}' not found for dataset '{dataset}'"
        ))
        .into()
    })
}

/// A page of versions, newest first.
pub(super) fn page(
    conn: &Connection,
    dataset: EntityId,
    page: Numbered,
) -> Outcome<Listing<DatasetVersion>> {
    let newest = latest_number(conn, dataset)?;
    let mut statement = conn.prepare_cached(
        "SELECT number, member, body FROM dataset_version WHERE dataset = ?1
         ORDER BY number DESC LIMIT ?2 OFFSET ?3",
    )?;
    let mut rows = statement.query(params![
        dataset.as_bytes(),
        limit(page.size()),
        limit(page.skip())
    ])?;
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        let version = Version::of(row)?;
        items.push(version.record.seen(version.number == newest));
    }
    let total: i64 = conn
        .prepare_cached("SELECT count(*) FROM dataset_version WHERE dataset = ?1")?
        .query_row([dataset.as_bytes()], |row| row.get(0))
        .optional()?
        .unwrap_or(0);
    let total = usize::try_from(super::count(total)).unwrap_or(usize::MAX);
    Ok(Listing { items, total })
}

/// Deletes every version of a dataset.
pub(super) fn forget(conn: &Connection, dataset: EntityId) -> Outcome<()> {
    conn.prepare_cached("DELETE FROM dataset_version WHERE dataset = ?1")?
        .execute([dataset.as_bytes()])?;
    Ok(())
}
