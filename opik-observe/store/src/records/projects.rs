//! Projects: names that records are filed under, with a description.
//!
//! Names are compared without regard to case. A deleted project keeps its key, which records still
//! refer to, and loses its name, which may be used again.

use opik_core::model::VisibilityMode;
use opik_core::query::ProjectSelector;
use opik_core::{Project, ProjectId, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::StoreError;
use crate::pack::ProjectRef;
use crate::store::Store;

/// The user that everything is filed under.
const USER: &str = "admin";

/// What is to be different about a project; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProjectChange {
    /// A new name.
    pub name: Option<String>,
    /// A new description.
    pub description: Option<String>,
    /// Who may see it.
    pub visibility: Option<VisibilityMode>,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProjectOutcome {
    /// It was made.
    Done,
    /// There is no such project.
    Unknown,
    /// Another project has that name.
    NameTaken,
}

const SELECT: &str = "SELECT p.key, p.id, p.name, p.created, d.description, d.visibility,
        coalesce(d.updated, p.created)
     FROM project p LEFT JOIN project_detail d ON d.project = p.key
     WHERE coalesce(d.deleted, 0) = 0";

fn project_of(row: &Row<'_>) -> rusqlite::Result<(i64, Project)> {
    let mut project = Project::new(row.get::<_, String>(2)?);
    project.id = Some(ProjectId::from_bytes(row.get(1)?));
    project.created_at = Some(Timestamp::from_micros(row.get(3)?));
    project.created_by = Some(USER.to_owned());
    project.description = row.get(4)?;
    let visibility: Option<String> = row.get(5)?;
    project.visibility = Some(visibility.as_deref().unwrap_or("private").into());
    project.last_updated_at = Some(Timestamp::from_micros(row.get(6)?));
    project.last_updated_by = Some(USER.to_owned());
    Ok((row.get(0)?, project))
}

/// The projects, by name.
pub(crate) fn list(conn: &Connection) -> Result<Vec<Project>, StoreError> {
    let mut statement = conn.prepare_cached(&format!("{SELECT} ORDER BY p.fold"))?;
    let projects = statement
        .query_map([], |row| project_of(row).map(|(_, project)| project))?
        .collect::<Result<_, _>>()?;
    Ok(projects)
}

/// The project that is selected, with its key.
pub(crate) fn find(
    conn: &Connection,
    selector: &ProjectSelector,
) -> Result<Option<(i64, Project)>, StoreError> {
    let found = match selector {
        ProjectSelector::Id(id) => conn
            .prepare_cached(&format!("{SELECT} AND p.id = ?1"))?
            .query_row([id.as_bytes()], project_of)
            .optional()?,
        ProjectSelector::Name(name) => conn
            .prepare_cached(&format!("{SELECT} AND p.fold = ?1"))?
            .query_row([name.trim().to_lowercase()], project_of)
            .optional()?,
        _ => None,
    };
    Ok(found)
}

impl Store {
    /// The projects that are there, newest first.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn all_projects(&self) -> Result<Vec<Project>, StoreError> {
        let mut projects = self.look(|reader| list(reader.conn())).await?;
        projects.sort_by_key(|project| std::cmp::Reverse(project.id));
        Ok(projects)
    }

    /// The project that is selected; `None` when there is none, and for a selector of any project.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn project(&self, selector: ProjectSelector) -> Result<Option<Project>, StoreError> {
        self.look(move |reader| Ok(find(reader.conn(), &selector)?.map(|(_, project)| project)))
            .await
    }

    /// The project of this name, which is made where there is none; `true` if it was made.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn make_project(&self, name: String) -> Result<(Project, bool), StoreError> {
        self.change(move |writer| {
            writer.transaction(|work| {
                let selector = ProjectSelector::Name(name.clone());
                if let Some((_, project)) = find(work.conn(), &selector)? {
                    return Ok((project, false));
                }
                let now = Timestamp::now().as_micros();
                let named = ProjectRef {
                    name: Some(name),
                    id: None,
                };
                work.project(&named, now)?;
                let (_, project) = find(work.conn(), &selector)?
                    .ok_or(StoreError::Damaged("a project is missing"))?;
                Ok((project, true))
            })
        })
        .await
    }

    /// Changes a project.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn change_project(
        &self,
        id: ProjectId,
        change: ProjectChange,
    ) -> Result<ProjectOutcome, StoreError> {
        self.change(move |writer| {
            writer.transaction(|work| {
                let Some((key, known)) = find(work.conn(), &ProjectSelector::Id(id))? else {
                    return Ok(ProjectOutcome::Unknown);
                };
                if let Some(name) = &change.name {
                    let other = find(work.conn(), &ProjectSelector::Name(name.clone()))?;
                    if other.is_some_and(|(other, _)| other != key) {
                        return Ok(ProjectOutcome::NameTaken);
                    }
                    let name = name.trim();
                    work.conn()
                        .prepare_cached("UPDATE project SET fold = ?2, name = ?3 WHERE key = ?1")?
                        .execute(params![key, name.to_lowercase(), name])?;
                    work.forget_projects();
                }
                let visibility = change.visibility.or(known.visibility);
                let description = change.description.or(known.description);
                work.conn()
                    .prepare_cached(
                        "INSERT INTO project_detail(project, deleted, description, visibility, updated)
                         VALUES (?1, 0, ?2, ?3, ?4)
                         ON CONFLICT DO UPDATE SET description = excluded.description,
                             visibility = excluded.visibility, updated = excluded.updated",
                    )?
                    .execute(params![
                        key,
                        description,
                        visibility.as_ref().map_or("private", VisibilityMode::as_str),
                        Timestamp::now().as_micros(),
                    ])?;
                Ok(ProjectOutcome::Done)
            })
        })
        .await
    }

    /// Forgets a project: its name may be used again. Traces stay and can be read by identifier.
    /// Tells whether there was one.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be written.
    pub async fn forget_project(&self, id: ProjectId) -> Result<bool, StoreError> {
        self.change(move |writer| {
            writer.transaction(|work| {
                let Some((key, _)) = find(work.conn(), &ProjectSelector::Id(id))? else {
                    return Ok(false);
                };
                // No name in use holds a line break.
                work.conn()
                    .prepare_cached("UPDATE project SET fold = ?2 WHERE key = ?1")?
                    .execute(params![key, format!("\n{key}")])?;
                work.conn()
                    .prepare_cached(
                        "INSERT INTO project_detail(project, deleted, visibility, updated)
                         VALUES (?1, 1, 'private', ?2)
                         ON CONFLICT DO UPDATE SET deleted = 1, updated = excluded.updated",
                    )?
                    .execute(params![key, Timestamp::now().as_micros()])?;
                work.forget_projects();
                Ok(true)
            })
        })
        .await
    }
}
