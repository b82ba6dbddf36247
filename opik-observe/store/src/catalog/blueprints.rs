//! Versions of agents' configurations in the table of entries.

use opik_core::catalog::{Blueprint, BlueprintChoice, CatalogError};
use opik_core::{EntityId, ProjectId};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use super::Outcome;
use super::entry::{self, Entry, Selection};

/// An environment of a configuration; its version is the record's parent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Place {
    pub(super) id: EntityId,
    pub(super) name: String,
    pub(super) project_id: ProjectId,
    pub(super) blueprint_id: EntityId,
}

impl Entry for Blueprint {
    const KIND: i64 = 9;
    const WHAT: &'static str = "Blueprint";
    fn id(&self) -> EntityId {
        self.id
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn project(&self) -> Option<ProjectId> {
        Some(self.project_id)
    }
}

impl Entry for Place {
    const KIND: i64 = 10;
    const WHAT: &'static str = "Environment";
    fn id(&self) -> EntityId {
        self.id
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn project(&self) -> Option<ProjectId> {
        Some(self.project_id)
    }
    fn parent(&self) -> Option<EntityId> {
        Some(self.blueprint_id)
    }
}

/// The versions of a project's configuration, newest first.
pub(super) fn versions(conn: &Connection, project: ProjectId) -> Outcome<Vec<Blueprint>> {
    let selection = Selection {
        project: Some(project),
        ..Selection::default()
    };
    let mut all = selection.records::<Blueprint>(conn)?;
    all.retain(|it| !it.is_mask());
    all.sort_by_key(|it| std::cmp::Reverse(it.number()));
    Ok(all)
}

/// The newest version of a project's configuration, which has to be there.
pub(super) fn newest(conn: &Connection, project: ProjectId) -> Outcome<Blueprint> {
    let newest = versions(conn, project)?.into_iter().next();
    newest.ok_or_else(|| {
        let text = format!("No configuration found for project '{project}'");
        CatalogError::not_found(text).into()
    })
}

/// The projects that have a configuration.
pub(super) fn projects(conn: &Connection) -> Outcome<Vec<ProjectId>> {
    let mut statement =
        conn.prepare_cached("SELECT DISTINCT project FROM catalog_entry WHERE kind = ?1")?;
    let rows = statement.query_map([Blueprint::KIND], |row| {
        row.get(0).map(ProjectId::from_bytes)
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

pub(super) fn is_commit_of(conn: &Connection, prompt: EntityId, commit: &str) -> Outcome<bool> {
    Ok(conn
        .prepare_cached(
            "SELECT 1 FROM prompt_version WHERE prompt = ?1 AND number > 0 AND short = ?2",
        )?
        .exists(params![prompt.as_bytes(), commit.to_lowercase()])?)
}

pub(super) fn place(conn: &Connection, project: ProjectId, name: &str) -> Outcome<Option<Place>> {
    let mut places = entry::named::<Place>(conn, name)?;
    places.retain(|it| it.project_id == project && it.name == name);
    Ok(places.pop())
}

pub(super) fn chosen(conn: &Connection, choice: &BlueprintChoice) -> Outcome<Blueprint> {
    let absent = |text: String| CatalogError::not_found(text).into();
    match choice {
        BlueprintChoice::Id(id) => entry::get::<Blueprint>(conn, *id)?
            .filter(|it| !it.is_mask())
            .ok_or_else(|| absent(format!("Blueprint '{id}' not found"))),
        BlueprintChoice::Newest(project) => newest(conn, *project),
        BlueprintChoice::Name(project, name) => versions(conn, *project)?
            .into_iter()
            .find(|it| it.name == *name)
            .ok_or_else(|| absent(format!("Blueprint with name '{name}' not found"))),
        BlueprintChoice::Environment(project, name) => {
            newest(conn, *project)?;
            let place = place(conn, *project, name)?
                .ok_or_else(|| absent(format!("No blueprint found for environment '{name}'")))?;
            entry::expect(conn, place.blueprint_id)
        }
        _ => Err(absent("Blueprint not found".to_owned())),
    }
}

pub(super) fn mask(conn: &Connection, project: ProjectId, id: EntityId) -> Outcome<Blueprint> {
    entry::get::<Blueprint>(conn, id)?
        .filter(|it| it.is_mask() && it.project_id == project)
        .ok_or_else(|| {
            let text = format!("Mask blueprint '{id}' not found in project '{project}'");
            CatalogError::not_found(text).into()
        })
}

/// With the environments that use it.
pub(super) fn placed(conn: &Connection, mut blueprint: Blueprint) -> Outcome<Blueprint> {
    let selection = Selection {
        parent: Some(blueprint.id),
        ..Selection::default()
    };
    let mut places = selection.records::<Place>(conn)?;
    places.reverse();
    blueprint.envs = places.into_iter().map(|it| it.name).collect();
    Ok(blueprint)
}
