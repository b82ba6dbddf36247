//! What Opik keeps beside traces: [`Catalog`](opik_core::catalog::Catalog) on the store's file.
//!
//! # The format
//!
//! Every record is the JSON that Opik's API answers, without what is joined on reading, in a row
//! with the few columns that look-ups need.
//!
//! | table | a row is | holds |
//! |---|---|---|
//! | `catalog_entry` | a dataset, experiment, prompt, optimization, queue, environment, feedback definition, dashboard, version of an agent's configuration or environment of one | kind, name in lower case, project, dataset |
//! | `dataset_version` | a version of a dataset | number, hash, group of the writes that made it |
//! | `dataset_item` | an item as it is in versions `first` to `until - 1` | an item that does not change is one row, however many versions there are |
//! | `experiment_item` | a run of an item | experiment, item, trace |
//! | `prompt_version` | a version of a prompt | number (0 for masks), commit |
//! | `queue_item` | a trace or thread in an annotation queue | |
//!
//! Writes go through the store's writer, each in a transaction of its own; one that is refused
//! leaves nothing behind. Traces and their scores are joined when an experiment is read.

mod agent_configs;
mod blueprints;
mod datasets;
mod definitions;
mod entry;
mod experiments;
mod items;
mod joined;
pub(crate) mod of_traces;
mod optimizations;
mod prompts;
mod queues;
pub(crate) mod schema;
mod versions;

use opik_core::catalog::{CatalogError, CatalogErrorKind, ProjectChoice};
use opik_core::{EntityId, ProjectId, Timestamp};
use rusqlite::{Connection, OptionalExtension};

use crate::error::StoreError;
use crate::pack::ProjectRef;
use crate::read::Reader;
use crate::store::Store;
use crate::write::Work;

/// Why something was not done: the store cannot, or the catalogue refuses.
#[derive(Debug)]
enum Refusal {
    Store(StoreError),
    Catalog(CatalogError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<rusqlite::Error> for Refusal {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error.into())
    }
}

impl From<CatalogError> for Refusal {
    fn from(error: CatalogError) -> Self {
        Self::Catalog(error)
    }
}

type Outcome<T> = Result<T, Refusal>;

/// A transaction of the catalogue.
struct Change<'a, 'w> {
    work: &'a mut Work<'w>,
    /// The moment of the change.
    at: Timestamp,
}

impl Change<'_, '_> {
    fn conn(&self) -> &Connection {
        self.work.conn()
    }

    /// The project that something new belongs to: made where only a name is given.
    fn project(&mut self, choice: &ProjectChoice) -> Outcome<Option<ProjectId>> {
        if choice.is_none() {
            return Ok(None);
        }
        if choice.id.is_some() {
            let known = project_of(self.conn(), choice)?;
            return match known {
                Some(id) => Ok(Some(id)),
                None => Err(CatalogError::not_found("Project not found").into()),
            };
        }
        let named = ProjectRef {
            name: choice.name.clone(),
            id: None,
        };
        let key = self.work.project(&named, self.at.as_micros())?;
        let id = self
            .conn()
            .prepare_cached("SELECT id FROM project WHERE key = ?1")?
            .query_row([key], |row| row.get(0))?;
        Ok(Some(ProjectId::from_bytes(id)))
    }
}

/// The project that is meant, where it exists.
fn project_of(conn: &Connection, choice: &ProjectChoice) -> Outcome<Option<ProjectId>> {
    let found = match (choice.id, &choice.name) {
        (Some(id), _) => conn
            .prepare_cached("SELECT id FROM project WHERE id = ?1")?
            .query_row([id.as_bytes()], |row| row.get(0))
            .optional()?,
        (None, Some(name)) => conn
            .prepare_cached("SELECT id FROM project WHERE fold = ?1")?
            .query_row([name.trim().to_lowercase()], |row| row.get(0))
            .optional()?,
        (None, None) => None,
    };
    Ok(found.map(ProjectId::from_bytes))
}

/// Whether something belongs to a project while one was named that does not exist.
fn is_elsewhere(
    choice: &ProjectChoice,
    project: Option<ProjectId>,
    own: Option<ProjectId>,
) -> bool {
    !choice.is_none() && project.is_none() && own.is_some()
}

impl Store {
    /// Makes a change to the catalogue, all of it or nothing.
    async fn edit<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Change<'_, '_>) -> Outcome<T> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let done = self
            .change(move |writer| {
                writer.transaction(|work| {
                    // A refusal must not cost the writer what it remembers of traces.
                    work.conn().execute_batch("SAVEPOINT edit")?;
                    let at = Timestamp::now();
                    match act(&mut Change { work, at }) {
                        Ok(value) => {
                            work.conn().execute_batch("RELEASE edit")?;
                            Ok(Ok(value))
                        }
                        Err(Refusal::Catalog(error)) => {
                            work.conn()
                                .execute_batch("ROLLBACK TO edit; RELEASE edit")?;
                            work.forget_projects();
                            Ok(Err(error))
                        }
                        Err(Refusal::Store(error)) => Err(error),
                    }
                })
            })
            .await;
        done.map_err(failed)?
    }

    /// Looks something up in the catalogue.
    async fn consult<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Reader) -> Outcome<T> + Send + 'static,
    ) -> Result<T, CatalogError> {
        let answer = self
            .look(move |reader| match ask(reader) {
                Ok(value) => Ok(Ok(value)),
                Err(Refusal::Catalog(error)) => Ok(Err(error)),
                Err(Refusal::Store(error)) => Err(error),
            })
            .await;
        answer.map_err(failed)?
    }
}

fn failed(error: StoreError) -> CatalogError {
    let kind = match &error {
        StoreError::Busy(_) | StoreError::Storage(_) | StoreError::Closed => {
            CatalogErrorKind::Unavailable
        }
        StoreError::Damaged(_) | StoreError::Corrupt(_) => CatalogErrorKind::Corrupt,
        _ => CatalogErrorKind::Internal,
    };
    CatalogError::new(kind, "use the catalogue of the store").with_source(error)
}

/// A count from SQL.
fn count(number: i64) -> u64 {
    number.max(0).cast_unsigned()
}

/// A number for SQL.
fn limit(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn damaged(_: serde_json::Error) -> Refusal {
    Refusal::Store(StoreError::Damaged("a record of the catalogue is not JSON"))
}

/// A record as it is stored.
fn to_text<T: serde::Serialize>(record: &T) -> Outcome<String> {
    serde_json::to_string(record)
        .map_err(|error| Refusal::Store(StoreError::Internal(error.into())))
}

fn from_text<T: serde::de::DeserializeOwned>(text: &str) -> Outcome<T> {
    serde_json::from_str(text).map_err(damaged)
}

/// The bytes of identifiers, as SQL gives them back.
fn id_from(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<EntityId> {
    row.get(column).map(EntityId::from_bytes)
}
