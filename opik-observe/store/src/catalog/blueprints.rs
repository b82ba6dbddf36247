//! Versions of agents' configurations in the table of entries.

use opik_core::catalog::{Blueprint, BlueprintChoice, CatalogError, Listing, Numbered};
use opik_core::{EntityId, ProjectId};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};

use super::entry::{self, Entry, Selection};
use super::{Outcome, Refusal, count, from_text};

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

/// The version with a name; no other is read.
fn by_name(conn: &Connection, project: ProjectId, name: &str) -> Outcome<Option<Blueprint>> {
    let mut statement = conn.prepare_cached(
        "SELECT body FROM catalog_entry WHERE kind = ?1 AND fold = ?2 AND project = ?3
          AND body ->> '$.type' = 'blueprint'",
    )?;
    let place = params![Blueprint::KIND, name.to_lowercase(), project.as_bytes()];
    let body = statement.query_row(place, |row| row.get::<_, String>(0));
    let found: Option<Blueprint> = body.optional()?.map(|it| from_text(&it)).transpose()?;
    Ok(found.filter(|it| it.name == name))
}

/// The newest version up to a number. A mask has the number of the version that would come next.
fn newest_to(conn: &Connection, project: ProjectId, number: u64) -> Outcome<Option<Blueprint>> {
    for number in (1..=number).rev() {
        if let Some(found) = by_name(conn, project, &format!("v{number}"))? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// The newest version of a project's configuration, where it has one.
pub(super) fn newest_if_any(conn: &Connection, project: ProjectId) -> Outcome<Option<Blueprint>> {
    let number = conn
        .prepare_cached(
            "SELECT coalesce(max(CAST(substr(fold, 2) AS INTEGER)), 0) FROM catalog_entry
             WHERE kind = ?1 AND project = ?2",
        )?
        .query_row(params![Blueprint::KIND, project.as_bytes()], |row| {
            row.get(0)
        })?;
    newest_to(conn, project, count(number))
}

/// The newest version of a project's configuration, which has to be there.
pub(super) fn newest(conn: &Connection, project: ProjectId) -> Outcome<Blueprint> {
    newest_if_any(conn, project)?.ok_or_else(|| none(project))
}

/// The newest version of every configuration.
pub(super) fn all_newest(conn: &Connection) -> Outcome<Vec<Blueprint>> {
    let mut statement = conn.prepare_cached(
        "SELECT project, max(CAST(substr(fold, 2) AS INTEGER)) FROM catalog_entry
         WHERE kind = ?1 GROUP BY project",
    )?;
    let rows = statement.query_map([Blueprint::KIND], |row| {
        Ok((row.get(0).map(ProjectId::from_bytes)?, row.get(1)?))
    })?;
    let mut all = Vec::new();
    for row in rows {
        let (project, number) = row?;
        all.extend(newest_to(conn, project, count(number))?);
    }
    Ok(all)
}

/// A page of the versions of a project's configuration, newest first. Their numbers have no gaps.
pub(super) fn versions(
    conn: &Connection,
    project: ProjectId,
    page: Numbered,
) -> Outcome<Listing<Blueprint>> {
    let newest = newest(conn, project)?.number();
    let total = usize::try_from(newest).unwrap_or(usize::MAX);
    let last = total.saturating_sub(page.skip());
    let first = last.saturating_sub(page.size()) + 1;
    let mut items = Vec::new();
    for number in (first..=last).rev() {
        items.extend(by_name(conn, project, &format!("v{number}"))?);
    }
    Ok(Listing { items, total })
}

/// Whether a project has a configuration.
pub(super) fn is_configured(conn: &Connection, project: ProjectId) -> Outcome<bool> {
    Ok(conn
        .prepare_cached("SELECT 1 FROM catalog_entry WHERE kind = ?1 AND project = ?2")?
        .exists(params![Blueprint::KIND, project.as_bytes()])?)
}

/// Fails where a project has no configuration.
pub(super) fn expect_configured(conn: &Connection, project: ProjectId) -> Outcome<()> {
    is_configured(conn, project)?
        .then_some(())
        .ok_or_else(|| none(project))
}

fn none(project: ProjectId) -> Refusal {
    let text = format!("No configuration found for project '{project}'");
    CatalogError::not_found(text).into()
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
        BlueprintChoice::Name(project, name) => by_name(conn, *project, name)?
            .ok_or_else(|| absent(format!("Blueprint with name '{name}' not found"))),
        BlueprintChoice::Environment(project, name) => {
            expect_configured(conn, *project)?;
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

#[cfg(test)]
mod tests {
    use opik_core::Timestamp;
    use opik_core::catalog::NewAgentConfig;
    use serde_json::json;

    use super::*;

    fn names(all: &[Blueprint]) -> Vec<&str> {
        all.iter().map(|it| it.name.as_str()).collect()
    }

    /// Eleven versions and a mask after each; what has a number below the newest is unreadable.
    #[test]
    fn only_what_is_asked_for_is_read() {
        let conn = Connection::open_in_memory().unwrap();
        conn.execute_batch(super::super::schema::TABLES).unwrap();
        let project = ProjectId::generate();
        assert!(!is_configured(&conn, project).unwrap());
        assert!(newest_if_any(&conn, project).unwrap().is_none());
        assert!(versions(&conn, project, Numbered::all()).is_err());
        let value = serde_json::from_value(json!({"key": "a", "type": "string"})).unwrap();
        let new = NewAgentConfig::new("p", vec![value]);
        let mut last = None;
        for _ in 0..11 {
            let next = new.clone();
            let version = next.into_record(project, last.as_ref(), Timestamp::EPOCH);
            let version = version.unwrap();
            let over = new.clone().mask();
            let mask = over.into_record(project, Some(&version), Timestamp::EPOCH);
            entry::insert(&conn, &version).unwrap();
            entry::insert(&conn, &mask.unwrap()).unwrap();
            last = Some(version);
        }
        let all = versions(&conn, project, Numbered::new(2, 4)).unwrap();
        assert_eq!(
            (all.total, names(&all.items)),
            (11, vec!["v7", "v6", "v5", "v4"])
        );
        let end = versions(&conn, project, Numbered::new(3, 4)).unwrap();
        assert_eq!(names(&end.items), ["v3", "v2", "v1"]);
        let after = versions(&conn, project, Numbered::new(4, 4)).unwrap();
        assert_eq!((after.total, after.items.len()), (11, 0));
        let whole = versions(&conn, project, Numbered::all()).unwrap();
        assert_eq!(whole.items.len(), 11);

        let spoilt = "UPDATE catalog_entry SET body = 'spoilt' WHERE fold NOT IN ('v11', 'v12')";
        assert_eq!(conn.execute(spoilt, []).unwrap(), 19);
        assert_eq!(newest(&conn, project).unwrap().name, "v11");
        assert_eq!(names(&all_newest(&conn).unwrap()), ["v11"]);
        assert!(is_configured(&conn, project).unwrap());
        let page = versions(&conn, project, Numbered::new(1, 1)).unwrap();
        assert_eq!((page.total, names(&page.items)), (11, vec!["v11"]));
        let named = |name: &str| by_name(&conn, project, name);
        assert_eq!(named("v11").unwrap().unwrap().name, "v11");
        assert!(named("v12").unwrap().is_none(), "a mask");
        assert!(named("V11").unwrap().is_none());
        assert!(named("v3").is_err(), "it is spoilt");
        let other = ProjectId::generate();
        assert!(by_name(&conn, other, "v11").unwrap().is_none());
    }
}
