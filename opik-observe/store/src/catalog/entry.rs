//! Records in the table of entries: one kind of row for everything that has a name.

use opik_core::catalog::{
    AnnotationQueue, CatalogError, Condition, Dashboard, Dataset, Environment, Experiment,
    FeedbackDefinition, Listing, Numbered, Optimization, Order, Prompt,
};
use opik_core::{EntityId, ProjectId};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Outcome, from_text, id_from, to_text};

/// A kind of record.
pub(super) trait Entry: Serialize + DeserializeOwned {
    /// Its number in the table; never changes.
    const KIND: i64;
    /// What it is called where something is wrong with it.
    const WHAT: &'static str;
    fn id(&self) -> EntityId;
    fn name(&self) -> &str;
    fn project(&self) -> Option<ProjectId> {
        None
    }
    /// What it is about: the dataset of an experiment or optimization, the version of a
    /// configuration that an environment uses.
    fn parent(&self) -> Option<EntityId> {
        None
    }
}

macro_rules! entry {
    ($type:ty, $kind:literal, $what:literal $(, project = $project:expr)? $(, parent = $parent:expr)?) => {
        impl Entry for $type {
            const KIND: i64 = $kind;
            const WHAT: &'static str = $what;
            fn id(&self) -> EntityId {
                self.id
            }
            fn name(&self) -> &str {
                &self.name
            }
            $(fn project(&self) -> Option<ProjectId> {
                let of: fn(&Self) -> Option<ProjectId> = $project;
                of(self)
            })?
            $(fn parent(&self) -> Option<EntityId> {
                let of: fn(&Self) -> Option<EntityId> = $parent;
                of(self)
            })?
        }
    };
}

entry!(Dataset, 1, "Dataset", project = |it| it.project_id);
entry!(
    Experiment,
    2,
    "Experiment",
    project = |it| it.project_id,
    parent = |it| it.dataset_id
);
entry!(Prompt, 3, "Prompt", project = |it| it.project_id);
entry!(
    Optimization,
    4,
    "Optimization",
    project = |it| it.project_id,
    parent = |it| it.dataset_id
);
entry!(
    AnnotationQueue,
    5,
    "Annotation queue",
    project = |it| Some(it.project_id)
);
entry!(Environment, 6, "Environment");
entry!(FeedbackDefinition, 7, "Feedback definition");
entry!(Dashboard, 8, "Dashboard", project = |it| it.project_id);

fn bytes(id: Option<ProjectId>) -> Option<[u8; 16]> {
    id.map(|id| *id.as_bytes())
}

/// Puts a new record in.
pub(super) fn insert<E: Entry>(conn: &Connection, record: &E) -> Outcome<()> {
    let taken = conn
        .prepare_cached("SELECT 1 FROM catalog_entry WHERE kind = ?1 AND id = ?2")?
        .exists(params![E::KIND, record.id().as_bytes()])?;
    if taken {
        return Err(CatalogError::conflict(format!(
            "Already exists {} with id '{}'",
            E::WHAT.to_lowercase(),
            record.id()
        ))
        .into());
    }
    put(conn, record)
}

/// Puts a record in, over the one with its identifier.
pub(super) fn put<E: Entry>(conn: &Connection, record: &E) -> Outcome<()> {
    conn.prepare_cached(
        "INSERT OR REPLACE INTO catalog_entry(kind, id, project, fold, parent, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        E::KIND,
        record.id().as_bytes(),
        bytes(record.project()),
        record.name().to_lowercase(),
        record.parent().map(|id| *id.as_bytes()),
        to_text(record)?,
    ])?;
    Ok(())
}

pub(super) fn get<E: Entry>(conn: &Connection, id: EntityId) -> Outcome<Option<E>> {
    conn.prepare_cached("SELECT body FROM catalog_entry WHERE kind = ?1 AND id = ?2")?
        .query_row(params![E::KIND, id.as_bytes()], |row| {
            row.get::<_, String>(0)
        })
        .optional()?
        .map(|body| from_text(&body))
        .transpose()
}

/// The record that has to be there.
pub(super) fn expect<E: Entry>(conn: &Connection, id: EntityId) -> Outcome<E> {
    get(conn, id)?.ok_or_else(|| unknown::<E>().into())
}

pub(super) fn unknown<E: Entry>() -> CatalogError {
    CatalogError::not_found(format!("{} not found", E::WHAT))
}

/// The records with a name, oldest first.
pub(super) fn named<E: Entry>(conn: &Connection, name: &str) -> Outcome<Vec<E>> {
    let mut statement = conn.prepare_cached(
        "SELECT body FROM catalog_entry WHERE kind = ?1 AND fold = ?2 ORDER BY id",
    )?;
    let mut rows = statement.query(params![E::KIND, name.to_lowercase()])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(from_text(
            row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?,
        )?);
    }
    Ok(found)
}

/// The record with a name: of the project, of no project, of any other, in that order; `true`
/// when it is of another project than the one that was named.
pub(super) fn find<E: Entry>(
    conn: &Connection,
    name: &str,
    project: Option<ProjectId>,
) -> Outcome<Option<(E, bool)>> {
    let mut found = named::<E>(conn, name)?;
    let place = |of: &dyn Fn(&E) -> bool| found.iter().position(of);
    let at = match project {
        Some(_) => place(&|it| it.project() == project)
            .or_else(|| place(&|it| it.project().is_none()))
            .unwrap_or(0),
        None => place(&|it| it.project().is_none()).unwrap_or(0),
    };
    if found.is_empty() {
        return Ok(None);
    }
    let record = found.swap_remove(at);
    let elsewhere = project.is_some() && record.project() != project;
    Ok(Some((record, elsewhere)))
}

/// Fails when another record of the project has the name.
pub(super) fn check_name<E: Entry>(conn: &Connection, record: &E, taken: &str) -> Outcome<()> {
    let others = named::<E>(conn, record.name())?;
    let is_other = |other: &E| other.id() != record.id() && other.project() == record.project();
    if others.iter().any(is_other) {
        return Err(CatalogError::conflict(taken).into());
    }
    Ok(())
}

/// Deletes a record; `false` when there was none.
pub(super) fn delete<E: Entry>(conn: &Connection, id: EntityId) -> Outcome<bool> {
    let gone = conn
        .prepare_cached("DELETE FROM catalog_entry WHERE kind = ?1 AND id = ?2")?
        .execute(params![E::KIND, id.as_bytes()])?;
    Ok(gone > 0)
}

pub(super) fn delete_all<E: Entry>(conn: &Connection, ids: &[EntityId]) -> Outcome<usize> {
    let mut gone = 0;
    for id in ids {
        gone += usize::from(delete::<E>(conn, *id)?);
    }
    Ok(gone)
}

/// How many records of a kind are about a dataset.
pub(super) fn count_about<E: Entry>(conn: &Connection, dataset: EntityId) -> Outcome<u64> {
    let number = conn
        .prepare_cached("SELECT count(*) FROM catalog_entry WHERE parent = ?1 AND kind = ?2")?
        .query_row(params![dataset.as_bytes(), E::KIND], |row| row.get(0))?;
    Ok(super::count(number))
}

/// What a list of a kind of records takes.
#[derive(Debug, Default)]
pub(super) struct Selection<'q> {
    pub(super) project: Option<ProjectId>,
    /// Also those of no project.
    pub(super) or_none: bool,
    pub(super) parent: Option<EntityId>,
    pub(super) name: Option<&'q str>,
    pub(super) after: Option<EntityId>,
}

impl Selection<'_> {
    /// The records that it takes, newest first, as text.
    pub(super) fn bodies<E: Entry>(&self, conn: &Connection) -> Outcome<Vec<(EntityId, String)>> {
        let mut statement = conn.prepare_cached(
            "SELECT id, body FROM catalog_entry
             WHERE kind = ?1 AND (?2 IS NULL OR project = ?2 OR (?3 AND project IS NULL))
              AND (?4 IS NULL OR parent = ?4) AND (?5 IS NULL OR instr(fold, ?5) > 0)
              AND (?6 IS NULL OR id < ?6)
             ORDER BY id DESC",
        )?;
        let rows = statement.query_map(
            params![
                E::KIND,
                bytes(self.project),
                self.or_none,
                self.parent.map(|id| *id.as_bytes()),
                self.name.map(str::to_lowercase),
                self.after.map(|id| *id.as_bytes()),
            ],
            |row| Ok((id_from(row, 0)?, row.get(1)?)),
        )?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The records that it takes.
    pub(super) fn records<E: Entry>(&self, conn: &Connection) -> Outcome<Vec<E>> {
        let bodies = self.bodies::<E>(conn)?;
        bodies.iter().map(|(_, body)| from_text(body)).collect()
    }
}

/// A page of records that fit conditions, in an order. The records are complete: conditions look
/// at what they will be sent as.
pub(super) fn page_of<T: Serialize>(
    records: Vec<T>,
    conditions: &[Condition],
    order: Option<&Order>,
    page: Numbered,
) -> Outcome<Listing<T>> {
    if conditions.is_empty() && order.is_none() {
        return Ok(page.of(records));
    }
    let mut fitting = Vec::with_capacity(records.len());
    for record in records {
        let text = to_text(&record)?;
        if Condition::all(conditions, &text) {
            fitting.push((text, record));
        }
    }
    if let Some(order) = order {
        fitting.sort_by(|(left, _), (right, _)| order.compare(left, right));
    }
    Ok(page.of(fitting.into_iter().map(|(_, record)| record).collect()))
}
